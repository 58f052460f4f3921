//! What is at hand while a text is judged.

use super::found::Found;
use crate::context::Context;
use crate::plan::ShellPlan;
use crate::resolve::Resolver;
use crate::weigh::Rules;

/// A text, what is known around it, and what was found so far.
pub struct Asking<'a> {
    pub plan: &'a ShellPlan,
    pub resolver: Resolver<'a>,
    pub context: Context<'a>,
    pub rules: Rules<'a>,
    pub found: Found,
}

//! Options that do more than what a rule for the program speaks of: `git *` means git's own work, not a program that
//! `-c core.pager=…` names.

mod git;
mod kind;
mod program;
mod script;
mod table;

use crate::unwrap::base_name;
use crate::word::Word;
pub use git::{folder as git_folder, is_git};
pub use kind::{Kind, Risk};
pub use table::Outcomes;

/// The risks of a command; each once.
pub fn risks(words: &[Word], outcomes: Outcomes<'_>) -> Vec<Risk> {
    let Some((first, rest)) = words.split_first() else {
        return Vec::new();
    };
    let program = first.literal().unwrap_or_default();
    let name = base_name(&program);
    let mut found = if name == "git" {
        git::risks(rest, outcomes)
    } else {
        let mut found =
            table::of(name).map_or_else(Vec::new, |options| options.risks(rest, outcomes));
        found.extend(program::risks(name, rest, outcomes));
        found
    };
    let mut seen: Vec<Risk> = Vec::new();
    found.retain(|risk| {
        let new = !seen.contains(risk);
        seen.push(risk.clone());
        new
    });
    found
}

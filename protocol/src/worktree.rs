//! Worktrees on the wire: what events tell of them, what lists and answers hold, several versions of one prompt.

mod fleet;
mod state;
mod tree;

pub use fleet::{Checked, Fleet, FleetKept, FleetNow, Member, MemberStatus};
pub use state::{Conflict, Kept, Landed, Losses, Removed, some};
pub use tree::{Listed, Setup, Stage, State, Summary, Tree};

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A worktree that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorktreeNamed<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Its branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<Cow<'a, str>>,
}

/// Why a worktree, or its set-up, came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorktreeFailed<'a> {
    /// The reason, for people.
    pub message: Cow<'a, str>,
}

/// A piece of what a set-up script says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorktreeOutput<'a> {
    /// The worktree's name.
    pub name: Cow<'a, str>,
    /// The piece: whole characters, not always whole lines.
    pub text: Cow<'a, str>,
    /// Nothing follows: the last script has ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
}

//! Worktrees.

use crate::SessionId;
use crate::model::Rule;
use serde::{Deserialize, Serialize};

/// `worktree.create`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CreateWorktree {
    /// What it is called; it becomes a name for folders and branches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A shell text that runs in it once its files are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_command: Option<String>,
}

/// `worktree.remove` and `worktree.reset`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NamedWorktree {
    /// Its top folder.
    pub directory: String,
}

/// `x.worktree.create`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MakeWorktree {
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it starts from: a branch, tag or hash; else the last commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// An existing branch that it has, in place of one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkout: Option<String>,
    /// Take uncommitted changes along.
    pub changes: bool,
    /// A shell text that runs in it once its files are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_command: Option<String>,
    /// Answer only when all its files are there.
    pub wait: bool,
}

/// `x.worktree.remove` and `x.worktree.reset`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndWorktree {
    /// Its name or its top folder.
    pub worktree: String,
    /// Whatever would be lost may go; what can be kept is kept.
    #[serde(default)]
    pub force: bool,
}

/// `x.worktree.rename`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenameWorktree {
    /// Its name or its top folder.
    pub worktree: String,
    /// Its new name.
    pub name: String,
}

/// `x.worktree.restore`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreWorktree {
    /// The id of a kept state, or the name of a worktree for its newest one.
    pub kept: String,
}

/// In which form a result comes home.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApplyAs {
    /// As changes of the files.
    #[default]
    Patch,
    /// As its commits.
    Commits,
    /// As a merge.
    Merge,
}

/// `x.worktree.apply`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApplyWorktree {
    /// Its name or its top folder.
    pub worktree: String,
    /// In which form.
    pub how: ApplyAs,
    /// Where to; else where it was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
    /// Only these files or folders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<String>>,
    /// Commit what is uncommitted first, with this message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Look only whether it fits.
    pub check: bool,
}

/// `x.session.worktree`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionToWorktree {
    /// What the worktree is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Take the uncommitted changes out of where they were; they are kept for 30 days.
    pub clear: bool,
}

/// `experimental.controlPlane.moveSession`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MoveSession {
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: SessionId,
    /// Where to.
    pub destination: MoveTo,
    /// Take the uncommitted changes along.
    #[serde(default)]
    pub move_changes: bool,
}

/// Where a session moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveTo {
    /// The directory.
    pub directory: String,
}

/// `kilocode.teardownWorktree`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeardownWorktree {
    /// Its top folder.
    pub worktree: String,
}

/// `x.fleet.start`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StartFleet {
    /// What all of them are told.
    pub prompt: String,
    /// The model of each, as PROVIDER/MODEL; fewer than `count` are used in turn.
    pub models: Vec<String>,
    /// The agent of each, in turn.
    pub agents: Vec<String>,
    /// How many, 1 to 8; else as many as there are models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// What their worktrees are called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What they start from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Take uncommitted changes along.
    pub changes: bool,
    /// A shell text that tells by its status whether a result is good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// Rules of their sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<Vec<Rule>>,
}

/// `x.fleet.keep`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KeepOfFleet {
    /// The name of the worktree whose result is kept.
    pub worktree: String,
    /// In which form it comes home.
    pub how: ApplyAs,
    /// Commit what is uncommitted first, with this message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Remove the other worktrees, and this one; their states are kept for 30 days.
    pub remove: bool,
}

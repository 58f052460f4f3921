//! Worktrees.

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

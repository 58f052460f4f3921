//! What a worktree would lose, what was kept of one, what came home from one.

use super::Tree;
use crate::Millis;
use crate::requests::ApplyAs;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

/// What the removal of a worktree would take with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Losses {
    /// Tracked files that differ from the last commit.
    pub modified: Vec<String>,
    /// Files that git does not know and does not ignore.
    pub untracked: Vec<String>,
    /// Commits that only this worktree has: no other branch, tag or remote.
    pub commits: usize,
    /// Worktrees, repositories and submodules that lie in its folder.
    pub nested: Vec<String>,
    /// A merge, rebase or the like that is not finished.
    pub unfinished: Option<String>,
    /// Locked with `git worktree lock`, with the reason.
    pub locked: Option<String>,
    /// Sessions and processes that work in it.
    pub users: Vec<String>,
}

impl Losses {
    /// Whether nothing would be lost.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let mut files = |what: &str, names: &[String]| {
            if !names.is_empty() {
                parts.push(format!("{} {what} ({})", names.len(), some(names)));
            }
        };
        files("changed", &self.modified);
        files("untracked", &self.untracked);
        files("nested", &self.nested);
        files("in use", &self.users);
        if self.commits > 0 {
            parts.push(format!("{} commits that no other branch has", self.commits));
        }
        if let Some(what) = &self.unfinished {
            parts.push(format!("an unfinished {what}"));
        }
        if let Some(why) = &self.locked {
            parts.push(format!("locked ({why})"));
        }
        f.write_str(&parts.join(", "))
    }
}

/// The first five names of a list, for people.
pub fn some(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = names
        .iter()
        .take(SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text.push_str(", …");
    }
    text
}

/// A file that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// Its path below the worktree's top folder.
    pub file: String,
    /// `both-changed`, `deleted-here`, `deleted-there`, `both-added`, or `uncommitted` for a change here that no commit has.
    pub kind: Cow<'static, str>,
    /// The merged text with conflict marks, where both sides are texts of up to 256 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged: Option<String>,
}

/// What became of a worktree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// The state to restore.
    pub kept: Kept,
    /// What was in the way, had the caller not said that it may go.
    pub losses: Losses,
}

/// A state that can be restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// What `x.worktree.restore` takes.
    pub id: String,
    /// The worktree's name.
    pub name: String,
    /// Its branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Where it was.
    pub directory: PathBuf,
    /// The commit that it was at.
    pub commit: String,
    /// When it was kept.
    pub at: Millis,
    /// When it goes for good.
    pub until: Millis,
    /// Why it was kept: `removed`, `reset` or `half-made`.
    pub why: String,
    /// What was not kept, because it is too large.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
    /// The record, for restoring.
    #[serde(default)]
    pub tree: Option<Tree>,
    /// What was staged: the id of a tree.
    #[serde(default)]
    pub staged: String,
    /// All files: the id of a tree.
    #[serde(default)]
    pub files: String,
}

/// What came home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landed {
    /// In which form.
    pub how: ApplyAs,
    /// Where.
    pub into: PathBuf,
    /// The files that changed there.
    pub files: Vec<String>,
    /// The commits that are new there, oldest first.
    pub commits: Vec<String>,
}

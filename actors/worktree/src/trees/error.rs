//! Why an operation on worktrees did not happen.

use std::fmt;
use std::path::PathBuf;

/// Why an operation on worktrees did not happen. Unless it says otherwise, nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The directory is in no git repository.
    #[error("worktrees need a git repository, and {0} is in none")]
    NotGit(PathBuf),
    /// The repository has no commit to start from.
    #[error("the repository has no commit yet, so there is nothing a worktree could start from")]
    NoCommit,
    /// A name given for a commit is none.
    #[error("{0} names no commit")]
    UnknownBase(String),
    /// The name was tried with many endings, and all are taken.
    #[error("no free name was found for the worktree")]
    NoName,
    /// A name that cannot be used as asked.
    #[error("the name cannot be used: {0}")]
    BadName(String),
    /// The directory is no worktree that may be handled so.
    #[error("{directory} {why}")]
    NotATree {
        /// The directory.
        directory: PathBuf,
        /// Why not, as the rest of a sentence.
        why: &'static str,
    },
    /// Something would be lost; the caller has to say that it may.
    #[error("the worktree was kept, for its removal would lose work: {0}")]
    WouldLose(Box<Losses>),
    /// Another operation on this worktree is under way.
    #[error("another operation on this worktree is under way")]
    Busy,
    /// Files of two sides do not fit together. Nothing was written.
    #[error("{} do not fit together: {}", files(.0.len()), list(.0))]
    Conflicts(Vec<Conflict>),
    /// What is uncommitted cannot come as a commit.
    #[error(
        "the worktree has changes that are not committed: commit them, give a message to do so, or bring them as a patch"
    )]
    Uncommitted,
    /// There is nothing to bring over.
    #[error("there is nothing to apply")]
    Nothing,
    /// What was kept is not there (any more).
    #[error("nothing is kept under {0}")]
    NotKept(String),
    /// The git program failed.
    #[error("{0}")]
    Program(String),
    /// Git failed.
    #[error("git: {0}")]
    Git(#[from] git2::Error),
    /// The disk failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The work broke down.
    #[error("the work broke down: {0}")]
    Broken(String),
}

impl TreeError {
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// What the removal of a worktree would take with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
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

/// The first names of a list.
fn some(names: &[String]) -> String {
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
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Conflict {
    /// Its path below the worktree's top folder.
    pub file: String,
    /// `both-changed`, `deleted-here`, `deleted-there`, `both-added`, or `uncommitted` for a change here that no commit has.
    pub kind: &'static str,
    /// The merged text with conflict marks, where both sides are texts of up to 256 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged: Option<String>,
}

fn files(count: usize) -> String {
    match count {
        1 => "1 file".into(),
        count => format!("{count} files"),
    }
}

fn list(conflicts: &[Conflict]) -> String {
    let names: Vec<String> = conflicts.iter().map(|one| one.file.clone()).collect();
    some(&names)
}

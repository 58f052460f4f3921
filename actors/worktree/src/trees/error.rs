//! Why an operation on worktrees did not happen.

pub use kilo_protocol::worktree::{Conflict, Losses};
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

fn files(count: usize) -> String {
    match count {
        1 => "1 file".into(),
        count => format!("{count} files"),
    }
}

fn list(conflicts: &[Conflict]) -> String {
    let names: Vec<String> = conflicts.iter().map(|one| one.file.clone()).collect();
    kilo_protocol::worktree::some(&names)
}

//! Checkpoints: the files of a worktree as they were, kept outside of it.

use crate::BoxFuture;
use kilo_protocol::model::FileDiff;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One file as a session changed it: from which checkpoint to which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// The absolute path.
    pub path: PathBuf,
    /// The checkpoint that has the file as it was before.
    pub before: String,
    /// The checkpoint that has the file as the session left it.
    pub after: String,
}

/// What an undo did to each file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Files put back (or merged cleanly with later edits of others).
    pub restored: Vec<PathBuf>,
    /// Files left alone because somebody else changed the same lines since.
    pub conflicts: Vec<PathBuf>,
}

/// Why a checkpoint could not be made or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The folder is not inside a git repository.
    #[error("{0} is not in a git repository")]
    NotARepository(PathBuf),
    /// No such checkpoint.
    #[error("checkpoint {0} does not exist")]
    Missing(String),
    /// Git or the disk failed.
    #[error("{0}")]
    Failed(String),
}

/// Keeps checkpoints. All calls work on the worktree around `directory`; they run on blocking threads, and calls for the
/// same worktree that wait at the same time share one walk of the files.
pub trait Checkpoints: Send + Sync + 'static {
    /// Records the files of the worktree (ignored files and untracked files over 2 MiB left out) and returns the tree's
    /// hash. Cheap when nothing changed.
    fn track(&self, directory: PathBuf) -> BoxFuture<'static, Result<String, CheckpointError>>;

    /// The files that differ between two checkpoints, with patches; paths relative to the worktree's root.
    fn diff(
        &self,
        directory: PathBuf,
        from: String,
        to: String,
    ) -> BoxFuture<'static, Result<Vec<FileDiff>, CheckpointError>>;

    /// Absolute paths of the files that differ between two checkpoints.
    fn changed(
        &self,
        directory: PathBuf,
        from: String,
        to: String,
    ) -> BoxFuture<'static, Result<Vec<PathBuf>, CheckpointError>>;

    /// Undoes a session's changes, newest first: each file goes from `after` back to `before`, and only lines that
    /// the session changed move; what others changed since stays.
    fn undo(
        &self,
        directory: PathBuf,
        changes: Vec<FileChange>,
    ) -> BoxFuture<'static, Result<Restored, CheckpointError>>;

    /// Puts the given files back exactly as the checkpoint has them (unrevert).
    fn restore(
        &self,
        directory: PathBuf,
        checkpoint: String,
        files: Vec<PathBuf>,
    ) -> BoxFuture<'static, Result<(), CheckpointError>>;
}

//! Checkpoints: the files of a worktree as they were, kept outside of it.

use crate::BoxFuture;
use kilo_protocol::model::FileDiff;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One file as a session changed it: from which checkpoint to which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// The absolute path; of a folder where nothing in it is kept ([`FileChange::left`]).
    #[serde(with = "any_path")]
    pub path: PathBuf,
    /// The checkpoint that has the file as it was before.
    pub before: String,
    /// The checkpoint that has the file as the session left it.
    pub after: String,
    /// The file itself before and after, where a tool wrote what the checkpoints do not hold ([`Checkpoints::keep`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Images>,
    /// Set for a change that nothing holds: an undo names it and leaves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<WhyLeft>,
}

impl FileChange {
    /// A change that the two checkpoints hold.
    pub fn new(path: PathBuf, before: impl Into<String>, after: impl Into<String>) -> Self {
        Self {
            path,
            before: before.into(),
            after: after.into(),
            images: None,
            left: None,
        }
    }
}

/// One file, kept by itself: words that [`Checkpoints::keep`] gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Images {
    /// As it was before.
    pub before: String,
    /// As the session left it.
    pub after: String,
}

/// Why a file is not put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhyLeft {
    /// Somebody else changed the same lines since, or put something else in its place.
    ChangedByOthers,
    /// Git ignores it, so no checkpoint has it.
    Ignored,
    /// It is larger than what is kept.
    TooLarge,
    /// It is a repository of its own inside the worktree (a submodule, too), or lies in one.
    Repository,
    /// It is outside the worktree.
    Outside,
    /// It is a pipe, a socket or a device.
    Special,
    /// It could not be read when the checkpoint was made, or what was kept of it cannot be read.
    Unreadable,
    /// The system did not let it be written.
    Failed,
}

impl std::fmt::Display for WhyLeft {
    /// The end of a sentence that begins with the file: `git ignores it`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ChangedByOthers => "others changed it in the same place",
            Self::Ignored => "git ignores it",
            Self::TooLarge => "it is larger than what is kept",
            Self::Repository => "it belongs to a repository of its own",
            Self::Outside => "it is outside the worktree",
            Self::Special => "it is no file",
            Self::Unreadable => "it could not be read",
            Self::Failed => "it could not be written",
        })
    }
}

/// A file that an undo or a redo did not touch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftAlone {
    /// The absolute path.
    #[serde(with = "any_path")]
    pub path: PathBuf,
    /// Why.
    pub why: WhyLeft,
}

/// What an undo or a redo did to each file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Files put back (or merged cleanly with later edits of others).
    pub restored: Vec<PathBuf>,
    /// Files that are as they were, each with the reason. Empty: everything that the session changed went back.
    pub left: Vec<LeftAlone>,
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
    /// The one file that was to be kept cannot be.
    #[error("the file is not kept: {0}")]
    NotKept(WhyLeft),
    /// Git or the disk failed.
    #[error("{0}")]
    Failed(String),
}

/// Keeps checkpoints. All calls work on the worktree around `directory`; they run on blocking threads, and calls for the
/// same worktree that wait at the same time share one walk of the files.
pub trait Checkpoints: Send + Sync + 'static {
    /// Records the files of the worktree and returns the checkpoint's hash. Left out are ignored files, untracked files
    /// over 2 MiB, repositories inside, and what is no file ([`Checkpoints::left_out`]). Cheap when nothing changed.
    fn track(&self, directory: PathBuf) -> BoxFuture<'static, Result<String, CheckpointError>>;

    /// Keeps one file (or link, or that there is none) as it is now, whatever git ignores, up to 16 MiB, and returns its
    /// image, a word for [`Images`]. For a file that a tool names: to be called before its first write and after its
    /// last.
    ///
    /// Errors: [`CheckpointError::NotKept`] for what an undo will not put back (outside the worktree, too large, a
    /// folder).
    fn keep(
        &self,
        directory: PathBuf,
        file: PathBuf,
    ) -> BoxFuture<'static, Result<String, CheckpointError>>;

    /// The files that differ between two checkpoints, with patches; paths relative to the worktree's root.
    fn diff(
        &self,
        directory: PathBuf,
        from: String,
        to: String,
    ) -> BoxFuture<'static, Result<Vec<FileDiff>, CheckpointError>>;

    /// What changes came to in all: each file that they name from its first `before` to its last `after`, with patches;
    /// paths relative to the worktree's root, in their order. What the checkpoints do not hold is not in it. Costs as
    /// much as the named files, not as the worktree; for changes that were asked about lately, nothing.
    fn diff_of(
        &self,
        directory: PathBuf,
        changes: Vec<FileChange>,
    ) -> BoxFuture<'static, Result<Vec<FileDiff>, CheckpointError>>;

    /// What differs between two checkpoints, each file with these two.
    fn changed(
        &self,
        directory: PathBuf,
        from: String,
        to: String,
    ) -> BoxFuture<'static, Result<Vec<FileChange>, CheckpointError>>;

    /// Names how that which the last [`Checkpoints::track`] left out looked: a number that is another one as soon as any
    /// of it looks otherwise. Holds for a while in this process only.
    fn left_out(&self, directory: PathBuf) -> BoxFuture<'static, Result<u64, CheckpointError>>;

    /// What changed between two such looks: files and folders that an undo cannot bring back, each with the reason. A
    /// look at ignored folders and repositories inside is short; what it did not reach counts as unchanged, and in larger
    /// folders only the folder itself is named. Nothing if a number is too old.
    fn left_between(
        &self,
        directory: PathBuf,
        before: u64,
        after: u64,
    ) -> BoxFuture<'static, Result<Vec<LeftAlone>, CheckpointError>>;

    /// Undoes a session's changes, given newest first: each file goes from `after` back to `before`, and only lines that
    /// the session changed move; what others changed since stays.
    fn undo(
        &self,
        directory: PathBuf,
        changes: Vec<FileChange>,
    ) -> BoxFuture<'static, Result<Restored, CheckpointError>>;

    /// Does a session's undone changes again, given oldest first: each file goes from `before` to `after`, beside what
    /// others changed since.
    fn redo(
        &self,
        directory: PathBuf,
        changes: Vec<FileChange>,
    ) -> BoxFuture<'static, Result<Restored, CheckpointError>>;
}

/// Paths are bytes: one that is no UTF-8 is written as a list of them, since serde would refuse it, and the record of a
/// whole call with it.
mod any_path {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::path::{Path, PathBuf};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        match path.to_str() {
            Some(text) => text.serialize(to),
            None => path.as_os_str().as_bytes().serialize(to),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        Ok(match Written::deserialize(from)? {
            Written::Text(text) => text.into(),
            Written::Bytes(bytes) => OsString::from_vec(bytes).into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::FileChange;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_path_of_any_bytes_is_written_and_read() {
        for path in ["/plain/\u{fc}.txt".as_bytes(), b"/odd/\xff\xfe.txt"] {
            let change = FileChange::new(OsStr::from_bytes(path).into(), "a", "b");
            let text = serde_json::to_string(&change).expect("written");
            let again: FileChange = serde_json::from_str(&text).expect("read");
            assert_eq!(again, change);
        }
        let plain = r#"{"path":"/a","before":"x","after":"y"}"#;
        let known: FileChange = serde_json::from_str(plain).expect("as older records have it");
        assert_eq!(known, FileChange::new("/a".into(), "x", "y"));
        assert_eq!(serde_json::to_string(&known).expect("written"), plain);
    }
}

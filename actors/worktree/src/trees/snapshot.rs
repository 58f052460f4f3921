//! The files of a worktree as a git tree: what git would add, staged or not.

use super::error::TreeError;
use crate::sparse::left_out;
use git2::{IndexAddOption, Oid, Repository};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Untracked files over this are not kept (256 MiB).
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A worktree's state in objects of the repository.
pub(super) struct Snapshot {
    /// All files that git does not ignore.
    pub files: Oid,
    /// What is staged; the same as `files` where that has conflicts.
    pub staged: Oid,
    /// Files that are too large to be kept.
    pub left: Vec<String>,
}

/// Writes the state of `repo`'s worktree into its objects. Index and files stay as they are.
pub(super) fn take(repo: &Repository) -> Result<Snapshot, TreeError> {
    let root = repo.workdir().unwrap_or_else(|| repo.path()).to_path_buf();
    let mut index = repo.index()?;
    index.read(true)?;
    let staged = match index.has_conflicts() {
        true => None,
        false => Some(index.write_tree()?),
    };
    let left_out = left_out(&index, &root);
    let is_left_out = |path: &Path| left_out.contains(path.as_os_str().as_bytes());
    let mut left = Vec::new();
    // a repository in the folder has its own history: it is named among the losses, and not taken in
    let is_nested = |path: &Path| root.join(path).join(".git").symlink_metadata().is_ok();
    let mut fits = |path: &Path, _: &[u8]| {
        if is_left_out(path) || is_nested(path) {
            return 1;
        }
        let about = root.join(path).symlink_metadata();
        if about.is_ok_and(|about| about.is_file() && about.len() > FILE_BYTES_MAX) {
            left.push(path.to_string_lossy().into_owned());
            return 1;
        }
        0
    };
    index.add_all(["*"], IndexAddOption::DEFAULT, Some(&mut fits))?;
    index.update_all(
        ["*"],
        Some(&mut |path, _| {
            if is_left_out(path) {
                return 1;
            }
            let about = root.join(path).symlink_metadata();
            i32::from(about.is_ok_and(|about| about.is_file() && about.len() > FILE_BYTES_MAX))
        }),
    )?;
    let files = index.write_tree()?;
    // the handle's index is the repository's own in memory: whoever uses the handle next reads the file again
    index.read(true)?;
    left.sort();
    left.dedup();
    Ok(Snapshot {
        files,
        staged: staged.unwrap_or(files),
        left,
    })
}

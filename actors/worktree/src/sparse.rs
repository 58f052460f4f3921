//! What a sparse checkout leaves out: files of the index that are not in the folder on purpose. libgit2 takes them for
//! deleted.

use git2::{Index, IndexEntryExtendedFlag};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The paths that the index says are left out and that are not in the folder `root`; none where nothing is sparse.
pub(crate) fn left_out(index: &Index, root: &Path) -> HashSet<Vec<u8>> {
    let skip = IndexEntryExtendedFlag::SKIP_WORKTREE.bits();
    let marked = index
        .iter()
        .filter(|entry| entry.flags_extended & skip != 0);
    let is_absent = |path: &Vec<u8>| {
        let path = root.join(OsStr::from_bytes(path));
        path.symlink_metadata().is_err()
    };
    marked.map(|entry| entry.path).filter(is_absent).collect()
}

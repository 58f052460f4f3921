//! The walk through a folder that all searches make.

use ignore::{DirEntry, WalkBuilder};
use std::path::Path;

/// How long one search may take.
pub const SEARCH_NS_MAX: i64 = 10_000_000_000;
/// Folders in folders.
const DEPTH_MAX: usize = 128;

/// What lies below a folder and is not ignored.
pub fn walk(directory: &Path, sorted: bool) -> impl Iterator<Item = DirEntry> {
    let mut walk = WalkBuilder::new(directory);
    walk.hidden(false)
        .max_depth(Some(DEPTH_MAX))
        .filter_entry(|entry| entry.file_name() != ".git");
    if sorted {
        walk.sort_by_file_name(|a, b| a.cmp(b));
    }
    walk.build().flatten().filter(|entry| entry.depth() > 0)
}

/// The path, relative to the folder.
pub fn shown(directory: &Path, path: &Path) -> String {
    path.strip_prefix(directory)
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned()
}

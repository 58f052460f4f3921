//! Files that match a pattern below a folder, with a bound on the walk.

use globset::GlobBuilder;
use std::path::{Path, PathBuf};

const ENTRIES_MAX: usize = 10_000;
const FILES_MAX: usize = 64;
const DEPTH_MAX: usize = 8;
/// Folders that hold other people's files.
const SKIPPED: [&str; 4] = [".git", "node_modules", "target", "vendor"];

/// The files below `root` that match `pattern` (`*`, `**`, `?`, `[ab]`, `{a,b}`), sorted; at most [`FILES_MAX`]. The walk
/// starts at the last folder that the pattern names in full, and a pattern that is a plain path costs one look.
pub(super) fn files(root: &Path, pattern: &str) -> Vec<PathBuf> {
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
    let is_plain = |step: &str| !step.contains(['*', '?', '[', '{']);
    if is_plain(pattern) {
        return Some(root.join(pattern))
            .filter(|path| path.is_file())
            .into_iter()
            .collect();
    }
    let Ok(glob) = GlobBuilder::new(pattern).literal_separator(true).build() else {
        return Vec::new();
    };
    let matcher = glob.compile_matcher();
    let start: PathBuf = pattern
        .split('/')
        .take_while(|step| is_plain(step))
        .collect();
    let depth = if pattern.contains("**") {
        DEPTH_MAX
    } else {
        pattern.split('/').count()
    };
    let mut files = Vec::new();
    let (mut folders, mut entries_left) = (vec![(root.join(start), 0)], ENTRIES_MAX);
    while let Some((folder, level)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entries_left == 0 || files.len() == FILES_MAX {
                return sorted(files);
            }
            entries_left -= 1;
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder
                && level + 1 < depth
                && !SKIPPED.iter().any(|name| entry.file_name() == *name)
            {
                folders.push((path, level + 1));
            } else if !is_folder
                && path
                    .strip_prefix(root)
                    .is_ok_and(|below| matcher.is_match(below))
            {
                files.push(path);
            }
        }
    }
    sorted(files)
}

fn sorted(mut files: Vec<PathBuf>) -> Vec<PathBuf> {
    files.sort();
    files
}

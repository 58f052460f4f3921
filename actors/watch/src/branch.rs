//! The branch that a folder is on.

use std::path::{Path, PathBuf};

/// The folder in which git keeps the HEAD of a worktree; none: it is in no repository.
pub fn git_folder(directory: &Path) -> Option<PathBuf> {
    let found = directory.ancestors().map(|folder| folder.join(".git"));
    let place = found.into_iter().find(|place| place.exists())?;
    if place.is_dir() {
        return Some(place);
    }
    let text = std::fs::read_to_string(&place).ok()?;
    let named = text.strip_prefix("gitdir:")?.trim();
    Some(place.parent()?.join(named))
}

/// The branch; none: HEAD names a commit, or cannot be read.
pub fn branch(git_folder: &Path) -> Option<String> {
    let head = std::fs::read_to_string(git_folder.join("HEAD")).ok()?;
    let name = head.trim().strip_prefix("ref: refs/heads/")?;
    Some(name.to_owned())
}

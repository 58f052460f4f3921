//! The worktree around a directory.

use std::path::{Path, PathBuf};

/// The root of the git worktree around `directory`: the nearest folder upward that holds `.git` (a folder, or the file of
/// a linked worktree or submodule). `None` outside a repository. Symbolic links are not followed upward.
pub fn worktree_of(directory: &Path) -> Option<PathBuf> {
    directory
        .ancestors()
        .find(|folder| folder.join(".git").symlink_metadata().is_ok())
        .map(Path::to_owned)
}

/// The folders from the root of the worktree down to `directory`, both included. Only `directory` where it is not inside
/// `worktree`.
pub fn folders_down(directory: &Path, worktree: &Path) -> Vec<PathBuf> {
    if !directory.starts_with(worktree) {
        return vec![directory.to_owned()];
    }
    let mut folders: Vec<PathBuf> = directory
        .ancestors()
        .take_while(|folder| folder.starts_with(worktree))
        .map(Path::to_owned)
        .collect();
    folders.reverse();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_repository_and_a_linked_worktree() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("repo/a/b");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::create_dir(root.path().join("repo/.git")).unwrap();
        assert_eq!(worktree_of(&deep), Some(root.path().join("repo")));
        std::fs::write(root.path().join("repo/a/.git"), "gitdir: elsewhere").unwrap();
        assert_eq!(worktree_of(&deep), Some(root.path().join("repo/a")));
    }

    #[test]
    fn folders_go_from_the_root_down() {
        let down = |directory: &str, worktree: &str| {
            folders_down(Path::new(directory), Path::new(worktree))
        };
        assert_eq!(
            down("/r/a/b", "/r"),
            [Path::new("/r"), Path::new("/r/a"), Path::new("/r/a/b")]
        );
        assert_eq!(down("/other", "/r"), [Path::new("/other")]);
    }
}

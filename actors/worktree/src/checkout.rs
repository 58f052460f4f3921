//! Finds the worktree around a directory by reading `.git` itself: a few file look-ups, no repository opened.

use std::fs;
use std::path::{Path, PathBuf};

/// A worktree and where git keeps its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkout {
    /// The worktree's top folder, without symbolic links.
    pub root: PathBuf,
    /// This worktree's own git folder (HEAD, index).
    pub git_dir: PathBuf,
    /// The git folder that all worktrees of the repository share (objects, refs, config).
    pub common_dir: PathBuf,
}

impl Checkout {
    /// Finds the innermost worktree that holds `directory`; nothing if there is none, or the directory does not exist.
    pub fn find(directory: &Path) -> Option<Self> {
        let start = fs::canonicalize(directory).ok()?;
        for root in start.ancestors() {
            if let Some(git_dir) = git_dir(&root.join(".git")) {
                let common_dir = common_dir(&git_dir);
                return Some(Self {
                    root: root.to_path_buf(),
                    git_dir,
                    common_dir,
                });
            }
        }
        None
    }

    /// The worktree that the repository was made with: where a linked worktree's repository lives.
    pub fn main_root(&self) -> PathBuf {
        match (self.common_dir.file_name(), self.common_dir.parent()) {
            (Some(name), Some(parent)) if name == ".git" => parent.to_path_buf(),
            _ => self.root.clone(),
        }
    }

    /// The branch that is checked out; nothing when HEAD is detached.
    pub fn branch(&self) -> Option<String> {
        let head = fs::read_to_string(self.git_dir.join("HEAD")).ok()?;
        let name = head
            .strip_prefix("ref:")?
            .trim()
            .strip_prefix("refs/heads/")?;
        Some(name.to_owned())
    }
}

/// Resolves a `.git` entry, folder or file, to the git folder it stands for.
fn git_dir(entry: &Path) -> Option<PathBuf> {
    let about = fs::metadata(entry).ok()?;
    let folder = if about.is_dir() {
        entry.to_path_buf()
    } else if about.is_file() && about.len() < 64 * 1024 {
        let text = fs::read_to_string(entry).ok()?;
        let target = text.strip_prefix("gitdir:")?.trim();
        fs::canonicalize(entry.parent()?.join(target)).ok()?
    } else {
        return None;
    };
    folder
        .join("HEAD")
        .symlink_metadata()
        .is_ok()
        .then_some(folder)
}

/// The shared git folder of `git_dir`, as its `commondir` file says, or itself.
fn common_dir(git_dir: &Path) -> PathBuf {
    fs::read_to_string(git_dir.join("commondir"))
        .ok()
        .and_then(|text| fs::canonicalize(git_dir.join(text.trim())).ok())
        .unwrap_or_else(|| git_dir.to_path_buf())
}

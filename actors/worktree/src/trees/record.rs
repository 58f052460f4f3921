//! What is remembered of each worktree: a small file beside the worktrees, one each, so that no list can be lost as a whole.

use super::error::TreeError;
pub use kilo_protocol::worktree::{Setup, Stage, Tree};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The folder of the records beside a project's worktrees. No worktree has its name: names begin with a letter or digit.
const FOLDER: &str = ".kilo";

/// The records of a project.
#[derive(Clone, Debug)]
pub(super) struct Records(PathBuf);

impl Records {
    /// Those beside the worktrees in `project`.
    pub fn of(project: &Path) -> Self {
        Self(project.join(FOLDER))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.json"))
    }

    /// Takes a name. False when somebody has it.
    pub fn reserve(&self, tree: &Tree) -> Result<bool, TreeError> {
        let failed = |source| TreeError::io(format!("cannot write {}", self.0.display()))(source);
        private(&self.0).map_err(failed)?;
        let path = self.file(&tree.name);
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        match made {
            Ok(mut file) => match file.write_all(&json(tree)?) {
                Ok(()) => Ok(true),
                Err(error) => {
                    let _ = fs::remove_file(&path);
                    Err(failed(error))
                }
            },
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    /// Writes a record in place of the one before: whole or not at all.
    pub fn write(&self, tree: &Tree) -> Result<(), TreeError> {
        let failed = |source| TreeError::io(format!("cannot write {}", self.0.display()))(source);
        private(&self.0).map_err(failed)?;
        let new = self.0.join(format!("{}.new", tree.name));
        fs::write(&new, json(tree)?)
            .and_then(|()| fs::rename(&new, self.file(&tree.name)))
            .inspect_err(|_| drop(fs::remove_file(&new)))
            .map_err(failed)
    }

    /// Forgets a worktree.
    pub fn remove(&self, name: &str) {
        if let Err(error) = fs::remove_file(self.file(name))
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(name, %error, "the record of a worktree cannot be removed");
        }
    }

    /// All, by name. What cannot be read is named in the log and left out.
    pub fn all(&self) -> Vec<Tree> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let files = entries.map(|entry| entry.path());
        let mut trees: Vec<Tree> = files
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .filter_map(|path| {
                let text = fs::read(&path).ok()?;
                serde_json::from_slice(&text)
                    .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "the record of a worktree cannot be read"))
                    .ok()
            })
            .collect();
        trees.sort_by(|a, b| a.name.cmp(&b.name));
        trees
    }
}

/// The records of all projects below `root`.
pub(super) fn every(root: &Path) -> Vec<Tree> {
    let projects = fs::read_dir(root).into_iter().flatten().flatten();
    projects
        .flat_map(|project| Records::of(&project.path()).all())
        .collect()
}

fn json(tree: &Tree) -> Result<Vec<u8>, TreeError> {
    serde_json::to_vec(tree).map_err(|error| TreeError::BadName(error.to_string()))
}

/// Makes a folder that is its owner's alone.
pub(super) fn private(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

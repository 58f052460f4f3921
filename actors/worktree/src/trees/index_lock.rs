//! The lock of a worktree's index, by which git programs take turns. Held while files, index and branch change together, so
//! that nobody's commit comes in between.

use super::error::TreeError;
use git2::{Index, Repository};
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::PathBuf;

/// The lock; gone with this value.
pub(super) struct IndexLock {
    lock: PathBuf,
    index: PathBuf,
    /// What the new index is written to first.
    new: PathBuf,
}

impl IndexLock {
    /// Takes it.
    ///
    /// # Errors
    /// [`TreeError::Busy`]: a git program has it.
    pub fn take(repo: &Repository) -> Result<Self, TreeError> {
        let file = |name: &str| repo.path().join(name);
        let lock = file("index.lock");
        let made = OpenOptions::new().write(true).create_new(true).open(&lock);
        match made {
            Ok(_) => Ok(Self {
                lock,
                index: file("index"),
                new: file("index.kilo"),
            }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(TreeError::Busy),
            Err(error) => Err(TreeError::io(format!("cannot make {}", lock.display()))(
                error,
            )),
        }
    }

    /// Changes the index: whole or not at all.
    pub fn change(
        &self,
        change: impl FnOnce(&mut Index) -> Result<(), TreeError>,
    ) -> Result<(), TreeError> {
        let failed = |error| TreeError::io(format!("cannot write {}", self.index.display()))(error);
        match fs::copy(&self.index, &self.new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let mut index = Index::open(&self.new)?;
        change(&mut index)?;
        index.write()?;
        fs::rename(&self.new, &self.index).map_err(failed)
    }
}

impl Drop for IndexLock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.new);
        let _ = fs::remove_file(&self.lock);
    }
}

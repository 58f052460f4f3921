//! Which worktrees an operation of this process is at work on.

use parking_lot::Mutex;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Folders in hand.
#[derive(Clone, Default)]
pub(super) struct Held(Arc<Mutex<HashSet<PathBuf>>>);

/// One folder in hand, until dropped.
pub(super) struct Hold {
    held: Held,
    directory: PathBuf,
}

impl Held {
    /// Takes a folder; none when somebody has it.
    pub fn take(&self, directory: &Path) -> Option<Hold> {
        let directory = directory.to_path_buf();
        let taken = self.0.lock().insert(directory.clone());
        taken.then(|| Hold {
            held: self.clone(),
            directory,
        })
    }

    /// Whether somebody has it.
    pub fn has(&self, directory: &Path) -> bool {
        self.0.lock().contains(directory)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.held.0.lock().remove(&self.directory);
    }
}

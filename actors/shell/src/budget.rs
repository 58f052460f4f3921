//! How much of the disk one text may have looked at.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Names compared for one text, over all its wildcards and folders.
const LOOKS_MAX: usize = 60_000;

/// What is left, and the folders that were read already.
pub struct Budget<'a> {
    left: Cell<usize>,
    cancelled: &'a dyn Fn() -> bool,
    folders: RefCell<HashMap<PathBuf, Rc<Vec<Entry>>>>,
}

/// An entry of a folder.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Whether it is a folder itself (a link to one is not).
    pub is_folder: bool,
}

impl<'a> Budget<'a> {
    /// A whole budget; `cancelled` says whether the answer is no longer wanted.
    pub fn new(cancelled: &'a dyn Fn() -> bool) -> Self {
        Self {
            left: Cell::new(LOOKS_MAX),
            cancelled,
            folders: RefCell::default(),
        }
    }

    /// Takes `looks`; `None` when that is more than there is, or nobody waits any more. Once spent it stays so.
    pub fn take(&self, looks: usize) -> Option<()> {
        let left = self.left.get().checked_sub(looks);
        let left = left.filter(|_| !(self.cancelled)());
        self.left.set(left.unwrap_or(0));
        left.map(drop)
    }

    /// The entries of a folder, read once; none where it cannot be read. `None` when the budget is spent.
    pub fn entries(&self, folder: &Path) -> Option<Rc<Vec<Entry>>> {
        if let Some(entries) = self.folders.borrow().get(folder) {
            self.take(entries.len().max(1))?;
            return Some(Rc::clone(entries));
        }
        self.take(1)?;
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            self.take(1)?;
            entries.push(Entry {
                name: entry.file_name().to_string_lossy().into_owned(),
                is_folder: entry.file_type().is_ok_and(|kind| kind.is_dir()),
            });
        }
        let entries = Rc::new(entries);
        let mut folders = self.folders.borrow_mut();
        folders.insert(folder.to_path_buf(), Rc::clone(&entries));
        Some(entries)
    }
}

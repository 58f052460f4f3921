//! The data folder: its folders, and what errors there mean.

use crate::files;
use kilo_ports::store::StoreError;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// An error of reading `path`.
pub(crate) fn unreadable(path: &Path, source: io::Error) -> StoreError {
    StoreError::Unreadable {
        what: path.display().to_string(),
        source,
    }
}

/// An error of writing: no room, or a failure.
pub(crate) fn write_error(source: io::Error) -> StoreError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full { source },
        _ => StoreError::Failed { source },
    }
}

/// The folders of a store.
#[derive(Clone, Debug)]
pub(crate) struct LogFolders {
    pub(crate) root: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) index: PathBuf,
    pub(crate) blobs: PathBuf,
    pub(crate) damaged: PathBuf,
}

impl LogFolders {
    /// Makes what is missing, for the owner alone; what is there is closed to others.
    pub(crate) fn make(root: &Path) -> Result<Self, StoreError> {
        let under = |name: &str| root.join(name);
        let folders = Self {
            root: root.to_owned(),
            log: under("log"),
            index: under("index"),
            blobs: under("blobs"),
            damaged: under("damaged"),
        };
        if let Some(parent) = root.parent() {
            fs::create_dir_all(parent).map_err(|source| unreadable(parent, source))?;
        }
        for folder in [&folders.root, &folders.log, &folders.blobs] {
            files::make_folder(folder).map_err(|source| unreadable(folder, source))?;
        }
        Ok(folders)
    }

    /// Closes to others what earlier versions left open. What other parts of the engine keep in the folder is theirs.
    pub(crate) fn tighten(&self) {
        for name in ["log", "index", "blobs", "damaged", "lock", "state"] {
            match files::tighten(&self.root.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, name, "rights in the data folder were not set");
                }
                _ => {}
            }
        }
        if let Err(error) = files::close_folder(&self.root) {
            tracing::warn!(%error, "rights of the data folder were not set");
        }
    }

    /// The `state` file.
    pub(crate) fn state_file(&self) -> PathBuf {
        self.root.join("state")
    }
}

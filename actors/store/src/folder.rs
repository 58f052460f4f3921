//! The data folder: its folders, its `state` file, and what errors there mean.

use crate::files;
use kilo_ports::store::{Pos, StoreError};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The `state` file's length: room for the largest numbers, within one sector.
const STATE_BYTES: usize = 256;

/// What the `state` file says: the log was known to reach this far, synced, and its positions bear this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reach {
    pub(crate) epoch: u64,
    pub(crate) segment: u32,
    pub(crate) bytes: u64,
    pub(crate) newest: Pos,
}

#[derive(Serialize, Deserialize)]
struct ReachFile {
    reach: Reach,
    crc: u32,
}

impl Reach {
    /// Reads the file; `None` when there is none or it is damaged.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let file: ReachFile = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        (file.crc == file.reach.checksum()).then_some(file.reach)
    }

    /// Whether this reaches further than `other`, or bears another name.
    pub(crate) fn is_news_to(&self, other: &Self) -> bool {
        let end = |reach: &Self| (reach.segment, reach.bytes, reach.newest);
        self.epoch != other.epoch || end(self) > end(other)
    }

    /// Writes over the file where it is: a few microseconds, and no more than one sector, so that it is the old or the
    /// new. Where there is none, or a link, it is made anew.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let file = ReachFile {
            reach: *self,
            crc: self.checksum(),
        };
        let mut body = serde_json::to_vec(&file)?;
        body.resize(STATE_BYTES, b' ');
        let there = OpenOptions::new()
            .write(true)
            .custom_flags(OFlags::NOFOLLOW.bits() as i32)
            .open(path);
        let written = there.and_then(|file| {
            file.write_all_at(&body, 0)?;
            file.set_len(STATE_BYTES as u64)
        });
        match written {
            Ok(()) => Ok(()),
            Err(_) => files::replace(path, &body),
        }
    }

    fn checksum(&self) -> u32 {
        let numbers = [self.epoch, u64::from(self.segment), self.bytes, self.newest];
        crc32fast::hash(&numbers.map(u64::to_le_bytes).concat())
    }
}

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
pub(crate) struct Folders {
    pub(crate) root: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) index: PathBuf,
    pub(crate) blobs: PathBuf,
    pub(crate) damaged: PathBuf,
}

impl Folders {
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

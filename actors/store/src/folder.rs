//! The data folder: its lock, its `state` file, and small file chores.

use crate::segment;
use kilo_ports::store::{Pos, StoreError};
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const RETRY_EVERY: Duration = Duration::from_millis(20);

/// Keeps other daemons out for as long as it lives. The file says who holds it.
pub(crate) struct FolderLock {
    file: Mutex<File>,
    pid: u32,
}

impl FolderLock {
    /// Takes the lock, trying for up to `wait`: a killed daemon's lock can outlive it for a moment.
    pub(crate) fn take(folder: &Path, pid: u32, wait: Duration) -> Result<Self, StoreError> {
        let path = folder.join("lock");
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let mut file = open.map_err(|source| unreadable(&path, source))?;
        let until = Instant::now() + wait;
        while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK && error != rustix::io::Errno::INTR {
                return Err(unreadable(&path, error.into()));
            }
            if Instant::now() >= until {
                let (pid, address) = holder(&mut file);
                return Err(StoreError::Locked {
                    folder: folder.to_owned(),
                    pid,
                    address,
                });
            }
            std::thread::sleep(RETRY_EVERY);
        }
        let lock = Self {
            file: Mutex::new(file),
            pid,
        };
        lock.set_address("");
        Ok(lock)
    }

    /// Says where this daemon listens. Without room on the disk the file stays as it is.
    pub(crate) fn set_address(&self, address: &str) {
        let mut file = self.file.lock();
        let text = format!("{}\n{address}\n", self.pid);
        let written = file.rewind().and_then(|()| file.write_all(text.as_bytes()));
        if let Err(error) = written.and_then(|()| file.set_len(text.len() as u64)) {
            tracing::warn!(%error, "lock file was not written");
        }
    }
}

fn holder(file: &mut File) -> (u32, String) {
    let mut text = String::new();
    let _ = file
        .rewind()
        .and_then(|()| file.take(4_096).read_to_string(&mut text));
    let mut lines = text.lines();
    let pid = lines.next().and_then(|line| line.parse().ok()).unwrap_or(0);
    (pid, lines.next().unwrap_or_default().to_owned())
}

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
    pub(crate) fn read(folder: &Path) -> Option<Self> {
        let file: ReachFile = serde_json::from_slice(&fs::read(folder.join("state")).ok()?).ok()?;
        (file.crc == file.reach.checksum()).then_some(file.reach)
    }

    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        let file = ReachFile {
            reach: *self,
            crc: self.checksum(),
        };
        replace(&folder.join("state"), &serde_json::to_vec(&file)?)
    }

    fn checksum(&self) -> u32 {
        let numbers = [self.epoch, u64::from(self.segment), self.bytes, self.newest];
        crc32fast::hash(&numbers.map(u64::to_le_bytes).concat())
    }
}

/// Replaces a small file by way of a temporary one.
pub(crate) fn replace(path: &Path, body: &[u8]) -> io::Result<()> {
    let temp = path.with_extension("tmp");
    let written = fs::write(&temp, body).and_then(|()| fs::rename(&temp, path));
    if written.is_err() {
        let _ = fs::remove_file(&temp);
    }
    written
}

/// The segment files below `log`, in order of number, then generation. Left-over temporary files go.
pub(crate) fn segments(log: &Path) -> io::Result<Vec<(u32, u32, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(log)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Some((number, generation)) = segment::parse_name(name) {
            found.push((number, generation, entry.metadata()?.len()));
        } else if name.ends_with(".tmp") {
            let _ = fs::remove_file(entry.path());
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Makes names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Bytes of all files below `path`.
pub(crate) fn bytes_under(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else {
        return 0;
    };
    let mut bytes = 0;
    for entry in entries.flatten() {
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes += bytes_under(&entry.path()),
            Ok(meta) => bytes += meta.len(),
            Err(_) => {}
        }
    }
    bytes
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
    pub(crate) fn make(root: &Path) -> Result<Self, StoreError> {
        let under = |name: &str| root.join(name);
        let folders = Self {
            root: root.to_owned(),
            log: under("log"),
            index: under("index"),
            blobs: under("blobs"),
            damaged: under("damaged"),
        };
        for folder in [&folders.log, &folders.blobs] {
            fs::create_dir_all(folder).map_err(|source| unreadable(folder, source))?;
        }
        Ok(folders)
    }
}

//! The data folder's lock: one daemon at a time. The file says who holds it, and that a daemon has worked here.

use crate::folder::unreadable;
use kilo_ports::store::StoreError;
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

const RETRY_EVERY: Duration = Duration::from_millis(20);
/// A holder that lives for so long into the wait will go on living: whoever asks is told where it is.
const ENDING_MAX: Duration = Duration::from_millis(500);
/// The third line once the `state` file was written.
const USED: &str = "used";

/// Keeps other daemons out for as long as it lives.
pub(crate) struct FolderLock {
    file: Mutex<File>,
    /// The folder itself is locked too: the file can be removed while a daemon runs, and a second one would then lock
    /// its own.
    folder: File,
    pid: u32,
    was_used: bool,
}

impl FolderLock {
    /// Takes the lock, trying for up to `wait`: a killed daemon's lock can outlive it for a moment. A holder that is
    /// alive is waited for no longer than an ending one takes.
    pub(crate) fn take(folder: &Path, pid: u32, wait: Duration) -> Result<Self, StoreError> {
        let path = folder.join("lock");
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let mut file = open.map_err(|source| unreadable(&path, source))?;
        let itself = File::open(folder).map_err(|source| unreadable(folder, source))?;
        let begun = Instant::now();
        while !(try_lock(&file).map_err(|source| unreadable(&path, source))?
            && locks_folder(&itself))
        {
            let (pid, address) = Text::read(&mut file).holder();
            let waited = begun.elapsed();
            if waited >= wait || waited >= ENDING_MAX && is_alive(pid) {
                return Err(StoreError::Locked {
                    folder: folder.to_owned(),
                    pid,
                    address,
                });
            }
            std::thread::sleep(RETRY_EVERY);
        }
        let was_used = Text::read(&mut file).was_used();
        let lock = Self {
            file: Mutex::new(file),
            folder: itself,
            pid,
            was_used,
        };
        lock.write("", was_used);
        Ok(lock)
    }

    /// Whether a daemon has worked in this folder before.
    pub(crate) fn was_used(&self) -> bool {
        self.was_used
    }

    /// Says where this daemon listens. Without room on the disk the file stays as it is.
    pub(crate) fn set_address(&self, address: &str) {
        self.write(address, true);
    }

    /// Says that a `state` file was written: from now on its absence is a loss.
    pub(crate) fn set_used(&self) {
        self.write("", true);
    }

    fn write(&self, address: &str, used: bool) {
        let mut file = self.file.lock();
        let used = if used { USED } else { "" };
        let text = format!("{}\n{address}\n{used}\n", self.pid);
        let written = file.rewind().and_then(|()| file.write_all(text.as_bytes()));
        if let Err(error) = written.and_then(|()| file.set_len(text.len() as u64)) {
            tracing::warn!(%error, "lock file was not written");
        }
    }

    /// Whether the folder that is held is still at `path`, and not another one that took its place.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        let same = |held: fs::Metadata, found: fs::Metadata| {
            (held.dev(), held.ino()) == (found.dev(), found.ino())
        };
        match (self.folder.metadata(), fs::metadata(path)) {
            (Ok(held), Ok(found)) => same(held, found),
            _ => false,
        }
    }
}

/// The process that holds the folder and where it listens, as its lock file says; `None` when that process is gone or
/// listens nowhere yet. The number may be another process's by now: whoever listens there is to be asked.
pub fn holder(folder: &Path) -> Option<(u32, String)> {
    let mut file = File::open(folder.join("lock")).ok()?;
    let (pid, address) = Text::read(&mut file).holder();
    (is_alive(pid) && !address.is_empty()).then_some((pid, address))
}

fn try_lock(file: impl AsFd) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Some network file systems lock no folders; there the file alone has to do.
fn locks_folder(folder: &File) -> bool {
    try_lock(folder).unwrap_or(true)
}

/// Whether a process runs; an ended one that nobody has collected does not.
fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    state.is_some_and(|state| !state.starts_with(['Z', 'X']))
}

/// What the lock file says.
struct Text(String);

impl Text {
    fn read(file: &mut File) -> Self {
        let mut text = String::new();
        let _ = file
            .rewind()
            .and_then(|()| file.take(4_096).read_to_string(&mut text));
        Self(text)
    }

    fn line(&self, number: usize) -> &str {
        self.0.lines().nth(number).unwrap_or_default()
    }

    fn holder(&self) -> (u32, String) {
        (self.line(0).parse().unwrap_or(0), self.line(1).to_owned())
    }

    /// Earlier versions wrote no third line; an address was written only after the start.
    fn was_used(&self) -> bool {
        !self.line(1).is_empty() || self.line(2) == USED
    }
}

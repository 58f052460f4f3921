//! How a store is opened.

use crate::disk::{Disk, SystemDisk};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data folder; made if it is not there.
    pub folder: PathBuf,
    /// This process, for whoever finds the folder locked.
    pub pid: u32,
    /// How long to try for the lock.
    pub lock_wait: Duration,
    /// A segment is closed when it has grown to this (64 MiB; tests use less).
    pub segment_bytes: u64,
    /// Whether the newest segment's checksums are looked at in the background some seconds after the start.
    pub verify_newest: bool,
    /// What the log is written with; the system's, but for tests.
    pub disk: Arc<dyn Disk>,
}

impl Options {
    /// The usual: 5 s for the lock, segments of 64 MiB.
    pub fn new(folder: impl Into<PathBuf>, pid: u32) -> Self {
        Self {
            folder: folder.into(),
            pid,
            lock_wait: Duration::from_secs(5),
            segment_bytes: 64 << 20,
            verify_newest: true,
            disk: Arc::new(SystemDisk),
        }
    }
}

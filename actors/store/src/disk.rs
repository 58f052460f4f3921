//! Writing and syncing the log's files, as a seam: tests give a disk that fails.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What the log asks of the disk.
pub trait Disk: Debug + Send + Sync {
    /// Writes all of `bytes` at `offset`. When it fails, any part of them may be in the file.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes a file's content, or a folder's names, durable. When it fails, nothing is known of what was written since
    /// the last success: the system may have dropped it, and the next sync may well succeed without it.
    fn sync(&self, file: &File) -> io::Result<()>;
}

/// The disk as the system has it.
#[derive(Debug)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}

//! The `state` file: how far the log is known to reach, kept apart from the log.

use crate::files;
use kilo_ports::store::Pos;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// The file's length: room for the largest numbers, within one sector.
const STATE_BYTES: usize = 256;

/// What the `state` file says: the log was known to reach this far, synced, and its positions bear this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownEnd {
    pub(crate) epoch: u64,
    pub(crate) segment: u32,
    pub(crate) bytes: u64,
    pub(crate) newest: Pos,
}

#[derive(Serialize, Deserialize)]
struct StateFile {
    #[serde(rename = "reach")]
    end: KnownEnd,
    crc: u32,
}

impl KnownEnd {
    /// Reads the file; `None` when there is none or it is damaged.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let file: StateFile = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        (file.crc == file.end.checksum()).then_some(file.end)
    }

    /// Whether this reaches further than `other`, or bears another name.
    pub(crate) fn is_news_to(&self, other: &Self) -> bool {
        let end = |of: &Self| (of.segment, of.bytes, of.newest);
        self.epoch != other.epoch || end(self) > end(other)
    }

    /// Writes over the file where it is: a few microseconds, and no more than one sector, so that it is the old or the
    /// new. Where there is none, or a link, it is made anew.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let file = StateFile {
            end: *self,
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

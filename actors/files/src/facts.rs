//! What the kernel says of a file or a descriptor.

use kilo_ports::files::{Facts, FileId, Kind};
use rustix::fs::{FileType, Stat};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

pub(crate) fn id_of(stat: &Stat) -> FileId {
    FileId {
        device: stat.st_dev as _,
        number: stat.st_ino as _,
    }
}

pub(crate) fn facts_of(stat: &Stat) -> Facts {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        _ => Kind::Other,
    };
    let seconds = u64::try_from(stat.st_mtime).ok();
    Facts {
        kind,
        bytes: u64::try_from(stat.st_size).unwrap_or(0),
        names: stat.st_nlink as _,
        changed: seconds.and_then(|seconds| {
            UNIX_EPOCH.checked_add(Duration::new(seconds, stat.st_mtime_nsec as u32))
        }),
        id: id_of(stat),
    }
}

/// Where a descriptor is now, by the kernel's word; nothing where it cannot be asked.
pub(crate) fn path_of(folder: &OwnedFd) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd())).ok()
}

//! A file's identity on disk, by which a later look tells whether it changed.

use rustix::fs::{FileType, Stat};

/// Time stamps on Linux move in steps of the kernel's tick, at most 10 ms.
const TICK_NS: i64 = 20_000_000;
/// Filesystems that keep whole seconds (FAT keeps two).
const COARSE_NS: i64 = 2_500_000_000;

/// What `stat` says of a file, as far as it changes with the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub mtime_ns: i64,
    pub ctime_ns: i64,
    pub size: u64,
    pub inode: u64,
    pub mode: u32,
}

impl Stamp {
    pub fn of(stat: &Stat) -> Self {
        Self {
            mtime_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec as i64),
            ctime_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec as i64),
            size: stat.st_size as u64,
            inode: stat.st_ino,
            mode: stat.st_mode,
        }
    }

    /// Whether a change after `seen_at_ns` must show in the stamp. If not, the content has to be read again next time
    /// (git calls such an entry racily clean).
    pub fn is_settled(&self, seen_at_ns: i64) -> bool {
        let newest = self.mtime_ns.max(self.ctime_ns);
        let whole_seconds =
            self.mtime_ns % 1_000_000_000 == 0 && self.ctime_ns % 1_000_000_000 == 0;
        newest + if whole_seconds { COARSE_NS } else { TICK_NS } < seen_at_ns
    }

    pub fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    pub fn is_executable(&self) -> bool {
        self.mode & 0o100 != 0
    }
}

fn nanoseconds(seconds: i64, rest: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

/// The kernel's time, for comparison with the stamps that the kernel gives to files.
#[allow(
    clippy::disallowed_methods,
    reason = "compared with file stamps, which an injected clock does not make"
)]
pub(crate) fn kernel_now_ns() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as i64)
}

#[cfg(test)]
mod tests {
    use super::Stamp;

    fn stamp(mtime_ns: i64, ctime_ns: i64) -> Stamp {
        Stamp {
            mtime_ns,
            ctime_ns,
            size: 1,
            inode: 1,
            mode: 0o100_644,
        }
    }

    #[test]
    fn stamp_is_trusted_only_once_the_clock_has_moved_on() {
        const NOW: i64 = 1_700_000_000_123_456_789;
        assert!(!stamp(NOW, NOW).is_settled(NOW), "written as we look");
        assert!(
            !stamp(NOW + 5_000_000_000, NOW).is_settled(NOW),
            "a server's clock is ahead"
        );
        assert!(
            !stamp(NOW - 10_000_000, NOW - 10_000_000).is_settled(NOW),
            "one step ago"
        );
        assert!(stamp(NOW - 50_000_000, NOW - 50_000_000).is_settled(NOW));
        assert!(
            !stamp(0, NOW).is_settled(NOW),
            "an old time was put on a new content"
        );
        let whole = 1_700_000_000_000_000_000;
        assert!(
            !stamp(whole, whole).is_settled(whole + 2_000_000_000),
            "times in whole seconds"
        );
        assert!(stamp(whole, whole).is_settled(whole + 3_000_000_000));
    }
}

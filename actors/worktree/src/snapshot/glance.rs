//! A short look at what checkpoints leave out: not what is in it, only whether it changed.
//!
//! An undo cannot bring such files back, but it has to say which it could not. Ignored folders can be huge
//! (dependencies, build outputs), so a look is bounded: what lies beyond counts as unchanged.

use crate::beneath::open_folder;
use crate::stamp::Stamp;
use rustix::fs::{AtFlags, Dir, FileType, statat};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Entries of one folder that are looked at.
const FOLDER_MAX: usize = 1_024;
/// Entries of all folders together, in one walk.
pub(super) const WALK_MAX: usize = 8_192;
/// A folder with at most so many files is listed file by file.
const LISTED_MAX: usize = 64;
/// Of a repository inside, what moves with its commits.
const GIT_FILES: [&str; 2] = ["HEAD", "logs/HEAD"];

/// What a folder looked like.
#[derive(Default)]
pub(super) struct Glance {
    /// Of all that was seen; 0 of nothing.
    pub digest: u64,
    /// Its files, by their paths below it, each with its digest; none if there are too many.
    pub files: Vec<(Box<[u8]>, u64)>,
}

/// The digest of one file by what `stat` says. The time of the last change of its attributes is left out: links made to
/// it elsewhere would count as a change.
pub(super) fn digest(path: &[u8], stamp: &Stamp) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(path);
    hasher.update(&[0]);
    hasher.update(&stamp.mode.to_le_bytes());
    if matches!(
        stamp.file_type(),
        FileType::RegularFile | FileType::Symlink | FileType::Directory
    ) {
        hasher.update(&stamp.mtime_ns.to_le_bytes());
        hasher.update(&stamp.size.to_le_bytes());
    }
    hasher.update(&stamp.inode.to_le_bytes());
    let hash = hasher.finalize();
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}

/// Looks at the folder `name` in `parent`, breadth first, and takes what it looked at from `budget`.
pub(super) fn folder(parent: &OwnedFd, name: &OsStr, budget: &mut usize) -> Glance {
    let Ok(base) = open_folder(parent, name) else {
        return Glance::default();
    };
    let mut look = Look {
        base,
        left: FOLDER_MAX.min(*budget),
        glance: Glance::default(),
        open: VecDeque::from([PathBuf::new()]),
        complete: true,
    };
    let given = look.left;
    while let Some(path) = look.open.pop_front() {
        look.folder(path);
    }
    *budget -= given - look.left;
    if !look.complete || look.glance.files.len() > LISTED_MAX {
        look.glance.files = Vec::new();
    }
    look.glance
}

struct Look {
    base: OwnedFd,
    left: usize,
    glance: Glance,
    open: VecDeque<PathBuf>,
    complete: bool,
}

impl Look {
    fn folder(&mut self, path: PathBuf) {
        if self.left == 0 {
            // Not looked into; that something came or went right in it shows all the same.
            self.complete = false;
            self.add(&path);
            return;
        }
        let opened = match path.as_os_str().is_empty() {
            true => self.base.try_clone().ok(),
            false => open_folder(&self.base, path.as_os_str()).ok(),
        };
        let Some(entries) = opened.and_then(|fd| Dir::read_from(fd).ok()) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_bytes();
            let below = path.join(OsStr::from_bytes(name));
            match (name, entry.file_type()) {
                (b"." | b"..", _) => continue,
                (b".git", FileType::Directory) => {
                    for file in GIT_FILES {
                        self.add(&below.join(file));
                    }
                }
                _ if self.left == 0 => {
                    self.complete = false;
                    self.add(&path);
                    return;
                }
                (_, FileType::Directory) => {
                    self.left -= 1;
                    self.open.push_back(below);
                }
                _ => {
                    self.left -= 1;
                    self.add(&below);
                }
            }
        }
    }

    fn add(&mut self, path: &std::path::Path) {
        let stat = match path.as_os_str().is_empty() {
            true => rustix::fs::fstat(&self.base),
            false => statat(&self.base, path, AtFlags::SYMLINK_NOFOLLOW),
        };
        let Ok(stat) = stat else { return };
        let path = path.as_os_str().as_bytes();
        let digest = digest(path, &Stamp::of(&stat));
        // A sum: the order in which a folder is listed does not count.
        self.glance.digest = self.glance.digest.wrapping_add(digest);
        if self.glance.files.len() <= LISTED_MAX {
            self.glance.files.push((path.into(), digest));
        }
    }
}

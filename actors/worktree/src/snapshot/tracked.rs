//! What the user's own index says: which files are tracked, and the hashes of those unchanged since git last looked.

use super::store::Store;
use crate::beneath::Kind;
use crate::checkout::Checkout;
use crate::stamp::{Stamp, kernel_now_ns};
use git2::{Index, IndexEntry, Odb, Oid, Repository};
use rustix::fs::{AtFlags, FileType, statat};
use std::path::PathBuf;

/// The tracked files, by path.
pub(super) struct Tracked {
    index_path: PathBuf,
    stamp: Option<Stamp>,
    settled: bool,
    paths: Vec<Box<[u8]>>,
    /// One for each path; dropped after the walk that read the index.
    seeds: Vec<Seed>,
    user: Option<Odb<'static>>,
    /// A clean filter other than LFS is set up: a blob's content may differ from its file's at the same size.
    filtered: bool,
}

/// An index entry's hash and the file that it was taken from.
struct Seed {
    oid: Oid,
    mode: u32,
    mtime_ns: i64,
    ctime_ns: i64,
    size: u32,
    usable: bool,
}

impl Tracked {
    pub fn of(checkout: &Checkout, store: &Store) -> Self {
        Self {
            index_path: checkout.git_dir.join("index"),
            stamp: None,
            settled: false,
            paths: Vec::new(),
            seeds: Vec::new(),
            user: store.user_odb(),
            filtered: has_filters(checkout),
        }
    }

    /// Reads the index again if it changed; says whether it did.
    pub fn refresh(&mut self) -> bool {
        let seen_at_ns = kernel_now_ns();
        let stamp = statat(rustix::fs::CWD, &self.index_path, AtFlags::empty())
            .ok()
            .map(|stat| Stamp::of(&stat));
        if self.stamp == stamp && (stamp.is_none() || self.settled) {
            return false;
        }
        self.stamp = stamp;
        self.settled = stamp.is_some_and(|stamp| stamp.is_settled(seen_at_ns));
        let index = stamp.and_then(|_| Index::open(&self.index_path).ok());
        (self.paths, self.seeds) = index
            .map(|index| entries(&index, stamp))
            .unwrap_or_default();
        true
    }

    /// Has the next walk read the index again.
    pub fn forget(&mut self) {
        self.stamp = None;
        self.settled = false;
    }

    /// Lets the hashes go; the paths stay.
    pub fn forget_seeds(&mut self) {
        self.seeds = Vec::new();
    }

    pub fn contains(&self, path: &[u8]) -> bool {
        self.position(path).is_some()
    }

    /// Whether a tracked file lies below the folder `path`.
    pub fn has_below(&self, path: &[u8]) -> bool {
        let start = [path, b"/"].concat();
        let at = self.paths.partition_point(|known| known[..] < start[..]);
        self.paths
            .get(at)
            .is_some_and(|known| known.starts_with(&start))
    }

    /// The hash of a file that git saw unchanged, if the user's repository holds its very bytes.
    pub fn known(&self, path: &[u8], stamp: &Stamp, kind: Kind) -> Option<Oid> {
        let seed = self.seeds.get(self.position(path)?)?;
        let same = seed.usable
            && seed.mtime_ns == stamp.mtime_ns
            && seed.ctime_ns == stamp.ctime_ns
            && seed.size == stamp.size as u32
            && kind_of(seed.mode) == Some(kind);
        (same && !self.filtered && self.holds(seed.oid, stamp.size)).then_some(seed.oid)
    }

    /// Whether the user's repository has `oid` and tracks it at `path`, so that it will stay there.
    pub fn has_blob(&self, path: &[u8], oid: Oid) -> bool {
        let seed = self.position(path).and_then(|at| self.seeds.get(at));
        seed.is_some_and(|seed| seed.oid == oid)
            && self.user.as_ref().is_some_and(|user| user.exists(oid))
    }

    fn holds(&self, oid: Oid, size: u64) -> bool {
        // line-end conversion and LFS always change the size
        let Some(user) = &self.user else { return false };
        user.read_header(oid)
            .is_ok_and(|(blob_size, _)| blob_size as u64 == size)
    }

    fn position(&self, path: &[u8]) -> Option<usize> {
        self.paths
            .binary_search_by(|known| known[..].cmp(path))
            .ok()
    }
}

fn entries(index: &Index, stamp: Option<Stamp>) -> (Vec<Box<[u8]>>, Vec<Seed>) {
    let written_ns = stamp.map_or(0, |stamp| stamp.mtime_ns);
    let mut entries: Vec<(Box<[u8]>, Seed)> = index
        .iter()
        .map(|entry| {
            let seed = seed(&entry, written_ns);
            (entry.path.into_boxed_slice(), seed)
        })
        .collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries.into_iter().unzip()
}

fn seed(entry: &IndexEntry, written_ns: i64) -> Seed {
    let at = |time: git2::IndexTime| {
        i64::from(time.seconds()) * 1_000_000_000 + i64::from(time.nanoseconds())
    };
    let mtime_ns = at(entry.mtime);
    let stage = entry.flags >> 12 & 3;
    Seed {
        oid: entry.id,
        mode: entry.mode,
        mtime_ns,
        ctime_ns: at(entry.ctime),
        size: entry.file_size,
        usable: stage == 0 && mtime_ns < written_ns,
    }
}

fn kind_of(mode: u32) -> Option<Kind> {
    match FileType::from_raw_mode(mode) {
        FileType::Symlink => Some(Kind::Link),
        FileType::RegularFile if mode & 0o100 != 0 => Some(Kind::Executable),
        FileType::RegularFile => Some(Kind::Plain),
        _ => None,
    }
}

fn has_filters(checkout: &Checkout) -> bool {
    let Ok(config) = Repository::open(&checkout.root).and_then(|repo| repo.config()) else {
        return false;
    };
    let Ok(mut entries) = config.entries(Some("^filter\\.")) else {
        return false;
    };
    while let Some(entry) = entries.next() {
        if entry.is_ok_and(|entry| {
            entry
                .name()
                .is_ok_and(|name| !name.starts_with("filter.lfs."))
        }) {
            return true;
        }
    }
    false
}

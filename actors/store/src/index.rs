//! sled as the index, or a map in memory while sled cannot be had (a full disk at the start, a fault at run time).
//!
//! Every call into sled is fenced: its errors and its panics become [`IndexError`], upon which the store rebuilds.

use crate::files::bytes_under;
use crate::meta::Mark;
use crate::record::u64_at;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// sled's page cache.
const CACHE_BYTES: u64 = 4 << 20;
const MARK: &[u8] = b"m";

/// The index is unusable.
#[derive(Debug, thiserror::Error)]
#[error("index is unusable: {0}")]
pub(crate) struct IndexError(String);

/// A change: `None` removes.
pub(crate) type Change = (Vec<u8>, Option<Vec<u8>>);

/// Ordered keys and values with a mark.
pub(crate) struct Index {
    kind: Kind,
    mark: parking_lot::Mutex<Option<Mark>>,
    /// Answers that are left before a test's fault sets in.
    #[cfg(test)]
    left: std::sync::atomic::AtomicU64,
}

enum Kind {
    Sled(sled::Db, PathBuf),
    Memory(parking_lot::RwLock<BTreeMap<Vec<u8>, Vec<u8>>>),
}

impl Index {
    /// Opens the sled folder at `path`, creating it if need be.
    pub(crate) fn open(path: &Path) -> Result<Self, IndexError> {
        let db = fenced(|| {
            // No flusher thread: the keeper flushes after each batch.
            sled::Config::new()
                .path(path)
                .cache_capacity(CACHE_BYTES)
                .flush_every_ms(None)
                .open()
        })?;
        let mark = fenced(|| db.get(MARK))?.map(|bytes| Mark::decode(&bytes));
        Ok(Self {
            kind: Kind::Sled(db, path.to_owned()),
            mark: parking_lot::Mutex::new(mark),
            #[cfg(test)]
            left: u64::MAX.into(),
        })
    }

    /// An empty index in memory.
    pub(crate) fn memory() -> Self {
        Self {
            kind: Kind::Memory(Default::default()),
            mark: Default::default(),
            #[cfg(test)]
            left: u64::MAX.into(),
        }
    }

    /// The mark of the last batch.
    pub(crate) fn mark(&self) -> Option<Mark> {
        *self.mark.lock()
    }

    /// Fails from the answer after `gets` more on.
    #[cfg(test)]
    pub(crate) fn fail_after(&self, gets: u64) {
        self.left.store(gets, std::sync::atomic::Ordering::SeqCst);
    }

    #[cfg(test)]
    fn fault(&self) -> Result<(), IndexError> {
        use std::sync::atomic::Ordering::SeqCst;
        let left = self.left.load(SeqCst);
        self.left.store(left.saturating_sub(1), SeqCst);
        if left == 0 {
            return Err(IndexError("a fault of the test's".into()));
        }
        Ok(())
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        #[cfg(test)]
        self.fault()?;
        match &self.kind {
            Kind::Sled(db, _) => Ok(fenced(|| db.get(key))?.map(|value| value.to_vec())),
            Kind::Memory(map) => Ok(map.read().get(key).cloned()),
        }
    }

    /// Shows all entries whose key begins with `prefix`, in order of key.
    pub(crate) fn each(
        &self,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), IndexError> {
        match &self.kind {
            Kind::Sled(db, _) => fenced(|| {
                for entry in db.scan_prefix(prefix) {
                    let (key, value) = entry?;
                    visit(&key, &value);
                }
                Ok(())
            }),
            Kind::Memory(map) => {
                let map = map.read();
                let from = (Bound::Included(prefix), Bound::Unbounded);
                for (key, value) in map
                    .range::<[u8], _>(from)
                    .take_while(|(key, _)| key.starts_with(prefix))
                {
                    visit(key, value);
                }
                Ok(())
            }
        }
    }

    /// Whether all entries are those that the mark vouches for.
    pub(crate) fn is_whole(&self) -> bool {
        let Some(mark) = self.mark() else {
            return false;
        };
        let mut sum = 0_u64;
        let walked = self.each(b"", &mut |key, value| {
            if key != MARK {
                sum = sum.wrapping_add(hash(key, value));
            }
        });
        walked.is_ok() && sum == mark.sum
    }

    /// Makes the changes and moves the mark, all or nothing. The mark's sum is worked out here. One caller at a time.
    pub(crate) fn apply(&self, changes: Vec<Change>, mut mark: Mark) -> Result<(), IndexError> {
        let mut sum = self.mark().map_or(0, |mark| mark.sum);
        for (key, value) in &changes {
            if let Some(old) = self.get(key)? {
                sum = sum.wrapping_sub(hash(key, &old));
            }
            if let Some(value) = value {
                sum = sum.wrapping_add(hash(key, value));
            }
        }
        mark.sum = sum;
        match &self.kind {
            Kind::Sled(db, _) => {
                let mut batch = sled::Batch::default();
                for (key, value) in changes {
                    match value {
                        Some(value) => batch.insert(key, value),
                        None => batch.remove(key),
                    }
                }
                batch.insert(MARK, mark.encode());
                fenced(|| db.apply_batch(batch))?;
                fenced(|| db.flush())?;
            }
            Kind::Memory(map) => {
                let mut map = map.write();
                for (key, value) in changes {
                    match value {
                        Some(value) => map.insert(key, value),
                        None => map.remove(&key),
                    };
                }
            }
        }
        *self.mark.lock() = Some(mark);
        Ok(())
    }

    /// Bytes on the disk.
    pub(crate) fn bytes(&self) -> u64 {
        match &self.kind {
            Kind::Sled(_, path) => bytes_under(path),
            Kind::Memory(_) => 0,
        }
    }
}

/// Calls into sled; an error or a panic there becomes ours.
fn fenced<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, IndexError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(IndexError(error.to_string())),
        Err(_) => Err(IndexError("sled panicked".into())),
    }
}

fn hash(key: &[u8], value: &[u8]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(&(key.len() as u32).to_le_bytes())
        .update(key)
        .update(value);
    u64_at(hasher.finalize().as_bytes(), 0)
}

/// The key of a session's entry.
pub(crate) fn session_key(id: &str) -> Vec<u8> {
    [b"s", id.as_bytes()].concat()
}

/// The key of a segment's entry; they sort by number.
pub(crate) fn segment_key(number: u32) -> Vec<u8> {
    [b"g".as_slice(), &number.to_be_bytes()].concat()
}

/// The key of a small value; an empty `key` gives the prefix of a table.
pub(crate) fn small_key(table: &str, key: &str) -> Vec<u8> {
    [b"t", table.as_bytes(), b"\0", key.as_bytes()].concat()
}

//! [`LogStore`]: the log with its index, and the threads that look after them.

use crate::blobs::Blobs;
use crate::folder::{LogFolders, unreadable};
use crate::index::small_key;
use crate::keeper_signal::KeeperSignal;
use crate::lock::FolderLock;
use crate::open::open;
use crate::options::Options;
use crate::record::{Kind, RECORD_BYTES_MAX, Record};
use crate::shared::Shared;
use crate::sync_queue::SyncQueue;
use bytes::Bytes;
use kilo_ports::BoxFuture;
use kilo_ports::store::{
    Appended, Damage, Entry, Pos, RecordKind, SavedView, SessionLog, Store, StoreError, StoreStats,
    Stored, Unreadable,
};
use kilo_protocol::{Millis, SessionId};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

/// The largest session id, table name.
const KEY_BYTES_MAX: usize = 255;
/// The largest append: a quarter of the 4 GiB that offsets reach.
const APPEND_BYTES_MAX: usize = 1 << 30;

/// The store of a daemon. One per data folder; dropping it brings the index up to the log and frees the folder.
pub struct LogStore {
    pub(crate) shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl LogStore {
    /// Opens or makes the data folder. Damage does not stop it: see [`Store::damage`].
    ///
    /// # Errors
    /// `Locked` when another process holds the folder, `Unreadable` when it cannot be read or a newer version wrote it,
    /// `Full` and `Failed` when the threads cannot be started.
    pub fn open(options: Options) -> Result<Self, StoreError> {
        let folders = LogFolders::make(&options.folder)?;
        let lock = FolderLock::take(&options.folder, options.pid, options.lock_wait)?;
        // After the lock: another daemon's folder is not ours to change.
        folders.tighten();
        let opened = open(
            &folders,
            // Offsets in a segment are 32 bits.
            options.segment_bytes.min(2 << 30),
            options.disk.clone(),
            lock.was_used(),
        )?;
        let shared = Arc::new(Shared {
            blobs: Blobs::open(&folders.blobs),
            state: Mutex::new(opened.state),
            epoch: opened.epoch,
            damages: opened.damages,
            broken_segments: Mutex::new(opened.broken_segments),
            distrusted: Mutex::default(),
            syncs: SyncQueue::default(),
            keeper: KeeperSignal::default(),
            maintenance: Mutex::default(),
            options,
            folders,
            lock,
            noted: Mutex::default(),
        });
        shared.note_start();
        // A replay found more than the index knew: the keeper writes it down now, not at the next append.
        if shared.state.lock().changed {
            shared.keeper.soon();
        }
        let mut store = Self {
            shared,
            threads: Vec::new(),
        };
        store.start("log-sync", Shared::run_syncer)?;
        store.start("log-keeper", Shared::run_keeper)?;
        Ok(store)
    }

    /// Writes the address where this daemon listens into the lock file, for those who find the folder taken.
    pub fn set_address(&self, address: &str) {
        self.shared.lock.set_address(address);
    }

    /// Reads the whole log, checksums included, and returns all damage that is not acknowledged. Takes seconds per GiB.
    ///
    /// # Errors
    /// `Unreadable` when the log cannot be read.
    pub fn verify(&self) -> Result<Vec<Damage>, StoreError> {
        self.shared.verify()
    }

    /// Says that the user has read the damage reports: they are shown no more. The bytes in `damaged/` stay.
    pub fn acknowledge_damage(&self) {
        self.shared.damages.acknowledge();
    }

    /// Rewrites now what the background would rewrite later: closed segments of which less than half is live. Returns
    /// how many it rewrote.
    ///
    /// # Errors
    /// `Full` when there is no room for the new segment; the old ones are untouched.
    pub fn rewrite_segments(&self) -> Result<u64, StoreError> {
        self.shared.rewrite_segments()
    }

    /// Brings the index up to the log now instead of within a second.
    ///
    /// # Errors
    /// `Failed` and `Closed` when the log cannot be synced.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        self.shared.checkpoint()
    }

    /// Closes the active segment, so that it can be rewritten. For tests and tools.
    ///
    /// # Errors
    /// `Full` when there is no room for the next.
    pub fn rotate(&self) -> Result<(), StoreError> {
        self.shared.with(|state| state.rotate()).map(|_| ())
    }

    /// Throws the index away and makes it anew from the log: about a second per GiB. The folder must not be open.
    ///
    /// # Errors
    /// Those of [`LogStore::open`].
    pub fn rebuild(options: Options) -> Result<Self, StoreError> {
        let folders = LogFolders::make(&options.folder)?;
        let lock = FolderLock::take(&options.folder, options.pid, options.lock_wait)?;
        match std::fs::remove_dir_all(&folders.index) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(unreadable(&folders.index, source));
            }
            // `open` takes it itself, and two locks of one process would exclude each other.
            _ => drop(lock),
        }
        Self::open(options)
    }

    fn start(&mut self, name: &str, run: fn(&Shared)) -> Result<(), StoreError> {
        let shared = self.shared.clone();
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || run(&shared));
        self.threads
            .push(thread.map_err(|source| StoreError::Failed { source })?);
        Ok(())
    }
}

impl Drop for LogStore {
    fn drop(&mut self) {
        // The keeper first: it may be waiting for a sync, which the syncer still answers.
        self.shared.keeper.stop();
        self.shared.syncs.stop();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        }
        if let Err(error) = self.shared.settle() {
            tracing::warn!(%error, "index was not brought up to the log");
        }
    }
}

fn fits(key: &str, bytes: usize) -> Result<(), StoreError> {
    let too_large = |bytes: usize, limit: usize| StoreError::TooLarge {
        bytes: bytes as u64,
        limit: limit as u64,
    };
    if key.len() > KEY_BYTES_MAX {
        return Err(too_large(key.len(), KEY_BYTES_MAX));
    }
    let limit = RECORD_BYTES_MAX - 1_024;
    if bytes > limit {
        Err(too_large(bytes, limit))
    } else {
        Ok(())
    }
}

fn kind_of(entry: &Entry) -> Kind {
    match entry.kind {
        _ if entry.head.is_some() => Kind::Head,
        RecordKind::Transient => Kind::Transient,
        RecordKind::Plain | RecordKind::Head => Kind::Plain,
    }
}

impl Store for LogStore {
    fn epoch(&self) -> u64 {
        self.shared.epoch
    }

    fn append(
        &self,
        session: &SessionId,
        at: Millis,
        entries: &[Entry],
    ) -> Result<Appended, StoreError> {
        let mut total = 0;
        // Before anything is written: half an append would be worse than none.
        for entry in entries {
            let bytes = entry.body.len() + entry.head.as_ref().map_or(0, Bytes::len);
            fits(session.as_str(), bytes)?;
            total += bytes;
        }
        if total > APPEND_BYTES_MAX {
            return Err(StoreError::TooLarge {
                bytes: total as u64,
                limit: APPEND_BYTES_MAX as u64,
            });
        }
        self.shared.write(|state| {
            let meta = &state.known(session)?.meta;
            // A tombstone is final: a late record would bring half a session back.
            if meta.deleted {
                return Err(StoreError::NoSession(session.clone()));
            }
            let (first_seq, first_pos) = (meta.next_seq, state.newest + 1);
            let mut records: Vec<Record<'_>> = entries
                .iter()
                .zip(0..)
                .map(|(entry, number)| Record {
                    kind: kind_of(entry),
                    back: 0,
                    pos: first_pos + number,
                    seq: first_seq + number,
                    at,
                    format: entry.format,
                    key: session.as_str(),
                    head: entry.head.as_deref().unwrap_or_default(),
                    body: &entry.body,
                })
                .collect();
            if records.is_empty() {
                return Ok(Appended {
                    first_pos: state.newest,
                    last_pos: state.newest,
                    first_seq,
                });
            }
            state.write(Some(session), &mut records)?;
            Ok(Appended {
                first_pos,
                last_pos: state.newest,
                first_seq,
            })
        })
    }

    fn sync(&self, pos: Pos) -> BoxFuture<'static, Result<(), StoreError>> {
        self.shared.syncs.wait(pos)
    }

    fn newest(&self) -> Pos {
        self.shared.state.lock().newest
    }

    fn load(&self, session: &SessionId) -> Result<SessionLog, StoreError> {
        self.shared.load(session)
    }

    fn after(&self, pos: Pos, records_max: usize) -> Result<Vec<Stored>, StoreError> {
        self.shared.after(pos, records_max)
    }

    fn load_whole(&self, session: &SessionId) -> Result<SessionLog, StoreError> {
        self.shared.load_whole(session)
    }

    fn save_view(&self, session: &SessionId, view: &SavedView) -> Result<(), StoreError> {
        fits(session.as_str(), view.body.len())?;
        self.shared.write(|state| {
            state.existing(session)?;
            let record = Record {
                kind: Kind::View,
                back: 0,
                // A view takes no position of its own: readers in the daemon's order pass over it.
                pos: state.newest,
                seq: view.seq,
                at: 0,
                format: view.format,
                key: session.as_str(),
                head: &[],
                body: &view.body,
            };
            state.write(Some(session), &mut [record])
        })
    }

    fn report(&self, session: &SessionId, what: Unreadable, why: &str) {
        self.shared.report_unreadable(session, what, why);
    }

    fn head(&self, session: &SessionId) -> Option<Bytes> {
        self.shared.head(session).ok().flatten()
    }

    fn heads_of(&self, sessions: &[SessionId]) -> Vec<Option<Bytes>> {
        self.shared.heads_of(sessions)
    }

    fn heads(&self, visit: &mut dyn FnMut(&SessionId, &[u8])) -> Result<(), StoreError> {
        self.shared.heads(visit)
    }

    fn delete(&self, session: &SessionId, at: Millis) -> Result<Appended, StoreError> {
        self.shared.write(|state| {
            let seq = state.existing(session)?.next_seq;
            let (pos, key) = (state.newest + 1, session.as_str());
            let record = Record {
                kind: Kind::Tombstone,
                back: 0,
                pos,
                seq,
                at,
                format: 0,
                key,
                head: &[],
                body: &[],
            };
            state.write(Some(session), &mut [record])?;
            Ok(Appended {
                first_pos: pos,
                last_pos: pos,
                first_seq: seq,
            })
        })
    }

    fn put(&self, table: &str, key: &str, value: &[u8], at: Millis) -> Result<(), StoreError> {
        fits(table, key.len() + value.len())?;
        self.shared.write(|state| {
            let (pos, head) = (state.newest + 1, key.as_bytes());
            let record = Record {
                kind: Kind::Put,
                back: 0,
                pos,
                seq: 0,
                at,
                format: 0,
                key: table,
                head,
                body: value,
            };
            state.write(None, &mut [record])
        })
    }

    fn get(&self, table: &str, key: &str) -> Option<Bytes> {
        let key = small_key(table, key);
        self.shared
            .with(|state| state.small(&key))
            .ok()
            .flatten()
            .map(|small| small.value)
    }

    fn remove(&self, table: &str, key: &str, at: Millis) -> Result<(), StoreError> {
        fits(table, key.len())?;
        let index_key = small_key(table, key);
        self.shared.write(|state| {
            // Removing what is not there leaves no record behind.
            if state.small(&index_key)?.is_none() {
                return Ok(());
            }
            let (pos, head) = (state.newest + 1, key.as_bytes());
            let record = Record {
                kind: Kind::Remove,
                back: 0,
                pos,
                seq: 0,
                at,
                format: 0,
                key: table,
                head,
                body: &[],
            };
            state.write(None, &mut [record])
        })
    }

    fn scan(&self, table: &str) -> Vec<(String, Bytes)> {
        self.shared
            .with(|state| state.table(table))
            .unwrap_or_default()
            .into_iter()
            .collect()
    }

    fn put_blob(&self, body: &[u8]) -> Result<String, StoreError> {
        self.shared.blobs.put(body)
    }

    fn get_blob(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        self.shared.blobs.get(name)
    }

    fn damage(&self) -> Vec<Damage> {
        self.shared.damages.open_reports()
    }

    fn stats(&self) -> StoreStats {
        let (log_bytes, segments, sessions, index) = {
            let state = self.shared.state.lock();
            let log_bytes = state.slots.values().map(|slot| slot.info.file_bytes).sum();
            (
                log_bytes,
                state.slots.len() as u64,
                state.live_sessions,
                state.index.clone(),
            )
        };
        StoreStats {
            log_bytes,
            segments,
            index_bytes: index.bytes(),
            blob_bytes: self.shared.blobs.bytes(),
            sessions,
        }
    }
}

//! [`LogStore`]: the log with its index, and the threads that look after them.

use crate::blobs::Blobs;
use crate::damage::Damages;
use crate::files;
use crate::folder::{Folders, Reach, unreadable};
use crate::keeper::{Bell, CHECKPOINT_BYTES};
use crate::lock::FolderLock;
use crate::open;
use crate::record::{Kind, RECORD_BYTES_MAX, Record};
use crate::state::{End, State};
use crate::writer::SyncQueue;
use bytes::Bytes;
use kilo_ports::BoxFuture;
use kilo_ports::store::{
    Appended, Damage, Entry, Pos, RecordKind, SavedView, SessionLog, Store, StoreError, StoreStats,
    Stored, Unreadable,
};
use kilo_protocol::{Millis, SessionId};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// The largest session id, table name.
const KEY_BYTES_MAX: usize = 255;
/// The largest append: a quarter of the 4 GiB that offsets reach.
const APPEND_BYTES_MAX: usize = 1 << 30;

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
        }
    }
}

/// The store of a daemon. One per data folder; dropping it brings the index up to the log and frees the folder.
pub struct LogStore {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What the store's methods and its threads share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) folders: Folders,
    pub(crate) state: Mutex<State>,
    pub(crate) epoch: u64,
    pub(crate) damages: Damages,
    /// Closed segments with broken ranges: to be rewritten.
    pub(crate) sick: Mutex<BTreeSet<u32>>,
    pub(crate) syncs: SyncQueue,
    pub(crate) bell: Bell,
    /// Held by whoever writes the index or rewrites segments.
    pub(crate) maintenance: Mutex<()>,
    blobs: Blobs,
    lock: FolderLock,
    /// What the `state` file says.
    noted: Mutex<Option<Reach>>,
}

impl LogStore {
    /// Opens or makes the data folder. Damage does not stop it: see [`Store::damage`].
    ///
    /// # Errors
    /// `Locked` when another process holds the folder, `Unreadable` when it cannot be read or a newer version wrote it,
    /// `Full` and `Failed` when the threads cannot be started.
    pub fn open(options: Options) -> Result<Self, StoreError> {
        let folders = Folders::make(&options.folder)?;
        let lock = FolderLock::take(&options.folder, options.pid, options.lock_wait)?;
        folders.tighten();
        let opened = open::open(
            &folders,
            options.segment_bytes.min(2 << 30),
            lock.was_used(),
        )?;
        let shared = Arc::new(Shared {
            blobs: Blobs::open(&folders.blobs),
            state: Mutex::new(opened.state),
            epoch: opened.epoch,
            damages: opened.damages,
            sick: Mutex::new(opened.sick),
            syncs: SyncQueue::default(),
            bell: Bell::default(),
            maintenance: Mutex::default(),
            options,
            folders,
            lock,
            noted: Mutex::default(),
        });
        shared.note_start();
        if shared.state.lock().changed {
            shared.bell.ring();
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
    pub fn compact(&self) -> Result<u64, StoreError> {
        self.shared.compact()
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
        let folders = Folders::make(&options.folder)?;
        let lock = FolderLock::take(&options.folder, options.pid, options.lock_wait)?;
        match std::fs::remove_dir_all(&folders.index) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(unreadable(&folders.index, source));
            }
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
        self.shared.bell.stop();
        self.shared.syncs.stop();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        }
        if let Err(error) = self.shared.checkpoint() {
            tracing::warn!(%error, "index was not brought up to the log");
        }
    }
}

impl Shared {
    /// Works on the state. If the index turns out unusable, it is made anew in memory and the work done again.
    pub(crate) fn with<T>(
        &self,
        mut work: impl FnMut(&mut State) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut state = self.state.lock();
        let done = work(&mut state);
        if !state.index_failed {
            return done;
        }
        let mut broken = Vec::new();
        crate::replay::rebuild_in_memory(&mut state, &mut broken)?;
        work(&mut state)
    }

    /// Makes the epoch's name stick, and closes to others what the start has made.
    fn note_start(&self) {
        let stored = Reach::read(&self.folders.state_file());
        let kept = stored.filter(|stored| stored.epoch == self.epoch);
        *self.noted.lock() = kept;
        if kept.is_none() {
            let end = self.state.lock().end();
            self.note_end(end);
        }
        if self.noted.lock().is_some() {
            self.lock.set_used();
        }
        self.tighten_index();
    }

    /// Notes how far the log is known to reach, if that is news. Without room on the disk the older note stays, which is
    /// no lie.
    pub(crate) fn note_end(&self, end: End) {
        let reach = Reach {
            epoch: self.epoch,
            segment: end.segment,
            bytes: end.bytes,
            newest: end.newest,
        };
        let mut noted = self.noted.lock();
        if noted.is_some_and(|noted| !reach.is_news_to(&noted)) {
            return;
        }
        // Another data folder may stand where this one was: it is not ours to write to.
        if !self.lock.is_at(&self.folders.root) {
            tracing::warn!(folder = %self.folders.root.display(), "data folder was moved or removed");
            return;
        }
        match reach.write(&self.folders.state_file()) {
            Ok(()) => *noted = Some(reach),
            Err(error) => tracing::warn!(%error, "state file was not written"),
        }
    }

    /// A file of the log is not what it was: says so, and makes the next start expect all that was ever acknowledged.
    pub(crate) fn note_change(&self, file: &Path, what: &'static str) {
        tracing::error!(file = %file.display(), what, "log file was changed while in use; the log is closed");
        let end = self.state.lock().end();
        let text =
            format!("the log file was {what} while in use; nothing is stored until the next start");
        self.damages.notice(file.to_owned(), end.bytes, text);
        self.note_end(end);
    }

    /// sled leaves its files to the umask.
    pub(crate) fn tighten_index(&self) {
        if let Err(error) = files::tighten(&self.folders.index) {
            tracing::debug!(%error, "rights of the index were not set");
        }
    }

    /// Writes under the lock, and tells the keeper when there is something for it.
    fn write<T>(
        &self,
        work: impl FnMut(&mut State) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut work = work;
        let (mut was_changed, mut before, mut after, mut begun) = (false, 0, 0, None);
        let done = self.with(|state| {
            (was_changed, before) = (state.changed, state.fresh_bytes);
            let done = work(state);
            after = state.fresh_bytes;
            begun = std::mem::take(&mut state.begun).then(|| state.end());
            done
        });
        if let Some(end) = begun {
            self.note_end(end);
        }
        if let Err(StoreError::Changed { file, what }) = &done {
            self.note_change(file, what);
        }
        if before < CHECKPOINT_BYTES && after >= CHECKPOINT_BYTES {
            self.bell.hurry();
        } else if !was_changed && after > before {
            self.bell.ring();
        }
        done
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
        self.shared.sync(pos)
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
        let key = crate::index::small_key(table, key);
        self.shared
            .with(|state| state.small(&key))
            .ok()
            .flatten()
            .map(|small| small.value)
    }

    fn remove(&self, table: &str, key: &str, at: Millis) -> Result<(), StoreError> {
        fits(table, key.len())?;
        let index_key = crate::index::small_key(table, key);
        self.shared.write(|state| {
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

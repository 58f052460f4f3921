//! What the store's methods and its threads share, and how they work on the state.

use crate::blobs::Blobs;
use crate::damage::Damages;
use crate::files;
use crate::folder::LogFolders;
use crate::keeper_signal::{CHECKPOINT_BYTES, KeeperSignal};
use crate::known_end::KnownEnd;
use crate::lock::FolderLock;
use crate::options::Options;
use crate::replay::rebuild_in_memory;
use crate::segment::Segment;
use crate::state::{End, State};
use crate::sync_queue::SyncQueue;
use kilo_ports::store::StoreError;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// See the module.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) folders: LogFolders,
    pub(crate) state: Mutex<State>,
    pub(crate) epoch: u64,
    pub(crate) damages: Damages,
    /// Closed segments with broken ranges: to be rewritten.
    pub(crate) broken_segments: Mutex<BTreeSet<u32>>,
    /// Segments, by number and generation, whose places in the index turned out wrong.
    pub(crate) distrusted: Mutex<BTreeSet<(u32, u32)>>,
    pub(crate) syncs: SyncQueue,
    pub(crate) keeper: KeeperSignal,
    /// Held by whoever writes the index or rewrites segments.
    pub(crate) maintenance: Mutex<()>,
    pub(crate) blobs: Blobs,
    pub(crate) lock: FolderLock,
    /// What the `state` file says.
    pub(crate) noted: Mutex<Option<KnownEnd>>,
}

impl Shared {
    /// Works on the state.
    ///
    /// If the index turns out unusable, it is made anew in memory. Work that was done before that shows is not done
    /// again, or a record would be in the log twice; work that was refused for it is tried once more. An append fails
    /// before its bytes are written or not at all, see `State::write`.
    pub(crate) fn with<T>(
        &self,
        mut work: impl FnMut(&mut State) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut state = self.state.lock();
        if state.index_failed {
            self.renew_index(&mut state)?;
        }
        let done = work(&mut state);
        if state.index_failed && done.is_err() {
            self.renew_index(&mut state)?;
            return work(&mut state);
        }
        done
    }

    fn renew_index(&self, state: &mut State) -> Result<(), StoreError> {
        let mut broken = Vec::new();
        rebuild_in_memory(state, &mut broken)?;
        for range in broken {
            let slot = state.slots.get(&range.number);
            self.damages
                .report([range], slot.map(|slot| &*slot.segment));
        }
        Ok(())
    }

    /// A segment and the bytes of its file.
    pub(crate) fn segment(&self, number: u32) -> Option<(Arc<Segment>, u64)> {
        let state = self.state.lock();
        let slot = state.slots.get(&number)?;
        Some((slot.segment.clone(), slot.info.file_bytes))
    }

    /// Makes the epoch's name stick, and closes to others what the start has made.
    pub(crate) fn note_start(&self) {
        let stored = KnownEnd::read(&self.folders.state_file());
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
        let known = KnownEnd {
            epoch: self.epoch,
            segment: end.segment,
            bytes: end.bytes,
            newest: end.newest,
        };
        let mut noted = self.noted.lock();
        if noted.is_some_and(|noted| !known.is_news_to(&noted)) {
            return;
        }
        // Another data folder may stand where this one was: it is not ours to write to.
        if !self.lock.is_at(&self.folders.root) {
            tracing::warn!(folder = %self.folders.root.display(), "data folder was moved or removed");
            return;
        }
        match known.write(&self.folders.state_file()) {
            Ok(()) => *noted = Some(known),
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
    pub(crate) fn write<T>(
        &self,
        mut work: impl FnMut(&mut State) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
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
            self.keeper.now();
        } else if !was_changed && after > before {
            self.keeper.soon();
        }
        done
    }
}

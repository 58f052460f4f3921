//! A checkpoint brings the index up to the log. It syncs the log first, so that the index never vouches for bytes that a
//! power loss can take; without a checkpoint nothing is lost but the time to read the log's end again.

use crate::shared::Shared;
use crate::state::{End, State};
use kilo_ports::store::StoreError;

/// An end leaves at most this much of the log to be read again at the next start (a quarter of a millisecond). Writing the
/// index costs sled several milliseconds, which is most of what a short run would have to wait for.
const UNINDEXED_BYTES_MAX: u64 = 256 << 10;

impl Shared {
    /// The last thing that is done: makes the log durable, and brings the index up to it if there is much to gain.
    pub(crate) fn settle(&self) -> Result<(), StoreError> {
        let (is_changed, unindexed) = {
            let state = self.state.lock();
            (state.changed && !state.closed, unindexed_bytes(&state))
        };
        if !is_changed || unindexed > UNINDEXED_BYTES_MAX {
            return self.checkpoint();
        }
        let end = self.sync_now()?;
        self.note_end(end);
        Ok(())
    }

    /// Brings the index up to the log.
    pub(crate) fn checkpoint(&self) -> Result<(), StoreError> {
        let _one = self.maintenance.lock();
        self.checkpoint_in_turn()
    }

    /// The same, for callers that hold the maintenance lock.
    pub(crate) fn checkpoint_in_turn(&self) -> Result<(), StoreError> {
        let (taken, index) = {
            let mut state = self.state.lock();
            if !state.changed || state.closed {
                return Ok(());
            }
            (state.checkpoint(), state.index.clone())
        };
        self.sync_now()?;
        let mark = taken.mark;
        if let Err(error) = index.apply(taken.changes, mark) {
            tracing::warn!(%error, "index was not written");
            self.state.lock().index_failed = true;
            return self.with(|_| Ok(()));
        }
        self.state.lock().checkpointed();
        self.note_end(End {
            segment: mark.segment,
            bytes: mark.offset,
            newest: mark.newest,
        });
        self.tighten_index();
        Ok(())
    }
}

/// Bytes of the log behind the index's mark, as far as one segment tells.
fn unindexed_bytes(state: &State) -> u64 {
    let end = state.end();
    match state.index.mark() {
        Some(mark) if mark.segment == end.segment => end.bytes.saturating_sub(mark.offset),
        None if state.slots.len() <= 1 => end.bytes,
        _ => u64::MAX,
    }
}

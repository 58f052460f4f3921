//! A checkpoint brings the index up to the log. It syncs the log first, so that the index never vouches for bytes that a
//! power loss can take; without a checkpoint nothing is lost but the time to read the log's end again.

use crate::shared::Shared;
use crate::state::End;
use kilo_ports::store::StoreError;

impl Shared {
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

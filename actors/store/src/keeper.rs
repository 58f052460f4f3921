//! The keeper: one thread that brings the index up to the log and rewrites segments that are mostly dead.
//!
//! It sleeps while nothing changes. A checkpoint syncs the log first, so that the index never vouches for bytes that a
//! power loss can take; without a checkpoint nothing is lost but the time to read the log's end again.

use crate::log_store::Shared;
use crate::state::End;
use kilo_ports::store::StoreError;
use parking_lot::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// A checkpoint comes this long after the first change …
const CHECKPOINT_AFTER: Duration = Duration::from_secs(1);
/// … or after this many bytes.
pub(crate) const CHECKPOINT_BYTES: u64 = 2 << 20;
/// The first look at the newest segment's checksums comes this long after a start.
const FIRST_LOOK: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(60);

/// Wakes the keeper.
#[derive(Default)]
pub(crate) struct Bell {
    rung: Mutex<Rung>,
    changed: Condvar,
}

#[derive(Default)]
struct Rung {
    work: bool,
    hurry: bool,
    stop: bool,
}

impl Bell {
    /// There is something to do soon.
    pub(crate) fn ring(&self) {
        self.rung.lock().work = true;
        self.changed.notify_all();
    }

    /// There is much to do now.
    pub(crate) fn hurry(&self) {
        let mut rung = self.rung.lock();
        (rung.work, rung.hurry) = (true, true);
        self.changed.notify_all();
    }

    /// The thread is to end.
    pub(crate) fn stop(&self) {
        self.rung.lock().stop = true;
        self.changed.notify_all();
    }

    /// Whether the thread is to end.
    pub(crate) fn is_stopped(&self) -> bool {
        self.rung.lock().stop
    }

    /// Waits for work; true when the thread is to end. `until` is the time of a look that is due anyway.
    fn wait(&self, until: Option<Instant>) -> bool {
        let mut rung = self.rung.lock();
        while !rung.work && !rung.stop {
            let limit = until.unwrap_or_else(|| Instant::now() + IDLE);
            if self.changed.wait_until(&mut rung, limit).timed_out() && until.is_some() {
                return rung.stop;
            }
        }
        let soon = Instant::now() + CHECKPOINT_AFTER;
        while !rung.hurry && !rung.stop && !self.changed.wait_until(&mut rung, soon).timed_out() {}
        (rung.work, rung.hurry) = (false, false);
        rung.stop
    }
}

impl Shared {
    /// The keeper thread.
    pub(crate) fn run_keeper(&self) {
        let mut look = self
            .options
            .verify_newest
            .then(|| Instant::now() + FIRST_LOOK);
        while !self.bell.wait(look) {
            if let Err(error) = self.checkpoint() {
                tracing::warn!(%error, "index was not brought up to the log");
            }
            if let Err(error) = self.compact() {
                tracing::warn!(%error, "segments were not rewritten");
            }
            if look.is_some_and(|at| at <= Instant::now()) {
                look = None;
                let newest = self
                    .state
                    .lock()
                    .slots
                    .last_key_value()
                    .map(|(number, _)| *number);
                if let Some(number) = newest {
                    self.verify_segment(number);
                }
            }
        }
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

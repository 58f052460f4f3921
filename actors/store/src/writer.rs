//! The syncer: one thread that makes the log durable for all who wait (group commit).
//!
//! The sync runs outside the append lock. Whoever comes while one runs shares the next. A failed sync is fatal: what the
//! system holds of the file is unknown from then on, so the log closes and the daemon must start anew.

use crate::log_store::Shared;
use crate::segment::{HEADER_BYTES, Length};
use crate::state::End;
use futures_util::FutureExt;
use kilo_ports::BoxFuture;
use kilo_ports::store::{Pos, StoreError};
use parking_lot::{Condvar, Mutex};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Waiters beyond this are refused.
const WAITERS_MAX: usize = 65_536;
/// From this many waiters on, more are likely to be on their way.
const MANY_WAITERS: usize = 32;
/// How long the syncer waits for them, at most.
const WINDOW_MAX: Duration = Duration::from_millis(2);
const IDLE: Duration = Duration::from_secs(60);

type Waiter = (Pos, oneshot::Sender<Result<(), StoreError>>);

/// Those who wait for a sync.
#[derive(Default)]
pub(crate) struct SyncQueue {
    waiting: Mutex<Waiting>,
    bell: Condvar,
    synced: AtomicU64,
    /// Held over a sync, so that no one is told "synced" while another thread still syncs an older segment.
    turn: Mutex<()>,
}

#[derive(Default)]
struct Waiting {
    waiters: Vec<Waiter>,
    stop: bool,
}

impl SyncQueue {
    /// Ends the thread after a last round.
    pub(crate) fn stop(&self) {
        self.waiting.lock().stop = true;
        self.bell.notify_all();
    }
}

impl Shared {
    /// See [`kilo_ports::store::Store::sync`].
    pub(crate) fn sync(&self, pos: Pos) -> BoxFuture<'static, Result<(), StoreError>> {
        if self.syncs.synced.load(Ordering::Acquire) >= pos {
            return std::future::ready(Ok(())).boxed();
        }
        let (told, answer) = oneshot::channel();
        let mut waiting = self.syncs.waiting.lock();
        if waiting.stop {
            return std::future::ready(Err(StoreError::Closed)).boxed();
        }
        if waiting.waiters.len() >= WAITERS_MAX {
            let source = io::Error::new(io::ErrorKind::WouldBlock, "too many wait for a sync");
            return std::future::ready(Err(StoreError::Failed { source })).boxed();
        }
        waiting.waiters.push((pos, told));
        drop(waiting);
        self.syncs.bell.notify_one();
        answer
            .map(|told| told.unwrap_or(Err(StoreError::Closed)))
            .boxed()
    }

    /// The syncer thread.
    pub(crate) fn run_syncer(&self) {
        let mut took = Duration::ZERO;
        loop {
            let (waiters, stop) = self.next_waiters(took);
            if !waiters.is_empty() {
                let begun = Instant::now();
                let outcome = self.sync_now();
                took = begun.elapsed();
                answer(waiters, &outcome);
                // After the answer, for nobody has to wait for it: what was promised is now expected at the next start.
                if let Ok(end) = outcome {
                    self.note_end(end);
                }
            }
            if stop {
                return;
            }
        }
    }

    fn next_waiters(&self, last_sync_took: Duration) -> (Vec<Waiter>, bool) {
        let mut waiting = self.syncs.waiting.lock();
        while waiting.waiters.is_empty() && !waiting.stop {
            self.syncs.bell.wait_for(&mut waiting, IDLE);
        }
        if waiting.waiters.len() >= MANY_WAITERS && !waiting.stop {
            let until = Instant::now() + WINDOW_MAX.min(last_sync_took);
            while !self.syncs.bell.wait_until(&mut waiting, until).timed_out() && !waiting.stop {}
        }
        (std::mem::take(&mut waiting.waiters), waiting.stop)
    }

    /// Makes everything that is written durable and returns how far that is.
    pub(crate) fn sync_now(&self) -> Result<End, StoreError> {
        let _turn = self.syncs.turn.lock();
        let (segments, names, end) = {
            let mut state = self.state.lock();
            if state.closed {
                return Err(StoreError::Closed);
            }
            let mut segments: Vec<_> = std::mem::take(&mut state.unsynced)
                .into_iter()
                .map(|segment| (segment, HEADER_BYTES))
                .collect();
            let active = state.active.and_then(|number| state.slots.get(&number));
            segments.extend(active.map(|slot| (slot.segment.clone(), slot.info.len)));
            (
                segments,
                std::mem::take(&mut state.unsynced_names),
                state.end(),
            )
        };
        for (segment, len) in &segments {
            // A sync of a file that is no longer there succeeds, and keeps nothing.
            if let Err(what) = segment.check_in_place(Length::AtLeast(*len)) {
                self.state.lock().closed = true;
                let file = segment.path.clone();
                self.note_change(&file, what);
                return Err(StoreError::Changed { file, what });
            }
        }
        let synced = segments
            .iter()
            .try_for_each(|(segment, _)| segment.file()?.sync_data());
        let synced = synced.and_then(|()| {
            if names {
                crate::files::sync_folder(&self.folders.log)
            } else {
                Ok(())
            }
        });
        if let Err(source) = synced {
            self.state.lock().closed = true;
            tracing::error!(error = %source, "log could not be synced; it is closed");
            return Err(StoreError::Failed { source });
        }
        self.syncs.synced.fetch_max(end.newest, Ordering::AcqRel);
        Ok(end)
    }
}

fn answer(waiters: Vec<Waiter>, outcome: &Result<End, StoreError>) {
    for (_, told) in waiters {
        let _ = told.send(match outcome {
            Ok(_) => Ok(()),
            Err(StoreError::Failed { source }) => Err(StoreError::Failed {
                source: io::Error::new(source.kind(), source.to_string()),
            }),
            Err(StoreError::Changed { file, what }) => Err(StoreError::Changed {
                file: file.clone(),
                what,
            }),
            Err(_) => Err(StoreError::Closed),
        });
    }
}

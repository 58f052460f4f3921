//! The syncer: one thread that makes the log durable for all who wait (group commit).
//!
//! The sync runs outside the append lock. A failed sync is fatal: what the system holds of the file is unknown from then
//! on, so the log closes and the daemon must start anew.

use crate::segment::{HEADER_BYTES, Length};
use crate::shared::Shared;
use crate::state::End;
use crate::sync_queue::Waiter;
use kilo_ports::store::StoreError;
use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

impl Shared {
    /// The syncer thread.
    pub(crate) fn run_syncer(&self) {
        let mut took = Duration::ZERO;
        loop {
            let (waiters, stop) = self.syncs.next_waiters(took);
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
            .try_for_each(|(segment, _)| self.options.disk.sync(segment.file()?));
        let synced = synced.and_then(|()| {
            if names {
                self.options.disk.sync(&File::open(&self.folders.log)?)
            } else {
                Ok(())
            }
        });
        if let Err(source) = synced {
            self.state.lock().closed = true;
            tracing::error!(error = %source, "log could not be synced; it is closed");
            return Err(StoreError::Failed { source });
        }
        self.syncs.set_synced(end.newest);
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

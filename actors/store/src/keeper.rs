//! The keeper: one thread that brings the index up to the log and rewrites segments that are mostly dead. It sleeps while
//! nothing changes.

use crate::shared::Shared;
use std::time::{Duration, Instant};

/// The first look at the newest segment's checksums comes this long after a start.
const FIRST_LOOK: Duration = Duration::from_secs(5);

impl Shared {
    /// The keeper thread.
    pub(crate) fn run_keeper(&self) {
        let mut look = self
            .options
            .verify_newest
            .then(|| Instant::now() + FIRST_LOOK);
        while !self.keeper.wait(look) {
            if let Err(error) = self.checkpoint() {
                tracing::warn!(%error, "index was not brought up to the log");
            }
            if let Err(error) = self.rewrite_segments() {
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
}

//! Knowing when a message holds an arbiter, and how long everything else on that thread had to wait.
//!
//! One thread carries many sessions: whoever computes or reads the disk for long in a handler delays all of them.

use std::cell::Cell;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Longer than this no message may hold an arbiter.
const HELD_MAX: Duration = Duration::from_millis(20);
/// Pause between two heartbeats of an arbiter.
const BEAT: Duration = Duration::from_secs(1);

thread_local! {
    /// The message that last held this thread for long.
    static CULPRIT: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// A handler at work, until it is dropped.
#[must_use]
pub struct Handling {
    message: &'static str,
    begun: Instant,
}

impl Handling {
    /// A handler begins to work on a message of this name.
    pub fn of(message: &'static str) -> Self {
        Self {
            message,
            begun: Instant::now(),
        }
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        let held = self.begun.elapsed();
        if held > HELD_MAX {
            CULPRIT.set(Some(self.message));
            let held_ms = held.as_millis() as u64;
            tracing::warn!(
                message_name = self.message,
                held_ms,
                "a message held its arbiter"
            );
        }
    }
}

/// Beats for as long as the arbiter lives, and reports beats that came late, with the message that is to blame.
pub(crate) async fn beat(arbiter: usize) {
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let due = ticks.tick().await;
        report(arbiter, due.elapsed());
    }
}

/// Reports a beat that came so late, and says whether it was too late.
fn report(arbiter: usize, late: Duration) -> bool {
    let message_name = CULPRIT.take();
    let is_late = late > HELD_MAX;
    let delay_ms = late.as_millis() as u64;
    if is_late {
        tracing::warn!(arbiter, delay_ms, message_name, "an arbiter was late");
    } else {
        tracing::trace!(arbiter, delay_ms, "beat");
    }
    is_late
}

#[cfg(test)]
mod tests {
    use super::{CULPRIT, HELD_MAX, Handling, report};

    #[test]
    fn who_holds_the_arbiter_is_remembered_until_the_next_beat() {
        let mut quick = Handling::of("View");
        quick.begun += HELD_MAX;
        drop(quick);
        assert_eq!(CULPRIT.get(), None);
        let mut slow = Handling::of("Take");
        slow.begun -= HELD_MAX * 2;
        drop(slow);
        assert_eq!(CULPRIT.get(), Some("Take"));
        assert!(report(0, HELD_MAX * 2));
        assert_eq!(CULPRIT.get(), None);
        assert!(!report(0, HELD_MAX));
    }
}

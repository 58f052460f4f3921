//! Knowing what holds a thread that many share, and how long everything else on it had to wait.
//!
//! One serving thread answers many clients, one arbiter carries many sessions: whoever computes or reads the disk for long
//! between two waits delays all of them. This crate must never know what a thread does. Start at [`Handling`] (who is at
//! work) and [`beat`] (how late everybody else is).

use std::cell::Cell;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Longer than this nothing may hold a shared thread: a person notices a token that comes later, and so does a client
/// with a thousand of them.
const HELD_MAX: Duration = Duration::from_millis(20);
/// Pause between two heartbeats of a thread.
const BEAT: Duration = Duration::from_secs(1);

thread_local! {
    /// What last held this thread for long. Threads run one thing at a time, so a cell of its own is enough for each.
    static CULPRIT: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// A piece of work on a shared thread, from its making to its drop: one message, one poll of a handler.
#[must_use]
pub struct Handling {
    name: &'static str,
    begun: Instant,
}

impl Handling {
    /// Work begins on a message or operation of this name.
    pub fn of(name: &'static str) -> Self {
        Self {
            name,
            begun: Instant::now(),
        }
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        let held = self.begun.elapsed();
        if held > HELD_MAX {
            CULPRIT.set(Some(self.name));
            let held_ms = held.as_millis() as u64;
            tracing::warn!(handler = self.name, held_ms, "a handler held its thread");
        }
    }
}

/// Beats for as long as the thread lives, and reports beats that came late, with what is to blame. `kind` and `number` say
/// which thread it is: `arbiter` 0, `worker` 1.
pub async fn beat(kind: &'static str, number: usize) {
    let mut ticks = interval(BEAT);
    // A beat that was missed is not made up for: the ones after it would only report the same delay again.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let due = ticks.tick().await;
        report(kind, number, due.elapsed());
    }
}

/// Reports a beat that came so late, and says whether it was too late.
fn report(kind: &'static str, number: usize, late: Duration) -> bool {
    let handler = CULPRIT.take();
    let is_late = late > HELD_MAX;
    let delay_ms = late.as_millis() as u64;
    if is_late {
        tracing::warn!(kind, number, delay_ms, handler, "a thread was late");
    } else {
        tracing::trace!(kind, number, delay_ms, "beat");
    }
    is_late
}

#[cfg(test)]
mod tests {
    use super::{CULPRIT, HELD_MAX, Handling, report};

    #[test]
    fn who_holds_a_thread_is_remembered_until_the_next_beat() {
        let mut quick = Handling::of("View");
        quick.begun += HELD_MAX;
        drop(quick);
        assert_eq!(CULPRIT.get(), None);
        let mut slow = Handling::of("Take");
        slow.begun -= HELD_MAX * 2;
        drop(slow);
        assert_eq!(CULPRIT.get(), Some("Take"));
        assert!(report("arbiter", 0, HELD_MAX * 2));
        assert_eq!(CULPRIT.get(), None);
        assert!(!report("arbiter", 0, HELD_MAX));
    }
}

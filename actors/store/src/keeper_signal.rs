//! What wakes the keeper: work that is due soon or now, and the end.

use parking_lot::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// A checkpoint comes this long after the first change …
const CHECKPOINT_AFTER: Duration = Duration::from_secs(1);
/// … or after this many bytes.
pub(crate) const CHECKPOINT_BYTES: u64 = 2 << 20;
const IDLE: Duration = Duration::from_secs(60);

/// What the keeper waits for.
#[derive(Default)]
pub(crate) struct KeeperSignal {
    due: Mutex<Due>,
    changed: Condvar,
}

#[derive(Default)]
struct Due {
    work: bool,
    hurry: bool,
    stop: bool,
}

impl KeeperSignal {
    /// There is something to do soon.
    pub(crate) fn soon(&self) {
        self.due.lock().work = true;
        self.changed.notify_all();
    }

    /// There is much to do now.
    pub(crate) fn now(&self) {
        let mut due = self.due.lock();
        (due.work, due.hurry) = (true, true);
        self.changed.notify_all();
    }

    /// The thread is to end.
    pub(crate) fn stop(&self) {
        self.due.lock().stop = true;
        self.changed.notify_all();
    }

    /// Whether the thread is to end.
    pub(crate) fn is_stopped(&self) -> bool {
        self.due.lock().stop
    }

    /// Waits for work; true when the thread is to end. `until` is the time of a look that is due anyway.
    pub(crate) fn wait(&self, until: Option<Instant>) -> bool {
        let mut due = self.due.lock();
        while !due.work && !due.stop {
            let limit = until.unwrap_or_else(|| Instant::now() + IDLE);
            if self.changed.wait_until(&mut due, limit).timed_out() && until.is_some() {
                return due.stop;
            }
        }
        let soon = Instant::now() + CHECKPOINT_AFTER;
        while !due.hurry && !due.stop && !self.changed.wait_until(&mut due, soon).timed_out() {}
        (due.work, due.hurry) = (false, false);
        due.stop
    }
}

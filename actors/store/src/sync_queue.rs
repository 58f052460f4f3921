//! Those who wait for a sync. Whoever comes while one runs shares the next.

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

/// One who waits, and for which position.
pub(crate) type Waiter = (Pos, oneshot::Sender<Result<(), StoreError>>);

/// Those who wait for a sync.
#[derive(Default)]
pub(crate) struct SyncQueue {
    waiting: Mutex<Waiting>,
    more: Condvar,
    synced: AtomicU64,
    /// Held over a sync, so that no one is told "synced" while another thread still syncs an older segment.
    pub(crate) turn: Mutex<()>,
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
        self.more.notify_all();
    }

    /// Adds one who waits for `pos`.
    pub(crate) fn wait(&self, pos: Pos) -> BoxFuture<'static, Result<(), StoreError>> {
        if self.synced.load(Ordering::Acquire) >= pos {
            return std::future::ready(Ok(())).boxed();
        }
        let (told, answer) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        if waiting.stop {
            return std::future::ready(Err(StoreError::Closed)).boxed();
        }
        if waiting.waiters.len() >= WAITERS_MAX {
            let source = io::Error::new(io::ErrorKind::WouldBlock, "too many wait for a sync");
            return std::future::ready(Err(StoreError::Failed { source })).boxed();
        }
        waiting.waiters.push((pos, told));
        drop(waiting);
        self.more.notify_one();
        answer
            .map(|told| told.unwrap_or(Err(StoreError::Closed)))
            .boxed()
    }

    /// Waits for those who wait; the second is true when the thread is to end after them. Where many have come, more are
    /// on their way: they get a moment, at most as long as the last sync took.
    pub(crate) fn next_waiters(&self, last_sync_took: Duration) -> (Vec<Waiter>, bool) {
        let mut waiting = self.waiting.lock();
        while waiting.waiters.is_empty() && !waiting.stop {
            self.more.wait_for(&mut waiting, IDLE);
        }
        if waiting.waiters.len() >= MANY_WAITERS && !waiting.stop {
            let until = Instant::now() + WINDOW_MAX.min(last_sync_took);
            while !self.more.wait_until(&mut waiting, until).timed_out() && !waiting.stop {}
        }
        (std::mem::take(&mut waiting.waiters), waiting.stop)
    }

    /// Everything up to `pos` is on the disk.
    pub(crate) fn set_synced(&self, pos: Pos) {
        self.synced.fetch_max(pos, Ordering::AcqRel);
    }
}

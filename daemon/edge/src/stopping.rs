//! Knowing that the server is to stop, and when nothing is going on any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Notify, watch};

/// Shared by all that has to end when the server stops.
#[derive(Clone)]
pub(crate) struct Stopping {
    told: watch::Receiver<bool>,
    running: Arc<Running>,
}

/// The requests, streams and sockets that are open.
#[derive(Default)]
struct Running {
    count: AtomicUsize,
    changed: Notify,
}

/// Counts as running until it is dropped.
pub(crate) struct Guard(Arc<Running>);

/// Makes the switch and what is told by it.
pub(crate) fn stopping() -> (watch::Sender<bool>, Stopping) {
    let (switch, told) = watch::channel(false);
    (
        switch,
        Stopping {
            told,
            running: Arc::default(),
        },
    )
}

impl Stopping {
    /// Waits until the server is to stop.
    pub fn requested(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut told = self.told.clone();
        async move {
            // an error means that the server is gone, which is a reason to stop too
            let _ = told.wait_for(|stop| *stop).await;
        }
    }

    /// Counts something in.
    pub fn enter(&self) -> Guard {
        self.running.count.fetch_add(1, Ordering::SeqCst);
        Guard(self.running.clone())
    }

    /// Waits until nothing is running.
    pub async fn idle(&self) {
        loop {
            let changed = self.running.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.running.count.load(Ordering::SeqCst) == 0 {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.changed.notify_waiters();
        }
    }
}

//! The life of one actor and of everything that runs for it: one token that ends it, one count of what still runs.
//!
//! A task that outlives its actor would work beside the successor that is built from the log. So all of an actor's tasks
//! are started here, all of them hear of its end, and [`Lifetime::ended`] waits until the last one is gone.

use crate::limits::STOP_GRACE;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// One actor's life. Clones are the same life.
#[derive(Clone, Debug)]
pub struct Lifetime {
    generation: u64,
    stop: CancellationToken,
    running: TaskTracker,
}

impl Lifetime {
    /// The `generation`-th life that the registry gave out.
    pub fn new(generation: u64) -> Self {
        let running = TaskTracker::new();
        // Closed from the start: `wait` then ends whenever nothing runs, which is asked only after the end.
        running.close();
        Self {
            generation,
            stop: CancellationToken::new(),
            running,
        }
    }

    /// Its number: no two actors of a process have the same.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Fires at the end; a token of one's own, so that cancelling it ends nothing else.
    pub fn token(&self) -> CancellationToken {
        self.stop.child_token()
    }

    /// Counts as running until it is dropped.
    pub fn hold(&self) -> TaskTrackerToken {
        self.running.token()
    }

    /// Starts a task that belongs to this life. One that does not end within [`STOP_GRACE`] after it is dropped.
    pub fn spawn(&self, handle: &Handle, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        handle.spawn(self.running.track_future(async move {
            tokio::select! {
                () = task => {}
                () = overdue(stop) => {}
            }
        }));
    }

    /// Ends it: the actor, its tasks and their children hear of it.
    pub fn end(&self) {
        self.stop.cancel();
    }

    /// Whether it was told to end.
    pub fn is_ending(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits until nothing of it runs any more.
    pub async fn ended(&self) {
        self.stop.cancelled().await;
        self.running.wait().await;
    }
}

async fn overdue(stop: CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(STOP_GRACE).await;
}

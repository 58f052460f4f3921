//! Knowing when something holds a serving thread: handlers that take long between two waits, and the delay of everything
//! else that this makes.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Longer than this nothing may hold a serving thread.
const HELD_MAX: Duration = Duration::from_millis(20);
/// Pause between two heartbeats of a thread.
const BEAT: Duration = Duration::from_secs(1);

thread_local! {
    /// The operation that last held this thread for long.
    static CULPRIT: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// A handler's future that looks at the clock around each of its steps.
pub(crate) struct Watched<F> {
    operation: &'static str,
    inner: Pin<Box<F>>,
}

impl<F> Watched<F> {
    pub fn new(operation: &'static str, inner: F) -> Self {
        Self {
            operation,
            inner: Box::pin(inner),
        }
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let begun = Instant::now();
        let answer = self.inner.as_mut().poll(cx);
        let held = begun.elapsed();
        if held > HELD_MAX {
            CULPRIT.set(Some(self.operation));
            let held_ms = held.as_millis() as u64;
            tracing::warn!(
                operation = self.operation,
                held_ms,
                "a handler held its thread"
            );
        }
        answer
    }
}

/// Beats for as long as the thread serves, and reports beats that came late, with the operation that is to blame.
pub(crate) async fn beat(worker: usize) {
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let due = ticks.tick().await;
        let late = due.elapsed();
        let operation = CULPRIT.take();
        if late > HELD_MAX {
            let delay_ms = late.as_millis() as u64;
            tracing::warn!(worker, delay_ms, operation, "a serving thread was late");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CULPRIT, HELD_MAX, Watched};

    #[tokio::test]
    async fn who_holds_the_thread_is_remembered() {
        Watched::new("session.get", async {}).await;
        assert_eq!(CULPRIT.take(), None);
        Watched::new("session.list", async {
            std::thread::park_timeout(HELD_MAX * 3)
        })
        .await;
        assert_eq!(CULPRIT.take(), Some("session.list"));
    }
}

//! Waiting, never for ever.

use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// The longest that a test waits for anything: generous, since other work may share the machine.
pub const LONG: Duration = Duration::from_secs(60);

/// Waits for `what`; fails the test after [`LONG`].
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match timeout(LONG, work).await {
        Ok(value) => value,
        Err(_) => panic!("waited {LONG:?} for {what}"),
    }
}

/// Asks `look` until it answers; for facts that raise no event. Fails the test after [`LONG`].
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    look: impl FnMut() -> F,
) -> T {
    eventually_within(LONG, what, look).await
}

/// The same with another bound.
pub async fn eventually_within<T, F: Future<Output = Option<T>>>(
    bound: Duration,
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + bound;
    loop {
        if let Some(value) = look().await {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {bound:?} for {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

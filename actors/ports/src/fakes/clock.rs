use crate::clock::Clock;
use kilo_protocol::Millis;
use std::sync::atomic::{AtomicU64, Ordering};

/// A clock that stands still until a test moves it.
#[derive(Debug, Default)]
pub struct FakeClock(AtomicU64);

impl FakeClock {
    /// A clock that shows `at`.
    pub fn at(at: Millis) -> Self {
        Self(AtomicU64::new(at))
    }

    /// Moves it on.
    pub fn advance(&self, ms: Millis) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Millis {
        self.0.load(Ordering::Relaxed)
    }
}

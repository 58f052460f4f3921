//! One clock for the model, the clients and the rows.

use std::sync::LazyLock;
use std::time::Instant;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds since the first call.
pub fn now_ns() -> u64 {
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Milliseconds from `from_ns` until now.
pub fn since_ms(from_ns: u64) -> f64 {
    (now_ns() - from_ns) as f64 / 1e6
}

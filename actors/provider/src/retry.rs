//! When a failed call is tried again: a pure function of the attempt, the provider's wish and a chance.

/// How often a call is tried again before the turn ends with its error.
pub const RETRIES_MAX: u32 = 5;

/// The wait before the first retry, in milliseconds; each further one is twice as long.
pub const DELAY_FIRST_MS: u64 = 2_000;

/// The longest wait that we choose ourselves, in milliseconds.
pub const DELAY_MAX_MS: u64 = 30_000;

/// The longest wait that a provider may ask for, in milliseconds (what a signed 32-bit timer holds).
pub const ASKED_MAX_MS: u64 = i32::MAX as u64;

/// Milliseconds to wait before retry `attempt` (from 1).
///
/// A provider's own wish wins and is not shortened. Otherwise the wait doubles from 2 s, grows by up to a quarter with
/// `chance` (0 to 1) so that sessions do not come back all at once, and stays below 30 s.
pub fn delay_ms(attempt: u32, retry_after_ms: Option<u64>, chance: f64) -> u64 {
    if let Some(asked) = retry_after_ms {
        return asked.min(ASKED_MAX_MS);
    }
    let doublings = attempt.saturating_sub(1).min(16);
    let base = DELAY_FIRST_MS << doublings;
    let jitter = (base as f64 * 0.25 * chance.clamp(0.0, 1.0)) as u64;
    (base + jitter).min(DELAY_MAX_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_with_jitter_up_to_thirty_seconds() {
        let waits: Vec<u64> = (0..=6)
            .map(|attempt| delay_ms(attempt, None, 0.0))
            .collect();
        assert_eq!(waits, [2_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        assert_eq!(delay_ms(1, None, 1.0), 2_500);
        assert_eq!(delay_ms(3, None, 0.5), 9_000);
        assert_eq!(delay_ms(u32::MAX, None, f64::NAN), 30_000);
    }

    #[test]
    fn the_providers_wish_wins() {
        assert_eq!(delay_ms(1, Some(0), 1.0), 0);
        assert_eq!(delay_ms(5, Some(90_000), 1.0), 90_000);
        assert_eq!(delay_ms(1, Some(u64::MAX), 0.0), 2_147_483_647);
    }
}

//! How much of a running command's output is shown, and when.
//!
//! The log keeps of each look only what is new in it, but every client gets all of it. So a command may not show its last
//! 30,000 bytes ten times a second because a few bytes were added: what is shown, all in all, is bounded by what the
//! command wrote.

use std::time::Duration;
use tokio::time::Instant;

/// Time between two looks at least.
const PAUSE: Duration = Duration::from_millis(100);
/// Bytes that are shown at a time, at most.
const LOOK_BYTES_MAX: usize = 30_000;
/// Bytes that any command may show.
const FIRST_BYTES: u64 = 8 * 1024;
/// Bytes that may be shown for each byte of output.
const FACTOR: u64 = 2;
/// The least that is worth a look, and what each second with new output allows: slow output stays visible.
const LEAST_BYTES: u64 = 1024;

/// The account of one command.
pub struct Live {
    /// Bytes of output so far.
    written: u64,
    /// Bytes shown so far.
    spent: u64,
    /// Bytes that were allowed for seconds with output.
    seconds: u64,
    /// The end of the second that was last paid for.
    paid_until: Instant,
    /// There is output that was not shown.
    is_new: bool,
    next: Instant,
}

impl Live {
    pub fn new(now: Instant) -> Self {
        Self {
            written: 0,
            spent: 0,
            seconds: 0,
            paid_until: now,
            is_new: false,
            next: now,
        }
    }

    /// The command wrote so many bytes.
    pub fn add(&mut self, bytes: usize, now: Instant) {
        self.written += bytes as u64;
        self.is_new |= bytes > 0;
        if self.is_new && now >= self.paid_until {
            self.seconds += LEAST_BYTES;
            self.paid_until = now + Duration::from_secs(1);
        }
    }

    /// When to look next; never while there is nothing new.
    pub fn due(&self) -> Option<Instant> {
        let can_pay = self.allowed() >= LEAST_BYTES.min(self.written);
        let at = match can_pay {
            true => self.next,
            false => self.next.max(self.paid_until),
        };
        self.is_new.then_some(at)
    }

    /// How many bytes may be shown now; `None` if it is not the time.
    pub fn room(&mut self, now: Instant) -> Option<usize> {
        if self.due().is_none_or(|due| now < due) {
            return None;
        }
        self.add(0, now); // a second may have passed since the last output
        let allowed = usize::try_from(self.allowed()).unwrap_or(LOOK_BYTES_MAX);
        Some(allowed.min(LOOK_BYTES_MAX))
    }

    /// So many bytes were shown.
    pub fn shown(&mut self, bytes: usize, now: Instant) {
        self.spent += bytes as u64;
        self.is_new = false;
        self.next = now + PAUSE;
    }

    fn allowed(&self) -> u64 {
        (FIRST_BYTES + self.seconds + self.written * FACTOR).saturating_sub(self.spent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays `ticks` of 10 ms in which `bytes` each come; gives the bytes shown, and how often.
    fn play(live: &mut Live, now: &mut Instant, ticks: usize, bytes: usize) -> (u64, usize) {
        let (before, mut looks) = (live.spent, 0);
        for _ in 0..ticks {
            live.add(bytes, *now);
            if let Some(room) = live.room(*now) {
                let window = usize::try_from(live.written).unwrap_or(usize::MAX);
                live.shown(room.min(window), *now);
                looks += 1;
            }
            *now += Duration::from_millis(10);
        }
        (live.spent - before, looks)
    }

    #[test]
    fn short_output_is_shown_whole_and_at_once() {
        let mut now = Instant::now();
        let mut live = Live::new(now);
        assert_eq!(live.due(), None);
        live.add(5, now);
        assert!(live.room(now).is_some_and(|room| room >= 5));
        live.shown(5, now);
        assert_eq!(live.due(), None);
        live.add(5, now);
        assert_eq!(live.room(now), None, "not twice in a moment");
        now += PAUSE;
        assert!(live.room(now).is_some_and(|room| room >= 10));
    }

    #[test]
    fn fast_output_shows_all_that_fits_ten_times_a_second() {
        let mut now = Instant::now();
        let (shown, looks) = play(&mut Live::new(now), &mut now, 500, 10_000);
        assert_eq!((looks, shown), (50, 49 * 30_000 + 10_000));
    }

    #[test]
    fn a_drop_after_a_flood_does_not_show_the_flood_again_and_again() {
        let mut now = Instant::now();
        let mut live = Live::new(now);
        play(&mut live, &mut now, 100, 1_000);
        let (shown, looks) = play(&mut live, &mut now, 6_000, 1);
        // A minute of drops: 6,000 bytes of output.
        assert!((60..=600).contains(&looks), "{looks}");
        assert!(shown < 250_000, "{shown}");
        let (shown, looks) = play(&mut live, &mut now, 60_000, 1);
        assert!(looks >= 600, "at least once a second: {looks}");
        assert!(shown <= 60_000 * FACTOR + 601 * LEAST_BYTES, "{shown}");
    }
}

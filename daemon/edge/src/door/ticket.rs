//! One-time links and the cookies that follow from them; both kept in memory only, both bounded.

use crate::secret::Secret;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// How long a one-time token can be used.
const UNUSED: Duration = Duration::from_secs(60);
/// How long a cookie opens the door.
pub(super) const SESSION: Duration = Duration::from_secs(24 * 60 * 60);
/// How many unused tokens are kept; the oldest go first.
const TOKENS_MAX: usize = 16;
/// How many cookies are kept; the oldest go first.
const COOKIES_MAX: usize = 64;

/// The open tokens and the cookies of one server.
#[derive(Default)]
pub(super) struct Tickets(Mutex<Tables>);

#[derive(Default)]
struct Tables {
    tokens: VecDeque<(Secret, Instant)>,
    cookies: VecDeque<(Secret, Instant)>,
}

impl Tickets {
    /// Makes a one-time token.
    pub fn issue(&self, now: Instant) -> String {
        let token = Secret::random();
        let text = token.reveal().to_owned();
        keep(&mut self.0.lock().tokens, token, now + UNUSED, TOKENS_MAX);
        text
    }

    /// Takes a one-time token and gives the value of a cookie for it.
    pub fn redeem(&self, token: &str, now: Instant) -> Option<String> {
        let mut tables = self.0.lock();
        let place = find(&tables.tokens, token, now)?;
        tables.tokens.remove(place);
        let cookie = Secret::random();
        let text = cookie.reveal().to_owned();
        keep(&mut tables.cookies, cookie, now + SESSION, COOKIES_MAX);
        Some(text)
    }

    /// Tells whether a cookie is one of ours and still good.
    pub fn remembers(&self, cookie: &str, now: Instant) -> bool {
        find(&self.0.lock().cookies, cookie, now).is_some()
    }
}

fn keep(table: &mut VecDeque<(Secret, Instant)>, secret: Secret, until: Instant, max: usize) {
    if table.len() >= max {
        table.pop_front();
    }
    table.push_back((secret, until));
}

fn find(table: &VecDeque<(Secret, Instant)>, offered: &str, now: Instant) -> Option<usize> {
    table
        .iter()
        .position(|(secret, until)| *until > now && secret.fits(offered))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_works_once_and_its_cookie_for_a_day() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let token = tickets.issue(now);
        let cookie = tickets.redeem(&token, now).unwrap();
        assert_eq!(tickets.redeem(&token, now), None);
        assert!(tickets.remembers(&cookie, now + SESSION - Duration::from_secs(1)));
        assert!(!tickets.remembers(&cookie, now + SESSION));
        assert!(!tickets.remembers(&token, now));
    }

    #[test]
    fn a_token_is_good_for_a_minute() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let token = tickets.issue(now);
        assert_eq!(tickets.redeem(&token, now + UNUSED), None);
    }

    #[test]
    fn the_tables_stay_small() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let first = tickets.issue(now);
        let tokens: Vec<_> = (0..TOKENS_MAX).map(|_| tickets.issue(now)).collect();
        assert_eq!(tickets.redeem(&first, now), None, "the oldest token went");
        assert!(tickets.redeem(&tokens[0], now).is_some());
    }
}

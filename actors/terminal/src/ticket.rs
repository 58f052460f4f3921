//! One-time tickets: a browser cannot send credentials with a WebSocket, so it fetches a ticket first.

use parking_lot::Mutex;
use rand::Rng;
use std::collections::VecDeque;
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio::time::Instant;

/// How long a ticket is good, in seconds.
pub const TICKET_SECONDS: u64 = 60;
/// Unused tickets that are kept; the oldest go first.
const TICKETS_MAX: usize = 256;

struct Ticket {
    text: String,
    terminal: String,
    until: Instant,
}

/// The tickets that were given and not used.
#[derive(Default)]
pub struct Tickets(Mutex<VecDeque<Ticket>>);

impl Tickets {
    /// Makes a ticket that opens one terminal once, within [`TICKET_SECONDS`]: a random UUID.
    pub fn issue(&self, terminal: &str, now: Instant) -> String {
        let text = uuid();
        let mut tickets = self.0.lock();
        if tickets.len() >= TICKETS_MAX {
            tickets.pop_front();
        }
        tickets.push_back(Ticket {
            text: text.clone(),
            terminal: terminal.to_owned(),
            until: now + Duration::from_secs(TICKET_SECONDS),
        });
        text
    }

    /// Whether the ticket opens the terminal; it stays good.
    pub fn fits(&self, terminal: &str, ticket: &str, now: Instant) -> bool {
        place(&self.0.lock(), terminal, ticket, now).is_some()
    }

    /// Uses the ticket up. False: it does not open the terminal.
    pub fn redeem(&self, terminal: &str, ticket: &str, now: Instant) -> bool {
        let mut tickets = self.0.lock();
        match place(&tickets, terminal, ticket, now) {
            Some(place) => tickets.remove(place).is_some(),
            None => false,
        }
    }
}

fn place(tickets: &VecDeque<Ticket>, terminal: &str, ticket: &str, now: Instant) -> Option<usize> {
    tickets.iter().position(|known| {
        let same: bool = known.text.as_bytes().ct_eq(ticket.as_bytes()).into();
        same && known.terminal == terminal && known.until > now
    })
}

fn uuid() -> String {
    let chance: u128 = rand::rng().random();
    let version = chance & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{version:032x}");
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_opens_its_terminal_once_and_within_a_minute() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let ticket = tickets.issue("pty_1", now);
        assert_eq!((ticket.len(), &ticket[14..15]), (36, "4"));
        assert!(!tickets.redeem("pty_2", &ticket, now));
        assert!(!tickets.redeem("pty_1", "", now));
        assert!(!tickets.fits("pty_1", &ticket, now + Duration::from_secs(60)));
        assert!(tickets.fits("pty_1", &ticket, now));
        assert!(tickets.redeem("pty_1", &ticket, now));
        assert!(!tickets.redeem("pty_1", &ticket, now));
    }

    #[test]
    fn few_tickets_are_kept() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let first = tickets.issue("pty_1", now);
        for _ in 0..TICKETS_MAX {
            tickets.issue("pty_1", now);
        }
        assert!(!tickets.fits("pty_1", &first, now));
    }
}

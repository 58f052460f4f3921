//! The newest output of a process, with positions.

use kilo_ports::background::LogPiece;
use std::collections::VecDeque;

/// Bytes that are kept.
pub const KEPT_BYTES_MAX: usize = 256 << 10;

/// The output. Positions count bytes since the first start; restarts go on.
#[derive(Debug, Default)]
pub struct Logs {
    bytes: VecDeque<u8>,
    head: u64,
}

impl Logs {
    /// The position behind the newest byte.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Adds output; the oldest goes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.head += bytes.len() as u64;
        let kept = &bytes[bytes.len().saturating_sub(KEPT_BYTES_MAX)..];
        let room = KEPT_BYTES_MAX - kept.len();
        let gone = self.bytes.len().saturating_sub(room);
        self.bytes.drain(..gone);
        self.bytes.extend(kept);
    }

    /// Goes on at a position, of which nothing before is known.
    pub fn goes_on_at(&mut self, position: u64) {
        if position != self.head {
            self.bytes.clear();
            self.head = position;
        }
    }

    /// Up to `bytes_max` bytes that came at or behind a position, as far as they are kept, and their own position.
    pub fn bytes_since(&mut self, from: u64, bytes_max: usize) -> (u64, Vec<u8>) {
        let start = self.head - self.bytes.len() as u64;
        let skip = from.saturating_sub(start).min(self.bytes.len() as u64) as usize;
        let bytes = &self.bytes.make_contiguous()[skip..];
        let bytes = &bytes[..bytes.len().min(bytes_max)];
        (start + skip as u64, bytes.to_vec())
    }

    /// What came at or behind a position, as far as it is kept.
    pub fn since(&mut self, from: u64) -> LogPiece {
        let start = self.head - self.bytes.len() as u64;
        let skip = from.saturating_sub(start).min(self.bytes.len() as u64) as usize;
        let bytes = &self.bytes.make_contiguous()[skip..];
        LogPiece {
            text: String::from_utf8_lossy(bytes).into_owned(),
            from: start + skip as u64,
            to: self.head,
        }
    }

    /// The last lines, of at most `bytes_max` bytes.
    pub fn tail(&mut self, lines: usize, bytes_max: usize) -> LogPiece {
        let all = self.bytes.make_contiguous();
        let newest = &all[all.len().saturating_sub(bytes_max)..];
        let body = newest.strip_suffix(b"\n").unwrap_or(newest);
        let breaks = body.iter().enumerate().rev();
        let start = breaks
            .filter(|(_, byte)| **byte == b'\n')
            .nth(lines.max(1) - 1)
            .map_or(0, |(at, _)| at + 1);
        let shown = newest.len() - start;
        self.since(self.head - shown as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_come_with_their_place() {
        let mut logs = Logs::default();
        assert_eq!(logs.tail(3, 1_000), LogPiece::default());
        logs.push(b"one\ntwo\nthree\n");
        let piece = |text: &str, from, to| LogPiece {
            text: text.into(),
            from,
            to,
        };
        assert_eq!(logs.tail(2, 1_000), piece("two\nthree\n", 4, 14));
        assert_eq!(logs.tail(9, 1_000), piece("one\ntwo\nthree\n", 0, 14));
        assert_eq!(logs.tail(9, 5), piece("hree\n", 9, 14));
        logs.push(b"fo");
        assert_eq!(logs.tail(1, 1_000), piece("fo", 14, 16));
        assert_eq!(logs.since(14), piece("fo", 14, 16));
        assert_eq!(logs.since(99), piece("", 16, 16));
    }

    #[test]
    fn only_the_newest_is_kept() {
        let mut logs = Logs::default();
        for round in 0..40_u8 {
            logs.push(&[b'a' + round % 26; 10_000]);
        }
        logs.push(&vec![b'\n'; KEPT_BYTES_MAX + 1]);
        let piece = logs.since(0);
        assert_eq!(piece.text.len(), KEPT_BYTES_MAX);
        assert_eq!(piece.to, 400_000 + KEPT_BYTES_MAX as u64 + 1);
    }
}

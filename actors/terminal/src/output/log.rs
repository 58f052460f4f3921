//! The newest text of a terminal as it came, with positions.
//!
//! A position counts UTF-16 units since the beginning, because clients count the text that they get in those.

use std::collections::VecDeque;

#[derive(Debug)]
struct Segment {
    /// The position of its beginning.
    at: u64,
    /// Its length in UTF-16 units.
    units: u64,
    text: String,
}

impl Segment {
    /// The byte at which the unit `offset` begins; inside a pair, the end of the pair.
    fn byte_of(&self, offset: u64) -> usize {
        if self.units == self.text.len() as u64 {
            return offset as usize;
        }
        let mut units = 0;
        for (byte, character) in self.text.char_indices() {
            if units >= offset {
                return byte;
            }
            units += character.len_utf16() as u64;
        }
        self.text.len()
    }
}

/// The text.
#[derive(Debug)]
pub struct Log {
    /// Bytes of a piece that is kept and let go as one.
    segment_bytes: usize,
    segments: VecDeque<Segment>,
    head: u64,
    bytes: usize,
}

/// The length of a text in UTF-16 units.
pub fn units(text: &str) -> u64 {
    if text.is_ascii() {
        return text.len() as u64;
    }
    text.chars()
        .map(|character| character.len_utf16() as u64)
        .sum()
}

impl Log {
    /// No text yet; what is let go goes in pieces of `segment_bytes`.
    pub fn new(segment_bytes: usize) -> Self {
        Self {
            segment_bytes,
            segments: VecDeque::new(),
            head: 0,
            bytes: 0,
        }
    }

    /// The position of the oldest text that is kept.
    pub fn start(&self) -> u64 {
        self.segments
            .front()
            .map_or(self.head, |segment| segment.at)
    }

    /// The position behind the newest text.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Bytes that are kept.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds text.
    pub fn push(&mut self, mut text: &str) {
        while !text.is_empty() {
            let full = |segment: &Segment| segment.text.len() >= self.segment_bytes;
            if self.segments.back().is_none_or(full) {
                self.segments.push_back(Segment {
                    at: self.head,
                    units: 0,
                    text: String::new(),
                });
            }
            let Some(last) = self.segments.back_mut() else {
                return;
            };
            let room = self.segment_bytes.saturating_sub(last.text.len()).max(4);
            let cut = text.floor_char_boundary(room);
            let (now, later) = text.split_at(cut);
            last.text.push_str(now);
            let added = units(now);
            last.units += added;
            self.head += added;
            self.bytes += now.len();
            text = later;
        }
    }

    /// Lets the oldest piece go, if all of it lies before `limit`. False: nothing went.
    pub fn drop_front(&mut self, limit: u64) -> bool {
        let whole = |segment: &mut Segment| segment.at + segment.units <= limit;
        let Some(gone) = self.segments.pop_front_if(whole) else {
            return false;
        };
        self.bytes -= gone.text.len();
        true
    }

    /// The position itself, or the end of the pair that it would cut.
    pub fn align(&self, from: u64) -> u64 {
        let inside = |segment: &&Segment| segment.at <= from && from < segment.at + segment.units;
        let Some(segment) = self.segments.iter().find(inside) else {
            return from;
        };
        let before = segment.text.get(..segment.byte_of(from - segment.at));
        segment.at + units(before.unwrap_or_default())
    }

    /// The text from a position on, which must be kept still; at most `bytes_max`, but not nothing.
    pub fn read(&self, from: u64, bytes_max: usize) -> String {
        let first = self
            .segments
            .partition_point(|segment| segment.at + segment.units <= from);
        let mut text = String::new();
        for segment in self.segments.iter().skip(first) {
            let skip = segment.byte_of(from.saturating_sub(segment.at));
            let rest = segment.text.get(skip..).unwrap_or_default();
            let room = bytes_max.saturating_sub(text.len());
            if rest.len() > room {
                if room >= 4 || text.is_empty() {
                    text.push_str(&rest[..rest.floor_char_boundary(room.max(4))]);
                }
                break;
            }
            text.push_str(rest);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT_BYTES: usize = 1_024;

    fn filled(text: &str, times: usize) -> Log {
        let mut log = Log::new(SEGMENT_BYTES);
        for _ in 0..times {
            log.push(text);
        }
        log
    }

    #[test]
    fn text_is_read_from_any_position() {
        let text = "aé😀-";
        let log = filled(text, 9_000);
        let whole = text.repeat(9_000);
        assert_eq!(log.head(), whole.encode_utf16().count() as u64);
        let (mut at, mut read) = (0, String::new());
        while at < log.head() {
            let piece = log.read(at, 1_000);
            assert!(!piece.is_empty() && piece.len() <= 1_000);
            at += units(&piece);
            read.push_str(&piece);
        }
        assert_eq!(read, whole);
        // In the middle of the pair: what follows it.
        assert_eq!(log.read(3, 7), "-aé");
        assert_eq!((log.align(3), log.align(4), log.align(5)), (4, 4, 5));
        assert_eq!(log.read(log.head(), 10), "");
    }

    #[test]
    fn only_what_lies_before_a_limit_is_let_go() {
        let mut log = filled("0123456789abcdef", 256);
        assert_eq!(log.start(), 0);
        assert!(!log.drop_front(SEGMENT_BYTES as u64 - 1));
        assert!(log.drop_front(SEGMENT_BYTES as u64));
        assert_eq!(log.start(), SEGMENT_BYTES as u64);
        assert_eq!(log.bytes(), 3 * SEGMENT_BYTES);
        assert_eq!(log.read(log.start() + 1, 4), "1234");
    }
}

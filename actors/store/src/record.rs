//! A record's bytes. The upgrade hook is [`parse`]: it takes the segment's format version.
//!
//! ```text
//! 0  magic 2 | kind 1 | key bytes 1 | record bytes 4     8  crc 4 (of everything else)
//! 12 back 4 | head bytes 4                               20 pos 8 | seq 8 | at 6 | body format 2
//! 44 key | head | body
//! ```
//!
//! The body's format is the writer's number, 0 in logs from before there was one: `at` had 8 bytes then, of which two
//! were 0.
//!
//! `back` is the distance to the session's record before this one in the same segment, 0 for the first one there. A
//! chain never leaves its segment, so that a segment can be rewritten alone.

use kilo_ports::store::{Pos, Seq};
use kilo_protocol::Millis;

/// The format that is written now.
pub(crate) const VERSION: u32 = 1;
/// Bytes before the key.
pub(crate) const HEAD_BYTES: usize = 44;
/// The largest record, all included.
pub(crate) const RECORD_BYTES_MAX: usize = 48 << 20;
/// Bits of a record's time: enough for 8,900 years.
const AT_BITS: u32 = 48;
const AT_MAX: Millis = (1 << AT_BITS) - 1;
const MAGIC: [u8; 2] = [0xC5, 0x1C];

/// What a record is to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A session's record.
    Plain = 0,
    /// The same, with the session's new head.
    Head = 1,
    /// The same, droppable once a view covers it.
    Transient = 2,
    /// A folded view; `seq` is the last record it covers. Takes no position of its own.
    View = 3,
    /// The session is deleted.
    Tombstone = 4,
    /// A small value: the key is the table, the head the key, the body the value.
    Put = 5,
    /// A small value is gone.
    Remove = 6,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Plain,
            1 => Self::Head,
            2 => Self::Transient,
            3 => Self::View,
            4 => Self::Tombstone,
            5 => Self::Put,
            6 => Self::Remove,
            _ => return None,
        })
    }

    /// Whether sessions see it as a record of theirs.
    pub(crate) fn is_entry(self) -> bool {
        matches!(self, Self::Plain | Self::Head | Self::Transient)
    }

    /// Whether it is about a small value and not about a session.
    pub(crate) fn is_small(self) -> bool {
        matches!(self, Self::Put | Self::Remove)
    }
}

/// One record, borrowed from a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) kind: Kind,
    pub(crate) back: u32,
    pub(crate) pos: Pos,
    pub(crate) seq: Seq,
    pub(crate) at: Millis,
    /// The body's format, for whoever reads it.
    pub(crate) format: u16,
    /// The session's id, or the table's name.
    pub(crate) key: &'a str,
    pub(crate) head: &'a [u8],
    pub(crate) body: &'a [u8],
}

impl Record<'_> {
    /// Bytes in the log.
    pub(crate) fn bytes(&self) -> usize {
        HEAD_BYTES + self.key.len() + self.head.len() + self.body.len()
    }

    /// The index key of a small value.
    pub(crate) fn small_key(&self) -> Vec<u8> {
        [b"t", self.key.as_bytes(), b"\0", self.head].concat()
    }

    /// Writes it to the end of `out`. The caller has checked the sizes (`key` up to 255 bytes, the whole up to
    /// [`RECORD_BYTES_MAX`]).
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&MAGIC);
        out.push(self.kind as u8);
        out.push(self.key.len() as u8);
        out.extend_from_slice(&(self.bytes() as u32).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.back.to_le_bytes());
        out.extend_from_slice(&(self.head.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.pos.to_le_bytes());
        out.extend_from_slice(&self.seq.to_le_bytes());
        let at = self.at.min(AT_MAX) | u64::from(self.format) << AT_BITS;
        out.extend_from_slice(&at.to_le_bytes());
        out.extend_from_slice(self.key.as_bytes());
        out.extend_from_slice(self.head);
        out.extend_from_slice(self.body);
        let crc = checksum(&out[start..]);
        out[start + 8..start + 12].copy_from_slice(&crc.to_le_bytes());
    }
}

/// What stands at a place of a segment.
pub(crate) enum Parse<'a> {
    /// A whole record with a good checksum, and its length.
    Whole(Record<'a>, usize),
    /// That many bytes from here are needed to say.
    Short(usize),
    /// No record.
    Bad,
}

/// Reads the record at the start of `bytes`; `left` is how many bytes the segment has from there.
pub(crate) fn parse(version: u32, bytes: &[u8], left: u64) -> Parse<'_> {
    match version {
        // A newer format gets its own reader here; all of them give today's `Record`.
        VERSION => parse_v1(bytes, left),
        _ => Parse::Bad,
    }
}

/// The first place from `from` on where a record may begin.
pub(crate) fn candidate(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(2)
        .position(|pair| pair == MAGIC)
        .map(|at| from + at)
}

fn parse_v1(bytes: &[u8], left: u64) -> Parse<'_> {
    if left < HEAD_BYTES as u64 {
        return Parse::Bad;
    }
    if bytes.len() < HEAD_BYTES {
        return Parse::Short(HEAD_BYTES);
    }
    let (Some(kind), true) = (Kind::of(bytes[2]), bytes[..2] == MAGIC) else {
        return Parse::Bad;
    };
    let (len, head_len) = (u32_at(bytes, 4) as usize, u32_at(bytes, 16) as usize);
    let key_len = usize::from(bytes[3]);
    let fits =
        len <= RECORD_BYTES_MAX && len as u64 <= left && HEAD_BYTES + key_len + head_len <= len;
    if !fits {
        return Parse::Bad;
    }
    if bytes.len() < len {
        return Parse::Short(len);
    }
    let bytes = &bytes[..len];
    if checksum(bytes) != u32_at(bytes, 8) {
        return Parse::Bad;
    }
    let (key, rest) = bytes[HEAD_BYTES..].split_at(key_len);
    let (head, body) = rest.split_at(head_len);
    let Ok(key) = std::str::from_utf8(key) else {
        return Parse::Bad;
    };
    let (pos, seq, at) = (u64_at(bytes, 20), u64_at(bytes, 28), u64_at(bytes, 36));
    let (at, format) = (at & AT_MAX, (at >> AT_BITS) as u16);
    Parse::Whole(
        Record {
            kind,
            back: u32_at(bytes, 12),
            pos,
            seq,
            at,
            format,
            key,
            head,
            body,
        },
        len,
    )
}

fn checksum(record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&record[..8]);
    hasher.update(&record[12..]);
    hasher.finalize()
}

/// The little-endian number at `at`; 0 beyond the end.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u32::from_le_bytes)
}

/// The little-endian number at `at`; 0 beyond the end.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..at + 8)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}

/// How many bytes [`parse`] will want, by the head in `bytes`; 0 when it cannot be a record.
pub(crate) fn wanted(version: u32, bytes: &[u8], left: u64) -> usize {
    let len = u32_at(bytes, 4) as usize;
    let likely = version == VERSION && bytes.starts_with(&MAGIC) && len <= RECORD_BYTES_MAX;
    if likely && len as u64 <= left { len } else { 0 }
}

/// Whether `head` begins a record at position `pos`; its checksum is not looked at.
pub(crate) fn has_pos(version: u32, head: &[u8], left: u64, pos: Pos) -> bool {
    wanted(version, head, left) > 0 && u64_at(head, 20) == pos
}

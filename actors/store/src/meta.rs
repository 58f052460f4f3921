//! What the index keeps, and how it is written: session entries, segment figures, small values, the mark.

use crate::record::{u32_at, u64_at};
use bytes::Bytes;
use kilo_ports::store::{Pos, Seq};

/// A record's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Spot {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
}

/// A session's records in one segment; each record points back to the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) segment: u32,
    /// Where its last record there begins.
    pub(crate) last: u32,
    pub(crate) bytes: u64,
    /// Of these, records that a view may make needless.
    pub(crate) transient: u64,
}

/// Where the view is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ViewSpot {
    pub(crate) seq: Seq,
    pub(crate) spot: Spot,
    pub(crate) bytes: u64,
}

/// A session's entry.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct SessionMeta {
    pub(crate) next_seq: Seq,
    pub(crate) deleted: bool,
    pub(crate) head: Option<Spot>,
    pub(crate) view: Option<ViewSpot>,
    /// In order of segment.
    pub(crate) chains: Vec<Chain>,
}

impl SessionMeta {
    /// Whether there is such a session, and it is not deleted.
    pub(crate) fn exists(&self) -> bool {
        !self.deleted && self.next_seq > 0
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(41 + self.chains.len() * 24);
        let flags = u8::from(self.deleted)
            | u8::from(self.head.is_some()) << 1
            | u8::from(self.view.is_some()) << 2;
        out.push(flags);
        out.extend_from_slice(&self.next_seq.to_le_bytes());
        if let Some(head) = self.head {
            put_spot(&mut out, head);
        }
        if let Some(view) = self.view {
            out.extend_from_slice(&view.seq.to_le_bytes());
            put_spot(&mut out, view.spot);
            out.extend_from_slice(&view.bytes.to_le_bytes());
        }
        for chain in &self.chains {
            put_spot(
                &mut out,
                Spot {
                    segment: chain.segment,
                    offset: chain.last,
                },
            );
            out.extend_from_slice(&chain.bytes.to_le_bytes());
            out.extend_from_slice(&chain.transient.to_le_bytes());
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let flags = bytes.first().copied().unwrap_or(0);
        let mut reader = Reader { bytes, at: 1 };
        let next_seq = reader.u64();
        let head = (flags & 2 != 0).then(|| reader.spot());
        let view = (flags & 4 != 0).then(|| ViewSpot {
            seq: reader.u64(),
            spot: reader.spot(),
            bytes: reader.u64(),
        });
        let mut chains = Vec::new();
        // To the end of the entry: their number is not stored.
        while reader.at + 24 <= bytes.len() {
            let spot = reader.spot();
            let (bytes, transient) = (reader.u64(), reader.u64());
            chains.push(Chain {
                segment: spot.segment,
                last: spot.offset,
                bytes,
                transient,
            });
        }
        Self {
            next_seq,
            deleted: flags & 1 != 0,
            head,
            view,
            chains,
        }
    }
}

/// A segment's entry.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct SegmentInfo {
    pub(crate) generation: u32,
    pub(crate) version: u32,
    /// Bytes up to the end of its last record.
    pub(crate) len: u64,
    /// Bytes of the file; more than `len` when a torn end was left where it is.
    pub(crate) file_bytes: u64,
    /// 0 when its header is damaged and nothing else says it.
    pub(crate) first_pos: Pos,
    pub(crate) last_pos: Pos,
    /// Bytes that a rewriting would save, about.
    pub(crate) dead: u64,
    /// Every 128 KiB: the position of a record and where it begins.
    pub(crate) points: Vec<(Pos, u32)>,
}

/// Bytes between two points of a segment.
pub(crate) const POINT_BYTES: u32 = 128 << 10;

impl SegmentInfo {
    /// Takes note of a record that ends at `end`.
    pub(crate) fn grow(&mut self, pos: Pos, offset: u32, end: u64) {
        self.len = self.len.max(end);
        self.file_bytes = self.file_bytes.max(end);
        self.last_pos = self.last_pos.max(pos);
        if self
            .points
            .last()
            // One in 128 KiB: a reader reads at most that much for nothing, and 64 MiB of log cost 6 KiB of points.
            .is_none_or(|(_, at)| offset >= at + POINT_BYTES)
        {
            self.points.push((pos, offset));
        }
    }

    /// Where to begin reading for the first record after `pos`.
    pub(crate) fn floor(&self, pos: Pos, header_bytes: u64) -> u64 {
        let after = self.points.partition_point(|(point, _)| *point <= pos);
        after
            .checked_sub(1)
            .and_then(|at| self.points.get(at))
            .map_or(header_bytes, |(_, offset)| u64::from(*offset))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(40 + self.points.len() * 12);
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.version.to_le_bytes());
        for value in [
            self.len,
            self.file_bytes,
            self.first_pos,
            self.last_pos,
            self.dead,
        ] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        for (pos, offset) in &self.points {
            out.extend_from_slice(&pos.to_le_bytes());
            out.extend_from_slice(&offset.to_le_bytes());
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let mut reader = Reader { bytes, at: 0 };
        let (generation, version) = (reader.u32(), reader.u32());
        let (len, file_bytes) = (reader.u64(), reader.u64());
        let (first_pos, last_pos, dead) = (reader.u64(), reader.u64(), reader.u64());
        let mut points = Vec::new();
        while reader.at + 12 <= bytes.len() {
            points.push((reader.u64(), reader.u32()));
        }
        Self {
            generation,
            version,
            len,
            file_bytes,
            first_pos,
            last_pos,
            dead,
            points,
        }
    }
}

/// A small value with its record's place, so that a later one can call it dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Small {
    pub(crate) pos: Pos,
    pub(crate) segment: u32,
    pub(crate) bytes: u32,
    pub(crate) value: Bytes,
}

impl Small {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + self.value.len());
        out.extend_from_slice(&self.pos.to_le_bytes());
        put_spot(
            &mut out,
            Spot {
                segment: self.segment,
                offset: self.bytes,
            },
        );
        out.extend_from_slice(&self.value);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let value = Bytes::copy_from_slice(bytes.get(16..).unwrap_or_default());
        Self {
            pos: u64_at(bytes, 0),
            segment: u32_at(bytes, 8),
            bytes: u32_at(bytes, 12),
            value,
        }
    }
}

/// How far the index has followed the log. Written in one batch with what it vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    /// The end of the last record that is in the index.
    pub(crate) segment: u32,
    pub(crate) offset: u64,
    pub(crate) newest: Pos,
    pub(crate) live_sessions: u64,
    /// Sum of the hashes of all other entries: sled opens without a word when it has lost some.
    pub(crate) sum: u64,
}

impl Mark {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(36);
        out.extend_from_slice(&self.segment.to_le_bytes());
        for value in [self.offset, self.newest, self.live_sessions, self.sum] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let mut reader = Reader { bytes, at: 0 };
        Self {
            segment: reader.u32(),
            offset: reader.u64(),
            newest: reader.u64(),
            live_sessions: reader.u64(),
            sum: reader.u64(),
        }
    }
}

fn put_spot(out: &mut Vec<u8>, spot: Spot) {
    out.extend_from_slice(&spot.segment.to_le_bytes());
    out.extend_from_slice(&spot.offset.to_le_bytes());
}

/// Reads numbers one after another; 0 beyond the end (the sum has vouched for the bytes).
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn u32(&mut self) -> u32 {
        self.at += 4;
        u32_at(self.bytes, self.at - 4)
    }

    fn u64(&mut self) -> u64 {
        self.at += 8;
        u64_at(self.bytes, self.at - 8)
    }

    fn spot(&mut self) -> Spot {
        Spot {
            segment: self.u32(),
            offset: self.u32(),
        }
    }
}

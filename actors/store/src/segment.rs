//! One file of the log: its name, its header, and reading through it.
//!
//! ```text
//! 0 magic 8 | version 4 | number 4 | generation 4 | 0 4 | first position 8 | sealed length 8 | 0 … | 60 crc 4
//! ```
//!
//! The sealed length is 0 while the segment takes appends. A closed segment says in it how long it is, so that a cut is
//! found even when nothing but the file is left.

use crate::record::{self, Kind, Parse, Record, VERSION, u32_at, u64_at};
use kilo_ports::store::Pos;
use rustix::fs::OFlags;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Bytes before the first record.
pub(crate) const HEADER_BYTES: u64 = 64;
const MAGIC: &[u8; 8] = b"KILOSEG\n";
const WINDOW_BYTES: usize = 256 << 10;
/// The highest number of a segment: 1 PiB of log.
const NUMBER_MAX: u32 = 1 << 24;

/// An open or closed segment. Its file stays readable through this value even after a rewriting took its place.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Its place in the log, from 1.
    pub(crate) number: u32,
    /// How often it was rewritten.
    pub(crate) generation: u32,
    /// The format of its records.
    pub(crate) version: u32,
    pub(crate) path: PathBuf,
    pub(crate) positions: Positions,
    file: OnceLock<Opened>,
}

/// The positions that a segment's records can have. What is whole and has another was brought there by somebody: bytes
/// of another segment behind this one's, or its own in another order. Such records are no part of the log here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Positions {
    from: Pos,
    below: Pos,
}

impl Positions {
    const ANY: Self = Self {
        from: 0,
        below: Pos::MAX,
    };

    /// From a segment's own first position to that of the next; 0 where it is not known.
    pub(crate) fn between(from: Pos, next: Pos) -> Self {
        let below = if next > from { next } else { Pos::MAX };
        Self { from, below }
    }

    /// Whether a record may stand behind one at position `last`. A view has the position of the record before it.
    fn allow(&self, record: &Record<'_>, last: Pos) -> bool {
        let pos = record.pos;
        let follows = if record.kind == Kind::View {
            pos + 1 >= self.from && pos >= last
        } else {
            pos >= self.from && pos > last
        };
        follows && pos < self.below
    }
}

/// An open file, and which one it is.
#[derive(Debug)]
struct Opened {
    file: File,
    device: u64,
    inode: u64,
}

impl Opened {
    fn of(file: File) -> io::Result<Self> {
        let found = file.metadata()?;
        Ok(Self {
            device: found.dev(),
            inode: found.ino(),
            file,
        })
    }
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) version: u32,
    pub(crate) number: u32,
    pub(crate) generation: u32,
    pub(crate) first_pos: Pos,
    /// The file's length when it was closed; 0 when that was not said.
    pub(crate) sealed: u64,
}

impl Header {
    fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES as usize);
        bytes.extend_from_slice(MAGIC);
        for value in [self.version, self.number, self.generation, 0] {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        bytes.extend_from_slice(&self.first_pos.to_le_bytes());
        bytes.extend_from_slice(&self.sealed.to_le_bytes());
        bytes.resize(60, 0);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }
}

/// How long a segment's file should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Length {
    /// Nobody but the caller appends now.
    Exactly(u64),
    /// Others may be appending.
    AtLeast(u64),
}

/// What [`Segment::scan`] comes across.
pub(crate) enum Found<'a> {
    Record(u64, Record<'a>),
    Bad(u64, u64),
}

/// The file's name.
pub(crate) fn file_name(number: u32, generation: u32) -> String {
    format!("{number:08}-{generation:04}.seg")
}

/// Number and generation by a file's name.
pub(crate) fn parse_name(name: &str) -> Option<(u32, u32)> {
    let (number, generation) = name.strip_suffix(".seg")?.split_once('-')?;
    let (number, generation) = (number.parse().ok()?, generation.parse().ok()?);
    // A wild number is a stray file: counting on from it would leave no numbers.
    (1..=NUMBER_MAX)
        .contains(&number)
        .then_some((number, generation))
}

impl Segment {
    /// Names a file that exists; it is opened at its first use.
    pub(crate) fn existing(log: &Path, number: u32, generation: u32, version: u32) -> Self {
        let path = log.join(file_name(number, generation));
        Self::at(path, number, generation, version)
    }

    /// The same for a file of any name.
    pub(crate) fn at(path: PathBuf, number: u32, generation: u32, version: u32) -> Self {
        Self {
            number,
            generation,
            version,
            path,
            positions: Positions::ANY,
            file: OnceLock::new(),
        }
    }

    /// Makes an empty segment at `path`, which may be a temporary name.
    pub(crate) fn create(
        path: PathBuf,
        number: u32,
        generation: u32,
        first_pos: Pos,
    ) -> io::Result<Self> {
        let header = Header {
            version: VERSION,
            number,
            generation,
            first_pos,
            sealed: 0,
        };
        // A name that is taken is somebody else's file: it is not written over.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        if let Err(error) = file.write_all_at(&header.encode(), 0) {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        Ok(Self {
            number,
            generation,
            version: VERSION,
            path,
            positions: Positions::between(first_pos, 0),
            file: Opened::of(file)?.into(),
        })
    }

    /// The same open file under its final name.
    pub(crate) fn renamed(self, path: PathBuf) -> Self {
        Self { path, ..self }
    }

    /// The open file. A link in its place is not followed: it could lead to anything.
    pub(crate) fn file(&self) -> io::Result<&File> {
        self.opened().map(|opened| &opened.file)
    }

    fn opened(&self) -> io::Result<&Opened> {
        if let Some(opened) = self.file.get() {
            return Ok(opened);
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NOFOLLOW.bits() as i32)
            .open(&self.path)?;
        let opened = Opened::of(file)?;
        Ok(self.file.get_or_init(|| opened))
    }

    /// Reads the header; `None` when it is not whole.
    pub(crate) fn header(&self) -> io::Result<Option<Header>> {
        let mut bytes = [0; HEADER_BYTES as usize];
        match self.file()?.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let whole = &bytes[..8] == MAGIC && crc32fast::hash(&bytes[..60]) == u32_at(&bytes, 60);
        Ok(whole.then(|| Header {
            version: u32_at(&bytes, 8),
            number: u32_at(&bytes, 12),
            generation: u32_at(&bytes, 16),
            first_pos: u64_at(&bytes, 24),
            sealed: u64_at(&bytes, 32),
        }))
    }

    /// Writes the length of a segment that takes no more appends into its header.
    pub(crate) fn seal(&self, len: u64) -> io::Result<()> {
        // A header that is not whole is damage already, and no place to write to.
        match self.header()? {
            Some(header) => {
                let sealed = Header {
                    sealed: len,
                    ..header
                };
                self.file()?.write_all_at(&sealed.encode(), 0)
            }
            None => Ok(()),
        }
    }

    /// Whether the file is still the one that this store wrote, at its place and with its length. Costs one `lstat`;
    /// without it a write to a file that was removed or cut would be acknowledged and lost.
    pub(crate) fn check_in_place(&self, len: Length) -> Result<(), &'static str> {
        let opened = self.opened().map_err(|_| "removed")?;
        let found = match fs::symlink_metadata(&self.path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err("put out of reach");
            }
            Err(_) => return Err("removed"),
        };
        if (found.dev(), found.ino()) != (opened.device, opened.inode) {
            return Err("replaced");
        }
        match len {
            Length::Exactly(len) if found.len() > len => Err("written by somebody else"),
            Length::Exactly(len) | Length::AtLeast(len) if found.len() < len => Err("cut"),
            _ => Ok(()),
        }
    }

    /// Reads up to `bytes` from `offset` into `out`, fewer at the end of the file.
    pub(crate) fn read_at(&self, out: &mut Vec<u8>, offset: u64, bytes: usize) -> io::Result<()> {
        out.resize(bytes, 0);
        let (file, mut filled) = (self.file()?, 0);
        while filled < bytes {
            match file.read_at(&mut out[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        out.truncate(filled);
        Ok(())
    }

    /// Walks from `from` to `to` and shows every whole record and every range between them that is none.
    pub(crate) fn scan(
        &self,
        from: u64,
        to: u64,
        visit: &mut dyn FnMut(Found<'_>) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let mut window = Window {
            segment: self,
            start: from,
            bytes: Vec::new(),
        };
        let (mut cursor, mut bad_from, mut last) = (from, None, 0);
        while cursor < to {
            let (pos, len) = match window.parse(cursor, to)? {
                Some((record, len)) if self.positions.allow(&record, last) => {
                    if let Some(start) = bad_from.take()
                        && visit(Found::Bad(start, cursor - start)).is_break()
                    {
                        return Ok(());
                    }
                    if visit(Found::Record(cursor, record)).is_break() {
                        return Ok(());
                    }
                    (Some(record.pos), len)
                }
                // Whole but out of place: it is passed over as one, or its body could be taken for records.
                Some((_, len)) => (None, len),
                None => (None, 0),
            };
            match pos {
                Some(pos) => last = pos,
                None => drop(bad_from.get_or_insert(cursor)),
            }
            cursor = match len {
                // Behind damage the next record is found by its magic; that a body holds those bytes too is caught by the checksum.
                0 => window.next_candidate(cursor + 1, to)?,
                len => cursor + len as u64,
            };
        }
        if let Some(start) = bad_from {
            let _ = visit(Found::Bad(start, to - start));
        }
        Ok(())
    }
}

/// A piece of a segment in memory.
struct Window<'s> {
    segment: &'s Segment,
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    fn parse(&mut self, cursor: u64, to: u64) -> io::Result<Option<(Record<'_>, usize)>> {
        self.fill(cursor, record::HEAD_BYTES, to)?;
        let head = &self.bytes[(cursor - self.start) as usize..];
        let wanted = record::wanted(self.segment.version, head, to - cursor);
        self.fill(cursor, wanted, to)?;
        let bytes = &self.bytes[(cursor - self.start) as usize..];
        match record::parse(self.segment.version, bytes, to - cursor) {
            Parse::Whole(record, len) => Ok(Some((record, len))),
            Parse::Short(_) | Parse::Bad => Ok(None),
        }
    }

    /// Has at least `need` bytes from `cursor` on in memory, if the file has them.
    fn fill(&mut self, cursor: u64, need: usize, to: u64) -> io::Result<()> {
        let end = self.start + self.bytes.len() as u64;
        let want = (cursor + need as u64).min(to);
        if cursor < self.start || want > end {
            // From the cursor on: a walk never goes back, so what is before it is read no more.
            let bytes = need.max(WINDOW_BYTES).min((to - cursor) as usize);
            self.segment.read_at(&mut self.bytes, cursor, bytes)?;
            self.start = cursor;
        }
        Ok(())
    }

    fn next_candidate(&mut self, mut cursor: u64, to: u64) -> io::Result<u64> {
        while cursor + 1 < to {
            self.fill(cursor, 2, to)?;
            if self.bytes.len() < 2 {
                break;
            }
            match record::candidate(&self.bytes, (cursor - self.start) as usize) {
                Some(at) => return Ok(self.start + at as u64),
                None => cursor = (self.start + self.bytes.len() as u64 - 1).max(cursor + 1),
            }
        }
        Ok(to)
    }
}

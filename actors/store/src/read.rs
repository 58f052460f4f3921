//! Reading sessions and the daemon's order. Reads take the lock for a copy of the places only.
//!
//! A session's records are found backwards: each points to the one before it in its segment. Where such a chain is
//! broken, the segment is walked from its start instead, and the damage reported.

use crate::folder::unreadable;
use crate::meta::{Chain, SessionMeta, Spot};
use crate::record::{self, Kind, Parse, Record};
use crate::segment::{Found, HEADER_BYTES, Segment};
use crate::shared::Shared;
use bytes::Bytes;
use kilo_ports::store::{AFTER_BYTES, Pos, SavedView, Seq, SessionLog, StoreError, Stored};
use kilo_protocol::SessionId;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

/// The smallest and the largest piece that is read at once while going backwards.
const WINDOW_BYTES_MIN: usize = 4 << 10;
const WINDOW_BYTES_MAX: usize = 256 << 10;
/// A reader that finds its segment rewritten begins again, at most so often.
const TRIES: usize = 3;
/// Records read between two looks at the segments in [`Shared::after`].
const SLICE_BYTES: u64 = 4 << 20;

/// A session's places, and the segments they are in (with the bytes of their files).
struct Places {
    meta: SessionMeta,
    segments: BTreeMap<u32, (Arc<Segment>, u64)>,
}

/// A walk backwards came to something that is not the session's record.
struct BrokenChain;

/// Reads again when a segment was rewritten under way, or the index made anew.
fn again<T>(read: impl Fn() -> Result<T, StoreError>) -> Result<T, StoreError> {
    for _ in 1..TRIES {
        match read() {
            Err(StoreError::Unreadable { .. }) => {}
            done => return done,
        }
    }
    read()
}

/// Makes the reader begin again, with an index that was made anew.
fn moved(segment: &Segment) -> StoreError {
    unreadable(&segment.path, io::Error::other("the index was wrong"))
}

impl Shared {
    fn places(&self, id: &SessionId) -> Result<Places, StoreError> {
        self.with(|state| {
            let meta = state.existing(id)?.clone();
            let spots = meta
                .view
                .iter()
                .map(|view| view.spot.segment)
                .chain(meta.head.iter().map(|head| head.segment));
            let mut segments = BTreeMap::new();
            for number in meta.chains.iter().map(|chain| chain.segment).chain(spots) {
                if let Some(slot) = state.slots.get(&number) {
                    segments.insert(number, (slot.segment.clone(), slot.info.file_bytes));
                }
            }
            Ok(Places { meta, segments })
        })
    }

    /// See [`kilo_ports::store::Store::load`].
    pub(crate) fn load(&self, id: &SessionId) -> Result<SessionLog, StoreError> {
        again(|| {
            let places = self.places(id)?;
            let view = match places.meta.view {
                Some(view) => self.view(&places, id, view.spot)?,
                None => None,
            };
            self.log(id, &places, view)
        })
    }

    /// See [`kilo_ports::store::Store::load_whole`].
    pub(crate) fn load_whole(&self, id: &SessionId) -> Result<SessionLog, StoreError> {
        again(|| self.log(id, &self.places(id)?, None))
    }

    fn view(
        &self,
        places: &Places,
        id: &SessionId,
        spot: Spot,
    ) -> Result<Option<SavedView>, StoreError> {
        let found = self.entry(places, id, spot)?;
        Ok(found
            .filter(|found| found.kind == Kind::View)
            .map(|found| SavedView {
                seq: found.stored.seq,
                format: found.stored.format,
                body: found.stored.body,
            }))
    }

    /// The view and the records after it.
    fn log(
        &self,
        id: &SessionId,
        places: &Places,
        view: Option<SavedView>,
    ) -> Result<SessionLog, StoreError> {
        // Newest chain first: where the view covers the rest, older segments are not even opened.
        let floor = view.as_ref().map(|view| view.seq);
        let mut tail = Vec::new();
        for chain in places.meta.chains.iter().rev() {
            if self.chain(places, id, chain, floor, &mut tail)?.is_break() {
                break;
            }
        }
        // It was gathered backwards, and callers fold forwards.
        tail.reverse();
        let tail_bytes = tail
            .iter()
            .map(|stored: &Stored| stored.body.len() as u64)
            .sum();
        Ok(SessionLog {
            view,
            tail,
            tail_bytes,
        })
    }

    /// Adds a chain's records after `floor`, newest first; breaks when the floor was reached.
    fn chain(
        &self,
        places: &Places,
        id: &SessionId,
        chain: &Chain,
        floor: Option<Seq>,
        tail: &mut Vec<Stored>,
    ) -> Result<ControlFlow<()>, StoreError> {
        // A segment that is missing was reported at the start; what the others have is still shown.
        let Some((segment, end)) = places.segments.get(&chain.segment) else {
            return Ok(ControlFlow::Continue(()));
        };
        let known = tail.len();
        let walked = walk(segment, *end, chain.last, id, floor, tail)
            .map_err(|e| unreadable(&segment.path, e))?;
        match walked {
            Ok(flow) => Ok(flow),
            Err(BrokenChain) => {
                // What the broken walk brought may be another session's: only what the sweep finds counts.
                tail.truncate(known);
                let spot = Spot {
                    segment: chain.segment,
                    offset: chain.last,
                };
                if self.distrust_index(id, spot)? {
                    return Err(moved(segment));
                }
                sweep(segment, *end, id, floor, tail)
                    .map_err(|error| unreadable(&segment.path, error))
            }
        }
    }

    /// The session's record at `spot`; none when something else is there, which is reported.
    fn entry(
        &self,
        places: &Places,
        id: &SessionId,
        spot: Spot,
    ) -> Result<Option<Entry>, StoreError> {
        let Some((segment, end)) = places.segments.get(&spot.segment) else {
            return Ok(None);
        };
        let found = entry_at(segment, *end, spot.offset, id)
            .map_err(|error| unreadable(&segment.path, error))?;
        if found.is_none() && self.distrust_index(id, spot)? {
            return Err(moved(segment));
        }
        Ok(found)
    }

    /// See [`kilo_ports::store::Store::head`].
    pub(crate) fn head(&self, id: &SessionId) -> Result<Option<Bytes>, StoreError> {
        again(|| self.head_once(id))
    }

    fn head_once(&self, id: &SessionId) -> Result<Option<Bytes>, StoreError> {
        let places = self.places(id)?;
        let Some(spot) = places.meta.head else {
            return Ok(None);
        };
        // One read in the usual case: lists of a thousand sessions come through here.
        if let Some(found) = self.entry(&places, id, spot)? {
            return Ok(Some(found.head));
        }
        self.older_head(&places, id)
    }

    /// The newest head that can be read, when the newest of all is damaged: an old head is better than no session.
    fn older_head(&self, places: &Places, id: &SessionId) -> Result<Option<Bytes>, StoreError> {
        for chain in places.meta.chains.iter().rev() {
            let Some((segment, end)) = places.segments.get(&chain.segment) else {
                continue;
            };
            let mut newest = None;
            let scanned = segment.scan(HEADER_BYTES, *end, &mut |found| {
                if let Found::Record(_, record) = found
                    && record.kind == Kind::Head
                    && record.key == id.as_str()
                {
                    newest = Some(Bytes::copy_from_slice(record.head));
                }
                ControlFlow::Continue(())
            });
            scanned.map_err(|error| unreadable(&segment.path, error))?;
            if newest.is_some() {
                return Ok(newest);
            }
        }
        Ok(None)
    }

    /// See [`kilo_ports::store::Store::heads`].
    pub(crate) fn heads(&self, visit: &mut dyn FnMut(&SessionId, &[u8])) -> Result<(), StoreError> {
        // Ids first and heads after: the lock is not held while the disk is read.
        let ids = self.with(|state| {
            let mut ids = BTreeSet::new();
            state.each_session(&mut |id, _| {
                ids.insert(id.clone());
            })?;
            Ok(ids)
        })?;
        for id in ids {
            match self.head(&id) {
                Ok(Some(head)) => visit(&id, &head),
                // Deleted between the list and its turn.
                Ok(None) | Err(StoreError::NoSession(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// See [`kilo_ports::store::Store::after`].
    pub(crate) fn after(&self, pos: Pos, records_max: usize) -> Result<Vec<Stored>, StoreError> {
        let mut gathered = Gathered::of(records_max);
        let mut deleted = HashMap::new();
        let (mut from, mut tries) = (None, 0);
        while !gathered.is_full() {
            let Some((segment, start, end)) = self.next_slice(pos, from) else {
                break;
            };
            // In slices, since a rewriting can replace the segment between two of them, and a reader must notice.
            let to = (start + SLICE_BYTES).min(end);
            match self.slice(&segment, (start, to, end), pos, &mut deleted, &mut gathered) {
                Ok(reached) => from = Some((segment.number, segment.generation, reached)),
                // Rewritten under way: read on in its new generation.
                Err(_) if tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(gathered.stored)
    }

    /// The segment to read next, and the bytes of it that are left.
    fn next_slice(
        &self,
        pos: Pos,
        from: Option<(u32, u32, u64)>,
    ) -> Option<(Arc<Segment>, u64, u64)> {
        let state = self.state.lock();
        let begin = from.map_or(0, |(number, ..)| number);
        for (number, slot) in state.slots.range(begin..) {
            let (info, segment) = (&slot.info, &slot.segment);
            let start = match from {
                Some((at, generation, reached))
                    if at == *number && generation == segment.generation =>
                {
                    reached
                }
                _ if info.last_pos <= pos => continue,
                _ => info.floor(pos, HEADER_BYTES),
            };
            if start < info.len {
                return Some((segment.clone(), start, info.file_bytes));
            }
        }
        None
    }

    /// Adds the records of one slice; returns where it stopped.
    fn slice(
        &self,
        segment: &Segment,
        (start, to, end): (u64, u64, u64),
        pos: Pos,
        deleted: &mut HashMap<SessionId, bool>,
        gathered: &mut Gathered,
    ) -> Result<u64, StoreError> {
        // A slice that is read again after a rewriting begins below what was taken already.
        let newest = gathered.stored.last().map_or(pos, |last| last.pos);
        let (mut reached, mut bad, mut failure) = (end, false, None);
        let scanned = segment.scan(start, end, &mut |found| {
            let (offset, record) = match found {
                Found::Record(offset, record) => (offset, record),
                Found::Bad(..) => {
                    bad = true;
                    return ControlFlow::Continue(());
                }
            };
            if gathered.is_full() || offset >= to {
                reached = offset;
                return ControlFlow::Break(());
            }
            if !record.kind.is_entry() || record.pos <= newest {
                return ControlFlow::Continue(());
            }
            let entry = own(&record);
            match self.is_deleted(&entry.session, deleted) {
                Ok(true) => {}
                Ok(false) => gathered.push(entry),
                Err(error) => {
                    failure = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        });
        scanned.map_err(|error| unreadable(&segment.path, error))?;
        // Once a segment: damage that is known is not measured and reported at every read.
        if bad && !self.broken_segments.lock().contains(&segment.number) {
            self.verify_segment(segment.number);
        }
        failure.map_or(Ok(reached), Err)
    }

    fn is_deleted(
        &self,
        id: &SessionId,
        seen: &mut HashMap<SessionId, bool>,
    ) -> Result<bool, StoreError> {
        if let Some(deleted) = seen.get(id) {
            return Ok(*deleted);
        }
        let deleted = self.with(|state| Ok(state.known(id)?.meta.deleted))?;
        seen.insert(id.clone(), deleted);
        Ok(deleted)
    }
}

/// What a read in order has found so far.
struct Gathered {
    stored: Vec<Stored>,
    records_max: usize,
    bytes: usize,
}

impl Gathered {
    fn of(records_max: usize) -> Self {
        Self {
            stored: Vec::new(),
            records_max,
            bytes: 0,
        }
    }

    fn push(&mut self, record: Stored) {
        self.bytes += record.body.len();
        self.stored.push(record);
    }

    fn is_full(&self) -> bool {
        self.stored.len() >= self.records_max || self.bytes >= AFTER_BYTES
    }
}

/// A session's record or view, with its head.
struct Entry {
    kind: Kind,
    stored: Stored,
    head: Bytes,
}

fn own(record: &Record<'_>) -> Stored {
    Stored {
        pos: record.pos,
        session: SessionId::from_wire(record.key),
        seq: record.seq,
        at: record.at,
        format: record.format,
        body: Bytes::copy_from_slice(record.body),
    }
}

fn entry_at(segment: &Segment, end: u64, offset: u32, id: &SessionId) -> io::Result<Option<Entry>> {
    let (mut bytes, left) = (Vec::new(), end.saturating_sub(u64::from(offset)));
    let mut want = WINDOW_BYTES_MIN.min(left as usize);
    loop {
        segment.read_at(&mut bytes, u64::from(offset), want)?;
        match record::parse(segment.version, &bytes, left) {
            Parse::Whole(record, _) if record.key == id.as_str() => {
                let head = Bytes::copy_from_slice(record.head);
                return Ok(Some(Entry {
                    kind: record.kind,
                    stored: own(&record),
                    head,
                }));
            }
            // The head is there and says how long the whole is: one more read, never two.
            Parse::Short(more) if more > want && bytes.len() == want => want = more,
            _ => return Ok(None),
        }
    }
}

/// Goes backwards from the record at `last` to the session's first in this segment, or to `floor`.
fn walk(
    segment: &Segment,
    end: u64,
    last: u32,
    id: &SessionId,
    floor: Option<Seq>,
    tail: &mut Vec<Stored>,
) -> io::Result<Result<ControlFlow<()>, BrokenChain>> {
    let mut window = BackWindow {
        segment,
        end,
        start: 0,
        bytes: Vec::new(),
        size: WINDOW_BYTES_MIN * 4,
    };
    let mut offset = u64::from(last);
    if offset >= end {
        return Ok(Err(BrokenChain));
    }
    let mut until = (offset + WINDOW_BYTES_MIN as u64).min(end);
    loop {
        let Some(record) = window.record(offset, until)? else {
            return Ok(Err(BrokenChain));
        };
        // A chain that does not go down would be walked for ever.
        let follows = tail.last().is_none_or(|newer| record.seq < newer.seq);
        if record.key != id.as_str() || !record.kind.is_entry() || !follows {
            return Ok(Err(BrokenChain));
        }
        if floor.is_some_and(|floor| record.seq <= floor) {
            return Ok(Ok(ControlFlow::Break(())));
        }
        let back = u64::from(record.back);
        tail.push(own(&record));
        if back == 0 {
            return Ok(Ok(ControlFlow::Continue(())));
        }
        // It would lead into the header, or before the file.
        if back + HEADER_BYTES > offset {
            return Ok(Err(BrokenChain));
        }
        (until, offset) = (offset, offset - back);
    }
}

/// The piece of a segment before the last record that was read.
struct BackWindow<'s> {
    segment: &'s Segment,
    end: u64,
    start: u64,
    bytes: Vec<u8>,
    size: usize,
}

impl BackWindow<'_> {
    /// The record at `offset`, which ends at `until` at the latest (or, for the first one, may be longer).
    fn record(&mut self, offset: u64, until: u64) -> io::Result<Option<Record<'_>>> {
        let inside = |window: &Self| {
            offset >= window.start && offset < window.start + window.bytes.len() as u64
        };
        if !inside(self) {
            // A neighbour is read with all that stands before it, something far away alone.
            // Sessions that stream side by side lie interleaved, records of a slow one far apart: a fixed window would either
            // read a megabyte for each record or make a system call for each.
            let far = until - offset > self.size as u64;
            self.size = if far { self.size / 2 } else { self.size * 2 }
                .clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX);
            let stop = if far {
                (offset + self.size as u64).min(until)
            } else {
                until
            };
            self.start = stop.saturating_sub(self.size as u64).min(offset);
            self.segment
                .read_at(&mut self.bytes, self.start, (stop - self.start) as usize)?;
        }
        let left = self.end.saturating_sub(offset);
        let at = (offset - self.start) as usize;
        let wanted = record::wanted(
            self.segment.version,
            self.bytes.get(at..).unwrap_or_default(),
            left,
        );
        let short = at + wanted.max(record::HEAD_BYTES) > self.bytes.len();
        if short {
            let bytes = wanted.max(WINDOW_BYTES_MIN).min(left as usize);
            self.start = offset;
            self.segment.read_at(&mut self.bytes, offset, bytes)?;
            let wanted = record::wanted(self.segment.version, &self.bytes, left);
            if wanted > bytes {
                self.segment.read_at(&mut self.bytes, offset, wanted)?;
            }
        }
        let at = (offset - self.start) as usize;
        match record::parse(
            self.segment.version,
            self.bytes.get(at..).unwrap_or_default(),
            left,
        ) {
            Parse::Whole(record, _) => Ok(Some(record)),
            Parse::Short(_) | Parse::Bad => Ok(None),
        }
    }
}

/// Walks a whole segment for a session's records: slow, and sure.
fn sweep(
    segment: &Segment,
    end: u64,
    id: &SessionId,
    floor: Option<Seq>,
    tail: &mut Vec<Stored>,
) -> io::Result<ControlFlow<()>> {
    let mut found_here: Vec<Stored> = Vec::new();
    let mut reached = ControlFlow::Continue(());
    segment.scan(HEADER_BYTES, end, &mut |found| {
        if let Found::Record(_, record) = found
            && record.kind.is_entry()
            && record.key == id.as_str()
        {
            if floor.is_some_and(|floor| record.seq <= floor) {
                reached = ControlFlow::Break(());
            // Where bytes were copied within the file a record comes twice; the first one counts.
            } else if found_here.last().is_none_or(|last| last.seq < record.seq) {
                found_here.push(own(&record));
            }
        }
        ControlFlow::Continue(())
    })?;
    tail.extend(found_here.into_iter().rev());
    Ok(reached)
}

//! A start: compares the files with what the index and the `state` file say, follows the log to its end, and reports
//! what is missing or broken. The quick path reads only what came after the index's mark.

use crate::damage::{Broken, Damages};
use crate::disk::Disk;
use crate::examine::{Examiner, blame};
use crate::folder::{LogFolders, unreadable};
use crate::index::Index;
use crate::known_end::KnownEnd;
use crate::listing::{self, Files};
use crate::meta::{Mark, SegmentInfo, SessionMeta};
use crate::missing::{Witnesses, blame_lost_sessions};
use crate::record::{self, VERSION};
use crate::replay::{rebuild_in_memory, replay};
use crate::segment::{HEADER_BYTES, Header, Positions, Segment};
use crate::state::{Slot, State};
use kilo_ports::store::StoreError;
use kilo_protocol::SessionId;
use rand::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What a start gives.
pub(crate) struct Opened {
    pub(crate) state: State,
    pub(crate) damages: Damages,
    pub(crate) epoch: u64,
    /// Segments with broken ranges.
    pub(crate) broken_segments: BTreeSet<u32>,
}

/// What an index says, kept while it is made anew.
#[derive(Default)]
struct Past {
    catalog: BTreeMap<u32, SegmentInfo>,
    sessions: BTreeMap<SessionId, SessionMeta>,
    /// All of it is what was written: it may bear witness against the log.
    whole: bool,
}

/// Opens the log and its index. The folder's lock is held; `was_used` is what it says of earlier daemons.
pub(crate) fn open(
    folders: &LogFolders,
    segment_bytes: u64,
    disk: Arc<dyn Disk>,
    was_used: bool,
) -> Result<Opened, StoreError> {
    let damages = Damages::open(&folders.damaged);
    let known_end = KnownEnd::read(&folders.state_file());
    let index = open_index(folders);
    let catalog = catalog(&index);
    // Listed with the index's help: of two generations it says which one it knows.
    let mut files = listing::list(folders, &catalog)?;
    let whole = index.is_whole();
    let mark = index.mark().filter(|mark| {
        whole && agrees(mark, &catalog, &files) && fits(mark, &catalog, &files, &folders.log)
    });

    let mut broken = Vec::new();
    let past = if mark.is_some() {
        Past {
            catalog,
            ..Past::default()
        }
    } else {
        // Only where the quick path is closed: to read every header would slow down each start.
        broken = listing::put_in_order(folders)?;
        files = listing::list(folders, &catalog)?;
        Past::of(&index, catalog, whole)
    };
    let index = if mark.is_some() || past.is_empty(&index) {
        index
    } else {
        renew_index(folders, index)
    };

    let mut state = State::new(Arc::new(index), folders.log.clone(), segment_bytes, disk);
    let known_slots = mark.map(|_| &past.catalog);
    let headers = add_slots(&mut state, folders, &files, known_slots, &mut broken)?;
    let witnesses = Witnesses {
        folders,
        files: &files,
        catalog: &past.catalog,
        known_end,
        headers: &headers,
        was_used,
    };
    state.number_max = witnesses.number_max();
    broken.extend(witnesses.missing());
    // With a mark the index vouches for all that is before it.
    if mark.is_none() {
        broken.extend(witnesses.unwitnessed());
    }
    let from = mark.map_or((0, 0), |mark| (mark.segment, mark.offset));
    if let Some(mark) = mark {
        (state.newest, state.live_sessions) = (mark.newest, mark.live_sessions);
    }
    // What a replay reported before the index failed comes again with the second one.
    let known = broken.len();
    if let Err(error) = replay(&mut state, from, &mut broken) {
        if !state.index_failed {
            return Err(error);
        }
        broken.truncate(known);
        rebuild_in_memory(&mut state, &mut broken)?;
    }
    broken.extend(witnesses.gaps(&state, &broken));
    // The bytes that would say whose they were are what is lost; the old index may still know.
    blame_past(&mut broken, &past.sessions);
    if past.whole {
        blame_lost_sessions(&mut state, &past.sessions, &folders.log, &mut broken)?;
    }
    Ok(finish(state, damages, known_end, &files, broken))
}

/// Names the sessions whose last records were in what is broken or gone, as an old index has them.
fn blame_past(broken: &mut [Broken], sessions: &BTreeMap<SessionId, SessionMeta>) {
    for range in broken {
        for (id, meta) in sessions {
            blame(range.number, std::slice::from_mut(range), id, meta);
        }
    }
}

/// Reports the damage, names the epoch and chooses the segment that takes appends.
fn finish(
    mut state: State,
    damages: Damages,
    known_end: Option<KnownEnd>,
    files: &Files,
    broken: Vec<Broken>,
) -> Opened {
    let last = files
        .last_key_value()
        .map(|(number, (_, bytes))| (*number, *bytes));
    let (mut broken_segments, mut tail_lost) = (BTreeSet::new(), false);
    let (mut whole_header, mut any_new) = (true, false);
    for range in broken {
        let number = range.number;
        let at_end = last.is_none_or(|(last, bytes)| {
            number > last || number == last && range.offset + range.bytes >= bytes
        });
        whole_header &= Some(number) != last.map(|(last, _)| last) || range.offset > 0;
        if range.present && range.bytes > 0 {
            broken_segments.insert(number);
        }
        let segment = state.slots.get(&number).map(|slot| slot.segment.clone());
        // Known damage must not change the epoch again: every client would read everything anew at every start.
        let is_new = damages.add(range, segment.as_deref());
        (any_new, tail_lost) = (any_new | is_new, tail_lost | (is_new && at_end));
    }
    if any_new {
        damages.keep();
    }
    state.active = last.map(|(number, _)| number).filter(|number| {
        let slot = state.slots.get(number);
        // Opened here, so that the file which was read is the one that is written to.
        let appendable = slot.is_some_and(|slot| {
            slot.info.len == slot.info.file_bytes
                && slot.segment.version == VERSION
                && slot.segment.file().is_ok()
        });
        appendable && whole_header && *number == state.number_max
    });
    if let Some(known_end) = known_end {
        // Positions are not used twice even if their records are gone.
        state.newest = state.newest.max(known_end.newest);
    }
    let kept = known_end
        .filter(|_| !tail_lost)
        .map(|known_end| known_end.epoch);
    let epoch = kept.unwrap_or_else(|| rand::rng().random_range(1..1 << 48));
    Opened {
        state,
        damages,
        epoch,
        broken_segments,
    }
}

fn open_index(folders: &LogFolders) -> Index {
    match Index::open(&folders.index) {
        Ok(index) => index,
        Err(error) => {
            tracing::warn!(%error, "index does not open, making it anew from the log");
            empty_index(folders)
        }
    }
}

fn renew_index(folders: &LogFolders, old: Index) -> Index {
    drop(old);
    empty_index(folders)
}

/// An empty index: in sled, or in memory when even that fails (no room on the disk).
fn empty_index(folders: &LogFolders) -> Index {
    let removed = fs::remove_dir_all(&folders.index);
    if removed.is_err() && folders.index.exists() {
        return Index::memory();
    }
    Index::open(&folders.index).unwrap_or_else(|error| {
        tracing::warn!(%error, "no index on the disk, keeping it in memory");
        Index::memory()
    })
}

impl Past {
    fn of(index: &Index, catalog: BTreeMap<u32, SegmentInfo>, whole: bool) -> Self {
        let mut sessions = BTreeMap::new();
        let walked = index.each(b"s", &mut |key, value| {
            sessions.insert(
                SessionId::from_wire(String::from_utf8_lossy(&key[1..])),
                SessionMeta::decode(value),
            );
        });
        if walked.is_err() {
            tracing::warn!("old index could not be read; damage reports may name fewer sessions");
        }
        Self {
            catalog,
            sessions,
            whole,
        }
    }

    fn is_empty(&self, index: &Index) -> bool {
        index.mark().is_none() && self.catalog.is_empty() && self.sessions.is_empty()
    }
}

fn catalog(index: &Index) -> BTreeMap<u32, SegmentInfo> {
    let mut catalog = BTreeMap::new();
    let _ = index.each(b"g", &mut |key, value| {
        if let Some(number) = key
            .get(1..5)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u32::from_be_bytes)
        {
            catalog.insert(number, SegmentInfo::decode(value));
        }
    });
    catalog
}

/// Whether the files are those that the index has followed.
fn agrees(mark: &Mark, catalog: &BTreeMap<u32, SegmentInfo>, files: &Files) -> bool {
    let same = |(number, info): (&u32, &SegmentInfo)| {
        files.get(number).is_some_and(|(generation, bytes)| {
            // The mark's own segment may have grown since; all before it are closed.
            let length = if *number == mark.segment {
                *bytes >= info.file_bytes
            } else {
                *bytes == info.file_bytes
            };
            *generation == info.generation && length && info.version <= VERSION
        })
    };
    let known = files
        .range(..=mark.segment)
        .all(|(number, _)| catalog.contains_key(number));
    // Segment 0 is the mark of an unfinished replay.
    (mark.segment > 0 || files.is_empty()) && known && catalog.iter().all(same)
}

/// Whether the segment that the mark is in has a record where the index remembers one: a file that was put in its place
/// may well have the right length.
fn fits(mark: &Mark, catalog: &BTreeMap<u32, SegmentInfo>, files: &Files, log: &Path) -> bool {
    let (Some(info), Some((generation, bytes))) =
        (catalog.get(&mark.segment), files.get(&mark.segment))
    else {
        return true;
    };
    let Some((pos, offset)) = info.points.last().copied() else {
        return true;
    };
    let segment = Segment::existing(log, mark.segment, *generation, info.version);
    let mut head = Vec::new();
    let read = segment.read_at(&mut head, u64::from(offset), record::HEAD_BYTES);
    read.is_ok() && record::has_pos(info.version, &head, bytes - u64::from(offset), pos)
}

/// Adds the segments to the state: as the index knows them, else by their headers, which are returned.
fn add_slots(
    state: &mut State,
    folders: &LogFolders,
    files: &Files,
    catalog: Option<&BTreeMap<u32, SegmentInfo>>,
    broken: &mut Vec<Broken>,
) -> Result<BTreeMap<u32, Header>, StoreError> {
    let (mut headers, mut found) = (BTreeMap::new(), Vec::new());
    for (number, (generation, bytes)) in files {
        let known = catalog.and_then(|catalog| catalog.get(number));
        let version = known.map_or(VERSION, |info| info.version);
        let mut segment = Segment::existing(&folders.log, *number, *generation, version);
        let mut info = SegmentInfo {
            file_bytes: *bytes,
            ..known.cloned().unwrap_or_default()
        };
        if known.is_none() {
            let header = segment
                .header()
                .map_err(|source| unreadable(&segment.path, source))?;
            match header {
                Some(header) => {
                    headers.insert(*number, header);
                    (segment.version, info.first_pos) = (header.version, header.first_pos);
                }
                None => {
                    let mut examiner = Examiner::new(&segment);
                    examiner.bad(0, HEADER_BYTES.min(*bytes), "segment header is damaged");
                    broken.append(&mut examiner.broken);
                }
            }
            refuse_newer(&segment)?;
            info.generation = *generation;
            info.version = segment.version;
            // The replay moves it to the end of the last whole record.
            info.len = HEADER_BYTES.min(*bytes);
            info.last_pos = info.first_pos.saturating_sub(1);
            state.newest = state.newest.max(info.last_pos);
            state.changed = true;
        }
        found.push((segment, info, known.is_none()));
    }
    // The next first position that is known bounds a segment's own.
    let mut next = 0;
    for (mut segment, info, dirty) in found.into_iter().rev() {
        segment.positions = Positions::between(info.first_pos, next);
        next = if info.first_pos > 0 {
            info.first_pos
        } else {
            next
        };
        let number = segment.number;
        let segment = segment.into();
        state.slots.insert(
            number,
            Slot {
                segment,
                info,
                dirty,
            },
        );
    }
    Ok(headers)
}

fn refuse_newer(segment: &Segment) -> Result<(), StoreError> {
    if segment.version <= VERSION {
        return Ok(());
    }
    let what = format!("{} (written by a newer version)", segment.path.display());
    Err(StoreError::Unreadable {
        what,
        source: io::ErrorKind::Unsupported.into(),
    })
}

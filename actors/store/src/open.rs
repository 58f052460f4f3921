//! A start: compares the files with what the index and the `state` file say, follows the log to its end, and reports
//! what is missing or broken. The quick path reads only what came after the index's mark.

use crate::damage::{Broken, Damages};
use crate::folder::{self, Folders, Reach, unreadable};
use crate::index::Index;
use crate::meta::{Mark, SegmentInfo, SessionMeta, Spot};
use crate::record::VERSION;
use crate::segment::{Found, HEADER_BYTES, Segment, file_name};
use crate::state::{Slot, State};
use crate::verify::{Examiner, blame};
use kilo_ports::store::StoreError;
use kilo_protocol::SessionId;
use rand::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

/// What a start gives.
pub(crate) struct Opened {
    pub(crate) state: State,
    pub(crate) damages: Damages,
    pub(crate) epoch: u64,
    /// Segments with broken ranges.
    pub(crate) sick: BTreeSet<u32>,
}

/// Number to generation and bytes of the file.
type Files = BTreeMap<u32, (u32, u64)>;

/// What an index says, kept while it is made anew.
#[derive(Default)]
struct Past {
    catalog: BTreeMap<u32, SegmentInfo>,
    sessions: BTreeMap<SessionId, SessionMeta>,
}

/// Opens the log and its index. The folder's lock is held.
pub(crate) fn open(folders: &Folders, segment_bytes: u64) -> Result<Opened, StoreError> {
    let damages = Damages::open(&folders.damaged);
    let reach = Reach::read(&folders.root);
    let index = open_index(folders);
    let catalog = catalog(&index);
    let listed =
        folder::segments(&folders.log).map_err(|source| unreadable(&folders.log, source))?;
    let files = one_generation(folders, listed, &catalog);
    let mark = index
        .mark()
        .filter(|mark| agrees(mark, &catalog, &files) && index.is_whole());

    let known_max = catalog.last_key_value().map_or(0, |(number, _)| *number);
    let number_max = [
        files.last_key_value().map_or(0, |(number, _)| *number),
        known_max,
        reach.map_or(0, |r| r.segment),
    ];
    let number_max = number_max.into_iter().max().unwrap_or(0);
    let past = if mark.is_some() {
        Past {
            catalog,
            ..Past::default()
        }
    } else {
        Past::of(&index, catalog)
    };
    let index = if mark.is_some() || past.is_empty(&index) {
        index
    } else {
        renew_index(folders, index)
    };

    let mut broken = Vec::new();
    let mut state = State::new(Arc::new(index), folders.log.clone(), segment_bytes);
    state.number_max = number_max;
    add_slots(
        &mut state,
        folders,
        &files,
        mark.map(|_| &past.catalog),
        &mut broken,
    )?;
    missing(
        folders,
        &files,
        &past.catalog,
        reach,
        number_max,
        &mut broken,
    );
    let from = mark.map_or((0, 0), |mark| (mark.segment, mark.offset));
    if let Some(mark) = mark {
        (state.newest, state.live_sessions) = (mark.newest, mark.live_sessions);
    }
    let known = broken.len();
    if let Err(error) = replay(&mut state, from, &mut broken) {
        if !state.index_failed {
            return Err(error);
        }
        broken.truncate(known);
        rebuild_in_memory(&mut state, &mut broken)?;
    }
    blame(&mut broken, &past.sessions);
    Ok(finish(state, damages, reach, &files, broken))
}

/// Reports the damage, names the epoch and chooses the segment that takes appends.
fn finish(
    mut state: State,
    damages: Damages,
    reach: Option<Reach>,
    files: &Files,
    broken: Vec<Broken>,
) -> Opened {
    let last = files
        .last_key_value()
        .map(|(number, (_, bytes))| (*number, *bytes));
    let (mut sick, mut tail_lost) = (BTreeSet::new(), false);
    let mut whole_header = true;
    for range in broken {
        let number = range.number;
        let at_end = last.is_none_or(|(last, bytes)| {
            number > last || number == last && range.offset + range.bytes >= bytes
        });
        whole_header &= Some(number) != last.map(|(last, _)| last) || range.offset > 0;
        if range.present && range.bytes > 0 {
            sick.insert(number);
        }
        let segment = state.slots.get(&number).map(|slot| slot.segment.clone());
        tail_lost |= damages.report(range, segment.as_deref()) && at_end;
    }
    state.active = last.map(|(number, _)| number).filter(|number| {
        let slot = state.slots.get(number);
        let appendable = slot.is_some_and(|slot| {
            slot.info.len == slot.info.file_bytes && slot.segment.version == VERSION
        });
        appendable && whole_header && *number == state.number_max
    });
    if let Some(reach) = reach {
        // Positions are not used twice even if their records are gone.
        state.newest = state.newest.max(reach.newest);
    }
    let kept = reach.filter(|_| !tail_lost).map(|reach| reach.epoch);
    let epoch = kept.unwrap_or_else(|| rand::rng().random_range(1..1 << 48));
    Opened {
        state,
        damages,
        epoch,
        sick,
    }
}

/// Follows the log from a segment and an offset to its end.
pub(crate) fn replay(
    state: &mut State,
    from: (u32, u64),
    broken: &mut Vec<Broken>,
) -> Result<(), StoreError> {
    let numbers: Vec<u32> = state
        .slots
        .range(from.0..)
        .map(|(number, _)| *number)
        .collect();
    for number in numbers {
        let start = if number == from.0 {
            from.1.max(HEADER_BYTES)
        } else {
            HEADER_BYTES
        };
        replay_segment(state, number, start, broken)?;
        if state.is_crowded() {
            spill(state)?;
        }
    }
    Ok(())
}

fn replay_segment(
    state: &mut State,
    number: u32,
    start: u64,
    broken: &mut Vec<Broken>,
) -> Result<(), StoreError> {
    let Some(slot) = state.slots.get(&number) else {
        return Ok(());
    };
    let (segment, end) = (slot.segment.clone(), slot.info.file_bytes);
    let mut examiner = Examiner::new(&segment);
    let mut failed = None;
    let scanned = segment.scan(start, end, &mut |found| {
        let (offset, record) = match found {
            Found::Bad(offset, bytes) => {
                examiner.bad(offset, bytes, "records are damaged");
                return ControlFlow::Continue(());
            }
            Found::Record(offset, record) => (offset, record),
        };
        examiner.record(offset, &record);
        let spot = Spot {
            segment: number,
            offset: offset as u32,
        };
        let folded = if matches!(
            record.kind,
            crate::record::Kind::Put | crate::record::Kind::Remove
        ) {
            state.fold_small(spot, &record)
        } else {
            let id = SessionId::from_wire(record.key);
            if record.back == 0 && record.kind.is_entry() && !broken.is_empty() {
                blame_gap(
                    state,
                    &id,
                    record.seq,
                    broken.iter_mut().filter(|range| range.number < number),
                );
            }
            state.fold_session(&id, spot, &record)
        };
        match folded {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    if let Err(error) = scanned {
        tracing::warn!(%error, path = %segment.path.display(), "segment cannot be read");
        examiner.bad(start, end.saturating_sub(start), "segment cannot be read");
    }
    broken.append(&mut examiner.broken);
    failed.map_or(Ok(()), Err)
}

/// A session that jumps over numbers after a broken or missing segment has lost records there.
fn blame_gap<'b>(
    state: &mut State,
    id: &SessionId,
    seq: u64,
    before: impl Iterator<Item = &'b mut Broken>,
) {
    let jumps = state
        .known(id)
        .is_ok_and(|known| !known.meta.deleted && known.meta.next_seq < seq);
    if jumps && let Some(nearest) = before.max_by_key(|range| range.number) {
        nearest.sessions.insert(id.clone());
    }
}

/// Writes what a long replay has gathered to the index.
fn spill(state: &mut State) -> Result<(), StoreError> {
    let taken = state.checkpoint();
    let applied = state.index.apply(
        taken.changes,
        Mark {
            segment: 0,
            ..taken.mark
        },
    );
    if let Err(error) = applied {
        state.index_failed = true;
        return Err(StoreError::Unreadable {
            what: "index".into(),
            source: io::Error::other(error),
        });
    }
    state.checkpointed();
    state.changed = true;
    Ok(())
}

/// The emergency: sled is unusable, so the index is made anew from the log, in memory. The next start tries sled again.
pub(crate) fn rebuild_in_memory(
    state: &mut State,
    broken: &mut Vec<Broken>,
) -> Result<(), StoreError> {
    tracing::warn!("index is unusable, making it anew in memory");
    // Dropping a sled that has panicked may hang; it is left alone.
    std::mem::forget(state.index.clone());
    state.start_over(Arc::new(Index::memory()));
    replay(state, (0, 0), broken)
}

fn open_index(folders: &Folders) -> Index {
    match Index::open(&folders.index) {
        Ok(index) => index,
        Err(error) => {
            tracing::warn!(%error, "index does not open, making it anew from the log");
            empty_index(folders)
        }
    }
}

fn renew_index(folders: &Folders, old: Index) -> Index {
    drop(old);
    empty_index(folders)
}

/// An empty index: in sled, or in memory when even that fails (no room on the disk).
fn empty_index(folders: &Folders) -> Index {
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
    fn of(index: &Index, catalog: BTreeMap<u32, SegmentInfo>) -> Self {
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
        Self { catalog, sessions }
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

/// Where a rewriting was cut short, two generations of a segment are there; both are whole. The index says which one
/// it knows; without it the newer stays.
fn one_generation(
    folders: &Folders,
    listed: Vec<(u32, u32, u64)>,
    catalog: &BTreeMap<u32, SegmentInfo>,
) -> Files {
    let mut files = Files::new();
    for (number, generation, bytes) in listed {
        let Some((other, _)) = files.get(&number).copied() else {
            files.insert(number, (generation, bytes));
            continue;
        };
        let keep_other = catalog
            .get(&number)
            .is_some_and(|info| info.generation == other);
        let goes = if keep_other { generation } else { other };
        if !keep_other {
            files.insert(number, (generation, bytes));
        }
        let _ = fs::remove_file(folders.log.join(file_name(number, goes)));
    }
    files
}

/// Whether the files are those that the index has followed.
fn agrees(mark: &Mark, catalog: &BTreeMap<u32, SegmentInfo>, files: &Files) -> bool {
    let same = |(number, info): (&u32, &SegmentInfo)| {
        files.get(number).is_some_and(|(generation, bytes)| {
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

fn add_slots(
    state: &mut State,
    folders: &Folders,
    files: &Files,
    catalog: Option<&BTreeMap<u32, SegmentInfo>>,
    broken: &mut Vec<Broken>,
) -> Result<(), StoreError> {
    for (number, (generation, bytes)) in files {
        if let Some(info) = catalog.and_then(|catalog| catalog.get(number)) {
            let segment = Segment::existing(&folders.log, *number, *generation, info.version);
            let info = SegmentInfo {
                file_bytes: *bytes,
                ..info.clone()
            };
            state.slots.insert(
                *number,
                Slot {
                    segment: segment.into(),
                    info,
                    dirty: false,
                },
            );
            continue;
        }
        let mut segment = Segment::existing(&folders.log, *number, *generation, VERSION);
        let header = segment
            .header()
            .map_err(|source| unreadable(&segment.path, source))?;
        let mut info = SegmentInfo {
            generation: *generation,
            file_bytes: *bytes,
            ..SegmentInfo::default()
        };
        info.len = HEADER_BYTES.min(*bytes);
        match header {
            Some(header) if header.version > VERSION => {
                let what = format!("{} (written by a newer version)", segment.path.display());
                return Err(StoreError::Unreadable {
                    what,
                    source: io::ErrorKind::Unsupported.into(),
                });
            }
            Some(header) => {
                segment.version = header.version;
                info.first_pos = header.first_pos;
                state.newest = state.newest.max(header.first_pos.saturating_sub(1));
            }
            None => {
                let mut examiner = Examiner::new(&segment);
                examiner.bad(0, info.len, "segment header is damaged");
                broken.append(&mut examiner.broken);
                info.first_pos = state.newest + 1;
            }
        }
        info.version = segment.version;
        info.last_pos = info.first_pos.saturating_sub(1);
        state.slots.insert(
            *number,
            Slot {
                segment: segment.into(),
                info,
                dirty: true,
            },
        );
        state.changed = true;
    }
    Ok(())
}

/// Missing things that are reported of one start; a stray file with a wild number must not make millions.
const MISSING_MAX: usize = 1_000;

/// Segments that are gone, and ends that are gone.
fn missing(
    folders: &Folders,
    files: &Files,
    catalog: &BTreeMap<u32, SegmentInfo>,
    reach: Option<Reach>,
    number_max: u32,
    broken: &mut Vec<Broken>,
) {
    for number in 1..=number_max {
        if broken.len() >= MISSING_MAX {
            break;
        }
        let info = catalog.get(&number);
        let reached = reach
            .filter(|reach| reach.segment == number)
            .map_or(0, |reach| reach.bytes);
        let expected = info.map_or(0, |info| info.file_bytes).max(reached);
        let generation = info.map_or(0, |info| info.generation);
        let lost = |generation: u32, offset: u64, what: &'static str| Broken {
            number,
            file: folders.log.join(file_name(number, generation)),
            offset,
            bytes: expected - offset,
            sessions: BTreeSet::new(),
            what,
            present: false,
        };
        match files.get(&number) {
            None => broken.push(lost(generation, 0, "segment is missing")),
            Some((found, bytes))
                if *bytes < expected && (*found == generation || info.is_none()) =>
            {
                broken.push(lost(*found, *bytes, "end of segment is missing"));
            }
            Some(_) => {}
        }
    }
}

//! What should be there and is not: segments, ends of segments, sessions.
//!
//! Four witnesses say what there was: the index, the `state` file, the headers of closed segments, and the `lock` file.
//! Each of them may be gone too; one that is left is enough for a loss not to look like an empty history.

use crate::damage::Broken;
use crate::folder::LogFolders;
use crate::known_end::KnownEnd;
use crate::listing::Files;
use crate::meta::{SegmentInfo, SessionMeta};
use crate::segment::{Header, file_name};
use crate::state::State;
use kilo_ports::store::StoreError;
use kilo_protocol::SessionId;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Missing things that are reported of one start; a stray file with a high number must not make millions.
const MISSING_MAX: usize = 1_000;

/// What is known of the log besides its records.
pub(crate) struct Witnesses<'a> {
    pub(crate) folders: &'a LogFolders,
    pub(crate) files: &'a Files,
    pub(crate) catalog: &'a BTreeMap<u32, SegmentInfo>,
    pub(crate) known_end: Option<KnownEnd>,
    /// Headers, as far as they were read and whole.
    pub(crate) headers: &'a BTreeMap<u32, Header>,
    /// The lock file says that a daemon has worked here.
    pub(crate) was_used: bool,
}

impl Witnesses<'_> {
    /// The highest number that a segment ever had.
    pub(crate) fn number_max(&self) -> u32 {
        let file = self.files.last_key_value().map_or(0, |(number, _)| *number);
        let known = self
            .catalog
            .last_key_value()
            .map_or(0, |(number, _)| *number);
        let noted = self.known_end.map_or(0, |end| end.segment);
        // A segment is sealed when the next one has begun. A rewriting seals as well, even the last one.
        let sealed = self.headers.get(&file);
        let begun = sealed.is_some_and(|header| header.sealed > 0 && header.generation == 0);
        (file + u32::from(begun)).max(known).max(noted)
    }

    /// Segments that are gone, and ends that are gone.
    pub(crate) fn missing(&self) -> Vec<Broken> {
        let numbers = 1..=self.number_max();
        numbers
            .filter_map(|number| self.missing_of(number))
            .take(MISSING_MAX)
            .collect()
    }

    fn missing_of(&self, number: u32) -> Option<Broken> {
        let info = self.catalog.get(&number);
        let noted = self.known_end.filter(|end| end.segment == number);
        let expected = info
            .map_or(0, |info| info.file_bytes)
            .max(noted.map_or(0, |end| end.bytes));
        let generation = info.map_or(0, |info| info.generation);
        let lost = |generation: u32, offset: u64, expected: u64, what: &'static str| {
            Some(Broken {
                number,
                file: self.folders.log.join(file_name(number, generation)),
                offset,
                bytes: expected.saturating_sub(offset),
                what: what.into(),
                ..Broken::default()
            })
        };
        let Some((found, bytes)) = self.files.get(&number).copied() else {
            let gone = lost(generation, 0, expected, "segment is missing");
            return gone.map(Broken::lasting);
        };
        let cut = "end of segment is missing";
        match self.headers.get(&number).map(|header| header.sealed) {
            // Its own header knows best: the others may speak of another generation.
            Some(sealed) if sealed > 0 => (bytes < sealed)
                .then(|| lost(found, bytes, sealed, cut))?
                .map(Broken::lasting),
            _ if bytes < expected && (found == generation || info.is_none()) => {
                lost(found, bytes, expected, cut)
            }
            _ => None,
        }
    }

    /// The log's end that nobody vouches for: neither the `state` file nor the index can say how far it reached.
    pub(crate) fn unwitnessed(&self) -> Option<Broken> {
        let used = self.was_used || !self.files.is_empty() || !self.catalog.is_empty();
        if self.known_end.is_some() || !used {
            return None;
        }
        let what = if self.files.is_empty() {
            "the log is gone: a daemon has worked here, and neither segments nor the state file are left"
        } else {
            "the state file is gone or damaged: whether the newest records are all there cannot be told"
        };
        Some(Broken {
            file: self.folders.state_file(),
            what: what.into(),
            ..Broken::default()
        })
    }

    /// Positions that no record has, between the end of a segment and the beginning of the next: for segments that
    /// were closed without a seal. A rewritten segment has such gaps by right.
    pub(crate) fn gaps(&self, state: &State, broken: &[Broken]) -> Vec<Broken> {
        let mut gaps = Vec::new();
        for (number, slot) in &state.slots {
            let unsealed = |header: &Header| header.sealed == 0 && header.generation == 0;
            let Some(next) = self.headers.get(&(number + 1)) else {
                continue;
            };
            let suspect = self.headers.get(number).is_some_and(unsealed)
                && slot.info.last_pos + 1 < next.first_pos
                && broken.iter().all(|range| range.number != *number);
            if suspect && gaps.len() < MISSING_MAX {
                let gap = Broken {
                    number: *number,
                    file: slot.segment.path.clone(),
                    offset: slot.info.len,
                    what: "records are missing at the end of segment".into(),
                    ..Broken::default()
                };
                gaps.push(gap.lasting());
            }
        }
        gaps
    }
}

/// Sessions that an old, whole index knew and that the log, read from its beginning, no longer has in full. They are
/// named in what is known to be broken; where nothing is, this is the report.
pub(crate) fn blame_lost_sessions(
    state: &mut State,
    past: &BTreeMap<SessionId, SessionMeta>,
    log: &Path,
    broken: &mut Vec<Broken>,
) -> Result<(), StoreError> {
    let mut lost = BTreeSet::new();
    for (id, before) in past.iter().filter(|(_, before)| before.exists()) {
        let now = &state.known(id)?.meta;
        let named = || broken.iter().any(|range| range.sessions.contains(id));
        if !now.deleted && now.next_seq < before.next_seq && !named() {
            lost.insert(id.clone());
        }
    }
    if lost.is_empty() {
        return Ok(());
    }
    match broken.last_mut() {
        Some(range) => range.sessions.extend(lost),
        None => broken.push(Broken {
            file: log.to_owned(),
            sessions: lost,
            what: "sessions have lost records that the index knew".into(),
            ..Broken::default()
        }),
    }
    Ok(())
}

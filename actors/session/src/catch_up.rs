//! Stored records as their events, for clients that were away.
//!
//! Some records say only what changed, their events show the whole. So one reading of the log keeps what it has seen of
//! each session, and where it comes upon such a record first, it looks into what the session's log has before it.

use crate::core::Core;
use crate::project::{Address, Known, frames};
use crate::record::{Logged, Record};
use crate::state::VIEW_FORMAT;
use kilo_ports::store::{SavedView, Seq, StoreError, Stored, Unreadable};
use kilo_protocol::model::FileDiff;
use kilo_protocol::{Frame, SessionId};
use serde::Deserialize;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// Bytes of patches that one reading keeps; what is forgotten is looked up again.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// One reading of the log, from some position on and in its order. Blocks on the disk.
pub struct CatchUp {
    core: Arc<Core>,
    sessions: HashMap<SessionId, Folded>,
}

/// What is known of a session up to the record that was read last.
#[derive(Default)]
struct Folded {
    diff: Vec<FileDiff>,
}

/// The same of a stored view.
#[derive(Deserialize)]
struct Viewed {
    diff: Vec<FileDiff>,
}

impl CatchUp {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            sessions: HashMap::new(),
        }
    }

    /// Understands a stored record. One that cannot be understood is reported.
    pub fn parse(&self, stored: &Stored) -> Option<Logged> {
        let parsed = serde_json::from_slice(&stored.body);
        parsed
            .inspect_err(|error| {
                let store = self.core.ledger.store();
                let what = Unreadable::Record(stored.pos);
                store.report(&stored.session, what, &error.to_string());
            })
            .ok()
    }

    /// The frames of a record; empty for what is not on the wire. Fails when what it refers to cannot be read.
    ///
    /// A session's records must come in order. Those before the first may be left out, and those of one that is not on
    /// the wire of the caller.
    pub fn frames(&mut self, stored: &Stored, logged: &Logged) -> Result<Vec<Frame>, StoreError> {
        let Some(address) = self.address(stored, logged) else {
            return Ok(Vec::new());
        };
        let none = Folded::default();
        let known = match needs_known(&logged.record) {
            true => self.folded(stored, logged)?,
            false => &none,
        };
        let mut frames = frames(&address, known, logged);
        if let Some(last) = frames.last_mut() {
            last.pos = Some(stored.pos);
        }
        Ok(frames)
    }

    fn address(&self, stored: &Stored, logged: &Logged) -> Option<Address> {
        if let Record::SessionDeleted(info) = &logged.record {
            return Some(Address::of(info));
        }
        let listed = self.core.ledger.catalog().get(&stored.session)?;
        Some(Address {
            session: stored.session.clone(),
            directory: listed.directory,
            project: listed.project,
        })
    }

    /// What is known of the record's session once it is applied.
    fn folded(&mut self, stored: &Stored, logged: &Logged) -> Result<&Folded, StoreError> {
        if !self.sessions.contains_key(&stored.session) {
            let bytes: usize = self.sessions.values().map(Folded::bytes).sum();
            if bytes > KEPT_BYTES_MAX {
                self.sessions.clear();
            }
        }
        let folded = match self.sessions.entry(stored.session.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(before(&self.core, &stored.session, stored.seq)?),
        };
        folded.apply(&logged.record);
        Ok(folded)
    }
}

/// Its event shows more than it says.
fn needs_known(record: &Record) -> bool {
    matches!(record, Record::DiffChanged(_) | Record::DiffMerged(_))
}

/// What a session's log has before the record with this number.
fn before(core: &Core, session: &SessionId, seq: Seq) -> Result<Folded, StoreError> {
    let store = core.ledger.store();
    let log = store.load(session)?;
    let start = log.view.as_ref().filter(|view| view.seq < seq);
    let (mut folded, tail) = match (start.and_then(read_view), &log.view) {
        (Some(folded), _) => (folded, log.tail),
        (None, None) => (Folded::default(), log.tail),
        // The view is younger than the record, or of no use.
        (None, Some(_)) => (Folded::default(), store.load_whole(session)?.tail),
    };
    for stored in tail.iter().take_while(|stored| stored.seq < seq) {
        // What cannot be read is reported by whoever reads the session.
        if let Ok(logged) = serde_json::from_slice::<Logged>(&stored.body) {
            folded.apply(&logged.record);
        }
    }
    Ok(folded)
}

fn read_view(view: &SavedView) -> Option<Folded> {
    if view.format > VIEW_FORMAT {
        return None;
    }
    let Viewed { diff } = serde_json::from_slice(&view.body).ok()?;
    Some(Folded { diff })
}

impl Folded {
    fn apply(&mut self, record: &Record) {
        match record {
            Record::DiffChanged(diff) => self.diff = diff.clone(),
            Record::DiffMerged(merge) => merge.apply(&mut self.diff),
            _ => {}
        }
    }

    fn bytes(&self) -> usize {
        self.diff
            .iter()
            .map(|file| file.patch.len() + file.file.len())
            .sum()
    }
}

impl Known for Folded {
    fn diff(&self) -> &[FileDiff] {
        &self.diff
    }
}

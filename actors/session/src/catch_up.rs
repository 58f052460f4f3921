//! Stored records as their events, for clients that were away.
//!
//! Some records say only what changed, their events show the whole. So one reading of the log keeps what it has seen of
//! each session, and where it comes upon such a record first, it looks into what the session's log has before it.

use crate::core::Core;
use crate::project::{Address, Known, frames};
use crate::record::{Logged, Record};
use crate::state::VIEW_FORMAT;
use kilo_ports::store::{SavedView, Seq, StoreError, Stored, Unreadable};
use kilo_protocol::model::{FileDiff, Part};
use kilo_protocol::{Frame, MessageId, PartId, SessionId};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of patches that one reading keeps; what is forgotten is looked up again.
const KEPT_BYTES_MAX: usize = 16 << 20;
/// Sessions that one reading keeps.
const KEPT_MAX: usize = 64;

/// One reading of the log, from some position on and in its order. Blocks on the disk.
pub struct CatchUp {
    core: Arc<Core>,
    sessions: HashMap<SessionId, Folded>,
}

/// What is known of a session up to the record that was read last.
#[derive(Default)]
struct Folded {
    diff: Vec<FileDiff>,
    /// The parts of running calls.
    running: HashMap<PartId, Part>,
}

/// The same of a stored view. Views are made between turns: no call runs in them.
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
        self.fold(stored, logged)?;
        let known = self.sessions.get(&stored.session).unwrap_or(&none);
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

    /// Takes a record into what is known of its session, which begins with the first record that needs it.
    fn fold(&mut self, stored: &Stored, logged: &Logged) -> Result<(), StoreError> {
        if let Some(known) = self.sessions.get_mut(&stored.session) {
            known.apply(&logged.record);
            return Ok(());
        }
        if !says_only_what_changed(&logged.record) {
            return Ok(());
        }
        let bytes: usize = self.sessions.values().map(Folded::bytes).sum();
        if bytes > KEPT_BYTES_MAX || self.sessions.len() >= KEPT_MAX {
            self.sessions.clear();
        }
        let mut folded = before(&self.core, &stored.session, stored.seq)?;
        folded.apply(&logged.record);
        self.sessions.insert(stored.session.clone(), folded);
        Ok(())
    }
}

fn says_only_what_changed(record: &Record) -> bool {
    matches!(record, Record::DiffMerged(_) | Record::CallProgressed(_))
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
    Some(Folded {
        diff,
        ..Folded::default()
    })
}

impl Folded {
    fn apply(&mut self, record: &Record) {
        match record {
            Record::DiffChanged(diff) => self.diff = diff.clone(),
            Record::DiffMerged(merge) => merge.apply(&mut self.diff),
            Record::PartUpdated(part, _) if record.running_call().is_some() => {
                self.running.insert(part.id.clone(), part.as_ref().clone());
            }
            Record::PartUpdated(part, _) => {
                self.running.remove(&part.id);
            }
            Record::CallProgressed(progress) => {
                if let Some(part) = self.running.get_mut(&progress.part) {
                    progress.apply(part);
                }
            }
            Record::TurnClosed(_) => self.running.clear(),
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

    fn running(&self, _: &MessageId, part: &PartId) -> Option<&Part> {
        self.running.get(part)
    }
}

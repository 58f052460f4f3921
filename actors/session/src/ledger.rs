//! The one way into the log: records are appended, then folded into what many readers ask for, then shown, in one order.
//! What the activity and the catalogue say is in the log, and a failed append changes neither.

use crate::activity::Activity;
use crate::catalog::{Catalog, head_bytes};
use crate::project::{Address, frames};
use crate::record::{FORMAT, Logged, Record};
use crate::state::State;
use bytes::Bytes;
use kilo_ports::store::{Appended, Entry, RecordKind, Store, StoreError};
use kilo_protocol::model::Session;
use kilo_protocol::{Event, Frame, IdSource, Millis, ProjectId, SessionId};
use kilo_runtime::{Journal, Outgoing};
use std::sync::Arc;

/// The sequence of facts about deleted sessions.
pub const DAEMON_SEQUENCE: &str = "ses_daemon";

/// The journal and its folds.
pub struct Ledger {
    journal: Journal,
    activity: Activity,
    catalog: Catalog,
    ids: IdSource,
}

/// Where records ended up, and their size.
pub(crate) struct Written {
    pub appended: Appended,
    /// Bytes of their bodies.
    pub bytes: u64,
}

impl Ledger {
    /// Reads the list of sessions. Gives those whose turn or undo was open when the last process ended, too.
    pub(crate) fn open(journal: Journal) -> Result<(Self, Vec<SessionId>), StoreError> {
        let catalog = Catalog::default();
        let open = catalog.load(journal.store().as_ref())?;
        let ledger = Self {
            journal,
            activity: Activity::default(),
            catalog,
            ids: IdSource::default(),
        };
        Ok((ledger, open))
    }

    /// The log and the bus.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The log.
    pub fn store(&self) -> &Arc<dyn Store> {
        self.journal.store()
    }

    /// What live sessions are doing.
    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// The list of sessions.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Makes ids.
    pub fn ids(&self) -> &IdSource {
        &self.ids
    }

    /// Appends a session's records, all of one decision. `after` is the session as they leave it.
    pub(crate) fn append(
        &self,
        address: &Address,
        after: &State,
        records: &[Logged],
        now: Millis,
    ) -> Result<Written, StoreError> {
        let outgoing: Vec<Outgoing> = records
            .iter()
            .map(|logged| outgoing(address, after, logged))
            .collect();
        let bytes = outgoing.iter().map(|out| out.entry.body.len() as u64).sum();
        let appended = self.journal.append(&address.session, now, outgoing, || {
            for logged in records {
                self.fold(address, logged);
            }
        })?;
        Ok(Written { appended, bytes })
    }

    fn fold(&self, address: &Address, logged: &Logged) {
        if let Record::SessionCreated(info) | Record::SessionUpdated(info) = &logged.record {
            self.catalog.put(info);
        }
        self.activity.note(address, logged);
    }

    /// Takes a session away: its tombstone, then the fact in the daemon's own sequence.
    pub(crate) fn delete(&self, info: Session, now: Millis) -> Result<(), StoreError> {
        let address = Address::of(&info);
        let logged = Logged {
            event: self.ids.event(now),
            sync: None,
            record: Record::SessionDeleted(Box::new(info.clone())),
        };
        let outgoing = outgoing(&address, &State::new(info), &logged);
        self.store().delete(&address.session, now)?;
        self.catalog.remove(&address.session);
        let daemon = SessionId::from_wire(DAEMON_SEQUENCE);
        self.journal.append(&daemon, now, vec![outgoing], || {})?;
        Ok(())
    }

    /// Publishes an event that is not in the log.
    pub fn publish(
        &self,
        (directory, project): (Option<&str>, Option<Arc<ProjectId>>),
        event: &Event<'_>,
        last: bool,
        now: Millis,
    ) {
        let mut json = Vec::with_capacity(256);
        event.write(&self.ids.event(now), &mut json);
        self.journal.publish(Frame {
            pos: None,
            directory: directory.map(Into::into),
            project,
            json: Bytes::from(json),
            last,
        });
    }
}

fn body(logged: &Logged) -> Bytes {
    serde_json::to_vec(logged)
        .map(Bytes::from)
        .unwrap_or_default()
}

/// What is stored and shown of a record.
fn outgoing(address: &Address, after: &State, logged: &Logged) -> Outgoing {
    let open = after.is_busy();
    let (kind, head) = match &logged.record {
        Record::SessionCreated(info) | Record::SessionUpdated(info) => {
            (RecordKind::Head, Some(head_bytes(info, open)))
        }
        // The head says "open" to whoever reads it after a crash; clients hear nothing of it.
        Record::UndoBegan(_) => (RecordKind::Head, Some(head_bytes(&after.info, open))),
        record if record.is_superseded() => (RecordKind::Transient, None),
        _ => (RecordKind::Plain, None),
    };
    Outgoing {
        entry: Entry {
            kind,
            format: FORMAT,
            body: body(logged),
            head,
        },
        frames: frames(address, after, logged),
    }
}

//! What anybody may read, without changing a session.

use crate::actors::Actors;
use crate::catalog::Filter;
use crate::catch_up::CatchUp;
use crate::core::Core;
use crate::message::{SessionView, View, view_of};
use crate::state::Entry;
use bytes::Bytes;
use kilo_protocol::model::{MessageWithParts, Session, Status};
use kilo_protocol::{Fault, FaultKind, SessionId};
use std::sync::Arc;

/// The reads.
pub struct Queries {
    core: Arc<Core>,
    actors: Arc<Actors>,
}

impl Queries {
    pub(crate) fn new(core: Arc<Core>, actors: Arc<Actors>) -> Self {
        Self { core, actors }
    }

    /// A session's head as JSON.
    pub fn head(&self, session: &SessionId) -> Result<Bytes, Fault> {
        self.core.head(session)
    }

    /// A session's head.
    pub fn session(&self, session: &SessionId) -> Result<Session, Fault> {
        self.core.session(session)
    }

    /// The heads that pass the filter as one JSON array, newest update first.
    pub fn list_json(&self, filter: &Filter) -> Bytes {
        self.heads_json(&self.core.ledger.catalog().list(filter))
    }

    /// The heads of these sessions as one JSON array.
    pub fn heads_json(&self, sessions: &[SessionId]) -> Bytes {
        let mut out = Vec::with_capacity(sessions.len() * 700 + 2);
        out.push(b'[');
        for head in self.core.heads(sessions) {
            if out.len() > 1 {
                out.push(b',');
            }
            out.extend_from_slice(&head);
        }
        out.push(b']');
        out.into()
    }

    /// What a reader sees of a session: of its actor if there is one or can be one, else of the log as it stands. A full
    /// disk, and a session that keeps failing, can still be read.
    pub async fn view(&self, session: &SessionId) -> Result<Arc<SessionView>, Fault> {
        match self.actors.ask(session, || View).await {
            Err(fault) if fault.kind != FaultKind::NotFound => {
                tracing::debug!(%session, %fault, "read without an actor");
                Ok(Arc::new(view_of(&self.actors.read(session).await?)))
            }
            answered => answered,
        }
    }

    /// What sessions are doing, idle ones left out.
    pub fn statuses(&self) -> Vec<(SessionId, Arc<str>, Status)> {
        self.core
            .ledger
            .activity()
            .statuses()
            .into_iter()
            .map(|(id, open)| (id, open.directory, open.request))
            .collect()
    }

    /// Begins a reading of the log, for a client that was away.
    pub fn catch_up(&self) -> CatchUp {
        CatchUp::new(Arc::clone(&self.core))
    }
}

/// A message as the message routes answer it.
pub fn with_parts(entry: &Entry) -> MessageWithParts {
    MessageWithParts {
        info: entry.info.clone(),
        parts: entry
            .parts
            .iter()
            .map(|part| part.as_ref().clone())
            .collect(),
    }
}

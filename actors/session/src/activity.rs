//! What many readers ask about live sessions: statuses and open requests. A fold of the records that live actors
//! appended, kept by the ledger; read by anyone without a hop.

use crate::project::Address;
use crate::record::{Logged, Record};
use kilo_protocol::model::{NetworkRequest, PermissionRequest, QuestionRequest, Status};
use kilo_protocol::{PermissionId, QuestionId, SessionId};
use parking_lot::RwLock;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// An open request with the folder of its session.
#[derive(Clone, Debug)]
pub struct Open<T> {
    /// The folder.
    pub directory: Arc<str>,
    /// The request.
    pub request: T,
}

#[derive(Default)]
struct Inner {
    statuses: HashMap<SessionId, Open<Status>>,
    permissions: BTreeMap<PermissionId, Open<PermissionRequest>>,
    questions: BTreeMap<QuestionId, Open<QuestionRequest>>,
    networks: BTreeMap<QuestionId, Open<NetworkRequest>>,
    /// Sessions whose files are being moved by an undo or redo.
    undoing: HashSet<SessionId>,
}

/// What live sessions are doing. A session without an actor is not in here: nobody would answer its requests.
#[derive(Default)]
pub struct Activity(RwLock<Inner>);

impl Activity {
    /// Takes notice of an appended record.
    pub(crate) fn note(&self, address: &Address, logged: &Logged) {
        let directory = || Arc::clone(&address.directory);
        match &logged.record {
            Record::StatusChanged(Status::Idle) => {
                self.0.write().statuses.remove(&address.session);
            }
            Record::StatusChanged(status) => {
                let open = Open {
                    directory: directory(),
                    request: status.clone(),
                };
                self.0
                    .write()
                    .statuses
                    .insert(address.session.clone(), open);
            }
            Record::PermissionAsked(request) => {
                let open = Open {
                    directory: directory(),
                    request: request.as_ref().clone(),
                };
                self.0.write().permissions.insert(request.id.clone(), open);
            }
            Record::PermissionReplied(id, _) => {
                self.0.write().permissions.remove(id);
            }
            Record::QuestionAsked(request) => {
                let open = Open {
                    directory: directory(),
                    request: request.as_ref().clone(),
                };
                self.0.write().questions.insert(request.id.clone(), open);
            }
            Record::QuestionReplied(id, _) | Record::QuestionRejected(id) => {
                self.0.write().questions.remove(id);
            }
            Record::NetworkAsked(request) => {
                let open = Open {
                    directory: directory(),
                    request: request.as_ref().clone(),
                };
                self.0.write().networks.insert(request.id.clone(), open);
            }
            Record::UndoBegan(..) => {
                self.0.write().undoing.insert(address.session.clone());
            }
            Record::UndoEnded => {
                self.0.write().undoing.remove(&address.session);
            }
            Record::NetworkAnswered(id, _) => {
                self.0.write().networks.remove(id);
            }
            _ => {}
        }
    }

    /// Takes up a session whose actor begins: all is closed by then but an undo, which goes on without a new record.
    pub(crate) fn take_up(&self, session: &SessionId, is_undoing: bool) {
        if is_undoing {
            self.0.write().undoing.insert(session.clone());
        }
    }

    /// Forgets a session whose actor is gone.
    pub(crate) fn forget(&self, session: &SessionId) {
        let mut inner = self.0.write();
        inner.statuses.remove(session);
        inner.undoing.remove(session);
        inner
            .permissions
            .retain(|_, open| open.request.session_id != *session);
        inner
            .questions
            .retain(|_, open| open.request.session_id != *session);
        inner
            .networks
            .retain(|_, open| open.request.session_id != *session);
    }

    /// Statuses that are not idle.
    pub fn statuses(&self) -> Vec<(SessionId, Open<Status>)> {
        self.0
            .read()
            .statuses
            .iter()
            .map(|(id, open)| (id.clone(), open.clone()))
            .collect()
    }

    /// Whether a session runs a turn, an undo or a redo.
    pub fn is_busy(&self, session: &SessionId) -> bool {
        let inner = self.0.read();
        inner.statuses.contains_key(session) || inner.undoing.contains(session)
    }

    /// Open requests for permission, oldest first.
    pub fn permissions(&self) -> Vec<Open<PermissionRequest>> {
        self.0.read().permissions.values().cloned().collect()
    }

    /// The session of an open request for permission.
    pub fn permission(&self, id: &PermissionId) -> Option<SessionId> {
        self.0
            .read()
            .permissions
            .get(id)
            .map(|open| open.request.session_id.clone())
    }

    /// Open questions, oldest first.
    pub fn questions(&self) -> Vec<Open<QuestionRequest>> {
        self.0.read().questions.values().cloned().collect()
    }

    /// The session of an open question.
    pub fn question(&self, id: &QuestionId) -> Option<SessionId> {
        self.0
            .read()
            .questions
            .get(id)
            .map(|open| open.request.session_id.clone())
    }

    /// Sessions that wait for the network, oldest first.
    pub fn networks(&self) -> Vec<Open<NetworkRequest>> {
        self.0.read().networks.values().cloned().collect()
    }

    /// The session of an open wait for the network.
    pub fn network(&self, id: &QuestionId) -> Option<SessionId> {
        self.0
            .read()
            .networks
            .get(id)
            .map(|open| open.request.session_id.clone())
    }
}

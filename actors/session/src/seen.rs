//! Which instruction files a session's newest message was given already: each is given once a message.

use kilo_protocol::SessionId;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

/// By session: the message, and the files that it has seen. A session's entry goes with its actor.
#[derive(Default)]
pub(crate) struct SeenInstructions(Mutex<HashMap<SessionId, (String, BTreeSet<PathBuf>)>>);

impl SeenInstructions {
    /// Gives the files that this message of the session has seen.
    pub fn of<T>(
        &self,
        session: &SessionId,
        message: &str,
        read: impl FnOnce(&mut BTreeSet<PathBuf>) -> T,
    ) -> T {
        let mut seen = self.0.lock();
        let entry = seen.entry(session.clone()).or_default();
        if entry.0 != message {
            *entry = (message.to_string(), BTreeSet::new());
        }
        read(&mut entry.1)
    }

    /// Forgets a session.
    pub fn forget(&self, session: &SessionId) {
        self.0.lock().remove(session);
    }
}

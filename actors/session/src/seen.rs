//! Which instruction files a session's newest message was given already: each is given once a message.

use kilo_protocol::SessionId;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// By session: the message, and the files that it has seen. A session's entry goes with its actor.
#[derive(Default)]
pub(crate) struct SeenInstructions(Mutex<HashMap<SessionId, (String, BTreeSet<PathBuf>)>>);

impl SeenInstructions {
    /// The files that this message of the session has seen.
    pub fn of(&self, session: &SessionId, message: &str) -> BTreeSet<PathBuf> {
        let seen = self.0.lock();
        let of_message = seen.get(session).filter(|entry| entry.0 == message);
        of_message.map(|entry| entry.1.clone()).unwrap_or_default()
    }

    /// The message is given a file. False when it was before.
    pub fn add(&self, session: &SessionId, message: &str, path: &Path) -> bool {
        let mut seen = self.0.lock();
        let entry = seen.entry(session.clone()).or_default();
        if entry.0 != message {
            *entry = (message.to_string(), BTreeSet::new());
        }
        entry.1.insert(path.to_path_buf())
    }

    /// Forgets a session.
    pub fn forget(&self, session: &SessionId) {
        self.0.lock().remove(session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_given_once_a_message() {
        let seen = SeenInstructions::default();
        let session = SessionId::from_wire("ses_1");
        let (one, two) = (Path::new("/a/AGENTS.md"), Path::new("/b/AGENTS.md"));
        assert!(seen.add(&session, "msg_1", one));
        assert!(
            !seen.add(&session, "msg_1", one),
            "of two calls at once one gives it"
        );
        assert!(seen.add(&session, "msg_1", two));
        assert_eq!(seen.of(&session, "msg_1").len(), 2);
        assert!(seen.of(&session, "msg_2").is_empty());
        assert!(seen.add(&session, "msg_2", one));
        assert_eq!(seen.of(&session, "msg_1"), BTreeSet::new());
        seen.forget(&session);
        assert!(seen.of(&session, "msg_2").is_empty());
    }
}

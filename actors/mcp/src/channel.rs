//! Messages between us and a server, as texts of JSON, whatever carries them.

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

/// The longest message that is taken. Longer ones are skipped; a call whose answer is one fails.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Messages that wait in each direction.
pub const MESSAGES_MAX: usize = 64;

/// Our end.
pub struct Channel {
    /// What we send.
    pub out: mpsc::Sender<Outgoing>,
    /// What the server sends; ends with the connection.
    pub incoming: mpsc::Receiver<Incoming>,
}

/// The carrier's end.
pub struct Carried {
    /// What we send.
    pub out: mpsc::Receiver<Outgoing>,
    /// What the server sends.
    pub incoming: mpsc::Sender<Incoming>,
}

/// A message to the server.
pub struct Outgoing {
    /// One JSON value, on one line.
    pub text: Bytes,
    /// Told when it is on its way, or why it is not.
    pub done: oneshot::Sender<Result<(), SendError>>,
}

/// A message from the server.
pub enum Incoming {
    /// One JSON value, or what should have been one.
    Message(Bytes),
    /// An answer that was not taken: to which request, and why.
    Lost {
        /// The id of our request.
        id: i64,
        /// Why, for people.
        why: String,
    },
}

/// Why a message did not reach the server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The connection is gone.
    #[error("the connection is closed")]
    Closed,
    /// The server wants somebody who is signed in.
    #[error("the server wants a sign-in")]
    Unauthorized {
        /// The header `WWW-Authenticate`.
        challenge: String,
    },
    /// Another status.
    #[error("the server answered HTTP {status}{}", shown(.text))]
    Status {
        /// The status.
        status: u16,
        /// The beginning of the answer.
        text: String,
    },
    /// The network.
    #[error("{0}")]
    Network(String),
}

fn shown(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}

/// Both ends.
pub fn pair() -> (Channel, Carried) {
    let (out, to_carry) = mpsc::channel(MESSAGES_MAX);
    let (carried, incoming) = mpsc::channel(MESSAGES_MAX);
    let ours = Channel { out, incoming };
    let theirs = Carried {
        out: to_carry,
        incoming: carried,
    };
    (ours, theirs)
}

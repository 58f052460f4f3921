//! What can go wrong between a client and a daemon.

use serde_json::Value;
use std::time::Duration;

/// A call that did not work.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address cannot be used.
    #[error("{url} is not an address of a daemon: {reason}")]
    Address {
        /// What was given.
        url: String,
        /// Why it cannot be used.
        reason: String,
    },
    /// No connection, or it broke before the answer was complete.
    #[error("cannot reach the daemon at {url}")]
    Unreachable {
        /// The daemon's address.
        url: String,
        /// What the network said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer within the time.
    #[error("the daemon did not answer {call} within {} s", waited.as_secs())]
    Timeout {
        /// Method and path.
        call: String,
        /// How long it was waited.
        waited: Duration,
    },
    /// The daemon answered with an error status.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Method and path.
        call: String,
        /// A sentence for people, taken from the body where it has one.
        message: String,
        /// The body; a string when it was not JSON, null when it was empty.
        body: Box<Value>,
    },
    /// The answer does not have the shape of the protocol.
    #[error("the daemon's answer to {call} has an unknown shape")]
    Shape {
        /// Method and path.
        call: String,
        /// Where reading stopped.
        #[source]
        source: serde_json::Error,
    },
    /// The event stream ended and could not be opened again.
    #[error("the event stream broke and {attempts} attempts to open it again failed")]
    StreamLost {
        /// How many attempts were made.
        attempts: u32,
        /// The last failure.
        #[source]
        source: Box<ClientError>,
    },
    /// A frame of a stream or an answer is larger than any the protocol has.
    #[error("{what} exceeds {limit} bytes")]
    TooLarge {
        /// What it was.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// The peer does not speak the protocol of the stream or the socket.
    #[error("unexpected data on the {channel}: {reason}")]
    Protocol {
        /// `event stream` or `socket`.
        channel: &'static str,
        /// What was wrong.
        reason: String,
    },
}

impl ClientError {
    /// The HTTP status, if the daemon gave one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The error's name on the wire: `NotFoundError`, `SessionBusyError`, …
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Refused { body, .. } => body.get("name").or_else(|| body.get("_tag"))?.as_str(),
            _ => None,
        }
    }

    /// Whether another attempt may work: the network failed or the daemon said "later".
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } => true,
            Self::Refused { status, .. } => matches!(status, 429 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// Makes the error of an answer with an error status out of its body.
    pub(crate) fn refused(status: u16, call: String, body: &[u8]) -> Self {
        let body = match serde_json::from_slice(body) {
            Ok(value) => value,
            Err(_) if body.is_empty() => Value::Null,
            Err(_) => Value::String(String::from_utf8_lossy(body).into_owned()),
        };
        let message = sentence(&body).unwrap_or_else(|| format!("{call} answered {status}"));
        Self::Refused {
            status,
            call,
            message,
            body: Box::new(body),
        }
    }
}

/// The sentence in an error body, wherever its shape keeps it.
fn sentence(body: &Value) -> Option<String> {
    let places = ["/data/message", "/message", "/error/message", "/error"];
    let text = match body {
        Value::String(text) => Some(text.as_str()),
        _ => places
            .iter()
            .find_map(|place| body.pointer(place)?.as_str()),
    }?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::ClientError;

    fn refused(status: u16, body: &str) -> ClientError {
        ClientError::refused(status, "GET /x".into(), body.as_bytes())
    }

    #[test]
    fn a_refusal_speaks_with_the_servers_words() {
        let named = refused(
            404,
            r#"{"name":"NotFoundError","data":{"message":"Session not found: ses_1"}}"#,
        );
        assert_eq!(
            (named.to_string().as_str(), named.name()),
            ("Session not found: ses_1", Some("NotFoundError"))
        );
        let tagged = refused(
            409,
            r#"{"_tag":"SessionBusyError","message":"Session is busy: ses_1"}"#,
        );
        assert_eq!(
            (tagged.to_string().as_str(), tagged.name()),
            ("Session is busy: ses_1", Some("SessionBusyError"))
        );
        assert_eq!(
            refused(404, r#"{"error":"Not Found"}"#).to_string(),
            "Not Found"
        );
        assert_eq!(refused(415, "unsupported").to_string(), "unsupported");
        assert_eq!(refused(401, "").to_string(), "GET /x answered 401");
    }

    #[test]
    fn only_network_trouble_and_later_are_transient() {
        assert!(refused(503, "").is_transient());
        assert!(!refused(401, "").is_transient());
    }
}

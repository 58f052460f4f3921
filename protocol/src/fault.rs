//! What a caller is told when something did not work: one type that knows status codes, many shapes on the wire.
//!
//! The shapes are the reference's (seen: real server 7.7.9): most bodies are `{name, data}`, newer routes use tagged
//! errors `{_tag, …}`. Only `edge/problem.rs` writes them out.

use serde_json::{Map, Value, json};
use std::fmt;

/// How the warning of a damaged log begins (`GET /config/warnings`): clients know it by that.
pub const LOG_DAMAGED: &str = "Part of the session log is damaged";

/// The class of a fault; it decides the HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// 400: the request is malformed.
    BadRequest,
    /// 401: no or wrong credentials.
    Unauthorized,
    /// 403: understood and refused.
    Forbidden,
    /// 404: no such thing.
    NotFound,
    /// 409: not now.
    Conflict,
    /// 413: the body is over the limit.
    TooLarge,
    /// 415: the body is not JSON.
    UnsupportedMedia,
    /// 500: a defect or an unknown name (as the reference answers it).
    Unknown,
    /// 501: the operation does not exist yet.
    NotImplemented,
    /// 503: try again later; rendered with `Retry-After`.
    Unavailable,
    /// 507: the data folder's disk is full.
    StorageFull,
}

impl FaultKind {
    /// The HTTP status of this class.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::UnsupportedMedia => 415,
            Self::Unknown => 500,
            Self::NotImplemented => 501,
            Self::Unavailable => 503,
            Self::StorageFull => 507,
        }
    }
}

/// A failed request: its class, a sentence for people, and the JSON body.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The class.
    pub kind: FaultKind,
    /// A sentence for people and logs; lowercase where it is ours.
    pub message: String,
    /// The body as the client gets it.
    pub body: Value,
}

impl Fault {
    /// A fault of the common shape `{name, data: {message}}`.
    pub fn named(kind: FaultKind, name: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let body = json!({"name": name, "data": {"message": &message}});
        Self {
            kind,
            message,
            body,
        }
    }

    /// A fault of the tagged shape `{_tag, message, …fields}`.
    pub fn tagged(kind: FaultKind, tag: &str, message: impl Into<String>, fields: Value) -> Self {
        let message = message.into();
        let mut body = Map::new();
        body.insert("_tag".into(), tag.into());
        if let Value::Object(fields) = fields {
            body.extend(fields);
        }
        body.insert("message".into(), message.clone().into());
        Self {
            kind,
            message,
            body: Value::Object(body),
        }
    }

    /// 400 for a body or query that does not fit: `part` is `Payload`, `Query` or `Params`.
    pub fn bad_request(part: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let body = json!({"name": "BadRequest", "data": {"message": &message, "kind": part}});
        Self {
            kind: FaultKind::BadRequest,
            message,
            body,
        }
    }

    /// 400 for the body field `field` (dotted path), which should have been `expected`.
    pub fn bad_field(expected: &str, field: &str) -> Self {
        let path: Vec<String> = field.split('.').map(|step| format!("[{step:?}]")).collect();
        Self::bad_request(
            "Payload",
            format!("Expected {expected}\n  at {}", path.join("")),
        )
    }

    /// 400 for the query parameter `field`, which should have been `expected`.
    pub fn bad_query(expected: &str, field: &str) -> Self {
        Self::bad_request("Query", format!("Expected {expected}\n  at [{field:?}]"))
    }

    /// 404 `NotFoundError`.
    pub fn not_found(what: &str, id: impl fmt::Display) -> Self {
        Self::named(
            FaultKind::NotFound,
            "NotFoundError",
            format!("{what} not found: {id}"),
        )
    }

    /// 409 for a session that runs a turn.
    pub fn busy(session: impl fmt::Display) -> Self {
        let id = session.to_string();
        Self::tagged(
            FaultKind::Conflict,
            "SessionBusyError",
            format!("Session is busy: {id}"),
            json!({"sessionID": id}),
        )
    }

    /// 500 `UnknownError`, as the reference answers unknown names.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::named(FaultKind::Unknown, "UnknownError", message)
    }

    /// 501: says which operation is missing.
    pub fn not_implemented(operation: &str) -> Self {
        Self::named(
            FaultKind::NotImplemented,
            "NotImplemented",
            format!("operation {operation} is not implemented yet"),
        )
    }

    /// 503 with a sentence.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::named(FaultKind::Unavailable, "ServiceUnavailable", message)
    }

    /// 403 with a sentence.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::named(FaultKind::Forbidden, "Forbidden", message)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

//! Events on the wire and the frame that carries one to every subscriber.

use crate::{EventId, ProjectId};
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

/// One event: `{id, type, properties}`.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// `evt_…`; rises with time.
    pub id: EventId,
    /// The event's name, for example `session.updated`.
    #[serde(rename = "type")]
    pub name: String,
    /// The event's own fields.
    pub properties: Value,
}

/// One event, serialised once, on its way to every subscriber.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The position that a client may resume after; `None` for what is not in the log, and for all but the last
    /// event of one record.
    pub pos: Option<u64>,
    /// The directory it belongs to; `None` for what concerns the whole daemon.
    pub directory: Option<Arc<str>>,
    /// The project of that directory, where known.
    pub project: Option<Arc<ProjectId>>,
    /// The event's JSON, without frame or newline.
    pub json: Bytes,
    /// The stream of this directory ends after this frame.
    pub last: bool,
}

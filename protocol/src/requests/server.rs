//! The daemon itself: its log and its history of events.

use serde::{Deserialize, Serialize};

/// `app.log`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogLine {
    /// Which part of the client says it.
    pub service: String,
    /// How much it matters.
    pub level: LogLevel,
    /// What it says.
    pub message: String,
}

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// To developers.
    Debug,
    /// To whoever looks.
    Info,
    /// Something is odd.
    Warn,
    /// Something failed.
    Error,
}

/// `sync.history.list`: for each session the number of the last event that the client has.
pub type History = std::collections::HashMap<String, u64>;

//! Terminals on the wire, where they are called `pty`.

use crate::SessionId;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A program in a terminal, as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalInfo {
    /// `pty_…`.
    pub id: String,
    /// What people call it.
    pub title: String,
    /// The program.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// The folder that it was started in.
    pub cwd: String,
    /// Whether it runs.
    pub status: TerminalStatus,
    /// Its number.
    pub pid: u32,
    /// How it ended: its code, 128 and the signal's number if one ended it.
    #[serde(rename = "exitCode", skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u32>,
    /// The session that clients show it with.
    #[serde(rename = "sessionID", skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
}

/// Whether a terminal's program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TerminalStatus {
    /// It does.
    Running,
    /// It has ended; its output can still be seen for a while.
    Exited,
}

/// `pty.create`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CreateTerminal {
    /// The program; none: the user's shell.
    pub command: Option<String>,
    /// Its arguments.
    pub args: Option<Vec<String>>,
    /// Its folder; none: that of the request.
    pub cwd: Option<String>,
    /// The title.
    pub title: Option<String>,
    /// Variables on top of the daemon's.
    pub env: Option<BTreeMap<String, String>>,
    /// The size; none: 80 by 24.
    pub size: Option<WireSize>,
}

/// `pty.update`: what is missing stays as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct UpdateTerminal {
    /// The title.
    pub title: Option<String>,
    /// The size.
    pub size: Option<WireSize>,
    /// The session that it is shown with; null takes it off.
    #[serde(
        rename = "sessionID",
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub session_id: Option<Option<SessionId>>,
}

/// Tells null from nothing.
fn present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<SessionId>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A size in characters, as clients send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireSize {
    /// Lines.
    pub rows: u64,
    /// Characters of a line.
    pub cols: u64,
}

/// A terminal that was made or changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TerminalChanged<'a> {
    /// The terminal.
    pub info: Cow<'a, TerminalInfo>,
}

/// A program that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TerminalExited<'a> {
    /// The terminal.
    pub id: Cow<'a, str>,
    /// How: see [`TerminalInfo::exit_code`].
    #[serde(rename = "exitCode")]
    pub exit_code: u32,
}

/// A terminal that is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TerminalGone<'a> {
    /// The terminal.
    pub id: Cow<'a, str>,
}

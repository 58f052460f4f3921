//! Background processes on the wire, and the list of everything that runs.

use crate::{Millis, SessionId};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A background process, as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessInfo {
    /// `bgp_…`; it stays over restarts.
    pub id: String,
    /// The session that it belongs to.
    #[serde(rename = "sessionID")]
    pub session_id: SessionId,
    /// Its number, once it was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The command.
    pub command: String,
    /// Its folder.
    pub cwd: String,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The TCP ports that it listens on, ascending.
    pub ports: Vec<u16>,
    /// How it is.
    pub status: ProcessStatus,
    /// How long it may live.
    pub lifetime: Lifetime,
    /// It was ready once, in this run.
    pub ready: bool,
    /// Its exit code.
    #[serde(rename = "exitCode", skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u32>,
    /// The signal that ended it: `SIGTERM`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// The last of its output.
    pub output: String,
    /// When.
    pub time: ProcessTime,
}

impl ProcessInfo {
    /// Whether it is not over.
    pub fn is_alive(&self) -> bool {
        !matches!(
            self.status,
            ProcessStatus::Exited | ProcessStatus::Failed | ProcessStatus::Stopped
        )
    }
}

/// When a process was started, changed and ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessTime {
    /// The start of this run.
    pub started: Millis,
    /// The last change.
    pub updated: Millis,
    /// The end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Millis>,
}

/// How a background process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessStatus {
    /// It is being started.
    Starting,
    /// It runs.
    Running,
    /// It runs and said that it is ready.
    Ready,
    /// It ended by itself, with code 0.
    Exited,
    /// It ended by itself otherwise, or could not be started.
    Failed,
    /// It was told to end.
    Stopping,
    /// It ended because it was told to.
    Stopped,
}

/// How long a background process may live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lifetime {
    /// As long as its session; in a session of a task, as long as the task works.
    Session,
    /// As long as the parent of the session that started it.
    Parent,
    /// Until it is stopped, also when the daemon ends.
    Persistent,
}

/// A process that changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessChanged<'a> {
    /// The process.
    pub info: Cow<'a, ProcessInfo>,
    /// The folder that it belongs to.
    pub scope: Cow<'a, str>,
}

/// A process that is gone from the list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessGone<'a> {
    /// Its session.
    #[serde(rename = "sessionID")]
    pub session_id: Cow<'a, SessionId>,
    /// The process.
    #[serde(rename = "processID")]
    pub process_id: Cow<'a, str>,
    /// The folder that it belonged to.
    pub scope: Cow<'a, str>,
}

/// A child process of the daemon, whoever started it: a command, a server of a protocol, a terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunningProcess {
    /// Its number.
    pub pid: u32,
    /// What it is: `mcp github`, `terminal 2`, of a command its words.
    pub title: String,
    /// The folder it was started in.
    pub directory: String,
    /// The session that it belongs to; of a background process only, the others serve a folder.
    #[serde(rename = "sessionID", default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// The folders that use it, where several may: a server of a protocol.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// It has a terminal.
    pub terminal: bool,
    /// When it was started.
    pub started: Millis,
    /// How long it runs, by the kernel's clock, which a change of the wall clock does not touch.
    pub age_ms: u64,
    /// It and all that it started and that lives.
    pub processes: u32,
    /// Bytes of memory that they hold; pages that several share count for each.
    pub memory_bytes: u64,
    /// Processor time so far, of those that have ended too.
    pub cpu_ms: u64,
}

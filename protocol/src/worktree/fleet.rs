//! Several versions of one prompt.

use super::{Landed, Summary};
use crate::model::Tokens;
use crate::{Millis, SessionId};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    /// `flt_…`.
    pub id: String,
    /// What all versions were told.
    pub prompt: String,
    /// Where it was asked for; results go back there.
    pub directory: String,
    /// The project's id.
    pub project: String,
    /// When.
    pub created: Millis,
    /// A shell text that tells by its status whether a result is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// The name of the worktree whose result was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}

/// A fleet with what its versions came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FleetNow {
    /// What was asked for.
    #[serde(flatten)]
    pub fleet: Fleet,
    /// All have ended, and have been checked where there is a check.
    pub done: bool,
    /// The versions, in the order of their models.
    pub members: Vec<Member>,
}

/// One version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The name of its worktree.
    pub worktree: String,
    /// The worktree's top folder.
    pub directory: PathBuf,
    /// The worktree's branch.
    pub branch: Option<String>,
    /// The session that works in it.
    #[serde(rename = "sessionID")]
    pub session: SessionId,
    /// Its model, as PROVIDER/MODEL; none: the default.
    pub model: Option<String>,
    /// Its agent; none: the default.
    pub agent: Option<String>,
    /// How it is.
    pub status: MemberStatus,
    /// The worktree is gone.
    pub removed: bool,
    /// Why it came to no good end.
    pub error: Option<String>,
    /// From its start to its end, or to now.
    pub took_ms: Millis,
    /// US dollars.
    pub cost: Option<f64>,
    /// What the session used.
    pub tokens: Option<Tokens>,
    /// What it changed; none where it cannot be looked at.
    pub diff: Option<Summary>,
    /// What the check said.
    pub check: Option<Checked>,
}

/// How a version is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberStatus {
    /// Its set-up runs.
    Waiting,
    /// Its session works.
    Busy,
    /// It came to an end.
    Done,
    /// It did not; `error` says why.
    Failed,
}

impl MemberStatus {
    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Busy => "busy",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// What a check said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    /// It ended with 0.
    pub ok: bool,
    /// How it ended, for people.
    pub how: String,
    /// How long it ran.
    pub took_ms: Millis,
    /// The end of its output, up to 4,000 bytes.
    pub tail: String,
}

/// What came of keeping one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetKept {
    /// What came home.
    pub landed: Landed,
    /// The worktrees that were removed.
    pub removed: Vec<PathBuf>,
}

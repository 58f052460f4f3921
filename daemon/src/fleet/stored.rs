//! What is stored of a fleet: itself, and each of its versions as a value of its own.

use crate::daemon::Daemon;
use bytes::Bytes;
use kilo_protocol::worktree::{Checked, Fleet, Tree};
use kilo_protocol::{Fault, Millis, SessionId};
use serde::{Deserialize, Serialize};

const FLEETS: &str = "fleet";
const MEMBERS: &str = "fleet-member";

/// A fleet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stored {
    /// What was asked for.
    #[serde(flatten)]
    pub fleet: Fleet,
    /// How many versions there are.
    pub members: usize,
}

/// One version.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// Its worktree when it was made.
    pub worktree: Tree,
    /// The session that works in it.
    #[serde(rename = "sessionID")]
    pub session: SessionId,
    /// Its model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Its agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// When it began.
    pub started: Millis,
    /// When its answer was there, or its failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Millis>,
    /// Why it came to no good end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the check said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<Checked>,
}

impl Version {
    /// Whether nothing more comes.
    pub fn is_over(&self, fleet: &Fleet) -> bool {
        self.ended.is_some() && (fleet.check.is_none() || self.check.is_some())
    }
}

/// The key of a version.
pub fn key_of(fleet: &str, number: usize) -> String {
    format!("{fleet}/{number}")
}

fn put(daemon: &Daemon, table: &str, key: &str, value: &impl Serialize) -> Result<(), Fault> {
    let engine = daemon
        .ready()
        .ok_or_else(|| Fault::unavailable("the daemon starts"))?;
    let body = serde_json::to_vec(value).map_err(|error| Fault::unknown(error.to_string()))?;
    let store = engine.core().ledger.store();
    Ok(store.put(table, key, &body, daemon.clock.now())?)
}

/// Stores a fleet.
pub fn put_fleet(daemon: &Daemon, stored: &Stored) -> Result<(), Fault> {
    put(daemon, FLEETS, &stored.fleet.id, stored)
}

/// Stores a version.
pub fn put_version(daemon: &Daemon, key: &str, version: &Version) -> Result<(), Fault> {
    put(daemon, MEMBERS, key, version)
}

fn read<T: for<'a> Deserialize<'a>>(body: &Bytes) -> Option<T> {
    serde_json::from_slice(body).ok()
}

/// All fleets of a project, newest first.
pub async fn of_project(daemon: &Daemon, project: &str) -> Result<Vec<Stored>, Fault> {
    let engine = daemon.engine().await?;
    let all = engine.core().ledger.store().scan(FLEETS);
    let mut fleets: Vec<Stored> = all.iter().filter_map(|(_, body)| read(body)).collect();
    fleets.retain(|stored| stored.fleet.project == project);
    fleets.sort_by_key(|stored| std::cmp::Reverse(stored.fleet.created));
    Ok(fleets)
}

/// A fleet with its versions, each with its key.
///
/// # Errors
/// When there is none.
pub async fn find(daemon: &Daemon, id: &str) -> Result<(Stored, Vec<(String, Version)>), Fault> {
    let engine = daemon.engine().await?;
    let store = engine.core().ledger.store();
    let stored = store.get(FLEETS, id).and_then(|body| read::<Stored>(&body));
    let stored = stored.ok_or_else(|| Fault::not_found("Fleet", id))?;
    let versions = (0..stored.members)
        .filter_map(|number| {
            let key = key_of(id, number);
            let version = read(&store.get(MEMBERS, &key)?)?;
            Some((key, version))
        })
        .collect();
    Ok((stored, versions))
}

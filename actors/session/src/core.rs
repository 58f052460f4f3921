//! What the engine stands on, and what every part of it may hold: the ports, the ledger, the saved approvals. It knows no
//! actor, so whoever holds it holds nobody up.

use crate::approvals::Approvals;
use crate::catalog::info_json;
use crate::folder::{Folder, Folders};
use crate::ledger::Ledger;
use crate::seen::SeenInstructions;
use bytes::Bytes;
use kilo_ports::checkpoint::Checkpoints;
use kilo_ports::clock::Clock;
use kilo_ports::files::Files;
use kilo_ports::provider::ModelClient;
use kilo_ports::sandbox::Sandbox;
use kilo_protocol::model::Session;
use kilo_protocol::{Event, Fault, Millis, SessionId};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::Handle;

/// The world around the sessions.
pub struct Ports {
    /// Calls models.
    pub models: Arc<dyn ModelClient>,
    /// Runs child processes.
    pub sandbox: Arc<dyn Sandbox>,
    /// The disk that file tools use.
    pub files: Arc<dyn Files>,
    /// Keeps checkpoints.
    pub checkpoints: Arc<dyn Checkpoints>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// The folders with their configuration, models and tools.
    pub folders: Arc<dyn Folders>,
    /// Where tasks run.
    pub handle: Handle,
    /// Where whole outputs of tools are kept.
    pub output_dir: PathBuf,
    /// The user's home.
    pub home: PathBuf,
}

/// Ports, ledger and what is kept beside them.
pub struct Core {
    /// The world around.
    pub ports: Ports,
    /// The log, and what is folded from it for many readers.
    pub ledger: Ledger,
    /// The rules that users saved.
    pub approvals: Approvals,
    /// Which instruction files a message has shown already.
    pub(crate) seen: SeenInstructions,
    /// What closed turns still have to store.
    pub(crate) finishing: Finishing,
}

/// Counts the tasks that turns leave to be done after their end.
#[derive(Clone, Default)]
pub(crate) struct Finishing(Arc<()>);

impl Finishing {
    /// One more, until what this gives is dropped.
    pub fn begin(&self) -> Finishing {
        self.clone()
    }
}

impl Core {
    /// The time.
    pub fn now(&self) -> Millis {
        self.ports.clock.now()
    }

    /// Publishes an event that is not in the log, to clients of a directory or to all.
    pub fn publish(&self, directory: Option<&str>, event: &Event<'_>) {
        let project = directory.and_then(|directory| self.ports.folders.project(directory));
        let place = (directory, project);
        self.ledger.publish(place, event, false, self.now());
    }

    /// Publishes the event after which the streams of a directory end.
    pub fn publish_last(&self, directory: &str, event: &Event<'_>) {
        let place = (Some(directory), self.ports.folders.project(directory));
        self.ledger.publish(place, event, true, self.now());
    }

    /// A folder with its configuration.
    pub async fn folder(&self, directory: &str) -> Result<Arc<Folder>, Fault> {
        self.ports.folders.folder(directory).await
    }

    /// Whether a closed turn still has something to store.
    pub fn is_finishing(&self) -> bool {
        Arc::strong_count(&self.finishing.0) > 1
    }

    /// A session's head as JSON.
    pub(crate) fn head(&self, session: &SessionId) -> Result<Bytes, Fault> {
        let missing = || Fault::not_found("Session", session);
        if !self.ledger.catalog().contains(session) {
            return Err(missing());
        }
        let head = self.ledger.store().head(session);
        head.as_ref().and_then(info_json).ok_or_else(missing)
    }

    /// The sessions' JSON, of those that are there.
    pub(crate) fn heads(&self, sessions: &[SessionId]) -> impl Iterator<Item = Bytes> {
        let heads = self.ledger.store().heads_of(sessions);
        heads
            .into_iter()
            .flatten()
            .filter_map(|head| info_json(&head))
    }

    /// A session's head.
    pub(crate) fn session(&self, session: &SessionId) -> Result<Session, Fault> {
        serde_json::from_slice(&self.head(session)?)
            .map_err(|error| Fault::unknown(error.to_string()))
    }

    /// The folder of a session; empty when there is no such session.
    pub(crate) fn directory(&self, session: &SessionId) -> String {
        let listed = self.ledger.catalog().get(session);
        listed
            .map(|listed| listed.directory.to_string())
            .unwrap_or_default()
    }

    /// Runs a task that belongs to no session on the tokio pool.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.ports.handle.spawn(task);
    }

    /// How what the last checkpoint left out looked; 0 where that cannot be told.
    pub(crate) async fn left_out(&self, directory: &str) -> u64 {
        let looked = self.ports.checkpoints.left_out(directory.into()).await;
        looked.unwrap_or_default()
    }

    /// Records the files of a folder; `None` where that is switched off or impossible.
    pub(crate) async fn track(&self, directory: &str) -> Option<String> {
        let folder = self.folder(directory).await.ok()?;
        if !folder.loaded.config.snapshot || !folder.is_git {
            return None;
        }
        let tracked = self.ports.checkpoints.track(folder.directory.clone());
        match tracked.await {
            Ok(hash) => Some(hash),
            Err(error) => {
                tracing::debug!(%error, directory, "no checkpoint");
                None
            }
        }
    }
}

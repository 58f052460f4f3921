//! What every handler has at hand.

use crate::folders::{Instance, Instances};
use crate::paths::absolute;
use crate::watching::Watching;
use kilo_config::{Environment, Paths};
use kilo_edge::Request;
use kilo_ports::clock::Clock;
use kilo_ports::sandbox::Running;
use kilo_process::Processes;
use kilo_protocol::event::{Disposed, Event, Indexing, IndexingStatus, Nothing};
use kilo_protocol::{Fault, SessionId};
use kilo_runtime::Received;
use kilo_session::Engine;
use kilo_terminal::{Terminals, Tickets};
use kilo_worktree::Trees;
use kilo_worktree::find::Names;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// How far the start is.
#[derive(Clone)]
pub enum Readiness {
    /// The log is being opened.
    Opening,
    /// Sessions can be used.
    Ready(Arc<Engine>),
    /// Another process holds the data folder.
    Locked {
        /// That process.
        pid: u32,
        /// Where it listens; empty while it starts.
        address: String,
    },
    /// The log could not be opened.
    Failed(String),
}

/// The daemon.
pub struct Daemon {
    pub(crate) environment: Arc<Environment>,
    pub(crate) paths: Arc<Paths>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) folders: Arc<Instances>,
    pub(crate) servers: kilo_mcp::Servers,
    pub(crate) handle: Handle,
    pub(crate) has_password: bool,
    pub(crate) readiness: watch::Receiver<Readiness>,
    pub(crate) document: OnceLock<bytes::Bytes>,
    /// Made with the first one.
    pub(crate) terminals: OnceLock<Terminals>,
    pub(crate) tickets: Arc<Tickets>,
    pub(crate) trees: Trees,
    /// The names of files that clients looked for last.
    pub(crate) names: Arc<Names>,
    /// Versions of prompts that this process takes to their end.
    pub(crate) fleets: crate::underway::Underway,
    pub(crate) processes: Processes,
    /// Folders are watched for clients that follow their events.
    pub(crate) watching: Watching,
}

impl Daemon {
    /// The engine, once the log is open.
    pub async fn engine(&self) -> Result<Arc<Engine>, Fault> {
        if let Readiness::Ready(engine) = &*self.readiness.borrow() {
            return Ok(Arc::clone(engine));
        }
        let mut readiness = self.readiness.clone();
        let reached = readiness
            .wait_for(|state| !matches!(state, Readiness::Opening))
            .await;
        match reached.map(|state| state.clone()) {
            Ok(Readiness::Ready(engine)) => Ok(engine),
            Ok(Readiness::Failed(why)) => Err(Fault::unavailable(why)),
            _ => Err(Fault::unavailable("the daemon ends")),
        }
    }

    /// The terminals.
    pub async fn terminals(&self) -> Result<&Terminals, Fault> {
        if let Some(all) = self.terminals.get() {
            return Ok(all);
        }
        let engine = self.engine().await?;
        let sandbox = Arc::clone(&engine.core().ports.sandbox);
        let (clock, handle) = (Arc::clone(&self.clock), self.handle.clone());
        let announce = crate::announce::of_terminals(engine);
        let made = || Terminals::new(sandbox, clock, handle, announce);
        Ok(self.terminals.get_or_init(made))
    }

    /// Ends the terminals of a directory, when its client says that it is done with it.
    pub fn end_terminals(&self, directory: &str) {
        if let Some(all) = self.terminals.get() {
            all.remove_all(directory);
        }
    }

    /// Everything that runs beside the daemon, oldest first, with what outlives it.
    pub async fn running(&self) -> Result<Vec<Running>, Fault> {
        let engine = self.engine().await?;
        let mut running = engine.core().ports.sandbox.running().await;
        running.extend(self.processes.kept().await);
        running.sort_by_key(|one| std::cmp::Reverse(one.age_ms));
        Ok(running)
    }

    /// Ends the terminals of a folder and of all below it.
    pub fn end_terminals_below(&self, directory: &Path) {
        if let Some(all) = self.terminals.get() {
            all.remove_below(directory);
        }
    }

    /// Waits until a session runs no turn.
    pub async fn idle(&self, session: &SessionId) -> Result<(), Fault> {
        let engine = self.engine().await?;
        let core = engine.core();
        let (mut changes, _) = core.ledger.journal().subscribe();
        while core.ledger.activity().is_busy(session) {
            match changes.next().await {
                Received::Frame(_) => {}
                Received::Lagged(_) => (changes, _) = core.ledger.journal().subscribe(),
                Received::Closed => return Err(Fault::unavailable("the daemon ends")),
            }
        }
        Ok(())
    }

    /// The engine, if the log is open.
    pub fn ready(&self) -> Option<Arc<Engine>> {
        match &*self.readiness.borrow() {
            Readiness::Ready(engine) => Some(Arc::clone(engine)),
            _ => None,
        }
    }

    /// The directory that a request is about, absolute.
    pub fn directory(&self, request: &Request) -> String {
        let named = request.directory.as_deref().unwrap_or_default();
        absolute(&self.environment.cwd, named).display().to_string()
    }

    /// The folder that a request is about.
    pub async fn instance(&self, request: &Request) -> Result<Instance, Fault> {
        let instance = self.folders.instance(&self.directory(request)).await?;
        if request.directory.is_some()
            && let Some(engine) = self.ready()
        {
            self.watching.used(&engine, &instance.folder);
        }
        self.announce_begun();
        Ok(instance)
    }

    /// Tells clients of a folder that came into use what there is to choose from in it, as the reference does when an
    /// instance begins.
    fn announce_begun(&self) {
        let Readiness::Ready(engine) = &*self.readiness.borrow() else {
            return;
        };
        for directory in self.folders.begun() {
            let status = IndexingStatus::disabled();
            for event in [
                Event::ReferencesChanged(Nothing {}),
                Event::IntegrationsChanged(Nothing {}),
                Event::CatalogChanged(Nothing {}),
                Event::IndexingChanged(Indexing { status }),
            ] {
                engine.core().publish(Some(&directory), &event);
            }
        }
    }

    /// Runs blocking work of a handler on the blocking pool.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        self.handle
            .spawn_blocking(work)
            .await
            .map_err(|_| Fault::unknown("the work broke down"))?
    }

    /// Ends a folder's instance: its configuration is forgotten and its event streams end.
    pub async fn dispose(&self, directory: &str) -> Result<(), Fault> {
        self.folders.forget(directory);
        self.announce_disposed(directory).await
    }

    /// Ends all instances.
    pub async fn dispose_all(&self) -> Result<(), Fault> {
        for directory in self.folders.forget_all() {
            self.announce_disposed(&directory).await?;
        }
        Ok(())
    }

    async fn announce_disposed(&self, directory: &str) -> Result<(), Fault> {
        let event = Event::InstanceDisposed(Disposed {
            directory: directory.into(),
        });
        self.engine().await?.core().publish_last(directory, &event);
        Ok(())
    }

    /// A session id from the path.
    pub fn session_id(request: &Request) -> SessionId {
        SessionId::from_wire(request.params.get("sessionID"))
    }
}

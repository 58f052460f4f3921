//! All background processes of a daemon.

use crate::adopt;
use crate::kept::Program;
use crate::life::{self, GRACE, Keep, Surroundings};
use crate::process::Process;
use kilo_ports::BoxFuture;
use kilo_ports::background::{Background, BackgroundError, LogPiece, Outcome, Ready, StartOrder};
use kilo_ports::clock::Clock;
use kilo_ports::sandbox::{Running, Sandbox};
use kilo_protocol::process::{Lifetime, ProcessInfo};
use kilo_protocol::{IdSource, SessionId};
use parking_lot::Mutex;
use regex::Regex;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

/// Processes of one session that run at the same time.
pub const PROCESSES_MAX: usize = 32;
/// Ended ones of a session that are still listed.
const ENDED_MAX: usize = 16;
/// How long a stop waits for the end.
const STOP_MAX: Duration = Duration::from_secs(10);

/// What clients are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It was started, or changed.
    Updated(Box<ProcessInfo>),
    /// It is off the list.
    Deleted {
        /// Its session.
        session: SessionId,
        /// The process.
        id: String,
    },
}

/// Told what happens in a folder: its path, then what.
pub type Announce = Arc<dyn Fn(&str, Happened) + Send + Sync>;

/// Names the parent of a session.
pub type Parent = Arc<dyn Fn(&SessionId) -> Option<SessionId> + Send + Sync>;

/// The background processes. Clones share them.
#[derive(Clone)]
pub struct Processes {
    shared: Arc<Shared>,
}

struct Shared {
    sandbox: Arc<dyn Sandbox>,
    clock: Arc<dyn Clock>,
    handle: Handle,
    ids: IdSource,
    announce: OnceLock<Announce>,
    parent: OnceLock<Parent>,
    all: Mutex<Vec<Arc<Process>>>,
    keep: Option<Arc<Keep>>,
    /// Those that an earlier daemon left were looked for.
    adopted: OnceCell<()>,
}

impl Processes {
    /// None yet. What they do runs on `handle`.
    pub fn new(sandbox: Arc<dyn Sandbox>, clock: Arc<dyn Clock>, handle: Handle) -> Self {
        Self::made(sandbox, clock, handle, None)
    }

    /// The same with processes that outlive the daemon: `program`, to whose words a folder below `root` is added, calls
    /// [`crate::keep`]. What an earlier daemon left there is taken up at the first use, not now.
    pub fn keeping(
        sandbox: Arc<dyn Sandbox>,
        clock: Arc<dyn Clock>,
        handle: Handle,
        root: PathBuf,
        program: Vec<String>,
    ) -> Self {
        let mut words = program.into_iter();
        let keep = words.next().map(|first| Keep {
            root,
            program: Program {
                program: first,
                args: words.collect(),
            },
        });
        Self::made(sandbox, clock, handle, keep)
    }

    fn made(
        sandbox: Arc<dyn Sandbox>,
        clock: Arc<dyn Clock>,
        handle: Handle,
        keep: Option<Keep>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                sandbox,
                clock,
                handle,
                ids: IdSource::default(),
                announce: OnceLock::new(),
                parent: OnceLock::new(),
                all: Mutex::default(),
                keep: keep.map(Arc::new),
                adopted: OnceCell::new(),
            }),
        }
    }

    /// Who is told of changes, and who knows the parents of sessions; set once.
    pub fn connect(&self, announce: Announce, parent: Parent) {
        let _ = self.shared.announce.set(announce);
        let _ = self.shared.parent.set(parent);
    }

    /// The processes of a folder, oldest first, with their ports of now.
    pub async fn in_directory(&self, directory: &str) -> Vec<ProcessInfo> {
        let shared = Arc::clone(&self.shared);
        let directory = directory.to_owned();
        self.on_pool(async move {
            let is_there = |process: &Process| *process.order.directory.as_os_str() == *directory;
            shared.infos(is_there).await
        })
        .await
        .unwrap_or_default()
    }

    /// One, of whichever session.
    pub async fn find(&self, id: &str) -> Option<ProcessInfo> {
        let (shared, id) = (Arc::clone(&self.shared), id.to_owned());
        self.on_pool(async move { shared.infos(|process| process.id == id).await })
            .await?
            .pop()
    }

    /// What runs and outlives the daemon, as the sandbox lists what does not.
    pub async fn kept(&self) -> Vec<Running> {
        let shared = Arc::clone(&self.shared);
        let kept = self.on_pool(async move {
            shared.adopt().await;
            let all = shared.matching(Process::is_alive);
            let used = all.iter().map(|process| adopt::running(process));
            futures_util::future::join_all(used).await
        });
        kept.await.into_iter().flatten().flatten().collect()
    }

    /// Ends the processes of a session that do not outlive it, and takes them off the list. Returns when they are gone.
    pub async fn session_ended(&self, session: &SessionId) {
        let (shared, session) = (Arc::clone(&self.shared), session.clone());
        self.on_pool(async move {
            shared.adopt().await;
            shared
                .stop_all(|process| {
                    process.session() == session && process.lifetime() != Lifetime::Persistent
                })
                .await;
            let gone: Vec<_> = shared
                .all
                .lock()
                .extract_if(.., |process| {
                    process.session() == session && !process.is_alive()
                })
                .collect();
            gone.iter().for_each(|process| shared.gone(process));
        })
        .await;
    }

    /// Ends all processes of a session that are not to outlive it; they stay listed. Returns when they are over.
    pub async fn stop_session(&self, session: &SessionId) {
        self.stop(session, |lifetime| lifetime != Lifetime::Persistent)
            .await;
    }

    /// Ends all that run in a folder or below it, also persistent ones; they stay listed. Returns when they are over.
    pub async fn stop_below(&self, directory: &Path) {
        let (shared, directory) = (Arc::clone(&self.shared), directory.to_path_buf());
        self.on_pool(async move {
            shared.adopt().await;
            shared
                .stop_all(|process| process.order.cwd.starts_with(&directory))
                .await;
        })
        .await;
    }

    /// Ends what a task's session started for itself alone.
    pub async fn task_ended(&self, session: &SessionId) {
        self.stop(session, |lifetime| lifetime == Lifetime::Session)
            .await;
    }

    async fn stop(&self, session: &SessionId, which: fn(Lifetime) -> bool) {
        let (shared, session) = (Arc::clone(&self.shared), session.clone());
        self.on_pool(async move {
            shared
                .stop_all(|process| process.session() == session && which(process.lifetime()))
                .await;
        })
        .await;
    }

    /// The session of the living process with this number.
    pub fn owner(&self, pid: u32) -> Option<SessionId> {
        let all = self.shared.all.lock();
        let has = |process: &&Arc<Process>| process.is_alive() && process.pid() == Some(pid);
        all.iter().find(has).map(|process| process.session())
    }

    /// The sessions that have any.
    pub fn sessions(&self) -> Vec<SessionId> {
        let all = self.shared.all.lock();
        let mut sessions: Vec<_> = all.iter().map(|process| process.session()).collect();
        sessions.dedup();
        sessions
    }

    /// Runs on the pool, and to its end even if nobody waits any more.
    fn on_pool<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> BoxFuture<'static, Option<T>> {
        let task = self.shared.handle.spawn(work);
        Box::pin(async move { task.await.ok() })
    }

    fn outcome(
        &self,
        work: impl Future<Output = Outcome> + Send + 'static,
    ) -> BoxFuture<'static, Outcome> {
        let done = self.on_pool(work);
        Box::pin(async move {
            let broken = || BackgroundError::Start("the daemon ends".into());
            done.await.unwrap_or_else(|| Err(broken()))
        })
    }
}

impl Shared {
    fn around(self: &Arc<Self>) -> Surroundings {
        let shared = Arc::clone(self);
        Surroundings {
            sandbox: Arc::clone(&self.sandbox),
            clock: Arc::clone(&self.clock),
            changed: Arc::new(move |process| shared.tell(process)),
            keep: self.keep.clone(),
        }
    }

    /// Takes up what an earlier daemon left, once.
    async fn adopt(self: &Arc<Self>) {
        let Some(keep) = &self.keep else { return };
        let adopting = async {
            let found = adopt::all(keep, &self.around()).await;
            let sessions: Vec<_> = found.iter().map(|process| process.session()).collect();
            {
                let mut all = self.all.lock();
                // those that this daemon has started meanwhile are younger
                all.splice(0..0, found.iter().cloned());
            }
            found.iter().for_each(|process| self.tell(process));
            sessions.iter().for_each(|session| self.forget_old(session));
        };
        self.adopted.get_or_init(|| adopting).await;
    }

    fn tell(&self, process: &Process) {
        if let Some(announce) = self.announce.get() {
            let directory = process.order.directory.to_string_lossy();
            announce(&directory, Happened::Updated(Box::new(process.info())));
        }
    }

    fn tell_gone(&self, process: &Process) {
        if let Some(announce) = self.announce.get() {
            let directory = process.order.directory.to_string_lossy();
            let gone = Happened::Deleted {
                session: process.session(),
                id: process.id.clone(),
            };
            announce(&directory, gone);
        }
    }

    /// It is off the list, and nothing of it is left.
    fn gone(&self, process: &Process) {
        if let (Lifetime::Persistent, Some(keep)) = (process.lifetime(), &self.keep) {
            keep.folder(&process.id).remove();
        }
        self.tell_gone(process);
    }

    fn matching(&self, is_meant: impl Fn(&Process) -> bool) -> Vec<Arc<Process>> {
        let all = self.all.lock();
        all.iter()
            .filter(|process| is_meant(process))
            .cloned()
            .collect()
    }

    async fn infos(self: &Arc<Self>, is_meant: impl Fn(&Process) -> bool) -> Vec<ProcessInfo> {
        self.adopt().await;
        let (mut infos, around) = (Vec::new(), self.around());
        for process in self.matching(is_meant) {
            life::look_at_ports(&process, &around).await;
            infos.push(process.info());
        }
        infos
    }

    async fn of_session(
        self: &Arc<Self>,
        session: &SessionId,
        id: &str,
    ) -> Result<Arc<Process>, BackgroundError> {
        self.adopt().await;
        let owns =
            |process: &Process| process.session() == *session || process.order.session == *session;
        self.matching(|process| process.id == id && owns(process))
            .pop()
            .ok_or_else(|| BackgroundError::Unknown(id.to_owned()))
    }

    /// Whose the process is to be: one that is to stay behind its session is the parent's.
    fn owner(&self, order: &StartOrder) -> SessionId {
        let parent = self
            .parent
            .get()
            .filter(|_| order.lifetime == Lifetime::Parent);
        let parent = parent.and_then(|parent| parent(&order.session));
        parent.unwrap_or_else(|| order.session.clone())
    }

    async fn start(self: Arc<Self>, order: StartOrder) -> Outcome {
        check(order.ready.as_ref())?;
        self.adopt().await;
        let session = self.owner(&order);
        let (id, now) = (
            self.ids.ascending("bgp", self.clock.now()),
            self.clock.now(),
        );
        let process = Arc::new(Process::new(id, session.clone(), order, now));
        {
            let mut all = self.all.lock();
            let running = all
                .iter()
                .filter(|process| process.session() == session && process.is_alive());
            if running.count() >= PROCESSES_MAX {
                return Err(BackgroundError::TooMany(PROCESSES_MAX));
            }
            all.push(Arc::clone(&process));
        }
        self.forget_old(&session);
        let begun = life::begin(&process, &self.around()).await;
        begun.map_err(BackgroundError::Start)?;
        Ok(self.settled(&process, process.ready().cloned()).await)
    }

    /// Waits until the process is ready as its order says, or over, or that takes too long.
    async fn settled(
        self: &Arc<Self>,
        process: &Arc<Process>,
        ready: Option<Ready>,
    ) -> ProcessInfo {
        if let Some(ready) = ready {
            let wait = wait_for(process, |info| info.ready || !info.is_alive());
            let _ = timeout(ready.timeout, wait).await;
        }
        process.info()
    }

    /// Lets the oldest ended processes of a session go.
    fn forget_old(&self, session: &SessionId) {
        let gone: Vec<_> = {
            let mut all = self.all.lock();
            let ended =
                |process: &Arc<Process>| process.session() == *session && !process.is_alive();
            let count = all.iter().filter(|process| ended(process)).count();
            let mut left = count.saturating_sub(ENDED_MAX);
            all.extract_if(.., |process| {
                let goes = left > 0 && ended(process);
                left -= usize::from(goes);
                goes
            })
            .collect()
        };
        gone.iter().for_each(|process| self.gone(process));
    }

    async fn stop_all(&self, is_meant: impl Fn(&Process) -> bool) {
        let meant = self.matching(|process| process.is_alive() && is_meant(process));
        for process in &meant {
            tell_to_end(process);
        }
        for process in &meant {
            until_over(process).await;
        }
    }
}

fn check(ready: Option<&Ready>) -> Result<(), BackgroundError> {
    match ready.and_then(|ready| ready.pattern.as_deref()) {
        Some(pattern) => Regex::new(pattern)
            .map(drop)
            .map_err(|error| BackgroundError::Pattern(error.to_string())),
        None => Ok(()),
    }
}

fn tell_to_end(process: &Process) {
    if let Some(run) = &*process.run.lock() {
        // A full queue holds the same order.
        let _ = run.try_send(());
    }
}

async fn until_over(process: &Arc<Process>) {
    let over = wait_for(process, |info| !info.is_alive());
    if timeout(STOP_MAX + GRACE, over).await.is_err() {
        tracing::warn!(process = process.id, "a background process does not end");
    }
}

async fn wait_for(process: &Arc<Process>, is_so: impl Fn(&ProcessInfo) -> bool) {
    let mut changes = process.changes();
    while !is_so(&process.info()) {
        if changes.changed().await.is_err() {
            return;
        }
    }
}

impl Background for Processes {
    fn start(&self, order: StartOrder) -> BoxFuture<'static, Outcome> {
        let shared = Arc::clone(&self.shared);
        self.outcome(async move { shared.start(order).await })
    }

    fn monitor(
        &self,
        session: &SessionId,
        id: &str,
        ready: Option<Ready>,
        limit: Duration,
    ) -> BoxFuture<'static, Outcome> {
        let (session, id) = (session.clone(), id.to_owned());
        let shared = Arc::clone(&self.shared);
        self.outcome(async move {
            let process = shared.of_session(&session, &id).await?;
            check(ready.as_ref())?;
            let around = shared.around();
            let reached = async {
                match ready {
                    Some(ready) => {
                        if life::until_ready(&process, &ready).await
                            && process.is_ready_now(around.clock.now())
                        {
                            around.changed.as_ref()(&process);
                        }
                    }
                    None => {
                        let waits = process.ready().is_some();
                        wait_for(&process, |info| !info.is_alive() || waits && info.ready).await;
                    }
                }
            };
            tokio::select! {
                () = reached => {}
                () = sleep(limit) => {}
            }
            life::look_at_ports(&process, &around).await;
            Ok(process.info())
        })
    }

    fn list(&self, session: &SessionId) -> BoxFuture<'static, Vec<ProcessInfo>> {
        let (shared, session) = (Arc::clone(&self.shared), session.clone());
        let listed =
            self.on_pool(async move { shared.infos(|process| process.session() == session).await });
        Box::pin(async move { listed.await.unwrap_or_default() })
    }

    fn get(&self, session: &SessionId, id: &str) -> BoxFuture<'static, Outcome> {
        let (session, id) = (session.clone(), id.to_owned());
        let shared = Arc::clone(&self.shared);
        self.outcome(async move {
            let process = shared.of_session(&session, &id).await?;
            life::look_at_ports(&process, &shared.around()).await;
            Ok(process.info())
        })
    }

    fn logs(
        &self,
        session: &SessionId,
        id: &str,
        lines: usize,
    ) -> BoxFuture<'static, Result<LogPiece, BackgroundError>> {
        let (session, id) = (session.clone(), id.to_owned());
        let shared = Arc::clone(&self.shared);
        let read = self.on_pool(async move {
            let process = shared.of_session(&session, &id).await?;
            Ok(process.logs(lines))
        });
        Box::pin(async move {
            let broken = || BackgroundError::Start("the daemon ends".into());
            read.await.unwrap_or_else(|| Err(broken()))
        })
    }

    fn stop(&self, session: &SessionId, id: &str) -> BoxFuture<'static, Outcome> {
        let (session, id) = (session.clone(), id.to_owned());
        let shared = Arc::clone(&self.shared);
        self.outcome(async move {
            let process = shared.of_session(&session, &id).await?;
            tell_to_end(&process);
            until_over(&process).await;
            Ok(process.info())
        })
    }

    fn restart(&self, session: &SessionId, id: &str) -> BoxFuture<'static, Outcome> {
        let (session, id) = (session.clone(), id.to_owned());
        let shared = Arc::clone(&self.shared);
        self.outcome(async move {
            let process = shared.of_session(&session, &id).await?;
            // Two at once would leave two runs.
            let _one = process.restarting.lock().await;
            tell_to_end(&process);
            until_over(&process).await;
            if process.is_alive() {
                return Err(BackgroundError::Start("the old run does not end".into()));
            }
            let begun = life::begin(&process, &shared.around()).await;
            begun.map_err(BackgroundError::Start)?;
            Ok(shared.settled(&process, process.ready().cloned()).await)
        })
    }
}

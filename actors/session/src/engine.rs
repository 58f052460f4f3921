//! The engine: sessions by id, and what everybody around them may ask. Handlers of any surface (HTTP, command line, tools)
//! come through here.

mod context;
mod history;
mod tasks;
mod turns;

use crate::actor::{
    Accepted, Beginning, ChangeHead, DrainMessage, End, HeadChange, HiddenFrom, Note,
    PromptMessage, ResumeMessage, SessionActor, SessionView, ShellMessage, SummarizeMessage, Take,
    View, outgoing_of, view_of,
};
use crate::apply::fold;
use crate::board::Board;
use crate::catalog::{Catalog, Filter, info_json};
use crate::input::{Input, Prompt, Reply};
use crate::prepare::{self, PromptBody};
use crate::project::{Address, frames};
use crate::record::{FORMAT, Logged, Record};
use crate::state::{Entry, State};
use crate::surroundings::{Folder, Surroundings, Toolbox};
use actix::prelude::*;
use bytes::Bytes;
use kilo_config::agent::Agent;
use kilo_ports::checkpoint::{Checkpoints, FileChange, LeftAlone};
use kilo_ports::clock::Clock;
use kilo_ports::files::Files;
use kilo_ports::provider::{ModelClient, ModelInfo};
use kilo_ports::sandbox::Sandbox;
use kilo_ports::store::{Entry as StoreEntry, RecordKind, SavedView, Store, StoreError, Stored};
use kilo_ports::tool::{QuestionAnswer, TaskAnswer, TaskOrder, ToolError};
use kilo_protocol::model::{
    Action, FileDiff, MessageWithParts, ModelRef, Revert, Rule, Session, SessionModel, SessionTime,
    Status, Tokens, TurnError, UserMessage,
};
use kilo_protocol::{
    Fault, Frame, IdSource, MessageId, Millis, PartId, PermissionId, ProjectId, QuestionId,
    SessionId, clock,
};
use kilo_runtime::registry::RegistryError;
use kilo_runtime::{Journal, Outgoing, Placement, Registry, limits};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// What the engine is made of.
pub struct Parts {
    /// The log and the bus.
    pub journal: Journal,
    /// Calls models.
    pub models: Arc<dyn ModelClient>,
    /// The tools.
    pub toolbox: Arc<dyn Toolbox>,
    /// Runs child processes.
    pub sandbox: Arc<dyn Sandbox>,
    /// The disk that file tools use.
    pub files: Arc<dyn Files>,
    /// Keeps checkpoints.
    pub checkpoints: Arc<dyn Checkpoints>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// The folders' configuration.
    pub surroundings: Arc<dyn Surroundings>,
    /// Where actors live.
    pub placement: Placement,
    /// Where tasks run.
    pub handle: Handle,
    /// Where whole outputs of tools are kept.
    pub output_dir: PathBuf,
    /// The user's home.
    pub home: PathBuf,
}

/// The engine.
pub struct Engine {
    parts: Parts,
    ids: IdSource,
    registry: Registry<SessionActor>,
    board: Board,
    catalog: Catalog,
    saved: Mutex<HashMap<ProjectId, Arc<Vec<Rule>>>>,
    seen: Mutex<HashMap<SessionId, (String, BTreeSet<PathBuf>)>>,
    locks: Vec<tokio::sync::Mutex<()>>,
    finishing: AtomicUsize,
}

struct Finishing(Arc<Engine>);

impl Drop for Finishing {
    fn drop(&mut self) {
        self.0.finishing.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The sequence of facts about deleted sessions.
pub const DAEMON_SEQUENCE: &str = "ses_daemon";
const LOCKS: usize = 64;

/// What a client says of a new session.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NewSession {
    /// The session whose task makes this one.
    #[serde(rename = "parentID")]
    pub parent_id: Option<SessionId>,
    /// A title.
    pub title: Option<String>,
    /// The agent.
    pub agent: Option<String>,
    /// The model.
    pub model: Option<SessionModel>,
    /// A client's own data.
    pub metadata: Option<Map<String, Value>>,
    /// Rules after the configuration's.
    pub permission: Option<Vec<Rule>>,
}

impl Engine {
    /// Builds the engine and reads the list of sessions. Sessions whose turn was open when the last process ended are
    /// answered; see [`Engine::recover`].
    pub fn new(parts: Parts) -> Result<(Arc<Self>, Vec<SessionId>), StoreError> {
        let catalog = Catalog::default();
        let open = catalog.load(parts.journal.store().as_ref())?;
        let engine = Self {
            parts,
            ids: IdSource::default(),
            registry: Registry::default(),
            board: Board::default(),
            catalog,
            saved: Mutex::default(),
            seen: Mutex::default(),
            locks: (0..LOCKS).map(|_| tokio::sync::Mutex::new(())).collect(),
            finishing: AtomicUsize::new(0),
        };
        Ok((Arc::new(engine), open))
    }

    /// Closes the turns that the end of the last process left open, and goes on with them where the configuration says
    /// `session.resume: auto`.
    pub async fn recover(self: &Arc<Self>, open: Vec<SessionId>) {
        for session in open {
            let Ok(actor) = self.actor(&session).await else {
                continue;
            };
            let Some(listed) = self.catalog.get(&session) else {
                continue;
            };
            let Ok(folder) = self.folder(&listed.directory).await else {
                continue;
            };
            if folder.loaded.config.resume == kilo_config::view::Resume::Auto {
                let _ = actor.send(ResumeMessage).await;
            }
        }
    }

    pub(crate) fn now(&self) -> Millis {
        self.parts.clock.now()
    }

    /// Makes ids.
    pub fn ids(&self) -> &IdSource {
        &self.ids
    }

    /// The log and the bus.
    pub fn journal(&self) -> &Journal {
        &self.parts.journal
    }

    /// Live facts for many readers.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// The list of sessions.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The checkpoints.
    pub fn checkpoints(&self) -> &Arc<dyn Checkpoints> {
        &self.parts.checkpoints
    }

    pub(crate) fn registry(&self) -> &Registry<SessionActor> {
        &self.registry
    }

    pub(crate) fn models(&self) -> &Arc<dyn ModelClient> {
        &self.parts.models
    }

    pub(crate) fn toolbox(&self) -> &Arc<dyn Toolbox> {
        &self.parts.toolbox
    }

    /// Runs child processes.
    pub fn sandbox(&self) -> &Arc<dyn Sandbox> {
        &self.parts.sandbox
    }

    pub(crate) fn files(&self) -> &Arc<dyn Files> {
        &self.parts.files
    }

    pub(crate) fn output_dir(&self) -> &Path {
        &self.parts.output_dir
    }

    pub(crate) fn home(&self) -> &Path {
        &self.parts.home
    }

    /// Runs a task on the tokio pool.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.parts.handle.spawn(task);
    }

    /// As [`Engine::spawn`], for what a turn leaves to be done after its end: its title, its diff. A process that only
    /// ran this turn waits for it.
    pub(crate) fn spawn_finishing(
        self: &Arc<Self>,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.finishing.fetch_add(1, Ordering::SeqCst);
        let engine = Arc::clone(self);
        self.spawn(async move {
            // Counted down also when the task panics or is dropped.
            let _counted = Finishing(engine);
            task.await;
        });
    }

    /// Whether a closed turn still has something to store.
    pub fn is_finishing(&self) -> bool {
        self.finishing.load(Ordering::SeqCst) > 0
    }

    pub(crate) fn spawn_blocking(&self, task: impl FnOnce() + Send + 'static) {
        self.parts.handle.spawn_blocking(task);
    }

    /// A folder with its configuration.
    pub async fn folder(&self, directory: &str) -> Result<Arc<Folder>, Fault> {
        self.parts.surroundings.folder(directory).await
    }

    /// The folder of a session; empty when there is no such session.
    pub(crate) fn directory(&self, session: &SessionId) -> String {
        self.catalog
            .get(session)
            .map(|listed| listed.directory.to_string())
            .unwrap_or_default()
    }

    /// How what the last checkpoint left out looked; 0 where that cannot be told.
    pub(crate) async fn left_out(&self, directory: &str) -> u64 {
        let looked = self.checkpoints().left_out(directory.into()).await;
        looked.unwrap_or_default()
    }

    /// Records the files of a folder; `None` where that is switched off or impossible.
    pub(crate) async fn track(&self, directory: &str) -> Option<String> {
        let folder = self.folder(directory).await.ok()?;
        if !folder.loaded.config.snapshot || !folder.is_git {
            return None;
        }
        match self.parts.checkpoints.track(folder.directory.clone()).await {
            Ok(hash) => Some(hash),
            Err(error) => {
                tracing::debug!(%error, directory, "no checkpoint");
                None
            }
        }
    }

    // ---- actors ----

    /// The live actor of a session, built from the log if need be.
    pub(crate) async fn actor(
        self: &Arc<Self>,
        session: &SessionId,
    ) -> Result<Addr<SessionActor>, Fault> {
        if let Some(actor) = self.registry.live(session) {
            return Ok(actor);
        }
        if !self.catalog.contains(session) {
            return Err(Fault::not_found("Session", session));
        }
        let built = self
            .registry
            .get(session, || self.build(session.clone()))
            .await;
        built.map_err(|error: RegistryError| error.into())
    }

    async fn build(self: &Arc<Self>, session: SessionId) -> Result<Addr<SessionActor>, Fault> {
        let beginning = self.read(session).await?;
        let engine = Arc::clone(self);
        let arbiter = self.parts.placement.pick();
        Ok(SessionActor::start_in_arbiter(&arbiter, move |_| {
            SessionActor::new(engine, beginning)
        }))
    }

    /// Folds a session's log, on a blocking thread.
    async fn read(self: &Arc<Self>, session: SessionId) -> Result<Beginning, Fault> {
        let store = Arc::clone(self.journal().store());
        let read = self
            .parts
            .handle
            .spawn_blocking(move || -> Result<Beginning, Fault> {
                let log = store.load(&session)?;
                let mut next_seq = 0;
                let mut view_bytes = 0;
                let start = match &log.view {
                    Some(SavedView { seq, body, .. }) => {
                        let mut state: State = serde_json::from_slice(body).map_err(|error| {
                            Fault::unknown(format!(
                                "view of session {session} cannot be read: {error}"
                            ))
                        })?;
                        state.reindex();
                        next_seq = seq + 1;
                        view_bytes = body.len() as u64;
                        Some(state)
                    }
                    None => None,
                };
                next_seq = log.tail.last().map_or(next_seq, |last| last.seq + 1);
                let logged: Vec<Logged> = log
                    .tail
                    .iter()
                    .filter_map(|stored| serde_json::from_slice(&stored.body).ok())
                    .collect();
                let state =
                    fold(start, &logged).ok_or_else(|| Fault::not_found("Session", &session))?;
                Ok(Beginning {
                    state,
                    next_seq,
                    tail_bytes: log.tail_bytes,
                    view_bytes,
                })
            });
        read.await
            .map_err(|_| Fault::unavailable("reading the session failed"))?
    }

    /// Sends a message to a session's actor; once more when the actor died in between.
    async fn ask<M>(
        self: &Arc<Self>,
        session: &SessionId,
        make: impl Fn() -> M,
    ) -> Result<M::Result, Fault>
    where
        M: Message + Send + 'static,
        M::Result: Send + 'static,
        SessionActor: Handler<M>,
        <SessionActor as Actor>::Context: actix::dev::ToEnvelope<SessionActor, M>,
    {
        for _ in 0..2 {
            let actor = self.actor(session).await?;
            match actor.send(make()).timeout(limits::SEND_TIMEOUT).await {
                Ok(answer) => return Ok(answer),
                Err(MailboxError::Closed) => self.registry.forget(session),
                Err(MailboxError::Timeout) => {
                    return Err(Fault::unavailable("the session is overloaded"));
                }
            }
        }
        Err(Fault::unavailable("the session cannot be reached"))
    }

    /// Takes notice of an actor's death: it is rebuilt at once if a turn was open, so that the turn is closed.
    pub(crate) fn actor_died(self: &Arc<Self>, session: &SessionId) {
        self.registry.died(session, self.now());
        self.board.forget(session);
        let (engine, session) = (Arc::clone(self), session.clone());
        self.spawn(async move {
            let _ = engine.actor(&session).await;
        });
    }

    // ---- sessions ----

    /// Makes a session.
    pub async fn create(
        self: &Arc<Self>,
        directory: &str,
        new: NewSession,
    ) -> Result<Session, Fault> {
        if let Some(parent) = &new.parent_id
            && !self.catalog.contains(parent)
        {
            return Err(Fault::not_found("Session", parent));
        }
        let folder = self.folder(directory).await?;
        let now = self.now();
        let kind = if new.parent_id.is_some() {
            "Child"
        } else {
            "New"
        };
        let info = Session {
            id: self.ids.session(now),
            slug: crate::slug::slug(&self.ids, now),
            project_id: folder.project.as_ref().clone(),
            directory: directory.to_string(),
            path: kilo_config::paths::relative(&folder.worktree, &folder.directory),
            parent_id: new.parent_id,
            summary: None,
            cost: 0.0,
            tokens: Tokens::default(),
            share: None,
            title: new
                .title
                .unwrap_or_else(|| format!("{kind} session - {}", clock::iso(now))),
            agent: new.agent,
            model: new.model,
            version: kilo_protocol::VERSION.into(),
            metadata: new.metadata,
            time: SessionTime {
                created: now,
                updated: now,
                ..Default::default()
            },
            permission: new.permission,
            revert: None,
        };
        self.write_new(&info, Vec::new(), now)?;
        Ok(info)
    }

    /// Appends a session's first records: its creation and what it begins with.
    fn write_new(&self, info: &Session, rest: Vec<Record>, now: Millis) -> Result<(), Fault> {
        let address = address_of(info);
        let records = std::iter::once(Record::SessionCreated(Box::new(info.clone()))).chain(rest);
        let mut sync = 0;
        let outgoing: Vec<Outgoing> = records
            .map(|record| {
                let number = record.is_durable_event().then_some(sync);
                sync += u64::from(number.is_some());
                let logged = Logged {
                    event: self.ids.event(now),
                    sync: number,
                    record,
                };
                outgoing_of(&address, &logged, false)
            })
            .collect();
        self.catalog.put(info);
        if let Err(error) = self.journal().append(&info.id, now, outgoing) {
            self.catalog.remove(&info.id);
            return Err(error.into());
        }
        Ok(())
    }

    /// A session's head as JSON.
    pub fn head(&self, session: &SessionId) -> Result<Bytes, Fault> {
        if !self.catalog.contains(session) {
            return Err(Fault::not_found("Session", session));
        }
        self.journal()
            .store()
            .head(session)
            .as_ref()
            .and_then(info_json)
            .ok_or_else(|| Fault::not_found("Session", session))
    }

    /// A session's head.
    pub fn session(&self, session: &SessionId) -> Result<Session, Fault> {
        serde_json::from_slice(&self.head(session)?)
            .map_err(|error| Fault::unknown(error.to_string()))
    }

    /// The heads that pass the filter as one JSON array, newest update first.
    pub fn list_json(&self, filter: &Filter) -> Bytes {
        self.heads_json(&self.catalog.list(filter))
    }

    /// The heads of these sessions as one JSON array.
    pub fn heads_json(&self, sessions: &[SessionId]) -> Bytes {
        let mut out = Vec::with_capacity(sessions.len() * 700 + 2);
        out.push(b'[');
        for session in sessions {
            if let Ok(head) = self.head(session) {
                if out.len() > 1 {
                    out.push(b',');
                }
                out.extend_from_slice(&head);
            }
        }
        out.push(b']');
        out.into()
    }

    /// What a reader sees of a session.
    pub async fn view(self: &Arc<Self>, session: &SessionId) -> Result<Arc<SessionView>, Fault> {
        if self.registry.is_failed(session) {
            // Nobody builds its actor any more; the log can still be read.
            return Ok(Arc::new(view_of(&self.read(session.clone()).await?.state)));
        }
        self.ask(session, || View).await
    }

    /// Changes a session's head.
    pub async fn change_head(
        self: &Arc<Self>,
        session: &SessionId,
        idle_only: bool,
        change: HeadChange,
    ) -> Result<Session, Fault> {
        let actor = self.actor(session).await?;
        let sent = actor
            .send(ChangeHead { change, idle_only })
            .timeout(limits::SEND_TIMEOUT)
            .await;
        sent.map_err(|_| Fault::unavailable("the session cannot be reached"))?
    }

    /// Deletes a session and its children.
    pub async fn delete(self: &Arc<Self>, session: &SessionId) -> Result<(), Fault> {
        let info = self.session(session)?;
        for child in self.catalog.children(session) {
            Box::pin(self.delete(&child)).await?;
        }
        self.abort(session).await;
        if let Some(actor) = self.registry.live(session) {
            let _ = actor.send(End).timeout(limits::SEND_TIMEOUT).await;
        }
        self.registry.forget(session);
        let now = self.now();
        let address = address_of(&info);
        let logged = Logged {
            event: self.ids.event(now),
            sync: None,
            record: Record::SessionDeleted(Box::new(info)),
        };
        let body = serde_json::to_vec(&logged)
            .map(Bytes::from)
            .unwrap_or_default();
        let entry = StoreEntry {
            kind: RecordKind::Plain,
            format: FORMAT,
            body,
            head: None,
        };
        self.catalog.remove(session);
        self.journal().store().delete(session, now)?;
        let outgoing = Outgoing {
            entry,
            frames: frames(&address, &logged),
        };
        self.journal()
            .append(&SessionId::from_wire(DAEMON_SEQUENCE), now, vec![outgoing])?;
        self.board.forget(session);
        self.seen.lock().remove(session);
        Ok(())
    }

    /// The frames of a stored record, for a client that catches up.
    pub fn frames_of(&self, stored: &Stored) -> Vec<Frame> {
        let Ok(logged) = serde_json::from_slice::<Logged>(&stored.body) else {
            return Vec::new();
        };
        let address = match &logged.record {
            Record::SessionDeleted(info) => address_of(info),
            _ => {
                let Some(listed) = self.catalog.get(&stored.session) else {
                    return Vec::new();
                };
                Address {
                    session: stored.session.clone(),
                    directory: listed.directory,
                    project: listed.project,
                }
            }
        };
        let mut frames = frames(&address, &logged);
        if let Some(last) = frames.last_mut() {
            last.pos = Some(stored.pos);
        }
        frames
    }

    fn refuse_busy(&self, session: &SessionId) -> Result<(), Fault> {
        if !self.catalog.contains(session) {
            return Err(Fault::not_found("Session", session));
        }
        if self.board.is_busy(session) {
            Err(Fault::busy(session))
        } else {
            Ok(())
        }
    }

    /// One change of history at a time for each session.
    async fn lock(&self, session: &SessionId) -> tokio::sync::MutexGuard<'_, ()> {
        use std::hash::{Hash, Hasher};
        let mut hasher = std::hash::DefaultHasher::new();
        session.hash(&mut hasher);
        self.locks[hasher.finish() as usize % LOCKS].lock().await
    }

    /// Publishes an event that is not in the log.
    pub fn publish(
        &self,
        directory: Option<&str>,
        project: Option<&str>,
        name: &str,
        properties: &Value,
        last: bool,
    ) {
        let event =
            json!({"id": self.ids.event(self.now()), "type": name, "properties": properties});
        self.journal().publish(Frame {
            pos: None,
            directory: directory.map(Into::into),
            project: project.map(|project| Arc::new(project.to_string())),
            json: Bytes::from(event.to_string()),
            last,
        });
    }

    /// What sessions are doing, idle ones left out.
    pub fn statuses(&self) -> Vec<(SessionId, Arc<str>, Status)> {
        self.board
            .statuses()
            .into_iter()
            .map(|(id, open)| (id, open.directory, open.request))
            .collect()
    }

    /// Stops every turn and every child process; the log is synced.
    pub async fn shut_down(self: &Arc<Self>) {
        for (_, actor) in self.registry.all() {
            let _ = actor
                .send(Take(Input::Abort))
                .timeout(std::time::Duration::from_millis(300))
                .await;
        }
        let newest = self.journal().store().newest();
        let _ = self.journal().store().sync(newest).await;
    }

    /// Kills a session's actor by a panic: for tests of supervision.
    pub async fn inject_panic(self: &Arc<Self>, session: &SessionId) -> Result<(), Fault> {
        let actor = self.actor(session).await?;
        let _ = actor.send(crate::actor::InjectPanic).await;
        Ok(())
    }

    /// The store, for surfaces that show sizes and damage.
    pub fn store(&self) -> &Arc<dyn Store> {
        self.journal().store()
    }
}

fn address_of(info: &Session) -> Address {
    Address {
        session: info.id.clone(),
        directory: info.directory.as_str().into(),
        project: Arc::new(info.project_id.clone()),
    }
}

/// A message as the message routes answer it.
pub fn with_parts(entry: &Entry) -> MessageWithParts {
    MessageWithParts {
        info: entry.info.clone(),
        parts: entry
            .parts
            .iter()
            .map(|part| part.as_ref().clone())
            .collect(),
    }
}

/// An id that is safe to write anywhere: the prefix and then letters, digits, `_` and `-` only.
pub fn is_plain_id(id: &str, prefix: &str) -> bool {
    id.starts_with(prefix)
        && id.len() <= 128
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

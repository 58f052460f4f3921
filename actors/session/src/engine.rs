//! The engine: sessions by id, and what everybody around them may ask. Handlers of any surface (HTTP, command line, tools)
//! come through here.

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
use crate::record::{Logged, Record};
use crate::state::{Entry, State};
use crate::surroundings::{Folder, Surroundings, Toolbox};
use actix::prelude::*;
use bytes::Bytes;
use kilo_config::agent::Agent;
use kilo_ports::checkpoint::{Checkpoints, FileChange};
use kilo_ports::clock::Clock;
use kilo_ports::provider::{ModelClient, ModelInfo};
use kilo_ports::sandbox::Sandbox;
use kilo_ports::store::{Entry as StoreEntry, RecordKind, Store, StoreError, Stored};
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
                    Some((seq, body)) => {
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

    // ---- turns ----

    /// Stores a prompt and starts its turn, or queues it. Returns once it is on the disk.
    pub async fn prompt(
        self: &Arc<Self>,
        session: &SessionId,
        body: PromptBody,
    ) -> Result<(MessageId, Accepted), Fault> {
        let info = self.session(session)?;
        let folder = self.folder(&info.directory).await?;
        let prompt = prepare::prompt(self, &folder, &info, body).await?;
        self.accept(session, prompt).await
    }

    async fn accept(
        self: &Arc<Self>,
        session: &SessionId,
        prompt: Prompt,
    ) -> Result<(MessageId, Accepted), Fault> {
        let _order = self.lock(session).await;
        let id = prompt.message.id.clone();
        let accepted = self
            .ask(session, || PromptMessage(Box::new(prompt.clone())))
            .await??;
        self.journal().store().sync(accepted.pos).await?;
        Ok((id, accepted))
    }

    /// Runs a command of the user's own and waits for its end.
    pub async fn shell(
        self: &Arc<Self>,
        session: &SessionId,
        mut body: PromptBody,
        command: String,
    ) -> Result<MessageWithParts, Fault> {
        let info = self.session(session)?;
        self.refuse_busy(session)?;
        let folder = self.folder(&info.directory).await?;
        // No model is called, so none need be configured.
        body.no_reply = true;
        body.parts =
            vec![json!({"type": "text", "synthetic": true, "text": crate::texts::USER_COMMAND})];
        let prompt = prepare::prompt(self, &folder, &info, body).await?;
        let id = prompt.message.id.clone();
        let accepted = {
            let _order = self.lock(session).await;
            self.ask(session, || {
                ShellMessage(Box::new(prompt.clone()), command.clone())
            })
            .await??
        };
        self.answer(session, &id, accepted).await
    }

    /// Waits for the answer to a prompt.
    pub async fn answer(
        self: &Arc<Self>,
        session: &SessionId,
        prompt: &MessageId,
        accepted: Accepted,
    ) -> Result<MessageWithParts, Fault> {
        let entry = match accepted.answer {
            None => self
                .view(session)
                .await?
                .messages
                .iter()
                .find(|entry| entry.info.id() == prompt)
                .cloned(),
            Some(answer) => match answer.await {
                Ok(entry) => entry,
                // The actor died: its successor has closed the turn.
                Err(_) => {
                    let view = self.view(session).await?;
                    let mut answers = view.messages.iter().rev();
                    answers
                        .find(|entry| {
                            entry
                                .info
                                .assistant()
                                .is_some_and(|answer| answer.parent_id == *prompt)
                        })
                        .cloned()
                }
            },
        };
        entry
            .map(|entry| with_parts(&entry))
            .ok_or_else(|| Fault::unavailable("the turn ended without an answer"))
    }

    /// Stops whatever a session does. True whether or not there was anything.
    pub async fn abort(self: &Arc<Self>, session: &SessionId) {
        if let Some(actor) = self.registry.live(session) {
            let _ = actor
                .send(Take(Input::Abort))
                .timeout(limits::SEND_TIMEOUT)
                .await;
        }
    }

    /// Goes on with an interrupted turn; false when there is none, or the configuration says `session.resume: off`.
    pub async fn resume(self: &Arc<Self>, session: &SessionId) -> Result<bool, Fault> {
        let folder = self.folder(&self.session(session)?.directory).await?;
        if folder.loaded.config.resume == kilo_config::view::Resume::Off {
            return Ok(false);
        }
        self.ask(session, || ResumeMessage).await?
    }

    /// Summarises the conversation and waits for the end of it.
    pub async fn summarize(
        self: &Arc<Self>,
        session: &SessionId,
        model: ModelRef,
        auto: bool,
    ) -> Result<(), Fault> {
        let done = {
            let _order = self.lock(session).await;
            self.ask(session, || SummarizeMessage(model.clone(), auto))
                .await??
        };
        if let Some(done) = done {
            let _ = done.await;
        }
        Ok(())
    }

    /// Tells with `session.drained` when the session's queue is empty.
    pub async fn drain(self: &Arc<Self>, session: &SessionId, token: String) -> Result<(), Fault> {
        self.ask(session, || DrainMessage(token.clone())).await
    }

    /// Gives an input to a session.
    pub async fn give(
        self: &Arc<Self>,
        session: &SessionId,
        make: impl Fn() -> Input,
    ) -> Result<(), Fault> {
        self.ask(session, || Take(make())).await?
    }

    /// Answers a request for permission. `None` when there is no such request.
    pub async fn reply_permission(
        self: &Arc<Self>,
        id: &PermissionId,
        reply: Reply,
        message: Option<String>,
    ) -> Result<Option<()>, Fault> {
        let Some(session) = self.board.permission(id) else {
            return Ok(None);
        };
        self.give(&session, || {
            Input::Answer(id.clone(), reply, message.clone())
        })
        .await?;
        self.synced().await?;
        Ok(Some(()))
    }

    /// Answers a question. `None` when there is no such question.
    pub async fn reply_question(
        self: &Arc<Self>,
        id: &QuestionId,
        answer: QuestionAnswer,
    ) -> Result<Option<()>, Fault> {
        let Some(session) = self.board.question(id) else {
            return Ok(None);
        };
        self.give(&session, || {
            Input::QuestionAnswer(id.clone(), answer.clone())
        })
        .await?;
        self.synced().await?;
        Ok(Some(()))
    }

    /// Waits until everything so far is on the disk.
    async fn synced(&self) -> Result<(), Fault> {
        let store = self.journal().store();
        Ok(store.sync(store.newest()).await?)
    }

    /// Tries the network again, or gives up. `None` when no session waits under this id.
    pub async fn reply_network(
        self: &Arc<Self>,
        id: &QuestionId,
        again: bool,
    ) -> Result<Option<()>, Fault> {
        let Some(session) = self.board.network(id) else {
            return Ok(None);
        };
        self.give(&session, || Input::Network(Some(id.clone()), again))
            .await?;
        Ok(Some(()))
    }

    // ---- history ----

    /// Records facts of a client's own making (an edited part, a removed message).
    pub async fn note(
        self: &Arc<Self>,
        session: &SessionId,
        records: Vec<Record>,
        idle_only: bool,
    ) -> Result<(), Fault> {
        let pos = self
            .ask(session, || Note {
                records: records.clone(),
                idle_only,
            })
            .await??;
        Ok(self.journal().store().sync(pos).await?)
    }

    /// Copies a session up to (not including) `until` under new ids.
    pub async fn fork(
        self: &Arc<Self>,
        session: &SessionId,
        until: Option<&MessageId>,
    ) -> Result<Session, Fault> {
        let view = self.view(session).await?;
        let now = self.now();
        let mut info = view.info.clone();
        info.id = self.ids.session(now);
        info.slug = crate::slug::slug(&self.ids, now);
        info.title = self.fork_title(&view.info);
        info.parent_id = None;
        info.cost = 0.0;
        info.tokens = Tokens::default();
        info.summary = None;
        info.share = None;
        info.revert = None;
        info.time = SessionTime {
            created: now,
            updated: now,
            ..Default::default()
        };
        let records = self.copies(&view.messages, until, &info.id, now);
        self.write_new(&info, records, now)?;
        Ok(info)
    }

    fn fork_title(&self, origin: &Session) -> String {
        let base = origin
            .title
            .rfind(" (fork #")
            .map_or(origin.title.as_str(), |at| &origin.title[..at]);
        // The number counts on from the origin's own; two forks of one session may carry the same title, as seen.
        let number = origin
            .title
            .rfind(" (fork #")
            .and_then(|at| {
                origin.title[at + 8..]
                    .trim_end_matches(')')
                    .parse::<u32>()
                    .ok()
            })
            .unwrap_or(0);
        format!("{base} (fork #{})", number + 1)
    }

    fn copies(
        &self,
        messages: &[Arc<Entry>],
        until: Option<&MessageId>,
        session: &SessionId,
        now: Millis,
    ) -> Vec<Record> {
        use kilo_protocol::model::Message;
        let mut names: HashMap<MessageId, MessageId> = HashMap::new();
        let mut records = Vec::new();
        for entry in messages
            .iter()
            .take_while(|entry| Some(entry.info.id()) != until)
        {
            let id = self.ids.message(now);
            names.insert(entry.info.id().clone(), id.clone());
            let mut info = entry.info.clone();
            match &mut info {
                Message::User(user) => {
                    user.id = id.clone();
                    user.session_id = session.clone();
                }
                Message::Assistant(answer) => {
                    answer.id = id.clone();
                    answer.session_id = session.clone();
                    if let Some(parent) = names.get(&answer.parent_id) {
                        answer.parent_id = parent.clone();
                    }
                }
            }
            records.push(Record::MessageUpdated(Box::new(info)));
            for part in &entry.parts {
                let mut part = part.as_ref().clone();
                part.id = self.ids.part(now);
                part.message_id = id.clone();
                part.session_id = session.clone();
                records.push(Record::PartUpdated(Box::new(part), now));
            }
        }
        records
    }

    /// Takes a session as it was exported, under its own ids, in place of nothing.
    pub fn import(&self, info: &Session) -> Result<(), Fault> {
        if self.catalog.contains(&info.id) {
            return Ok(());
        }
        if !is_plain_id(info.id.as_str(), "ses") {
            return Err(Fault::bad_field("a string starting with \"ses\"", "id"));
        }
        self.write_new(info, Vec::new(), self.now())
    }

    /// Hides a message and what comes after it, and undoes what the session changed in files from there on. Edits of
    /// others stay.
    pub async fn revert(
        self: &Arc<Self>,
        session: &SessionId,
        message: MessageId,
        part: Option<PartId>,
    ) -> Result<Session, Fault> {
        let _order = self.lock(session).await;
        self.refuse_busy(session)?;
        let mut view = self.view(session).await?;
        if view
            .messages
            .iter()
            .all(|entry| *entry.info.id() != message)
        {
            return Err(Fault::not_found("Message", &message));
        }
        if view.info.revert.is_some() {
            self.put_back(session, &view).await?;
            view = self.view(session).await?;
        }
        // A revert to an answer starts at the prompt's answer itself; files follow the messages.
        let hidden = self
            .ask(session, || HiddenFrom(message.clone(), part.clone()))
            .await?;
        let mut touched: HashSet<&MessageId> = hidden.messages.iter().collect();
        touched.extend(hidden.parts.iter().map(|(message, _)| message));
        let changes: Vec<FileChange> = view
            .changes
            .iter()
            .filter(|change| touched.contains(&change.message))
            .flat_map(|change| change.files.clone())
            .rev()
            .collect();
        let folder = self.folder(&view.info.directory).await?;
        let undone = self.undo(&folder, changes).await;
        self.tell_left_alone(session, &undone.left_alone).await?;
        let revert = Revert {
            message_id: message,
            part_id: part,
            snapshot: undone.snapshot,
            diff: undone.diff,
            workspace: Some(undone.workspace.into()),
        };
        self.change_head(
            session,
            true,
            Box::new(move |info| info.revert = Some(revert)),
        )
        .await
    }

    async fn undo(&self, folder: &Folder, changes: Vec<FileChange>) -> Undone {
        if !folder.is_git {
            return Undone::nothing("not-a-git-repo");
        }
        if !folder.loaded.config.snapshot {
            return Undone::nothing("snapshots-disabled");
        }
        let checkpoints = &self.parts.checkpoints;
        let Ok(before) = checkpoints.track(folder.directory.clone()).await else {
            return Undone::nothing("unavailable");
        };
        let left_alone = match checkpoints.undo(folder.directory.clone(), changes).await {
            Ok(restored) => restored.conflicts,
            Err(error) => {
                tracing::warn!(%error, "undo failed");
                return Undone {
                    snapshot: Some(before),
                    diff: None,
                    workspace: "unavailable",
                    left_alone: Vec::new(),
                };
            }
        };
        let mut diff = String::new();
        if let Ok(after) = checkpoints.track(folder.directory.clone()).await
            && let Ok(files) = checkpoints
                .diff(folder.directory.clone(), before.clone(), after)
                .await
        {
            diff = files
                .iter()
                .map(|file: &FileDiff| file.patch.as_str())
                .collect();
        }
        Undone {
            snapshot: Some(before),
            diff: Some(diff),
            workspace: "restored",
            left_alone,
        }
    }

    /// Says which files an undo did not touch, because somebody else changed the same lines since.
    async fn tell_left_alone(
        self: &Arc<Self>,
        session: &SessionId,
        files: &[PathBuf],
    ) -> Result<(), Fault> {
        if files.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        let message = format!(
            "Left as they are, since the same lines were changed by others: {}",
            names.join(", ")
        );
        self.note(
            session,
            vec![Record::Failed(TurnError::new("UnknownError", message))],
            true,
        )
        .await
    }

    /// Shows the hidden messages again and does the session's changes again.
    pub async fn unrevert(self: &Arc<Self>, session: &SessionId) -> Result<Session, Fault> {
        let _order = self.lock(session).await;
        self.refuse_busy(session)?;
        let view = self.view(session).await?;
        if view.info.revert.is_none() {
            return Ok(view.info.clone());
        }
        self.put_back(session, &view).await
    }

    async fn put_back(
        self: &Arc<Self>,
        session: &SessionId,
        view: &SessionView,
    ) -> Result<Session, Fault> {
        let Some(revert) = view.info.revert.clone() else {
            return Ok(view.info.clone());
        };
        let hidden = self
            .ask(session, || {
                HiddenFrom(revert.message_id.clone(), revert.part_id.clone())
            })
            .await?;
        let mut touched: HashSet<&MessageId> = hidden.messages.iter().collect();
        touched.extend(hidden.parts.iter().map(|(message, _)| message));
        // The undo of the undo: each change once more, oldest first, from `before` to `after`.
        let again: Vec<FileChange> = view
            .changes
            .iter()
            .filter(|change| touched.contains(&change.message))
            .flat_map(|change| change.files.clone())
            .map(|change| FileChange {
                path: change.path,
                before: change.after,
                after: change.before,
            })
            .collect();
        let folder = self.folder(&view.info.directory).await?;
        if revert.workspace.as_deref() == Some("restored") {
            let undone = self
                .parts
                .checkpoints
                .undo(folder.directory.clone(), again)
                .await;
            let restored = undone.map_err(|error| {
                Fault::unknown(format!("the files could not be put back: {error}"))
            })?;
            self.tell_left_alone(session, &restored.conflicts).await?;
        }
        self.change_head(session, true, Box::new(|info| info.revert = None))
            .await
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

    // ---- child sessions ----

    /// Runs a child session to the end of one turn.
    pub(crate) async fn task(
        self: &Arc<Self>,
        parent: &SessionId,
        order: TaskOrder,
        started: Box<dyn FnOnce(SessionId, Value) + Send>,
        cancel: CancellationToken,
    ) -> Result<TaskAnswer, ToolError> {
        let failed = |fault: Fault| ToolError::failed(fault.message);
        let above = self.session(parent).map_err(failed)?;
        let folder = self.folder(&above.directory).await.map_err(failed)?;
        let agent = folder.agent(&order.agent).ok_or_else(|| {
            ToolError::failed(format!("There is no agent named {}.", order.agent))
        })?;
        let child = match order.task_id.as_deref().map(SessionId::from_wire) {
            Some(id)
                if self
                    .catalog
                    .get(&id)
                    .is_some_and(|listed| listed.parent.as_ref() == Some(parent)) =>
            {
                id
            }
            _ => self
                .new_child(&above, agent, &order)
                .await
                .map_err(failed)?,
        };
        let model = match &agent.model {
            Some(model) => json!({"providerID": model.provider_id, "modelID": model.model_id}),
            None => above
                .model
                .as_ref()
                .map(|model| json!({"providerID": model.provider_id, "modelID": model.id}))
                .unwrap_or(Value::Null),
        };
        started(child.clone(), model.clone());
        let body = PromptBody {
            agent: Some(agent.name.clone()),
            model: serde_json::from_value(model.clone()).ok(),
            parts: vec![json!({"type": "text", "text": order.prompt})],
            ..Default::default()
        };
        let (prompt, accepted) = self.prompt(&child, body).await.map_err(failed)?;
        let answer = tokio::select! {
            answer = self.answer(&child, &prompt, accepted) => answer.map_err(failed)?,
            () = cancel.cancelled() => {
                self.abort(&child).await;
                return Err(ToolError::Aborted { metadata: Map::new() });
            }
        };
        Ok(task_answer(child, model, answer))
    }

    async fn new_child(
        self: &Arc<Self>,
        above: &Session,
        agent: &Agent,
        order: &TaskOrder,
    ) -> Result<SessionId, Fault> {
        if self.depth(&above.id) + 1 > limits::SUBAGENT_DEPTH {
            return Err(Fault::unknown(format!(
                "tasks may be nested {} deep",
                limits::SUBAGENT_DEPTH
            )));
        }
        // A child may never do what its parent was refused.
        let denied: Vec<Rule> = above
            .permission
            .iter()
            .flatten()
            .filter(|rule| rule.action == Action::Deny || rule.permission == "external_directory")
            .cloned()
            .collect();
        let new = NewSession {
            parent_id: Some(above.id.clone()),
            title: Some(format!("{} (@{} subagent)", order.description, agent.name)),
            agent: Some(agent.name.clone()),
            permission: (!denied.is_empty()).then_some(denied),
            ..Default::default()
        };
        Ok(self.create(&above.directory, new).await?.id)
    }

    fn depth(&self, session: &SessionId) -> usize {
        let mut depth = 0;
        let mut at = session.clone();
        while let Some(parent) = self.catalog.get(&at).and_then(|listed| listed.parent) {
            depth += 1;
            if depth > limits::SUBAGENT_DEPTH {
                break;
            }
            at = parent;
        }
        depth
    }

    // ---- rules, instructions, skills ----

    /// The rules that users saved for a project with an answer "always".
    pub fn saved_rules(&self, project: &str) -> Arc<Vec<Rule>> {
        let mut saved = self.saved.lock();
        if let Some(rules) = saved.get(project) {
            return Arc::clone(rules);
        }
        let stored = self.journal().store().get("approval", project);
        let rules: Vec<Rule> = stored
            .and_then(|body| serde_json::from_slice(&body).ok())
            .unwrap_or_default();
        let rules = Arc::new(rules);
        saved.insert(project.to_string(), Arc::clone(&rules));
        rules
    }

    /// Adds rules to a project's saved ones.
    pub fn save_rules(&self, project: &str, more: Vec<Rule>) {
        let mut rules = self.saved_rules(project).as_ref().clone();
        rules.extend(
            more.into_iter()
                .filter(|rule| !rules.contains(rule))
                .collect::<Vec<_>>(),
        );
        let body = serde_json::to_vec(&rules).unwrap_or_default();
        self.saved
            .lock()
            .insert(project.to_string(), Arc::new(rules));
        if let Err(error) = self
            .journal()
            .store()
            .put("approval", project, &body, self.now())
        {
            tracing::error!(%error, project, "saved rules could not be stored");
        }
    }

    /// The system texts of a call.
    pub(crate) async fn system(
        &self,
        folder: &Arc<Folder>,
        agent: &Agent,
        user: &UserMessage,
        model: &ModelInfo,
        is_child: bool,
    ) -> Vec<String> {
        let mut system = kilo_config::prompt::system_prompt(agent);
        let date = clock::iso(self.now());
        system.push(kilo_config::prompt::environment_block(
            kilo_config::prompt::EnvFacts {
                directory: &folder.directory,
                worktree: &folder.worktree,
                is_git: folder.is_git,
                platform: std::env::consts::OS,
                date: &date[..10],
                model: &format!("{}/{}", model.provider_id, model.model_id),
            },
        ));
        let _ = is_child;
        let read = Arc::clone(folder);
        let texts = self
            .parts
            .handle
            .spawn_blocking(move || prepare::instructions(&read))
            .await;
        system.extend(texts.unwrap_or_default());
        system.extend(user.system.clone());
        system
    }

    pub(crate) fn seen_instructions<T>(
        &self,
        session: &SessionId,
        message: &str,
        read: impl FnOnce(&mut BTreeSet<PathBuf>) -> T,
    ) -> T {
        let mut seen = self.seen.lock();
        let entry = seen.entry(session.clone()).or_default();
        if entry.0 != message {
            *entry = (message.to_string(), BTreeSet::new());
        }
        read(&mut entry.1)
    }

    /// The skills of a folder: name, description, path.
    pub fn skills(&self, folder: &Folder) -> Vec<(String, String, PathBuf)> {
        prepare::skills(folder)
    }

    pub(crate) fn skills_text(&self, folder: &Folder) -> String {
        let skills = self.skills(folder);
        if skills.is_empty() {
            return "\n\nNo skills are available in this project.".into();
        }
        let lines: String = skills
            .iter()
            .map(|(name, what, _)| format!("- {name}: {what}\n"))
            .collect();
        format!("\n\nSkills:\n{lines}")
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

/// What an undo of files led to.
struct Undone {
    /// The checkpoint from before it.
    snapshot: Option<String>,
    /// What it changed.
    diff: Option<String>,
    /// The word on the wire.
    workspace: &'static str,
    /// Files that others changed in the same lines.
    left_alone: Vec<PathBuf>,
}

impl Undone {
    fn nothing(why: &'static str) -> Self {
        Self {
            snapshot: None,
            diff: None,
            workspace: why,
            left_alone: Vec::new(),
        }
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

fn task_answer(session: SessionId, model: Value, answer: MessageWithParts) -> TaskAnswer {
    use kilo_protocol::model::PartBody;
    let text = answer
        .parts
        .iter()
        .rev()
        .find_map(|part| match &part.body {
            PartBody::Text(text) if !text.text.is_empty() => Some(text.text.clone()),
            _ => None,
        })
        .unwrap_or_default();
    let error = answer
        .info
        .assistant()
        .and_then(|answer| answer.error.as_ref())
        .map(|error| format!("{}: {}", error.name, error.message()));
    TaskAnswer {
        session,
        text,
        error,
        model,
    }
}

//! What clients and tools may order: sessions are made, prompted, changed and ended here.

mod history;
mod tasks;
mod turns;

use crate::actors::Actors;
use crate::core::Core;
use crate::input::Input;
use crate::message::{ChangeHead, DrainMessage, HeadChange, InjectPanic, Take};
use crate::project::Address;
use crate::record::{Logged, Record};
use crate::state::State;
use kilo_protocol::model::{Session, SessionTime, Tokens};
use kilo_protocol::requests::NewSession;
use kilo_protocol::{Fault, Millis, SessionId, clock};
use kilo_runtime::limits;
use std::sync::Arc;
use std::time::Duration;

/// The commands.
pub struct Sessions {
    core: Arc<Core>,
    actors: Arc<Actors>,
}

/// How long the end of the daemon waits for what runs; then the sandbox kills what is left.
const SHUT_DOWN: Duration = Duration::from_millis(400);

impl Sessions {
    pub(crate) fn new(core: Arc<Core>, actors: Arc<Actors>) -> Self {
        Self { core, actors }
    }

    /// Makes a session.
    pub async fn create(&self, directory: &str, new: NewSession) -> Result<Session, Fault> {
        if let Some(parent) = &new.parent_id
            && !self.core.ledger.catalog().contains(parent)
        {
            return Err(Fault::not_found("Session", parent));
        }
        let folder = self.core.folder(directory).await?;
        let now = self.core.now();
        let kind = if new.parent_id.is_some() {
            "Child"
        } else {
            "New"
        };
        let info = Session {
            id: self.core.ledger.ids().session(now),
            slug: crate::slug::slug(self.core.ledger.ids(), now),
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
        let ledger = &self.core.ledger;
        let records = std::iter::once(Record::SessionCreated(Box::new(info.clone()))).chain(rest);
        let mut sync = 0;
        let logged: Vec<Logged> = records
            .map(|record| {
                let number = record.is_durable_event().then_some(sync);
                sync += u64::from(number.is_some());
                Logged {
                    event: ledger.ids().event(now),
                    sync: number,
                    record,
                }
            })
            .collect();
        let begun = State::new(info.clone());
        ledger.append(&Address::of(info), &begun, &logged, now)?;
        Ok(())
    }

    /// Changes a session's head.
    pub async fn change_head(
        &self,
        session: &SessionId,
        change: HeadChange,
    ) -> Result<Session, Fault> {
        self.actors
            .ask(session, || ChangeHead(Arc::clone(&change)))
            .await?
    }

    /// Deletes a session and its children: what runs is aborted and has ended before the session is gone.
    pub async fn delete(&self, session: &SessionId) -> Result<(), Fault> {
        let info = self.info(session)?;
        for child in self.core.ledger.catalog().children(session) {
            match Box::pin(self.delete(&child)).await {
                // Somebody else deleted it meanwhile.
                Err(fault) if fault.kind == kilo_protocol::FaultKind::NotFound => {}
                done => done?,
            }
        }
        self.abort(session).await;
        let now = self.core.now();
        self.actors
            .end(session, || Ok(self.core.ledger.delete(info, now)?))
            .await
    }

    /// # Errors
    /// Busy while a turn runs.
    pub fn must_be_idle(&self, session: &SessionId) -> Result<(), Fault> {
        match self.core.ledger.activity().is_busy(session) {
            true => Err(Fault::busy(session)),
            false => Ok(()),
        }
    }

    /// Lets an idle session go on in another directory. What it changed before stays where it was, and can be undone only
    /// there.
    ///
    /// # Errors
    /// `NotFound`; busy while a turn runs.
    pub async fn move_to(&self, session: &SessionId, directory: &str) -> Result<Session, Fault> {
        self.must_be_idle(session)?;
        let folder = self.core.folder(directory).await?;
        let (project, path) = (
            folder.project.as_ref().clone(),
            kilo_config::paths::relative(&folder.worktree, &folder.directory),
        );
        let directory = directory.to_owned();
        let moved = self
            .change_head(
                session,
                Arc::new(move |info| {
                    info.directory.clone_from(&directory);
                    info.project_id.clone_from(&project);
                    info.path.clone_from(&path);
                }),
            )
            .await?;
        // its actor has the old folder in hand; the next one is built with the new
        self.actors.retire(session).await;
        Ok(moved)
    }

    /// Stops whatever a session does.
    pub async fn abort(&self, session: &SessionId) {
        if let Some(live) = self.actors.live(session) {
            let stop = live.address.send(Take(Input::Abort));
            let _ = stop.timeout(limits::SEND_TIMEOUT).await;
        }
    }

    /// Gives an input to a session.
    pub async fn give(&self, session: &SessionId, make: impl Fn() -> Input) -> Result<(), Fault> {
        self.actors.ask(session, || Take(make())).await?
    }

    /// Tells with `session.drained` when the session's queue is empty.
    pub async fn drain(&self, session: &SessionId, token: String) -> Result<(), Fault> {
        self.actors
            .ask(session, || DrainMessage(token.clone()))
            .await
    }

    /// Closes the turns that the end of the last process left open, and goes on with them where the configuration says
    /// `session.resume: auto`.
    pub async fn recover(&self, open: Vec<SessionId>) {
        for session in open {
            if let Err(fault) = self.actors.find(&session).await {
                tracing::warn!(%session, %fault, "session could not be recovered");
                continue;
            }
            let directory = self.core.directory(&session);
            let Ok(folder) = self.core.folder(&directory).await else {
                continue;
            };
            if folder.loaded.config.resume == kilo_config::view::Resume::Auto {
                let _ = self.resume(&session).await;
            }
        }
    }

    /// Stops every turn and every child process; the log is synced.
    pub async fn shut_down(&self) {
        for session in self.actors.all() {
            if let Some(live) = self.actors.live(&session) {
                let stop = live.address.send(Take(Input::Abort));
                let _ = stop.timeout(Duration::from_millis(300)).await;
            }
        }
        self.actors.end_all(SHUT_DOWN).await;
        let store = self.core.ledger.store();
        let _ = store.sync(store.newest()).await;
    }

    /// The number of a session's live actor; no two actors of a process have the same.
    pub fn generation(&self, session: &SessionId) -> Option<u64> {
        self.actors.live(session).map(|live| live.generation)
    }

    /// Kills a session's actor by a panic: for tests of supervision.
    pub async fn inject_panic(&self, session: &SessionId) -> Result<(), Fault> {
        let live = self.actors.find(session).await?;
        let _ = live.address.send(InjectPanic).await;
        Ok(())
    }

    /// A session's head.
    fn info(&self, session: &SessionId) -> Result<Session, Fault> {
        self.core.session(session)
    }
}

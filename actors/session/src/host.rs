//! What a running call may ask of its session.

use crate::effects::aside::ask_aside;
use crate::effects::model::task_agents;
use crate::folder::Folder;
use crate::input::{Input, Stamp, ToolRun};
use crate::message::{AskMessage, QuestionMessage};
use crate::prepare;
use crate::scope::Scope;
use kilo_ports::BoxFuture;
use kilo_ports::after_write::AfterWrite;
use kilo_ports::aside::{Aside, AsideAnswer};
use kilo_ports::checkpoint::{CheckpointError, WhyLeft};
use kilo_ports::tool::{
    Ask, QuestionAnswer, TaskAgent, TaskAnswer, TaskOrder, ToolError, ToolHost, ToolSource,
};
use kilo_protocol::model::{Action, FileChangeKind, Rule, Todo};
use kilo_protocol::{CallId, SessionId};
use kilo_runtime::limits::PROGRESS_EVERY;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// The session's face towards one call.
pub struct CallHost {
    scope: Scope,
    stamp: Stamp,
    agent: String,
    message: String,
    /// Who made the tool.
    source: ToolSource,
    /// The call may change files: a checkpoint is taken whenever it was allowed something.
    tracks: bool,
    cancel: CancellationToken,
    before: Arc<Mutex<Option<Before>>>,
    images: Arc<Mutex<BTreeMap<PathBuf, Image>>>,
    folder: Mutex<Option<Arc<Folder>>>,
    progress: Arc<Mutex<Progress>>,
}

/// The worktree before the call's work.
#[derive(Clone)]
pub(crate) struct Before {
    /// The checkpoint.
    pub hash: String,
    /// How what it leaves out looked.
    pub left_out: u64,
}

/// A file that the call names, as it was before the call's first write to it.
pub(crate) type Image = Result<String, WhyLeft>;

#[derive(Default)]
struct Progress {
    pending: Option<(Option<String>, Map<String, Value>)>,
    scheduled: bool,
}

fn aborted() -> ToolError {
    ToolError::Aborted {
        metadata: Map::new(),
    }
}

impl CallHost {
    pub(crate) fn new(
        scope: Scope,
        stamp: Stamp,
        run: &ToolRun,
        source: ToolSource,
        tracks: bool,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            scope,
            stamp,
            agent: run.agent.clone(),
            message: run.message.to_string(),
            source,
            tracks,
            cancel,
            before: Arc::default(),
            images: Arc::default(),
            folder: Mutex::default(),
            progress: Arc::default(),
        }
    }

    pub(crate) fn set_folder(&self, folder: Arc<Folder>) {
        *self.folder.lock() = Some(folder);
    }

    /// The files that the call named before it wrote to them.
    pub(crate) fn take_images(&self) -> BTreeMap<PathBuf, Image> {
        std::mem::take(&mut self.images.lock())
    }

    /// The checkpoint from before the call's work.
    pub(crate) fn take_before(&self) -> Option<Before> {
        self.before.lock().take()
    }
}

impl ToolHost for CallHost {
    fn ask(&self, call: &CallId, mut ask: Ask) -> BoxFuture<'static, Result<(), ToolError>> {
        // Put in here, over whatever the tool says: a person has to know whose tool asks, and that tool may not be honest.
        if let Some(source) = self.source.wire() {
            ask.metadata.insert("source".into(), source);
        }
        let (reply, answer) = oneshot::channel();
        let message = AskMessage {
            stamp: self.stamp,
            call: call.clone(),
            ask,
            reply,
        };
        let (scope, cancel) = (self.scope.clone(), self.cancel.clone());
        let tracks = self.tracks;
        let before = Arc::clone(&self.before);
        Box::pin(async move {
            if !scope.owner.ask(message).await {
                return Err(aborted());
            }
            tokio::select! {
                answer = answer => answer.unwrap_or_else(|_| Err(aborted()))?,
                () = cancel.cancelled() => return Err(aborted()),
            }
            if tracks {
                let directory = &scope.address.directory;
                let tracked = match scope.core.track(directory).await {
                    Some(hash) => Some(Before {
                        hash,
                        left_out: scope.core.left_out(directory).await,
                    }),
                    None => None,
                };
                *before.lock() = tracked;
            }
            Ok(())
        })
    }

    fn progress(&self, call: &CallId, title: Option<String>, metadata: Map<String, Value>) {
        let mut progress = self.progress.lock();
        match &mut progress.pending {
            Some((old_title, old)) => {
                *old_title = title.or(old_title.take());
                old.extend(metadata);
            }
            none => *none = Some((title, metadata)),
        }
        if std::mem::replace(&mut progress.scheduled, true) {
            return;
        }
        drop(progress);
        let (shared, owner) = (Arc::clone(&self.progress), self.scope.owner.clone());
        let (stamp, call, cancel) = (self.stamp, call.clone(), self.cancel.clone());
        self.scope.spawn(async move {
            loop {
                let Some((title, metadata)) = shared.lock().pending.take() else {
                    break;
                };
                owner
                    .tell(Input::Progress(stamp, call.clone(), title, metadata))
                    .await;
                tokio::select! {
                    () = tokio::time::sleep(PROGRESS_EVERY) => {}
                    () = cancel.cancelled() => break,
                }
                let mut progress = shared.lock();
                if progress.pending.is_none() {
                    progress.scheduled = false;
                    break;
                }
            }
        });
    }

    fn question(
        &self,
        call: &CallId,
        questions: Vec<Value>,
    ) -> BoxFuture<'static, Result<QuestionAnswer, ToolError>> {
        let (reply, answer) = oneshot::channel();
        let message = QuestionMessage {
            stamp: self.stamp,
            call: call.clone(),
            questions,
            reply,
        };
        let (owner, cancel) = (self.scope.owner.clone(), self.cancel.clone());
        Box::pin(async move {
            if !owner.question(message).await {
                return Err(aborted());
            }
            tokio::select! {
                answer = answer => answer.unwrap_or_else(|_| Err(aborted())),
                () = cancel.cancelled() => Err(aborted()),
            }
        })
    }

    fn ask_model(&self, aside: Aside) -> BoxFuture<'static, Result<AsideAnswer, String>> {
        Box::pin(ask_aside(self.scope.clone(), aside, self.cancel.clone()))
    }

    fn set_todos(&self, todos: Vec<Todo>) -> BoxFuture<'static, Result<(), ToolError>> {
        let (owner, stamp) = (self.scope.owner.clone(), self.stamp);
        Box::pin(async move {
            owner.tell(Input::Todos(stamp, todos)).await;
            Ok(())
        })
    }

    fn task_agents(&self) -> Vec<TaskAgent> {
        let folder = self.folder.lock().clone();
        let Some(folder) = folder else {
            return Vec::new();
        };
        let Some(agent) = folder.agent(&self.agent) else {
            return Vec::new();
        };
        task_agents(&folder, agent)
            .map(|other| TaskAgent {
                name: other.name.clone(),
                description: other.description.clone().unwrap_or_default(),
            })
            .collect()
    }

    fn task(
        &self,
        _: &CallId,
        order: TaskOrder,
        started: Box<dyn FnOnce(SessionId, Value) + Send>,
    ) -> BoxFuture<'static, Result<TaskAnswer, ToolError>> {
        let Some(children) = self.scope.children.upgrade() else {
            return Box::pin(std::future::ready(Err(aborted())));
        };
        children.run(
            self.scope.session().clone(),
            order,
            started,
            self.cancel.clone(),
        )
    }

    fn will_change(&self, path: PathBuf) -> BoxFuture<'static, ()> {
        if let Some(hook) = self.after_write() {
            hook.touches(&path);
        }
        // Without a checkpoint (no repository, switched off) nothing is kept at all.
        if self.before.lock().is_none() || self.images.lock().contains_key(&path) {
            return Box::pin(std::future::ready(()));
        }
        let directory = PathBuf::from(&*self.scope.address.directory);
        let checkpoints = &self.scope.core.ports.checkpoints;
        let keeping = checkpoints.keep(directory, path.clone());
        let images = Arc::clone(&self.images);
        Box::pin(async move {
            let image = match keeping.await {
                Ok(image) => Ok(image),
                Err(CheckpointError::NotKept(why)) => Err(why),
                Err(error) => {
                    tracing::warn!(%error, "a file is changed without an image of it");
                    Err(WhyLeft::Unreadable)
                }
            };
            images.lock().entry(path).or_insert(image);
        })
    }

    fn after_write(&self) -> Option<Arc<dyn AfterWrite>> {
        self.folder.lock().as_ref()?.after_write.clone()
    }

    fn file_edited(&self, path: PathBuf, how: FileChangeKind) {
        if let Some(hook) = self.after_write() {
            hook.touches(&path);
        }
        let (owner, stamp) = (self.scope.owner.clone(), self.stamp);
        self.scope
            .spawn(async move { owner.tell(Input::FileEdited(stamp, path, how)).await });
    }

    fn nearby_instructions(&self, path: PathBuf) -> BoxFuture<'static, Vec<(PathBuf, String)>> {
        let folder = self.folder.lock().clone();
        let (scope, message) = (self.scope.clone(), self.message.clone());
        Box::pin(async move {
            let Some(folder) = folder else {
                return Vec::new();
            };
            let seen = scope.core.seen.of(scope.session(), &message);
            let reading = scope.core.ports.handle.spawn_blocking(move || {
                kilo_config::instructions::nearby(
                    &folder.environment,
                    &path,
                    &folder.directory,
                    &folder.worktree,
                    &seen,
                )
            });
            let mut found = reading.await.unwrap_or_default();
            // Of two calls that found the same file at once, one gives it.
            found.retain(|(path, _)| scope.core.seen.add(scope.session(), &message, path));
            found
        })
    }

    fn rules(&self) -> Vec<Rule> {
        let folder = self.folder.lock().clone();
        let mut rules = folder
            .as_ref()
            .and_then(|folder| folder.agent(&self.agent))
            .map(|agent| agent.permission.clone())
            .unwrap_or_default();
        // A subagent's inherited denials are rules of its session.
        let core = &self.scope.core;
        let session = core.session(self.scope.session()).ok();
        rules.extend(session.and_then(|info| info.permission).unwrap_or_default());
        // Of what users saved only denials: an "always" counts for requests, and never against a denying rule.
        let saved = folder.map(|folder| self.scope.core.approvals.rules(&folder.project));
        let saved = saved.iter().flat_map(|rules| rules.iter());
        rules.extend(saved.filter(|rule| rule.action == Action::Deny).cloned());
        rules
    }

    fn saved_rules(&self) -> Vec<Rule> {
        let folder = self.folder.lock().clone();
        let saved = folder.map(|folder| self.scope.core.approvals.rules(&folder.project));
        saved.map(|rules| rules.to_vec()).unwrap_or_default()
    }

    fn skills(&self) -> Vec<(String, String, PathBuf)> {
        let folder = self.folder.lock().clone();
        folder
            .map(|folder| prepare::skills(&folder))
            .unwrap_or_default()
    }
}

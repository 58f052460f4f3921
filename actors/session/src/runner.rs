//! The tool runner: one actor per session that owns its running calls. Reads run side by side, writes and commands one by
//! one and in order; calls that only talk to the session or its user never wait.

use crate::folder::Toolbox;
use crate::host::CallHost;
use crate::input::{Input, Stamp, ToolRun};
use crate::scope::Scope;
use actix::prelude::*;
use kilo_ports::checkpoint::{CheckpointError, FileChange, Images, LeftAlone, WhyLeft};
use kilo_ports::store::Pos;
use kilo_ports::tool::{Access, Ask, Tool, ToolCx, ToolError, ToolHost, ToolOutput, ToolSource};
use kilo_protocol::{CallId, Fault};
use kilo_runtime::limits;
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::task_tracker::TaskTrackerToken;

/// The actor.
pub struct ToolRunner {
    scope: Scope,
    /// Orders whose tools are looked up in the session's folder, in order.
    ordered: Vec<RunCall>,
    waiting: VecDeque<Waiting>,
    /// By turn too: a provider may use a call's id again, and a stopped call may end after that.
    running: HashMap<(Stamp, CallId), Running>,
    _running: TaskTrackerToken,
}

/// A call with what its folder says of it, all from one snapshot: what was chosen is what checks and runs.
struct Waiting {
    order: RunCall,
    tools: Arc<dyn Toolbox>,
    tool: Arc<dyn Tool>,
    access: Access,
    source: ToolSource,
}

struct Running {
    access: Access,
    /// Stops the call when it goes.
    stop: Option<DropGuard>,
}

/// Run a call. Its `ToolDone` goes to the session.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RunCall {
    /// Of this turn.
    pub stamp: Stamp,
    /// The call.
    pub run: ToolRun,
    /// The record that announces it: on the disk before anything changes.
    pub pos: Pos,
}

/// Stop all calls.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StopCalls;

#[derive(Message)]
#[rtype(result = "()")]
struct CallEnded(Stamp, CallId);

impl ToolRunner {
    /// Starts a runner for one session.
    ///
    /// Its mailbox is sized before it runs: the orders of a whole answer may reach it before it is polled for the first
    /// time, and `started` would be too late for them.
    pub(crate) fn begin(scope: Scope) -> Addr<Self> {
        Self::create(|ctx| {
            ctx.set_mailbox_capacity(limits::RUNNER_MAILBOX);
            Self {
                _running: scope.lifetime.hold(),
                scope,
                ordered: Vec::new(),
                waiting: VecDeque::new(),
                running: HashMap::new(),
            }
        })
    }

    /// Finds the tools of the folder as it is now; the orders that come meanwhile go along.
    fn look_up(&self, ctx: &mut Context<Self>) {
        let (core, directory) = (
            Arc::clone(&self.scope.core),
            Arc::clone(&self.scope.address.directory),
        );
        let folder = async move {
            core.folder(&directory)
                .await
                .map(|it| Arc::clone(&it.tools))
        };
        ctx.spawn(folder.into_actor(self).map(|tools, runner, ctx| {
            for order in std::mem::take(&mut runner.ordered) {
                runner.admit(order, &tools);
            }
            runner.pump(ctx);
        }));
    }

    /// Puts a call in line; one that no tool of the folder can run ends.
    fn admit(&mut self, order: RunCall, tools: &Result<Arc<dyn Toolbox>, Fault>) {
        let found = match tools {
            Ok(tools) => tools.get(&order.run.tool).map(|tool| (tools, tool)),
            Err(fault) => return self.fail(order, fault.message.clone()),
        };
        let Some((tools, tool)) = found else {
            let why = format!("The tool {} does not exist.", order.run.tool);
            return self.fail(order, why);
        };
        let spec = tool.spec();
        self.waiting.push_back(Waiting {
            order,
            tools: Arc::clone(tools),
            tool,
            access: spec.access,
            source: spec.source,
        });
    }

    fn fail(&self, order: RunCall, why: String) {
        let owner = self.scope.owner.clone();
        self.scope.spawn(async move {
            let (stamp, call) = (order.stamp, order.run.call);
            let error = Err(ToolError::failed(why));
            owner
                .tell(Input::ToolDone(stamp, call, error, Vec::new(), None))
                .await;
        });
    }

    /// Starts every waiting call that may run now, in order.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        let mut kept = VecDeque::new();
        let mut blocked = false;
        while let Some(call) = self.waiting.pop_front() {
            let may_run = match call.access {
                Access::Session => true,
                Access::Reads => {
                    !blocked
                        && !self.runs(|access| matches!(access, Access::Writes | Access::Executes))
                }
                Access::Writes | Access::Executes => {
                    !blocked && !self.runs(|access| access != Access::Session)
                }
            };
            if may_run {
                self.start(call, ctx);
            } else {
                blocked = true;
                kept.push_back(call);
            }
        }
        self.waiting = kept;
    }

    fn runs(&self, matching: impl Fn(Access) -> bool) -> bool {
        self.running
            .values()
            .any(|running| matching(running.access))
    }

    fn start(&mut self, what: Waiting, ctx: &mut Context<Self>) {
        // Below the actor's life: its calls end with it, whatever ended it.
        let cancel = self.scope.lifetime.token();
        let (stamp, call) = (what.order.stamp, what.order.run.call.clone());
        let access = what.access;
        let job = Job {
            scope: self.scope.clone(),
            cancel: cancel.clone(),
            what,
        };
        self.running.insert(
            (stamp, call.clone()),
            Running {
                access,
                stop: Some(cancel.drop_guard()),
            },
        );
        let runner = ctx.address();
        self.scope.spawn(async move {
            job.run().await;
            let _ = runner.send(CallEnded(stamp, call)).await;
        });
    }
}

impl Actor for ToolRunner {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let ended = self.scope.lifetime.token().cancelled_owned();
        ctx.spawn(ended.into_actor(self).map(|(), _, ctx| ctx.stop()));
    }
}

impl Handler<RunCall> for ToolRunner {
    type Result = ();

    fn handle(&mut self, order: RunCall, ctx: &mut Self::Context) {
        self.ordered.push(order);
        if self.ordered.len() == 1 {
            self.look_up(ctx);
        }
    }
}

impl Handler<StopCalls> for ToolRunner {
    type Result = ();

    fn handle(&mut self, _: StopCalls, _: &mut Self::Context) {
        self.ordered.clear();
        self.waiting.clear();
        // A stopped command still dies: it keeps its place until it has, so that no write starts beside it.
        for running in self.running.values_mut() {
            running.stop = None;
        }
    }
}

impl Handler<CallEnded> for ToolRunner {
    type Result = ();

    fn handle(&mut self, ended: CallEnded, ctx: &mut Self::Context) {
        self.running.remove(&(ended.0, ended.1));
        self.pump(ctx);
    }
}

/// One call from its start to its `ToolDone`.
struct Job {
    scope: Scope,
    cancel: CancellationToken,
    what: Waiting,
}

impl Job {
    #[tracing::instrument(name = "tool", skip_all, fields(session = %self.scope.session(), call = %self.what.order.run.call, name = %self.what.order.run.tool))]
    async fn run(self) {
        let (stamp, call) = (self.what.order.stamp, self.what.order.run.call.clone());
        let directory = self.scope.address.directory.to_string();
        let host = Arc::new(CallHost::new(
            self.scope.clone(),
            stamp,
            &self.what.order.run,
            self.what.source.clone(),
            matches!(self.what.access, Access::Writes | Access::Executes),
            self.cancel.clone(),
        ));
        let result = self.result(&host, directory.clone()).await;
        let (files, snapshot) = match self.what.access {
            Access::Writes | Access::Executes => self.files(&host, &directory, &result).await,
            _ => (Vec::new(), None),
        };
        let result = result.map(Box::new);
        self.scope
            .owner
            .tell(Input::ToolDone(stamp, call, result, files, snapshot))
            .await;
    }

    async fn result(
        &self,
        host: &Arc<CallHost>,
        directory: String,
    ) -> Result<ToolOutput, ToolError> {
        let run = &self.what.order.run;
        let tools = &self.what.tools;
        let input = tools
            .check(&run.tool, run.input.clone())
            .map_err(ToolError::Invalid)?;
        if self.what.access != Access::Reads {
            let sync = self.scope.core.ledger.store().sync(self.what.order.pos);
            sync.await
                .map_err(|error| ToolError::failed(format!("the call was not started: {error}")))?;
        }
        if run.doom_loop {
            host.ask(&run.call, doom_loop_ask(run)).await?;
        }
        let cx = self.context(Arc::clone(host), directory).await?;
        let future = self.what.tool.run(input, cx);
        // A task of its own: a panic in a tool is the tool's failure and nobody else's.
        let task = tokio::spawn(future);
        let stop = task.abort_handle();
        let guard = AbortOnDrop(stop);
        let ended = tokio::select! {
            ended = task => ended,
            () = overdue(&self.cancel) => return Err(ToolError::Aborted { metadata: Default::default() }),
        };
        let result = match ended {
            Ok(result) => result,
            Err(error) if error.is_panic() => Err(ToolError::failed(format!(
                "The tool {} failed unexpectedly.",
                run.tool
            ))),
            Err(_) => Err(ToolError::Aborted {
                metadata: Default::default(),
            }),
        };
        drop(guard);
        result
    }

    async fn context(&self, host: Arc<CallHost>, directory: String) -> Result<ToolCx, ToolError> {
        let run = &self.what.order.run;
        let folder = self
            .scope
            .core
            .folder(&directory)
            .await
            .map_err(|fault| ToolError::failed(fault.message))?;
        host.set_folder(Arc::clone(&folder));
        let ports = &self.scope.core.ports;
        let output = &folder.loaded.config.tool_output;
        Ok(ToolCx {
            session: self.scope.session().clone(),
            message: run.message.clone(),
            call: run.call.clone(),
            agent: run.agent.clone(),
            directory: folder.directory.clone(),
            worktree: folder.worktree.clone(),
            output_dir: ports.output_dir.clone(),
            home: ports.home.clone(),
            guarded: Arc::new(crate::guarded::guarded(&folder)),
            output_lines_max: output.max_lines,
            output_bytes_max: output.max_bytes,
            cancel: self.cancel.clone(),
            host,
            sandbox: Arc::clone(&ports.sandbox),
            files: Arc::clone(&ports.files),
        })
    }

    /// What the call changed, between the checkpoint at its last permission and one taken now.
    async fn files(
        &self,
        host: &CallHost,
        directory: &str,
        result: &Result<ToolOutput, ToolError>,
    ) -> (Vec<FileChange>, Option<String>) {
        let Some(before) = host.take_before() else {
            return (Vec::new(), None);
        };
        let Some(after) = self.scope.core.track(directory).await else {
            return (Vec::new(), None);
        };
        let named: &[PathBuf] = result
            .as_ref()
            .map(|output| output.changed.as_slice())
            .unwrap_or_default();
        let checkpoints = &self.scope.core.ports.checkpoints;
        let left_before = before.left_out;
        let before = before.hash;
        let all = match before == after {
            true => Vec::new(),
            false => checkpoints
                .changed(directory.into(), before.clone(), after.clone())
                .await
                .unwrap_or_default(),
        };
        let mut files: Vec<FileChange> = all
            .into_iter()
            .filter(|file| {
                self.what.access == Access::Executes
                    || named.is_empty()
                    || named.contains(&file.path)
            })
            .collect();
        if self.what.access == Access::Executes {
            let left_after = self.scope.core.left_out(directory).await;
            let left = checkpoints
                .left_between(directory.into(), left_before, left_after)
                .await
                .unwrap_or_default();
            for LeftAlone { path, why } in left {
                if files.iter().all(|file| file.path != path) {
                    files.push(FileChange {
                        left: Some(why),
                        ..FileChange::new(path, before.clone(), after.clone())
                    });
                }
            }
        }
        for (path, image) in host.take_images() {
            // What the checkpoints hold needs no image.
            if files
                .iter()
                .any(|file| file.path == path && file.left.is_none())
            {
                continue;
            }
            let change = FileChange::new(path, before.clone(), after.clone());
            if let Some(change) = self.by_image(directory, change, image).await {
                files.retain(|file| file.path != change.path);
                files.push(change);
            }
        }
        (files, Some(after))
    }

    /// The change of a file that the checkpoints do not hold; `None` when it is as it was.
    async fn by_image(
        &self,
        directory: &str,
        mut change: FileChange,
        before: crate::host::Image,
    ) -> Option<FileChange> {
        let keeping = self
            .scope
            .core
            .ports
            .checkpoints
            .keep(directory.into(), change.path.clone());
        match (before, keeping.await) {
            (Ok(before), Ok(after)) if before == after => return None,
            (Ok(before), Ok(after)) => change.images = Some(Images { before, after }),
            (Err(why), _) | (Ok(_), Err(CheckpointError::NotKept(why))) => change.left = Some(why),
            (Ok(_), Err(_)) => change.left = Some(WhyLeft::Unreadable),
        }
        Some(change)
    }
}

/// Ready when a call that was told to stop has not done so in time.
async fn overdue(cancel: &CancellationToken) {
    cancel.cancelled().await;
    tokio::time::sleep(limits::STOP_GRACE).await;
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn doom_loop_ask(run: &ToolRun) -> Ask {
    Ask {
        permission: "doom_loop".into(),
        patterns: vec![run.tool.clone()],
        always: vec![run.tool.clone()],
        metadata: serde_json::Map::from_iter([
            ("tool".to_string(), run.tool.clone().into()),
            ("input".to_string(), run.input.clone()),
        ]),
        must_ask: false,
        version: None,
    }
}

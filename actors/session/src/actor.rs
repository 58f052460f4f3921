//! The actor of one session: appends what the machine decides, then carries out its orders.
//!
//! Handlers never await: a decision is appended with one write, shown, and its effects are started as tasks whose
//! results come back as messages. A failed append stops the actor: the next look-up rebuilds it from the log, so the
//! state never runs ahead of what is stored.
//!
//! It owns all that runs for its session through its [`Tenure`]: whatever ends the actor ends that too, and a successor
//! starts only when nothing of it is left.

mod handlers;
mod stream;

use crate::core::Core;
use crate::effects;
use crate::input::{Effect, Input, Stamp};
use crate::machine::{Decision, Machine};
use crate::message::{AskReply, QuestionReply};
use crate::project::Address;
use crate::record::{Logged, Record};
use crate::runner::{RunCall, StopCalls, ToolRunner};
use crate::scope::{Children, Owner, Scope};
use crate::state::Entry;
use actix::prelude::*;
use kilo_ports::provider::ChunkBatch;
use kilo_ports::store::{Pos, StoreError};
use kilo_ports::tool::ToolError;
use kilo_protocol::{CallId, MessageId, Millis, PermissionId, QuestionId};
use kilo_runtime::{Tenure, limits};
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The actor.
pub struct SessionActor {
    pub(crate) core: Arc<Core>,
    pub(crate) machine: Machine,
    pub(crate) address: Address,
    tenure: Tenure,
    children: Weak<dyn Children>,
    runner: Option<Addr<ToolRunner>>,
    /// Fires when the turn's stream is to be closed.
    model: CancellationToken,
    _model_guard: Option<DropGuard>,
    /// The number of the newest model call: pieces of an older one's stream are dropped.
    model_calls: u64,
    stream: Option<(Stamp, mpsc::Receiver<ChunkBatch>)>,
    waiters: HashMap<MessageId, Vec<oneshot::Sender<Option<Arc<Entry>>>>>,
    undo_waiters: Vec<oneshot::Sender<()>>,
    asks: HashMap<CallId, AskReply>,
    ask_calls: HashMap<PermissionId, CallId>,
    questions: HashMap<CallId, QuestionReply>,
    question_calls: HashMap<QuestionId, CallId>,
    drains: Vec<String>,
    used: Millis,
    last_pos: Pos,
    next_seq: u64,
    tail_bytes: u64,
    view_bytes: u64,
    /// An append failed: the state is ahead of the log, so nothing more is decided from it.
    failed: bool,
    /// Orders left from the recovery.
    first: Vec<Effect>,
}

/// What a new actor begins with.
pub struct Beginning {
    /// The machine, with everything closed that the end of the last actor left open.
    pub machine: Machine,
    /// What that ordered.
    pub effects: Vec<Effect>,
    /// The number of its next record.
    pub next_seq: u64,
    /// Bytes of records after the newest view.
    pub tail_bytes: u64,
    /// Bytes of the newest view.
    pub view_bytes: u64,
}

impl SessionActor {
    /// An actor at the end of its log.
    pub(crate) fn new(
        core: Arc<Core>,
        children: Weak<dyn Children>,
        tenure: Tenure,
        beginning: Beginning,
    ) -> Self {
        let address = Address::of(&beginning.machine.state.info);
        let used = core.now();
        let model = tenure.lifetime().token();
        Self {
            core,
            machine: beginning.machine,
            address,
            tenure,
            children,
            runner: None,
            model,
            _model_guard: None,
            model_calls: 0,
            stream: None,
            waiters: HashMap::new(),
            undo_waiters: Vec::new(),
            asks: HashMap::new(),
            ask_calls: HashMap::new(),
            questions: HashMap::new(),
            question_calls: HashMap::new(),
            drains: Vec::new(),
            used,
            last_pos: 0,
            next_seq: beginning.next_seq,
            tail_bytes: beginning.tail_bytes,
            view_bytes: beginning.view_bytes,
            failed: false,
            first: beginning.effects,
        }
    }

    /// What a task of this session carries.
    fn scope(&self, ctx: &Context<Self>) -> Scope {
        Scope {
            core: Arc::clone(&self.core),
            address: self.address.clone(),
            lifetime: self.tenure.lifetime().clone(),
            owner: Owner::of(ctx.address()),
            children: Weak::clone(&self.children),
        }
    }

    /// Takes an input and carries out what it leads to.
    fn take(&mut self, input: Input, ctx: &mut Context<Self>) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Closed);
        }
        let now = self.core.now();
        self.used = now;
        let decision = self.machine.handle(input, now, self.core.ledger.ids());
        self.commit(decision, now, ctx)
    }

    /// Appends a decision's records, shows them, then starts its effects.
    fn commit(
        &mut self,
        decision: Decision,
        now: Millis,
        ctx: &mut Context<Self>,
    ) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Closed);
        }
        if !decision.records.is_empty()
            && let Err(error) = self.append(&decision.records, now)
        {
            tracing::error!(session = %self.address.session, %error, "append failed, session is rebuilt from the log");
            self.failed = true;
            self.tenure.lifetime().end();
            ctx.stop();
            return Err(error);
        }
        if decision.durable {
            effects::sync_soon(&self.core, self.last_pos);
        }
        for effect in decision.effects {
            self.run(effect, ctx);
        }
        self.settle_drains(now, ctx);
        Ok(())
    }

    fn append(&mut self, records: &[Logged], now: Millis) -> Result<(), StoreError> {
        let ledger = &self.core.ledger;
        let written = ledger.append(&self.address, &self.machine.state, records, now)?;
        for logged in records {
            self.note(logged);
        }
        self.last_pos = written.appended.last_pos;
        self.next_seq = written.appended.first_seq + records.len() as u64;
        self.tail_bytes += written.bytes;
        Ok(())
    }

    /// Keeps in mind which call a request belongs to.
    fn note(&mut self, logged: &Logged) {
        match &logged.record {
            Record::PermissionAsked(request) => {
                if let Some(call) = &request.tool {
                    self.ask_calls
                        .insert(request.id.clone(), call.call_id.clone());
                }
            }
            Record::QuestionAsked(request) => {
                if let Some(call) = &request.tool {
                    self.question_calls
                        .insert(request.id.clone(), call.call_id.clone());
                }
            }
            _ => {}
        }
    }

    fn run(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Track(stamp) => effects::track(self.scope(ctx), stamp),
            Effect::CallModel(stamp, call) => {
                self.model = self.tenure.lifetime().token();
                self._model_guard = Some(self.model.clone().drop_guard());
                self.model_calls += 1;
                effects::model::call_model(
                    self.scope(ctx),
                    &self.machine.state,
                    stamp,
                    self.model_calls,
                    call,
                    self.model.clone(),
                );
            }
            Effect::StopModel => {
                self.model.cancel();
                self.stream = None;
            }
            Effect::RunTool(stamp, run) => self.run_tool(stamp, run, ctx),
            Effect::StopTools => {
                if let Some(runner) = &self.runner
                    && runner.try_send(StopCalls).is_err()
                {
                    // A full or dead runner: drop it; its calls are stopped when it goes.
                    self.runner = None;
                }
            }
            Effect::RetryAfter(stamp, ms) => {
                ctx.run_later(Duration::from_millis(ms), move |actor, ctx| {
                    let _ = actor.take(Input::RetryDue(stamp), ctx);
                });
            }
            Effect::WatchNetwork(_, request) => effects::network::watch_network(
                self.scope(ctx),
                &self.machine.state,
                request,
                self.model.clone(),
            ),
            Effect::AnswerAsk(request, result) => {
                let call = self.ask_calls.remove(&request);
                if let Some(reply) = call.and_then(|call| self.asks.remove(&call)) {
                    let _ = reply.send(result);
                }
            }
            Effect::AnswerNow(call, result) => {
                if let Some(reply) = self.asks.remove(&call) {
                    let _ = reply.send(result);
                }
            }
            Effect::AnswerQuestion(request, answer) => {
                let call = self.question_calls.remove(&request);
                if let Some(reply) = call.and_then(|call| self.questions.remove(&call)) {
                    let _ = reply.send(answer);
                }
            }
            Effect::TurnEnded(prompt) => self.turn_ended(&prompt, ctx),
            Effect::SaveRules(rules) => {
                let saved = &self.core.approvals;
                if let Err(fault) = saved.add(&self.address.project, rules, self.core.now()) {
                    tracing::error!(%fault, project = %self.address.project, "rules could not be saved");
                }
            }
            Effect::MakeTitle => {
                effects::title::make_title(self.scope(ctx), &self.machine.state);
            }
            Effect::MakeDiff(prompt) => {
                effects::diff::make_diff(self.scope(ctx), &self.machine.state, prompt);
            }
            Effect::AbortChildren => effects::abort_children(&self.scope(ctx)),
            Effect::MoveFiles(stamp, order) => {
                effects::files::move_files(self.scope(ctx), stamp, order);
            }
            Effect::UndoEnded => {
                for waiter in self.undo_waiters.drain(..) {
                    let _ = waiter.send(());
                }
            }
        }
    }

    fn run_tool(&mut self, stamp: Stamp, run: crate::input::ToolRun, ctx: &mut Context<Self>) {
        let scope = self.scope(ctx);
        let runner = self.runner.get_or_insert_with(|| ToolRunner::begin(scope));
        let call = run.call.clone();
        let order = RunCall {
            stamp,
            run,
            pos: self.last_pos,
        };
        if runner.try_send(order).is_err() {
            // The turn waits for every call that it ordered: one that nobody runs has to end too.
            let error = ToolError::failed("The call could not be started.");
            let ended = Input::ToolDone(stamp, call, Err(error), Vec::new(), None);
            let _ = self.take(ended, ctx);
        }
    }

    /// Tells whoever waits for a prompt's answer.
    fn answer_waiters(&mut self, prompt: &MessageId) {
        let answer = self.machine.state.last_answer(prompt).cloned();
        for waiter in self.waiters.remove(prompt).unwrap_or_default() {
            let _ = waiter.send(answer.clone());
        }
    }

    fn turn_ended(&mut self, prompt: &MessageId, ctx: &Context<Self>) {
        self.answer_waiters(prompt);
        self.asks.clear();
        self.ask_calls.clear();
        self.questions.clear();
        self.question_calls.clear();
        self.keep_view(ctx);
    }

    /// Saves a view of the state when enough has come since the last one.
    fn keep_view(&mut self, ctx: &Context<Self>) {
        if self.tail_bytes < limits::VIEW_BYTES_MIN.max(self.view_bytes / 2) || self.next_seq == 0 {
            return;
        }
        self.view_bytes += self.tail_bytes / 2;
        self.tail_bytes = 0;
        effects::save_view(&self.scope(ctx), &self.machine.state, self.next_seq - 1);
    }

    /// Tells the clients that wait for an empty queue.
    fn settle_drains(&mut self, now: Millis, ctx: &mut Context<Self>) {
        if self.drains.is_empty()
            || self.machine.state.is_busy()
            || !self.machine.state.queue.is_empty()
        {
            return;
        }
        for token in std::mem::take(&mut self.drains) {
            let ids = self.core.ledger.ids();
            let decision = self.machine.handle(Input::Drain(token), now, ids);
            let _ = self.commit(decision, now, ctx);
        }
    }

    /// Nobody needs it, and nothing runs.
    fn is_idle(&self) -> bool {
        let unused = self.core.now().saturating_sub(self.used);
        unused > limits::PASSIVATE_AFTER.as_millis() as Millis
            && !self.machine.state.is_busy()
            && self.waiters.is_empty()
    }
}

impl Actor for SessionActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Whoever ends the life ends the actor: it must not go on beside a successor.
        let ended = self.tenure.lifetime().token().cancelled_owned();
        ctx.spawn(ended.into_actor(self).map(|(), actor, ctx| {
            actor.failed = true;
            ctx.stop();
        }));
        for effect in std::mem::take(&mut self.first) {
            self.run(effect, ctx);
        }
        ctx.run_interval(limits::TICK, |actor, ctx| {
            if actor.is_idle() {
                ctx.stop();
            }
        });
    }
}

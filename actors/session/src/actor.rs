//! The actor of one session: appends what the machine decides, then carries out its orders.
//!
//! Handlers never await: a decision is appended with one write, shown, and its effects are started as tasks whose
//! results come back as messages. A failed append stops the actor: the next look-up rebuilds it from the log, so the
//! state never runs ahead of what is stored.

mod messages;

pub use messages::*;

use crate::effects;
use crate::engine::Engine;
use crate::input::{Effect, Input, Opened, Stamp};
use crate::machine::{Decision, Hidden, Machine};
use crate::project::{self, Address};
use crate::record::{FORMAT, Logged, Record};
use crate::runner::{StopCalls, ToolRunner};
use crate::state::{Entry, State};
use actix::prelude::*;
use bytes::Bytes;
use kilo_ports::provider::{Chunk, ChunkBatch};
use kilo_ports::store::{Entry as StoreEntry, Pos, RecordKind, StoreError};
use kilo_ports::tool::{Ask, QuestionAnswer, ToolError};
use kilo_protocol::model::{Rule, Status};
use kilo_protocol::{CallId, Fault, MessageId, Millis, PartId, PermissionId, QuestionId};
use kilo_runtime::Outgoing;
use kilo_runtime::limits;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How a call's wait for a person ends.
pub type AskReply = oneshot::Sender<Result<(), ToolError>>;
/// How a call's question ends.
pub type QuestionReply = oneshot::Sender<Result<QuestionAnswer, ToolError>>;

/// The actor.
pub struct SessionActor {
    pub(crate) engine: Arc<Engine>,
    pub(crate) machine: Machine,
    pub(crate) address: Address,
    pub(crate) runner: Option<Addr<ToolRunner>>,
    /// Fires when the turn's stream is to be closed.
    pub(crate) model: CancellationToken,
    _model_guard: Option<DropGuard>,
    stream: Option<(Stamp, mpsc::Receiver<ChunkBatch>)>,
    waiters: HashMap<MessageId, Vec<oneshot::Sender<Option<Arc<Entry>>>>>,
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
}

/// What a new actor begins with.
pub struct Beginning {
    /// The fold of the log.
    pub state: State,
    /// The number of its next record.
    pub next_seq: u64,
    /// Bytes of records after the newest view.
    pub tail_bytes: u64,
    /// Bytes of the newest view.
    pub view_bytes: u64,
}

impl SessionActor {
    /// An actor at the end of its log.
    pub fn new(engine: Arc<Engine>, beginning: Beginning) -> Self {
        let info = &beginning.state.info;
        let address = Address {
            session: info.id.clone(),
            directory: info.directory.as_str().into(),
            project: Arc::new(info.project_id.clone()),
        };
        let used = engine.now();
        Self {
            engine,
            machine: Machine::new(beginning.state),
            address,
            runner: None,
            model: CancellationToken::new(),
            _model_guard: None,
            stream: None,
            waiters: HashMap::new(),
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
        }
    }

    /// Takes an input and carries out what it leads to.
    pub(crate) fn take(&mut self, input: Input, ctx: &mut Context<Self>) -> Result<(), StoreError> {
        let now = self.engine.now();
        self.used = now;
        let decision = self.machine.handle(input, now, self.engine.ids());
        self.commit(decision, now, ctx)
    }

    /// Appends a decision's records, shows them, then starts its effects.
    fn commit(
        &mut self,
        decision: Decision,
        now: Millis,
        ctx: &mut Context<Self>,
    ) -> Result<(), StoreError> {
        if !decision.records.is_empty()
            && let Err(error) = self.append(&decision.records, now)
        {
            tracing::error!(session = %self.address.session, %error, "append failed, session is rebuilt from the log");
            self.engine.registry().forget(&self.address.session);
            ctx.stop();
            return Err(error);
        }
        if decision.durable {
            effects::sync_soon(&self.engine, self.last_pos);
        }
        for effect in decision.effects {
            self.run(effect, ctx);
        }
        self.settle_drains(now, ctx);
        Ok(())
    }

    fn append(&mut self, records: &[Logged], now: Millis) -> Result<(), StoreError> {
        let mut outgoing = Vec::with_capacity(records.len());
        let mut bytes = 0;
        let open = self.machine.state.is_busy();
        for logged in records {
            let out = outgoing_of(&self.address, logged, open);
            bytes += out.entry.body.len() as u64;
            outgoing.push(out);
        }
        // The board is right before anyone can see the events.
        for logged in records {
            self.engine.board().note(&self.address, logged);
            self.note(logged);
        }
        let appended = self
            .engine
            .journal()
            .append(&self.address.session, now, outgoing)?;
        self.last_pos = appended.last_pos;
        self.next_seq = appended.first_seq + records.len() as u64;
        self.tail_bytes += bytes;
        Ok(())
    }

    /// Keeps the shell's own maps in step with the records.
    fn note(&mut self, logged: &Logged) {
        match &logged.record {
            Record::SessionUpdated(info) => self.engine.catalog().put(info),
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
            Effect::Track(stamp) => effects::track(self, stamp, ctx),
            Effect::CallModel(stamp, call) => {
                self.model = CancellationToken::new();
                self._model_guard = Some(self.model.clone().drop_guard());
                effects::call_model(self, stamp, call, ctx);
            }
            Effect::StopModel => {
                self.model.cancel();
                self.stream = None;
            }
            Effect::RunTool(stamp, run) => {
                let runner = self.runner.get_or_insert_with(|| {
                    ToolRunner::begin(
                        Arc::clone(&self.engine),
                        self.address.session.clone(),
                        ctx.address(),
                    )
                });
                let call = run.call.clone();
                let order = crate::runner::RunCall {
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
            Effect::StopTools => {
                if let Some(runner) = &self.runner
                    && runner.try_send(StopCalls).is_err()
                {
                    // A full or dead runner: drop it; its calls are stopped when it goes.
                    self.runner = None;
                }
            }
            Effect::RetryAfter(stamp, ms) => {
                ctx.run_later(std::time::Duration::from_millis(ms), move |actor, ctx| {
                    let _ = actor.take(Input::RetryDue(stamp), ctx);
                });
            }
            Effect::WatchNetwork(stamp, request) => {
                effects::watch_network(self, stamp, request, ctx)
            }
            Effect::AnswerAsk(request, result) => {
                if let Some(reply) = self
                    .ask_calls
                    .remove(&request)
                    .and_then(|call| self.asks.remove(&call))
                {
                    let _ = reply.send(result);
                }
            }
            Effect::AnswerNow(call, result) => {
                if let Some(reply) = self.asks.remove(&call) {
                    let _ = reply.send(result);
                }
            }
            Effect::AnswerQuestion(request, answer) => {
                if let Some(reply) = self
                    .question_calls
                    .remove(&request)
                    .and_then(|call| self.questions.remove(&call))
                {
                    let _ = reply.send(answer);
                }
            }
            Effect::TurnEnded(prompt) => self.turn_ended(&prompt),
            Effect::SaveRules(rules) => effects::save_rules(self, rules),
            Effect::MakeTitle => effects::make_title(self, ctx),
            Effect::MakeDiff(prompt) => effects::make_diff(self, prompt, ctx),
            Effect::AbortChildren => effects::abort_children(self),
        }
    }

    fn turn_ended(&mut self, prompt: &MessageId) {
        let answer = self.machine.state.last_answer(prompt).cloned();
        for waiter in self.waiters.remove(prompt).unwrap_or_default() {
            let _ = waiter.send(answer.clone());
        }
        self.asks.clear();
        self.ask_calls.clear();
        self.questions.clear();
        self.question_calls.clear();
        self.keep_view();
    }

    /// Saves a view of the state when enough has come since the last one.
    fn keep_view(&mut self) {
        if self.tail_bytes < limits::VIEW_BYTES_MIN.max(self.view_bytes / 2) || self.next_seq == 0 {
            return;
        }
        self.view_bytes += self.tail_bytes / 2;
        self.tail_bytes = 0;
        effects::save_view(self, self.next_seq - 1);
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
            let decision = self
                .machine
                .handle(Input::Drain(token), now, self.engine.ids());
            let _ = self.commit(decision, now, ctx);
        }
    }

    /// Reads the stream once the machine takes chunks.
    fn read_stream(&mut self, ctx: &mut Context<Self>) {
        if !self.machine.takes_chunks() {
            return;
        }
        let Some((stamp, receiver)) = self.stream.take() else {
            return;
        };
        ctx.add_stream(futures_util::stream::unfold(
            receiver,
            move |mut receiver| async move {
                let mut batches = Vec::new();
                let count = receiver
                    .recv_many(&mut batches, limits::BATCHES_AT_ONCE)
                    .await;
                (count > 0).then_some((Streamed { stamp, batches }, receiver))
            },
        ));
    }
}

/// What is stored and shown of a record.
pub(crate) fn outgoing_of(address: &Address, logged: &Logged, open: bool) -> Outgoing {
    let body = serde_json::to_vec(logged)
        .map(Bytes::from)
        .unwrap_or_default();
    let (kind, head) = match &logged.record {
        Record::SessionCreated(info) | Record::SessionUpdated(info) => (
            RecordKind::Head,
            Some(crate::catalog::head_bytes(info, open)),
        ),
        Record::PartDelta(_) => (RecordKind::Transient, None),
        record if record.running_call().is_some() => (RecordKind::Transient, None),
        _ => (RecordKind::Plain, None),
    };
    Outgoing {
        entry: StoreEntry {
            kind,
            format: FORMAT,
            body,
            head,
        },
        frames: project::frames(address, logged),
    }
}

impl Actor for SessionActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(limits::SESSION_MAILBOX);
        let now = self.engine.now();
        let decision = self.machine.recover(now, self.engine.ids());
        let _ = self.commit(decision, now, ctx);
        ctx.run_interval(limits::TICK, |actor, ctx| {
            let idle = actor.engine.now().saturating_sub(actor.used)
                > limits::PASSIVATE_AFTER.as_millis() as Millis;
            if idle && !actor.machine.state.is_busy() && actor.waiters.is_empty() {
                actor.engine.registry().forget(&actor.address.session);
                ctx.stop();
            }
        });
    }

    /// Never writes: after a panic the state is half-changed. It only tells the registry.
    fn stopped(&mut self, _: &mut Self::Context) {
        self.model.cancel();
        if std::thread::panicking() {
            self.engine.actor_died(&self.address.session);
        }
    }
}

/// What one wake-up took from the provider's stream.
pub struct Streamed {
    stamp: Stamp,
    batches: Vec<ChunkBatch>,
}

impl StreamHandler<Streamed> for SessionActor {
    fn handle(&mut self, item: Streamed, ctx: &mut Self::Context) {
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut failed = None;
        let pieces: usize = item.batches.iter().flatten().map(Vec::len).sum();
        let joins = pieces > limits::PIECES_APART;
        for batch in item.batches {
            match batch {
                Ok(batch) => batch
                    .into_iter()
                    .for_each(|chunk| join(&mut chunks, chunk, joins)),
                Err(error) => failed = Some(error),
            }
        }
        // A whole answer cannot fail any more.
        if chunks
            .iter()
            .any(|chunk| matches!(chunk, Chunk::Finish { .. }))
        {
            failed = None;
        }
        if !chunks.is_empty() && self.take(Input::Chunks(item.stamp, chunks), ctx).is_err() {
            return;
        }
        if let Some(error) = failed {
            let _ = self.take(Input::StreamFailed(item.stamp, error), ctx);
        }
    }

    /// The stream's end is said by its last chunk, not by the channel's closing.
    fn finished(&mut self, _: &mut Self::Context) {}
}

/// Adds a chunk, joined to the one before where both are pieces of the same text and the stream is fast.
fn join(chunks: &mut Vec<Chunk>, chunk: Chunk, joins: bool) {
    match (chunks.last_mut(), chunk) {
        (Some(Chunk::Text(text)), Chunk::Text(more)) if joins => text.push_str(&more),
        (Some(Chunk::Reasoning(text)), Chunk::Reasoning(more)) if joins => text.push_str(&more),
        (_, chunk) => chunks.push(chunk),
    }
}

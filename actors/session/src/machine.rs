//! The session as a pure machine: (state, input) gives records and effects. No clock, no chance, no async, no wire event.
//!
//! Start at [`Machine::handle`]. A decision's records are applied to the state as they are made; the shell
//! (`actor.rs`) appends them to the log and only then runs the effects.

mod ask;
mod chunks;
mod edit;
mod ending;
mod names;
mod recover;
mod shell;
mod step;
pub(crate) mod tools;
mod trouble;
pub mod turn;
mod undo;

#[cfg(test)]
mod tests;

pub use edit::{Edit, Refusal};
pub use tools::STRUCTURED;
pub use undo::Hidden;

use crate::apply::{Removals, apply};
use crate::input::{Effect, Input, Opened, Stamp};
use crate::record::{Logged, Record, TurnKind};
use crate::state::State;
use kilo_ports::provider::ModelInfo;
use kilo_protocol::model::{ModelRef, Part, PartBody, Rule, Status, Tokens};
use kilo_protocol::{CallId, IdSource, MessageId, Millis, PartId};
use serde_json::Value;
use std::sync::Arc;

/// A session that takes inputs.
pub struct Machine {
    /// The fold of its log.
    pub state: State,
    /// The turn's machinery; lost when the process ends, hence not in the state.
    run: Option<Run>,
    stamps: Stamp,
    /// Names the move of files that is under way.
    undo_stamp: Option<Stamp>,
}

/// What a turn needs beyond the log: half-received calls, the stream's state, the tries.
#[derive(Debug)]
struct Run {
    stamp: Stamp,
    prompt: MessageId,
    kind: TurnKind,
    agent: String,
    model: ModelRef,
    step: u32,
    answer: Option<MessageId>,
    opened: Option<Arc<ModelInfo>>,
    rules: Arc<Vec<Rule>>,
    /// Whether saved answers count.
    counts_saved: bool,
    tools: Arc<Vec<(String, kilo_ports::tool::Access)>>,
    steps_max: Option<u32>,
    compact_at: Option<u64>,
    /// The newest checkpoint.
    snapshot: Option<String>,
    /// The checkpoint before the step.
    step_snapshot: Option<String>,
    /// The first checkpoint is still being made.
    waits_for_snapshot: bool,
    text: Option<PartId>,
    reasoning: Option<PartId>,
    calls: Vec<Call>,
    finish: Option<(String, Tokens)>,
    step_began: Millis,
    first_chunk: Option<Millis>,
    tries: u32,
    /// The turn ends after this step although tools were called.
    ends: bool,
    /// The turn has used a tool.
    used_tool: bool,
    /// The conversation was compacted in this turn because it did not fit.
    compacted: bool,
    /// The newest calls in a row of which none ran: denied by a rule, unknown, or with arguments that do not fit.
    fruitless: usize,
}

/// A tool call of the running step.
#[derive(Debug)]
struct Call {
    index: usize,
    part: PartId,
    id: CallId,
    name: String,
    arguments: String,
    started: bool,
    done: bool,
    approval: Option<Value>,
    /// Its open request is one that only a person may answer.
    must_ask: bool,
    /// A rule denied what it asked for.
    denied: bool,
}

/// What one input led to.
#[derive(Debug, Default)]
pub struct Decision {
    /// Facts, in order.
    pub records: Vec<Logged>,
    /// Orders, in order.
    pub effects: Vec<Effect>,
    /// The records are to reach the disk now. The effects do not wait for that, except for the tool runner, which waits
    /// before it starts anything that changes something; a client hears of its own request when it is on the disk.
    pub durable: bool,
}

/// Time and ids for one decision, and what was decided so far.
struct Cx<'a> {
    now: Millis,
    ids: &'a IdSource,
    decision: Decision,
}

impl Cx<'_> {
    fn record(&mut self, state: &mut State, record: Record) {
        let logged = self.logged(state, record);
        apply(state, &logged);
        self.decision.records.push(logged);
    }

    fn logged(&self, state: &State, record: Record) -> Logged {
        let sync = record.is_durable_event().then_some(state.sync_next);
        Logged {
            event: self.ids.event(self.now),
            sync,
            record,
        }
    }

    /// Records that messages are gone, all of them in one pass.
    fn remove_messages(&mut self, state: &mut State, messages: Vec<MessageId>) {
        let mut removals = Removals::default();
        for message in messages {
            let logged = self.logged(state, Record::MessageRemoved(message));
            removals.apply(state, &logged);
            self.decision.records.push(logged);
        }
        removals.finish(state);
    }

    fn effect(&mut self, effect: Effect) {
        self.decision.effects.push(effect);
    }

    fn durable(&mut self) {
        self.decision.durable = true;
    }

    /// Makes a part and records it.
    fn part(&mut self, state: &mut State, message: &MessageId, body: PartBody) -> PartId {
        let id = self.ids.part(self.now);
        let part = Part {
            id: id.clone(),
            session_id: state.info.id.clone(),
            message_id: message.clone(),
            body,
        };
        self.record(state, Record::PartUpdated(Box::new(part), self.now));
        id
    }

    /// Records the head as `change` makes it; nothing when it stays the same.
    fn head(&mut self, state: &mut State, change: impl FnOnce(&mut kilo_protocol::model::Session)) {
        let mut info = state.info.clone();
        change(&mut info);
        if info == state.info {
            return;
        }
        info.time.updated = self.now;
        self.record(state, Record::SessionUpdated(Box::new(info)));
    }

    /// Records the head even when nothing but its time changed.
    fn head_always(&mut self, state: &mut State) {
        let mut info = state.info.clone();
        info.time.updated = self.now;
        self.record(state, Record::SessionUpdated(Box::new(info)));
    }

    fn status(&mut self, state: &mut State, status: Status) {
        self.record(state, Record::StatusChanged(status));
    }
}

impl Machine {
    /// A machine at the end of its log.
    pub fn new(state: State) -> Self {
        Self {
            state,
            run: None,
            stamps: 0,
            undo_stamp: None,
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input, now: Millis, ids: &IdSource) -> Decision {
        let mut cx = Cx {
            now,
            ids,
            decision: Decision::default(),
        };
        self.step_input(&mut cx, input);
        cx.decision
    }

    /// Closes what the end of the process left open: called once after the state was read from the log.
    pub fn recover(&mut self, now: Millis, ids: &IdSource) -> Decision {
        let mut cx = Cx {
            now,
            ids,
            decision: Decision::default(),
        };
        self.close_dangling(&mut cx);
        cx.decision
    }

    /// Records a fact that needs no decision (a client's edit of a message, a fork's copies).
    pub fn note(&mut self, records: Vec<Record>, now: Millis, ids: &IdSource) -> Decision {
        let mut cx = Cx {
            now,
            ids,
            decision: Decision::default(),
        };
        for record in records {
            cx.record(&mut self.state, record);
        }
        cx.durable();
        cx.decision
    }

    /// Whether the stream may be read: not before the first checkpoint is made.
    pub fn takes_chunks(&self) -> bool {
        self.run.as_ref().is_some_and(|run| !run.waits_for_snapshot)
    }

    /// The stamp of the running turn.
    pub fn stamp(&self) -> Option<Stamp> {
        self.run.as_ref().map(|run| run.stamp)
    }

    fn step_input(&mut self, cx: &mut Cx, input: Input) {
        match input {
            Input::Prompt(prompt) => self.prompt(cx, *prompt),
            Input::Shell(prompt, command) => self.shell(cx, *prompt, command),
            Input::Resume => self.resume(cx),
            Input::Summarize(model, auto) => self.summarize(cx, model, auto),
            Input::Abort => self.abort(cx),
            Input::Opened(stamp, opened) if self.is_current(stamp) => self.opened(*opened),
            Input::Refused(stamp, error) if self.is_current(stamp) => self.stream_failed(cx, error),
            Input::Snapshot(stamp, hash) if self.is_current(stamp) => self.snapshot(cx, hash),
            Input::Chunks(stamp, chunks) if self.is_current(stamp) => self.chunks(cx, chunks),
            Input::StreamFailed(stamp, error) if self.is_current(stamp) => {
                self.stream_failed(cx, error)
            }
            Input::RetryDue(stamp) if self.is_current(stamp) => self.retry(cx),
            Input::Network(request, again) => self.network(cx, request, again),
            Input::Progress(stamp, call, title, metadata) if self.is_current(stamp) => {
                self.progress(cx, &call, title, metadata);
            }
            Input::ToolDone(stamp, call, result, files, snapshot) if self.is_current(stamp) => {
                self.tool_done(cx, &call, result, files, snapshot);
            }
            Input::ToolDone(_, call, _, files, _) => self.late_files(cx, &call, files),
            Input::Ask(stamp, call, ask, saved) if self.is_current(stamp) => {
                self.ask(cx, &call, *ask, &saved)
            }
            Input::Ask(_, call, ..) => cx.effect(ask::too_late(call)),
            Input::Answer(request, reply, message) => self.answer(cx, &request, reply, message),
            Input::Question(stamp, call, questions) if self.is_current(stamp) => {
                self.question(cx, &call, questions);
            }
            Input::QuestionAnswer(request, answer) => self.question_answer(cx, &request, answer),
            Input::Todos(stamp, todos) if self.is_current(stamp) => {
                cx.record(&mut self.state, Record::TodosChanged(todos));
            }
            Input::FileEdited(stamp, path, how) if self.is_current(stamp) => {
                cx.record(&mut self.state, Record::FileEdited(path.clone()));
                cx.record(&mut self.state, Record::FileTouched(path, how));
            }
            Input::Revert(to) => self.revert(cx, to),
            Input::Unrevert => self.unrevert(cx),
            Input::FilesMoved(stamp, moved) if self.undo_stamp == Some(stamp) => {
                self.files_moved(cx, *moved);
            }
            Input::Title(title) => self.title(cx, title),
            Input::Diff(prompt, turn, session) => self.diff(cx, &prompt, turn, session),
            Input::Drain(token) => self.drain(cx, token),
            Input::Opened(..)
            | Input::Todos(..)
            | Input::FilesMoved(..)
            | Input::FileEdited(..)
            | Input::Refused(..)
            | Input::Snapshot(..)
            | Input::Chunks(..)
            | Input::StreamFailed(..)
            | Input::RetryDue(_)
            | Input::Progress(..)
            | Input::Question(..) => {}
        }
    }

    fn is_current(&self, stamp: Stamp) -> bool {
        self.run.as_ref().is_some_and(|run| run.stamp == stamp)
    }

    fn opened(&mut self, opened: Opened) {
        let Some(run) = &mut self.run else { return };
        run.opened = Some(opened.model);
        run.rules = opened.rules;
        run.counts_saved = opened.counts_saved;
        run.tools = opened.tools;
        run.steps_max = opened.steps_max;
        run.compact_at = opened.compact_at;
    }
}

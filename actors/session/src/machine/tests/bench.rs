//! A machine with its log, a clock that a script moves, and a world around it that answers by itself.

use super::show::Names;
use crate::apply::fold;
use crate::input::{Effect, FilesMoved, Input, ModelCall, MoveFiles, Opened, Prompt, Stamp};
use crate::machine::{Decision, Machine};
use crate::record::{Logged, Record, TurnKind};
use crate::samples;
use crate::state::State;
use kilo_ports::tool::{Access, ToolError};
use kilo_protocol::model::{Message, ModelRef, Rule, Session, Status};
use kilo_protocol::{CallId, IdSource, MessageId, Millis};
use std::collections::HashMap;
use std::sync::Arc;

pub(super) struct Bench {
    pub machine: Machine,
    pub ids: IdSource,
    pub now: Millis,
    /// Every record, as the log has them.
    pub log: Vec<Logged>,
    pub lines: Vec<String>,
    /// The inputs whose records had to be on the disk.
    pub durable: Vec<String>,
    /// Prompts, and how long the log was once they were accepted.
    pub accepted: Vec<(usize, MessageId)>,
    pub names: Names,
    /// The stamp of the newest model call or checkpoint.
    pub stamp: Stamp,
    /// The next call's place in the answer.
    pub index: usize,
    pub rules: Vec<Rule>,
    pub saved: Vec<Rule>,
    pub counts_saved: bool,
    pub offered: Vec<(String, Access)>,
    pub steps_max: Option<u32>,
    pub compact_at: Option<u64>,
    /// The script gives the first checkpoint itself.
    pub holds_snapshot: bool,
    /// The script says itself when an undo's files were moved.
    pub holds_files: bool,
    /// The moves that were ordered.
    pub moves: Vec<MoveFiles>,
    /// What a call heard about its request, if it was a refusal.
    pub refusals: HashMap<CallId, ToolError>,
}

pub(super) fn model_ref() -> ModelRef {
    ModelRef {
        provider_id: "fake".into(),
        model_id: "m".into(),
        variant: None,
    }
}

impl Bench {
    pub fn new() -> Self {
        let ids = IdSource::default();
        let now = 1_000_000;
        let created = Record::SessionCreated(Box::new(samples::session(now)));
        Self::of(vec![Logged {
            event: ids.event(now),
            sync: Some(0),
            record: created,
        }])
    }

    /// A new process that reads this log.
    pub fn of(log: Vec<Logged>) -> Self {
        let state = fold(None, &log).expect("the log begins with the session");
        let tools = [
            ("bash", Access::Executes),
            ("edit", Access::Writes),
            ("read", Access::Reads),
            ("question", Access::Session),
        ];
        Self {
            machine: Machine::new(state),
            ids: IdSource::default(),
            now: 1_000_000,
            log,
            lines: Vec::new(),
            durable: Vec::new(),
            accepted: Vec::new(),
            names: Names::default(),
            stamp: 0,
            index: 0,
            rules: Vec::new(),
            saved: Vec::new(),
            counts_saved: true,
            offered: tools
                .map(|(name, access)| (name.to_string(), access))
                .to_vec(),
            steps_max: None,
            compact_at: None,
            holds_snapshot: false,
            holds_files: false,
            moves: Vec::new(),
            refusals: HashMap::new(),
        }
    }

    /// Gives an input, writes down what it led to and lets the world around answer.
    pub fn give(&mut self, input: Input) {
        let before = self.machine.state.info.clone();
        let prompt = match &input {
            Input::Prompt(prompt) if !prompt.no_reply => Some(prompt.message.id.clone()),
            _ => None,
        };
        let decision = self.machine.handle(input, self.now, &self.ids);
        let records = self.log.len() + decision.records.len();
        self.accepted.extend(prompt.map(|prompt| (records, prompt)));
        self.take(decision, before);
    }

    /// A stored prompt, as its client would send it once more.
    pub fn prompt_again(&self, message: &str) -> Box<Prompt> {
        let id = MessageId::from_wire(self.names.long(message));
        let entry = self.machine.state.entry(&id).expect("a message");
        Box::new(Prompt {
            message: entry.info.user().expect("a prompt").clone(),
            parts: entry
                .parts
                .iter()
                .map(|part| part.as_ref().clone())
                .collect(),
            no_reply: false,
        })
    }

    /// The process ends; a new one reads the log.
    pub fn crash(&mut self) {
        let state = fold(None, &self.log).expect("the log begins with the session");
        let before = state.info.clone();
        self.machine = Machine::new(state);
        let decision = self.machine.recover(self.now, &self.ids);
        self.take(decision, before);
    }

    fn take(&mut self, decision: Decision, mut head: Session) {
        if decision.durable {
            let newest = self
                .lines
                .iter()
                .rev()
                .find_map(|line| line.strip_prefix("- "));
            self.durable.extend(newest.map(str::to_string));
        }
        for logged in &decision.records {
            let line = self.names.record(logged, &mut head);
            self.lines.push(format!("record {line}"));
        }
        self.log.extend(decision.records);
        self.assert_replay();
        for effect in decision.effects {
            let line = self.names.effect(&effect);
            self.lines.push(format!("effect {line}"));
            self.carry_out(effect);
        }
    }

    /// What the world around does at once.
    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::CallModel(stamp, call) => {
                self.stamp = stamp;
                self.index = 0;
                self.give(Input::Opened(stamp, Box::new(self.opened(&call))));
                if !self.holds_snapshot && !self.machine.takes_chunks() {
                    self.give(Input::Snapshot(stamp, Some("h0".into())));
                }
            }
            Effect::RunTool(stamp, _) => self.stamp = stamp,
            Effect::MoveFiles(stamp, order) => {
                self.stamp = stamp;
                self.moves.push(order);
                if !self.holds_files {
                    self.give(Input::FilesMoved(
                        stamp,
                        Box::new(FilesMoved {
                            snapshot: Some("h9".into()),
                            workspace: "restored",
                            ..FilesMoved::default()
                        }),
                    ));
                }
            }
            Effect::SaveRules(rules) => self.saved.extend(rules),
            Effect::AnswerNow(call, Err(error)) => {
                self.refusals.insert(call, error);
            }
            Effect::AnswerAsk(request, Err(error)) => {
                if let Some(call) = self.asked_by(&request) {
                    self.refusals.insert(call, error);
                }
            }
            _ => {}
        }
    }

    fn asked_by(&self, request: &kilo_protocol::PermissionId) -> Option<CallId> {
        self.log.iter().find_map(|logged| match &logged.record {
            Record::PermissionAsked(asked) if asked.id == *request => {
                Some(asked.tool.as_ref()?.call_id.clone())
            }
            _ => None,
        })
    }

    /// As the engine opens calls: none that summarises or is the last has tools.
    fn opened(&self, call: &ModelCall) -> Opened {
        let bare = call.last_step || call.kind != TurnKind::Prompt;
        Opened {
            model: Arc::new(samples::model()),
            rules: Arc::new(self.rules.clone()),
            counts_saved: self.counts_saved,
            tools: Arc::new(if bare {
                Vec::new()
            } else {
                self.offered.clone()
            }),
            steps_max: self.steps_max,
            compact_at: self.compact_at,
        }
    }

    /// What the log gives is what the machine has, and its durable events are numbered without a gap.
    #[track_caller]
    pub fn assert_replay(&self) {
        let replayed = fold(None, &self.log).expect("the log begins with the session");
        assert_eq!(
            json(&replayed),
            json(&self.machine.state),
            "the replayed state differs from the live one"
        );
        let numbers: Vec<u64> = self.log.iter().filter_map(|logged| logged.sync).collect();
        assert!(
            numbers.iter().copied().eq(0..numbers.len() as u64),
            "sync numbers have a gap: {numbers:?}"
        );
    }

    /// Nothing is open.
    #[track_caller]
    pub fn assert_settled(&self) {
        let state = &self.machine.state;
        assert_eq!(state.status, Status::Idle);
        assert_eq!(state.turn, None);
        assert_eq!(state.undo, None);
        assert!(
            state.permissions.is_empty() && state.questions.is_empty() && state.network.is_none()
        );
        for entry in &state.messages {
            if let Message::Assistant(answer) = &entry.info {
                assert!(
                    answer.time.completed.is_some(),
                    "{} is unfinished",
                    answer.id
                );
            }
            for (_, tool) in state.calls(entry.info.id()) {
                assert!(tool.state.is_final(), "call {} is not final", tool.call_id);
            }
        }
        assert_eq!(self.machine.stamp(), None);
    }
}

fn json(state: &State) -> String {
    serde_json::to_string(state).expect("a state is JSON")
}

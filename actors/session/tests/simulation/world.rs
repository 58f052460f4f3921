//! The world around the machine: the log, the clients, the provider, the host, and what is under way between them.

use crate::chance::Chance;
use crate::host::{Heard, Job, Phase};
use crate::provider::{Stream, model};
use crate::rules::rule;
use kilo_ports::tool::{Access, ToolError};
use kilo_protocol::model::{Action, FileDiff, ModelRef, Rule, Session, SessionTime, Tokens};
use kilo_protocol::{IdSource, MessageId, Millis, PermissionId, QuestionId, SessionId};
use kilo_session::apply::{apply, fold};
use kilo_session::input::{Effect, FilesMoved, Input, ModelCall, Opened, Stamp};
use kilo_session::machine::{Decision, Machine};
use kilo_session::record::{Logged, Record, TurnKind};
use kilo_session::state::State;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub struct World {
    pub chance: Chance,
    pub machine: Machine,
    pub log: Vec<Logged>,
    /// The fold of the log, kept along.
    pub shadow: State,
    /// Records of the log that are on the disk.
    pub synced: usize,
    /// How many processes ended.
    pub process: usize,
    pub ids: IdSource,
    pub now: Millis,
    stream: Option<Stream>,
    jobs: Vec<Job>,
    /// Messages that are under way.
    mail: Vec<Input>,
    rules: Vec<Rule>,
    pub saved: Vec<Rule>,
    calls: usize,
    /// Calls that were ever started, with their messages.
    pub started: HashSet<(MessageId, String)>,
    /// Calls that changed something.
    pub wrote: HashSet<(MessageId, String)>,
    /// What a person said to a request.
    pub said: HashMap<PermissionId, bool>,
    asked: HashMap<PermissionId, String>,
    questions: HashMap<QuestionId, String>,
    /// Prompts that were accepted for good and want an answer.
    pub accepted: Vec<MessageId>,
    /// Prompts whose client waits in this process.
    pub waiting: HashSet<MessageId>,
    /// No more faults: everything comes to rest.
    pub calm: bool,
    steps: Vec<String>,
    pub seen: Seen,
}

/// How often things happened, so that a simulation which no longer reaches them is noticed.
#[derive(Clone, Default)]
pub struct Seen(HashMap<&'static str, usize>);

impl Seen {
    pub fn note(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub fn add(&mut self, other: &Seen) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    pub fn assert_everything_happened(&self) {
        let all = [
            "abort",
            "always",
            "answered late",
            "compacted",
            "crash",
            "crash in a decision",
            "crash in a turn",
            "crash in an undo",
            "must ask",
            "own command",
            "message repeated",
            "offline",
            "prompt queued",
            "resumed",
            "retry",
            "stopped call",
            "undo ended",
            "write",
        ];
        for what in all {
            assert!(
                self.0.get(what).is_some_and(|count| *count >= 20),
                "{what} hardly happened: {:?}",
                self.0
            );
        }
    }
}

fn session() -> Session {
    Session {
        id: SessionId::from_wire("ses_1"),
        slug: "calm-otter".into(),
        project_id: "global".into(),
        directory: "/work".into(),
        path: String::new(),
        parent_id: None,
        summary: None,
        cost: 0.0,
        tokens: Tokens::default(),
        share: None,
        title: "New session - 1970".into(),
        agent: None,
        model: None,
        version: "0".into(),
        metadata: None,
        time: SessionTime::default(),
        permission: None,
        revert: None,
    }
}

pub fn model_ref() -> ModelRef {
    ModelRef {
        provider_id: "fake".into(),
        model_id: "m".into(),
        variant: None,
    }
}

impl World {
    pub fn new(chance: Chance) -> Self {
        let ids = IdSource::default();
        let created = Record::SessionCreated(Box::new(session()));
        let log = vec![Logged {
            event: ids.event(1),
            sync: Some(0),
            record: created,
        }];
        let state = fold(None, &log).expect("the log begins with the session");
        Self {
            chance,
            machine: Machine::new(state.clone()),
            log,
            shadow: state,
            synced: 1,
            process: 0,
            ids,
            now: 1_000,
            stream: None,
            jobs: Vec::new(),
            mail: Vec::new(),
            rules: Vec::new(),
            saved: Vec::new(),
            calls: 0,
            started: HashSet::new(),
            wrote: HashSet::new(),
            said: HashMap::new(),
            asked: HashMap::new(),
            questions: HashMap::new(),
            accepted: Vec::new(),
            waiting: HashSet::new(),
            calm: false,
            steps: Vec::new(),
            seen: Seen::default(),
        }
    }

    /// The newest steps, oldest first.
    pub fn last_steps(&self, count: usize) -> String {
        self.steps[self.steps.len().saturating_sub(count)..].join("\n")
    }

    fn say(&mut self, line: String) {
        self.steps.push(line);
    }

    /// Something happens.
    pub fn step(&mut self) {
        self.now += self.chance.below(500) as Millis;
        let state = &self.machine.state;
        // Sessions are seldom idle here, and an undo is soon over: both are helped along.
        if !state.is_busy() && self.chance.percent(15) {
            return self.undo();
        }
        if self.machine.state.undo.is_some() && self.chance.percent(30) {
            return self.crash();
        }
        match self.chance.below(100) {
            0..45 => self.stream_goes_on(),
            45..70 => self.a_job_goes_on(),
            70..82 => self.a_message_arrives(),
            82..98 => self.a_client_acts(),
            _ => self.crash(),
        }
    }

    /// Clients only answer, nothing fails, the process lives: the session works off what it promised.
    pub fn come_to_rest(&mut self) {
        self.calm = true;
        for _ in 0..5_000 {
            self.mail_everything();
            self.stream_goes_on();
            self.a_job_goes_on();
            self.answer_requests();
            let state = &self.machine.state;
            if !state.is_busy() && self.mail.is_empty() && self.jobs.is_empty() {
                // A user's own command is never run again.
                let resumable = state
                    .unfinished
                    .as_ref()
                    .filter(|turn| !matches!(turn.kind, TurnKind::Shell(_)));
                if state.queue.is_empty() && resumable.is_none() {
                    return;
                }
                let before = self.log.len();
                self.give(Input::Resume);
                assert!(
                    self.log.len() > before,
                    "nothing is resumed, with {:?}",
                    self.machine.state.unfinished
                );
            }
        }
        panic!(
            "the session does not come to rest: {:?}",
            self.machine.state.status
        );
    }

    fn mail_everything(&mut self) {
        while let Some(input) = self.mail.pop() {
            self.give(input);
        }
    }

    fn stream_goes_on(&mut self) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        if !stream.opened {
            stream.opened = true;
            let (stamp, call) = (stream.stamp, stream.call.clone());
            if !self.calm && self.chance.percent(3) {
                self.stream = None;
                let error = kilo_ports::provider::ProviderError::new(
                    kilo_ports::provider::ErrorClass::Unknown,
                    "no such agent",
                );
                return self.give(Input::Refused(stamp, error));
            }
            let opened = self.opened(&call);
            return self.give(Input::Opened(stamp, Box::new(opened)));
        }
        if !self.machine.takes_chunks() {
            return;
        }
        match stream.next() {
            Some(input) => self.give(input),
            None => self.stream = None,
        }
    }

    fn opened(&mut self, call: &ModelCall) -> Opened {
        self.rules = self.some_rules();
        let bare = call.last_step || call.kind != TurnKind::Prompt;
        let tools = [
            ("bash", Access::Executes),
            ("edit", Access::Writes),
            ("read", Access::Reads),
            ("question", Access::Session),
        ];
        let tools = tools
            .map(|(name, access)| (name.to_string(), access))
            .to_vec();
        Opened {
            model: Arc::new(model()),
            rules: Arc::new(self.rules.clone()),
            counts_saved: true,
            tools: Arc::new(if bare { Vec::new() } else { tools }),
            steps_max: self.chance.percent(20).then_some(3),
            compact_at: self.chance.percent(70).then_some(1_000),
        }
    }

    fn some_rules(&mut self) -> Vec<Rule> {
        let mut rules = Vec::new();
        for _ in 0..self.chance.below(4) {
            let permission = self.chance.pick(&["*", "bash", "edit"]);
            let pattern = self.chance.pick(&["*", "ls *", "rm *"]);
            rules.push(rule(
                permission,
                pattern,
                self.chance
                    .pick(&[Action::Allow, Action::Ask, Action::Deny]),
            ));
        }
        rules
    }

    fn a_job_goes_on(&mut self) {
        if self.jobs.is_empty() {
            return;
        }
        let place = self.chance.below(self.jobs.len());
        let job = &mut self.jobs[place];
        let (message, call) = (job.run.message.clone(), job.run.call.clone());
        let (wrote, stopped) = (job.wrote, job.stopped);
        let Some((input, over)) = job.next(&mut self.chance, &self.saved, self.synced) else {
            return;
        };
        if job.wrote && !wrote {
            self.seen.note("write");
            self.wrote.insert((message, call));
        }
        if stopped {
            self.seen.note("answered late");
        }
        if over {
            self.jobs.remove(place);
        }
        if matches!(&input, Input::Ask(_, _, ask, _) if ask.must_ask) {
            self.seen.note("must ask");
        }
        self.post(input);
    }

    /// Delivers a message now or later, sometimes twice.
    fn post(&mut self, input: Input) {
        if !self.calm && self.chance.percent(5) {
            self.seen.note("message repeated");
            self.mail.extend(again(&input));
        }
        if !self.calm && self.chance.percent(20) {
            return self.mail.push(input);
        }
        self.give(input);
    }

    fn a_message_arrives(&mut self) {
        if !self.mail.is_empty() {
            let place = self.chance.below(self.mail.len());
            let input = self.mail.swap_remove(place);
            self.give(input);
        }
    }

    /// The process ends; what is not on the disk may be lost with the power.
    fn crash(&mut self) {
        let lost = if self.chance.percent(50) {
            0
        } else {
            self.chance.below(self.log.len() - self.synced + 1)
        };
        self.die(self.log.len() - lost);
    }

    /// The log ends after `kept` records; a new process begins with them.
    fn die(&mut self, kept: usize) {
        self.process += 1;
        self.seen.note("crash");
        if self.machine.stamp().is_some() {
            self.seen.note("crash in a turn");
        }
        self.say(format!("crash, {kept} of {} records stay", self.log.len()));
        self.log.truncate(kept);
        self.stream = None;
        self.jobs.clear();
        self.mail.clear();
        self.waiting.clear();
        self.shadow = fold(None, &self.log).expect("the log begins with the session");
        let queue: Vec<MessageId> = self
            .shadow
            .next
            .iter()
            .chain(&self.shadow.queue)
            .cloned()
            .collect();
        self.machine = Machine::new(self.shadow.clone());
        self.synced = kept;
        let decision = self.machine.recover(self.now, &self.ids);
        let process = self.process;
        // Nothing is run again but the move of an undo, which changes nothing where it was done.
        let is_move = |effect: &Effect| matches!(effect, Effect::MoveFiles(..));
        let moves = self.shadow.undo.is_some();
        assert!(decision.effects.iter().all(is_move));
        assert_eq!(decision.effects.len(), usize::from(moves));
        self.commit(decision);
        if process != self.process {
            return;
        }
        self.check_idle();
        assert_eq!(
            self.machine.state.queue, queue,
            "recovery changed the queue"
        );
        if moves {
            self.seen.note("crash in an undo");
        } else if self.chance.percent(50) {
            self.give(Input::Resume);
        }
    }

    pub fn give(&mut self, input: Input) {
        let line = format!("{input:?}");
        self.say(line.chars().take(200).collect());
        let decision = self.machine.handle(input, self.now, &self.ids);
        self.commit(decision);
    }

    fn commit(&mut self, decision: Decision) {
        let begins = self.log.len();
        for logged in decision.records {
            self.note(&logged);
            // As it comes back from the disk.
            let body = serde_json::to_vec(&logged).expect("a record is JSON");
            let read: Logged = serde_json::from_slice(&body).expect("what was written can be read");
            apply(&mut self.shadow, &read);
            self.log.push(read);
        }
        if !self.calm && self.log.len() > begins + 1 && self.chance.percent(1) {
            // The process ends while it appends; none of the decision's orders is carried out.
            self.seen.note("crash in a decision");
            let kept = begins + self.chance.below(self.log.len() - begins);
            return self.die(kept);
        }
        // Records in one order: whatever was decided before is on the disk as well.
        if decision.durable {
            self.synced = self.log.len();
        }
        let process = self.process;
        for effect in decision.effects {
            if process != self.process {
                return;
            }
            self.say(format!(
                "  -> {}",
                format!("{effect:?}").chars().take(160).collect::<String>()
            ));
            self.carry_out(effect);
        }
    }

    fn note(&mut self, logged: &Logged) {
        match &logged.record {
            Record::PermissionAsked(request) => {
                let call = request.tool.as_ref().expect("a call asks").call_id.clone();
                self.asked.insert(request.id.clone(), call);
            }
            Record::QuestionAsked(request) => {
                let call = request.tool.as_ref().expect("a call asks").call_id.clone();
                self.questions.insert(request.id.clone(), call);
            }
            Record::Compacted => self.seen.note("compacted"),
            Record::NetworkAsked(_) => self.seen.note("offline"),
            _ => {}
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Track(stamp) => {
                let hash = self.chance.percent(80).then(|| "h0".to_string());
                self.post(Input::Snapshot(stamp, hash));
            }
            Effect::CallModel(stamp, call) => {
                let stream = Stream::new(&mut self.chance, stamp, call, &mut self.calls, self.calm);
                if let Some(old) = self.stream.replace(stream) {
                    self.leave_late(old);
                }
            }
            Effect::StopModel => {
                if let Some(old) = self.stream.take() {
                    self.leave_late(old);
                }
            }
            Effect::RunTool(stamp, run) => self.run_tool(stamp, run),
            Effect::StopTools => {
                for job in &mut self.jobs {
                    job.stopped = true;
                    self.seen.note("stopped call");
                }
            }
            Effect::RetryAfter(stamp, _) => {
                self.seen.note("retry");
                self.mail.push(Input::RetryDue(stamp));
            }
            Effect::WatchNetwork(_, request) => {
                if self.calm || self.chance.percent(50) {
                    self.mail.push(Input::Network(Some(request), true));
                }
            }
            Effect::AnswerNow(call, answer) => {
                let turn = self.machine.state.turn.as_ref();
                let by = match turn.map(|turn| &turn.kind) {
                    Some(TurnKind::Shell(_)) => Heard::OwnCommand,
                    _ => Heard::Rules(self.rules.clone(), self.saved.clone()),
                };
                self.tell_job(&call, answer, by);
            }
            Effect::AnswerAsk(request, answer) => {
                let call = self.asked.get(&request).cloned().expect("it was asked");
                let said = self.said.get(&request).copied();
                self.tell_job(
                    &call,
                    answer,
                    Heard::Person(request, said, self.saved.clone()),
                );
            }
            Effect::AnswerQuestion(question, _) => {
                let call = self
                    .questions
                    .get(&question)
                    .cloned()
                    .expect("it was asked");
                let waits =
                    |job: &&mut Job| job.run.call == call && matches!(job.phase, Phase::Questions);
                if let Some(job) = self.jobs.iter_mut().find(waits) {
                    job.phase = Phase::Answered;
                }
            }
            Effect::TurnEnded(prompt) => {
                self.waiting.remove(&prompt);
            }
            Effect::MakeDiff(prompt) => {
                let (turn, session) = (self.some_diff(), self.some_diff());
                self.mail.push(Input::Diff(prompt, turn, session));
            }
            Effect::MakeTitle => self.mail.push(Input::Title("A title".into())),
            Effect::MoveFiles(stamp, _) => self.mail.push(Input::FilesMoved(
                stamp,
                Box::new(FilesMoved {
                    snapshot: Some("h9".into()),
                    workspace: "restored",
                    ..FilesMoved::default()
                }),
            )),
            Effect::UndoEnded => self.seen.note("undo ended"),
            // The rules count from the user's answer on; see `answer_requests`.
            Effect::SaveRules(_) | Effect::AbortChildren => {}
        }
    }

    /// Some of a few files, each with one of a few changes; none where it failed.
    fn some_diff(&mut self) -> Option<Vec<FileDiff>> {
        if self.chance.percent(20) {
            return None;
        }
        let mut files = Vec::new();
        for name in ["a", "b", "c/d", "e"] {
            if self.chance.percent(60) {
                files.push(FileDiff {
                    file: name.into(),
                    patch: String::new(),
                    additions: self.chance.below(3) as u64,
                    deletions: 0,
                    status: None,
                });
            }
        }
        Some(files)
    }

    /// Some of a stream that was stopped may still be under way.
    fn leave_late(&mut self, mut stream: Stream) {
        if self.machine.stamp() != Some(stream.stamp) && self.chance.percent(50) {
            self.mail.extend(stream.next());
        }
    }

    fn run_tool(&mut self, stamp: Stamp, run: kilo_session::input::ToolRun) {
        let key = (run.message.clone(), run.call.clone());
        assert!(
            self.started.insert(key),
            "call {} of {} was started twice",
            run.call,
            run.message
        );
        let is_announced = self.log.iter().rev().any(|logged| {
            match (&logged.record, logged.record.running_call()) {
                (Record::PartUpdated(part, _), Some(call)) => {
                    *call == run.call && part.message_id == run.message
                }
                _ => false,
            }
        });
        assert!(
            is_announced,
            "call {} was started before its record",
            run.call
        );
        self.jobs.push(Job::new(stamp, run, self.log.len()));
    }

    fn tell_job(&mut self, call: &str, answer: Result<(), ToolError>, by: Heard) {
        let asks = |job: &&mut Job| {
            job.run.call == call && matches!(job.phase, Phase::Asks(_)) && !job.stopped
        };
        if let Some(job) = self.jobs.iter_mut().find(asks) {
            job.hears(answer, by);
        }
    }
}

/// A message once more, of those that a client or a task may send twice.
fn again(input: &Input) -> Option<Input> {
    Some(match input {
        Input::Snapshot(stamp, hash) => Input::Snapshot(*stamp, hash.clone()),
        Input::ToolDone(stamp, call, result, files, snapshot) => Input::ToolDone(
            *stamp,
            call.clone(),
            result.clone(),
            files.clone(),
            snapshot.clone(),
        ),
        Input::Ask(stamp, call, ask, saved) => {
            Input::Ask(*stamp, call.clone(), ask.clone(), Arc::clone(saved))
        }
        Input::Question(stamp, call, questions) => {
            Input::Question(*stamp, call.clone(), questions.clone())
        }
        Input::Progress(stamp, call, title, known) => {
            Input::Progress(*stamp, call.clone(), title.clone(), known.clone())
        }
        _ => return None,
    })
}

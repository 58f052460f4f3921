//! Turns: prompts, the queue, opening, closing, aborting.

use super::{Cx, Machine, Run};
use crate::input::{Effect, Prompt};
use crate::record::{CloseReason, DiffMerge, Record, TurnHead, TurnKind};
use kilo_protocol::MessageId;
use kilo_protocol::model::{
    CompactionPart, Created, DiffSummary, FileDiff, Message, MessageSummary, ModelRef, PartBody,
    SessionModel, Status, TurnError, UserMessage,
};

impl Machine {
    /// Stores a prompt and shows it; answers it now, or after the running turn.
    ///
    /// A prompt whose id is known was sent twice: nothing at all changes. One that comes while files are moved is not
    /// taken either: it would be among the messages that the undo hides. The shell keeps it until then.
    pub(super) fn prompt(&mut self, cx: &mut Cx, prompt: Prompt) {
        if self.state.entry(&prompt.message.id).is_some() || self.state.undo.is_some() {
            return;
        }
        cx.durable();
        self.drop_reverted(cx);
        let Prompt {
            message,
            parts,
            no_reply,
        } = prompt;
        let id = message.id.clone();
        let (agent, model) = (message.agent.clone(), message.model.clone());
        if !self.state.is_busy() && !no_reply {
            cx.head(&mut self.state, |info| {
                info.agent = Some(agent);
                info.model = Some(session_model(&model));
            });
        }
        cx.record(
            &mut self.state,
            Record::MessageUpdated(Box::new(Message::User(message))),
        );
        for part in parts {
            cx.record(&mut self.state, Record::PartUpdated(Box::new(part), cx.now));
        }
        if no_reply {
            return;
        }
        if self.state.is_busy() || !self.state.queue.is_empty() {
            let mut queue = self.state.queue.clone();
            queue.push(id);
            cx.record(&mut self.state, Record::QueueChanged(queue));
            if !self.state.is_busy() {
                self.next_prompt(cx);
            }
            return;
        }
        self.open_turn(cx, id, TurnKind::Prompt);
    }

    /// Goes on with the last turn that was interrupted or failed, else with the queue; nothing when there is neither.
    pub(super) fn resume(&mut self, cx: &mut Cx) {
        if self.state.is_busy() || (self.state.unfinished.is_none() && self.state.queue.is_empty())
        {
            return;
        }
        cx.durable();
        self.drop_reverted(cx);
        match self.state.unfinished.clone() {
            // A command that was interrupted is never run again; the user sees it and decides.
            Some(TurnHead {
                kind: TurnKind::Shell(_),
                ..
            })
            | None => self.next_prompt(cx),
            Some(head) => self.open_turn(cx, head.prompt, head.kind),
        }
    }

    /// Summarises the conversation so far.
    pub(super) fn summarize(&mut self, cx: &mut Cx, model: ModelRef, auto: bool) {
        if self.state.is_busy() {
            return;
        }
        cx.durable();
        self.drop_reverted(cx);
        let agent = self
            .state
            .info
            .agent
            .clone()
            .unwrap_or_else(|| "code".into());
        let message = self.compaction_message(
            cx,
            agent,
            model,
            CompactionPart {
                auto,
                ..Default::default()
            },
        );
        self.open_turn(cx, message, TurnKind::Compaction(None));
    }

    /// Records the user message that stands for a compaction.
    pub(super) fn compaction_message(
        &mut self,
        cx: &mut Cx,
        agent: String,
        model: ModelRef,
        part: CompactionPart,
    ) -> MessageId {
        let id = cx.ids.message(cx.now);
        let message = UserMessage {
            id: id.clone(),
            session_id: self.state.info.id.clone(),
            time: Created { created: cx.now },
            format: None,
            summary: None,
            agent,
            model,
            system: None,
            tools: None,
            editor_context: None,
        };
        cx.record(
            &mut self.state,
            Record::MessageUpdated(Box::new(Message::User(message))),
        );
        cx.part(&mut self.state, &id, PartBody::Compaction(part));
        id
    }

    /// Opens a turn for a stored user message and orders its first step.
    pub(super) fn open_turn(&mut self, cx: &mut Cx, prompt: MessageId, kind: TurnKind) {
        if self.state.entry(&prompt).is_none() {
            return;
        }
        cx.record(
            &mut self.state,
            Record::TurnOpened(TurnHead {
                prompt: prompt.clone(),
                kind: kind.clone(),
            }),
        );
        cx.status(&mut self.state, Status::Busy);
        // Nobody was asked yet, so the head says "open" to whoever reads it after a crash.
        let info = self.state.info.clone();
        cx.record(&mut self.state, Record::SessionUpdated(Box::new(info)));
        self.start_run(cx, prompt, kind, Carried::default());
    }

    /// Goes on with something else within the open turn.
    pub(super) fn go_on(
        &mut self,
        cx: &mut Cx,
        prompt: MessageId,
        kind: TurnKind,
        carried: Carried,
    ) {
        cx.durable();
        cx.record(
            &mut self.state,
            Record::TurnWentOn(TurnHead {
                prompt: prompt.clone(),
                kind: kind.clone(),
            }),
        );
        self.start_run(cx, prompt, kind, carried);
    }

    fn start_run(&mut self, cx: &mut Cx, prompt: MessageId, kind: TurnKind, carried: Carried) {
        let Some(user) = self
            .state
            .entry(&prompt)
            .and_then(|entry| entry.info.user())
        else {
            return;
        };
        let (agent, model) = (user.agent.clone(), user.model.clone());
        let agent = if matches!(kind, TurnKind::Compaction(_)) {
            "compaction".into()
        } else {
            agent
        };
        self.stamps += 1;
        let is_prompt = kind == TurnKind::Prompt;
        self.run = Some(Run {
            stamp: self.stamps,
            prompt,
            kind,
            agent,
            model,
            step: carried.steps,
            answer: None,
            opened: None,
            rules: Default::default(),
            counts_saved: true,
            tools: Default::default(),
            steps_max: None,
            compact_at: None,
            snapshot: None,
            step_snapshot: None,
            waits_for_snapshot: is_prompt,
            text: None,
            reasoning: None,
            calls: Vec::new(),
            finish: None,
            step_began: cx.now,
            first_chunk: None,
            tries: 0,
            ends: false,
            used_tool: carried.used_tool,
            fruitless: carried.fruitless,
            compacted: carried.compacted,
        });
        if is_prompt {
            cx.effect(Effect::Track(self.stamps));
        }
        self.begin_step(cx);
    }

    /// Takes the next prompt from the queue, if there is one.
    pub(super) fn next_prompt(&mut self, cx: &mut Cx) {
        let mut queue = self.state.queue.clone();
        if queue.is_empty() || self.state.is_busy() {
            return;
        }
        let next = queue.remove(0);
        cx.record(&mut self.state, Record::QueueChanged(queue));
        if let Some(user) = self.state.entry(&next).and_then(|entry| entry.info.user()) {
            let (agent, model) = (user.agent.clone(), user.model.clone());
            cx.head(&mut self.state, |info| {
                info.agent = Some(agent);
                info.model = Some(session_model(&model));
            });
        }
        cx.durable();
        self.open_turn(cx, next, TurnKind::Prompt);
    }

    /// Ends the turn. The running message is complete already.
    pub(super) fn close_turn(&mut self, cx: &mut Cx, reason: CloseReason) {
        let Some(run) = self.run.take() else { return };
        cx.durable();
        cx.status(&mut self.state, Status::Idle);
        cx.record(&mut self.state, Record::Idle);
        cx.record(&mut self.state, Record::TurnClosed(reason));
        // The head once more: no turn is open now, and cost and tokens are final.
        cx.head_always(&mut self.state);
        self.order_diff(cx, run.client_prompt());
        if run.used_tool && reason == CloseReason::Completed && self.wants_title() {
            cx.effect(Effect::MakeTitle);
        }
        turn_ended(cx, run);
        self.next_prompt(cx);
    }

    /// The summary is made: goes on with the prompt that did not fit, or ends.
    pub(super) fn compacted(&mut self, cx: &mut Cx) {
        cx.record(&mut self.state, Record::Compacted);
        let waiting = match self.run.as_ref().map(|run| &run.kind) {
            Some(TurnKind::Compaction(Some(prompt))) if self.state.entry(prompt).is_some() => {
                prompt.clone()
            }
            _ => return self.close_turn(cx, CloseReason::Completed),
        };
        let Some(run) = self.run.take() else { return };
        cx.effect(Effect::TurnEnded(run.prompt.clone()));
        self.go_on(cx, waiting, TurnKind::Prompt, Carried::of(&run));
    }

    /// Orders the diff of a prompt's turn, if the turn changed files.
    pub(super) fn order_diff(&self, cx: &mut Cx, prompt: &MessageId) {
        if self
            .state
            .changes
            .iter()
            .any(|change| self.is_answer_to(&change.message, prompt))
        {
            cx.effect(Effect::MakeDiff(prompt.clone()));
        }
    }

    fn is_answer_to(&self, message: &MessageId, prompt: &MessageId) -> bool {
        let entry = self.state.entry(message);
        entry
            .and_then(|entry| entry.info.assistant())
            .is_some_and(|answer| answer.parent_id == *prompt)
    }

    fn wants_title(&self) -> bool {
        self.state.info.parent_id.is_none() && has_default_title(&self.state.info.title)
    }

    pub(super) fn title(&mut self, cx: &mut Cx, title: String) {
        if self.wants_title() {
            cx.head(&mut self.state, |info| info.title = title);
        }
    }

    /// Stops whatever runs. The partial text stays; running calls are closed as aborted. Queued prompts stay: the next
    /// one's turn opens.
    pub(super) fn abort(&mut self, cx: &mut Cx) {
        if self.run.is_none() {
            return;
        }
        cx.durable();
        cx.effect(Effect::StopModel);
        cx.effect(Effect::StopTools);
        cx.effect(Effect::AbortChildren);
        let error = TurnError::new("MessageAbortedError", "The turn was stopped.");
        cx.record(&mut self.state, Record::Failed(error.clone()));
        cx.status(&mut self.state, Status::Idle);
        cx.record(&mut self.state, Record::Idle);
        self.close_requests(cx);
        self.finish_message(cx, Some(error), "The call was aborted by the user.");
        let Some(run) = self.run.take() else { return };
        cx.record(
            &mut self.state,
            Record::TurnClosed(CloseReason::Interrupted),
        );
        cx.head_always(&mut self.state);
        cx.record(&mut self.state, Record::DrainInterrupted);
        self.order_diff(cx, run.client_prompt());
        turn_ended(cx, run);
        self.next_prompt(cx);
    }

    /// Answers every open request with a refusal, so that no client waits for it any more.
    pub(super) fn close_requests(&mut self, cx: &mut Cx) {
        for request in self.state.permissions.clone() {
            cx.record(
                &mut self.state,
                Record::PermissionReplied(request.id, "reject".into()),
            );
        }
        for question in self.state.questions.clone() {
            cx.record(&mut self.state, Record::QuestionRejected(question.id));
        }
        if let Some(network) = self.state.network.clone() {
            cx.record(&mut self.state, Record::NetworkAnswered(network.id, false));
        }
    }

    pub(super) fn drain(&mut self, cx: &mut Cx, token: String) {
        // A busy session drains when its turn ends; the shell asks again then.
        if !self.state.is_busy() && self.state.queue.is_empty() {
            cx.record(&mut self.state, Record::Drained(token));
        }
    }

    /// What cannot be told stays as it was known.
    pub(super) fn diff(
        &mut self,
        cx: &mut Cx,
        prompt: &MessageId,
        turn: Option<Vec<FileDiff>>,
        session: Option<Vec<FileDiff>>,
    ) {
        if let Some(session) = session {
            let summary = DiffSummary {
                additions: session.iter().map(|file| file.additions).sum(),
                deletions: session.iter().map(|file| file.deletions).sum(),
                files: session.len() as u64,
            };
            cx.head(&mut self.state, |info| info.summary = Some(summary));
            let merge = DiffMerge::between(&self.state.diff, &session);
            cx.record(&mut self.state, Record::DiffMerged(merge));
        }
        let Some(diffs) = turn else { return };
        let Some(user) = self.state.entry(prompt).and_then(|entry| entry.info.user()) else {
            return;
        };
        let mut user = user.clone();
        user.summary = Some(MessageSummary {
            diffs,
            ..Default::default()
        });
        cx.record(
            &mut self.state,
            Record::MessageUpdated(Box::new(Message::User(user))),
        );
    }
}

/// What a turn keeps when it goes on with something else.
#[derive(Default)]
pub(super) struct Carried {
    /// Steps so far: the bound holds for the whole turn.
    steps: u32,
    used_tool: bool,
    fruitless: usize,
    compacted: bool,
}

impl Carried {
    /// Of a run that goes on because of a compaction.
    pub(super) fn of(run: &Run) -> Self {
        Self {
            steps: run.step,
            used_tool: run.used_tool,
            fruitless: run.fruitless,
            compacted: true,
        }
    }
}

impl Run {
    /// The prompt that a client waits for: of a compaction within a turn, the turn's.
    fn client_prompt(&self) -> &MessageId {
        match &self.kind {
            TurnKind::Compaction(Some(prompt)) => prompt,
            _ => &self.prompt,
        }
    }
}

/// Tells whoever waits for the turn.
fn turn_ended(cx: &mut Cx, run: Run) {
    if let TurnKind::Compaction(Some(prompt)) = run.kind {
        cx.effect(Effect::TurnEnded(prompt));
    }
    cx.effect(Effect::TurnEnded(run.prompt));
}

/// The title is one that the program gave.
pub fn has_default_title(title: &str) -> bool {
    title.starts_with("New session - ") || title.starts_with("Child session - ")
}

fn session_model(model: &ModelRef) -> SessionModel {
    SessionModel {
        id: model.model_id.clone(),
        provider_id: model.provider_id.clone(),
        variant: Some(model.variant.clone().unwrap_or_else(|| "default".into())),
    }
}

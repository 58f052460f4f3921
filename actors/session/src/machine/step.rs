//! Steps: one model call each, from its assistant message to its step-finish part.

use super::ending::FILTERED;
use super::turn::Carried;
use super::{Cx, Machine, Run};
use crate::input::{Effect, ModelCall};
use crate::record::{CloseReason, Record, TurnKind};
use kilo_protocol::model::{
    AssistantMessage, AssistantTime, CompactionPart, Message, MessagePath, ModelRef, PartBody,
    PatchPart, Session, Status, StepFinish, StepMetrics, StepStart, StepTime, Tokens, ToolSpan,
    ToolState, TurnError,
};
use kilo_protocol::{MessageId, Millis};

/// Model calls when the agent sets no bound; `kilo_runtime::limits` has the number.
const STEPS_MAX: u32 = kilo_runtime::limits::STEPS_MAX;

impl Machine {
    /// Records the next assistant message and orders its model call.
    pub(super) fn begin_step(&mut self, cx: &mut Cx) {
        let Some(run) = &mut self.run else { return };
        run.step += 1;
        run.tries = 0;
        run.text = None;
        run.reasoning = None;
        run.calls.clear();
        run.finish = None;
        run.step_began = cx.now;
        run.first_chunk = None;
        run.step_snapshot = run.snapshot.clone();
        let id = cx.ids.message(cx.now);
        run.answer = Some(id.clone());
        let message = AssistantMessage {
            summary: run.is_compaction(),
            ..empty_answer(
                &self.state.info,
                id.clone(),
                run.prompt.clone(),
                &run.agent,
                &run.model,
                cx.now,
            )
        };
        let call = run.model_call(id.clone());
        let shell = match &run.kind {
            TurnKind::Shell(command) => Some(command.clone()),
            _ => None,
        };
        let (stamp, waits, snapshot) = (run.stamp, run.waits_for_snapshot, run.snapshot.clone());
        cx.record(
            &mut self.state,
            Record::MessageUpdated(Box::new(Message::Assistant(message))),
        );
        cx.status(&mut self.state, Status::Busy);
        if let Some(command) = shell {
            return self.run_shell(cx, &command);
        }
        if !waits {
            cx.part(
                &mut self.state,
                &id,
                PartBody::StepStart(StepStart { snapshot }),
            );
        }
        cx.effect(Effect::CallModel(stamp, call));
    }

    /// The checkpoint before the first step is there (or cannot be had).
    pub(super) fn snapshot(&mut self, cx: &mut Cx, hash: Option<String>) {
        let Some(run) = &mut self.run else { return };
        if !run.waits_for_snapshot {
            return;
        }
        run.waits_for_snapshot = false;
        run.snapshot = hash.clone();
        run.step_snapshot = hash.clone();
        if let Some(answer) = run.answer.clone() {
            cx.part(
                &mut self.state,
                &answer,
                PartBody::StepStart(StepStart { snapshot: hash }),
            );
        }
    }

    /// Ends the step when the model has finished and every call is done; then goes on, compacts, or ends the turn.
    pub(super) fn maybe_end_step(&mut self, cx: &mut Cx) {
        let Some(run) = &self.run else { return };
        if run.waits_for_snapshot || run.calls.iter().any(|call| !call.done) {
            return;
        }
        let (Some((reason, tokens)), Some(answer)) = (run.finish.clone(), run.answer.clone())
        else {
            return;
        };
        let goes_on = !run.calls.is_empty() && !run.ends && run.step < run.steps_bound();
        let (is_compaction, compacted) = (run.is_compaction(), run.compacted);
        let too_long = run
            .compact_at
            .is_some_and(|limit| context_tokens(&tokens) >= limit);
        self.end_step(cx, &answer, reason.clone(), tokens);
        if is_compaction {
            return self.end_summary(cx, &answer, &reason);
        }
        if let Some(error) = self.endless_refusals().filter(|_| goes_on) {
            cx.record(&mut self.state, Record::Failed(error.clone()));
            self.change_answer(cx, &answer, |message| message.error = Some(error));
            return self.close_turn(cx, CloseReason::Error);
        }
        if !goes_on {
            return self.end_turn(cx, &answer, &reason);
        }
        if too_long && !compacted {
            return self.compact_and_go_on(cx, false);
        }
        if let Some(run) = &mut self.run {
            // A step that fits again makes room for another compaction later in a long turn.
            run.compacted = compacted && too_long;
        }
        self.begin_step(cx);
    }

    /// A summary has one step. One without a word, or refused half way, would wipe out the conversation, so it counts
    /// as failed.
    fn end_summary(&mut self, cx: &mut Cx, answer: &MessageId, reason: &str) {
        if self.says_something(answer) && reason != FILTERED {
            return self.compacted(cx);
        }
        let error = TurnError::new(
            "UnknownError",
            "The model gave no summary of the conversation.",
        );
        cx.record(&mut self.state, Record::Failed(error.clone()));
        self.change_answer(cx, answer, |message| message.error = Some(error));
        self.close_turn(cx, CloseReason::Error);
    }

    fn end_step(&mut self, cx: &mut Cx, answer: &MessageId, reason: String, tokens: Tokens) {
        let Some(run) = &self.run else { return };
        if matches!(run.kind, TurnKind::Shell(_)) {
            let now = cx.now;
            return self.change_answer(cx, answer, |message| {
                message.finish = Some(reason);
                message.time.completed = Some(now);
            });
        }
        let cost = run
            .opened
            .as_ref()
            .map_or(0.0, |model| model.cost.of(&tokens));
        let elapsed = cx.now.saturating_sub(run.step_began);
        let streamed = cx
            .now
            .saturating_sub(run.first_chunk.unwrap_or(run.step_began))
            .max(1);
        let finish = StepFinish {
            reason: reason.clone(),
            snapshot: run.snapshot.clone(),
            metrics: Some(StepMetrics {
                generation: rate(tokens.output + tokens.reasoning, streamed),
                source: "computed".into(),
            }),
            time: Some(StepTime {
                start: run.step_began,
                end: cx.now,
                elapsed,
            }),
            cost,
            tokens: tokens.clone(),
        };
        let (before, after) = (run.step_snapshot.clone(), run.snapshot.clone());
        cx.part(&mut self.state, answer, PartBody::StepFinish(finish));
        self.note_cut(cx, answer, &reason);
        let files: Vec<String> = self
            .state
            .changes
            .iter()
            .filter(|change| change.message == *answer)
            .flat_map(|change| &change.files)
            .filter(|file| file.left.is_none())
            .map(|file| file.path.display().to_string())
            .collect();
        self.change_answer(cx, answer, |message| {
            message.cost += cost;
            message.tokens = tokens.clone();
            message.finish = Some(reason);
        });
        if let (Some(hash), false) = (before.or(after), files.is_empty()) {
            let mut files = files;
            files.sort();
            files.dedup();
            cx.part(
                &mut self.state,
                answer,
                PartBody::Patch(PatchPart { hash, files }),
            );
        }
        let now = cx.now;
        self.change_answer(cx, answer, |message| message.time.completed = Some(now));
        cx.head(&mut self.state, |info| {
            info.cost += cost;
            info.tokens.add(&tokens);
        });
    }

    /// Records an assistant message as `change` makes it.
    pub(super) fn change_answer(
        &mut self,
        cx: &mut Cx,
        answer: &MessageId,
        change: impl FnOnce(&mut AssistantMessage),
    ) {
        let Some(message) = self
            .state
            .entry(answer)
            .and_then(|entry| entry.info.assistant())
        else {
            return;
        };
        let mut message = message.clone();
        change(&mut message);
        cx.record(
            &mut self.state,
            Record::MessageUpdated(Box::new(Message::Assistant(message))),
        );
    }

    /// Closes the running message in whatever state it is: open text is closed, unfinished calls fail with `why`.
    pub(super) fn finish_message(&mut self, cx: &mut Cx, error: Option<TurnError>, why: &str) {
        let Some(answer) = self.run.as_ref().and_then(|run| run.answer.clone()) else {
            return;
        };
        self.close_text(cx);
        if let Some(run) = &mut self.run
            && run.waits_for_snapshot
        {
            run.waits_for_snapshot = false;
            cx.part(
                &mut self.state,
                &answer,
                PartBody::StepStart(StepStart::default()),
            );
        }
        self.fail_open_calls(cx, &answer, why);
        let now = cx.now;
        self.change_answer(cx, &answer, |message| {
            message.error = error;
            message.time.completed = Some(now);
        });
    }

    /// Fails the calls of a message that have not ended.
    pub(super) fn fail_open_calls(&mut self, cx: &mut Cx, message: &MessageId, why: &str) {
        let open: Vec<_> = self
            .state
            .calls(message)
            .filter(|(_, tool)| !tool.state.is_final())
            .map(|(part, _)| part.as_ref().clone())
            .collect();
        for mut part in open {
            if let PartBody::Tool(tool) = &mut part.body {
                let (start, mut metadata) = match &tool.state {
                    ToolState::Running { time, metadata, .. } => {
                        (time.start, metadata.clone().unwrap_or_default())
                    }
                    _ => (cx.now, Default::default()),
                };
                metadata.insert("interrupted".into(), true.into());
                tool.state = ToolState::Error {
                    input: tool.state.input().clone(),
                    error: why.into(),
                    metadata: Some(metadata),
                    time: ToolSpan {
                        start,
                        end: cx.now,
                        compacted: None,
                    },
                };
            }
            cx.record(&mut self.state, Record::PartUpdated(Box::new(part), cx.now));
        }
    }

    /// Summarises the conversation within the turn's work, then goes on with the turn's prompt.
    pub(super) fn compact_and_go_on(&mut self, cx: &mut Cx, overflow: bool) {
        let Some(run) = self.run.take() else { return };
        let part = CompactionPart {
            auto: true,
            overflow: Some(overflow),
            tail_start_id: None,
        };
        let message = self.compaction_message(cx, run.agent.clone(), run.model.clone(), part);
        self.go_on(
            cx,
            message,
            TurnKind::Compaction(Some(run.prompt.clone())),
            Carried::of(&run),
        );
    }
}

impl Run {
    /// The order for the step's model call.
    pub(super) fn model_call(&self, answer: MessageId) -> ModelCall {
        ModelCall {
            prompt: self.prompt.clone(),
            answer,
            kind: self.kind.clone(),
            agent: self.agent.clone(),
            model: self.model.clone(),
            step: self.step,
            last_step: !self.is_compaction() && self.step > 1 && self.step >= self.steps_bound(),
        }
    }

    pub(super) fn is_compaction(&self) -> bool {
        matches!(self.kind, TurnKind::Compaction(_))
    }

    fn steps_bound(&self) -> u32 {
        self.steps_max.unwrap_or(STEPS_MAX).max(1)
    }
}

/// An answer of which nothing is there yet.
pub(super) fn empty_answer(
    info: &Session,
    id: MessageId,
    prompt: MessageId,
    agent: &str,
    model: &ModelRef,
    now: Millis,
) -> AssistantMessage {
    AssistantMessage {
        id,
        session_id: info.id.clone(),
        time: AssistantTime {
            created: now,
            completed: None,
        },
        error: None,
        parent_id: prompt,
        model_id: model.model_id.clone(),
        provider_id: model.provider_id.clone(),
        mode: agent.into(),
        agent: agent.into(),
        path: MessagePath {
            cwd: info.directory.clone(),
            root: worktree_root(info),
        },
        summary: false,
        cost: 0.0,
        tokens: Tokens::default(),
        structured: None,
        variant: model.variant.clone(),
        finish: None,
    }
}

/// Tokens of the conversation as the provider counted them.
fn context_tokens(tokens: &Tokens) -> u64 {
    tokens.input + tokens.output + tokens.reasoning + tokens.cache.read + tokens.cache.write
}

/// Tokens a second, with two decimals.
fn rate(tokens: u64, ms: Millis) -> f64 {
    (tokens as f64 * 100_000.0 / ms as f64).round() / 100.0
}

/// The root of the worktree that a session's folder lies in.
fn worktree_root(info: &Session) -> String {
    let directory = &info.directory;
    match directory.strip_suffix(info.path.as_str()) {
        Some(root) if !info.path.is_empty() => root.trim_end_matches('/').to_string(),
        _ => directory.clone(),
    }
}

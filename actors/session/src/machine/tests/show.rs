//! Records and effects as lines.

use crate::input::Effect;
use crate::record::{Logged, Record, TurnHead, TurnKind, Undo};
use kilo_ports::checkpoint::FileChange;
use kilo_ports::tool::{QuestionAnswer, ToolError};
use kilo_protocol::model::{
    AssistantMessage, Message, Part, PartBody, Session, Span, Status, ToolState,
};
use serde_json::Value;
use std::collections::HashMap;

/// Short names for ids, in the order of their appearance.
#[derive(Default)]
pub(super) struct Names {
    short: HashMap<String, String>,
    counts: HashMap<&'static str, usize>,
}

impl Names {
    pub fn of(&mut self, id: impl ToString) -> String {
        let id = id.to_string();
        let kind = match id.split('_').next() {
            Some("msg") => "m",
            Some("prt") => "p",
            Some("per") => "per",
            Some("que") => "que",
            _ => return id,
        };
        let (short, counts) = (&mut self.short, &mut self.counts);
        let make = || {
            let count = counts.entry(kind).or_default();
            *count += 1;
            format!("{kind}{count}")
        };
        short.entry(id).or_insert_with(make).clone()
    }

    /// A call's id; that of a user's own command is made of its answer's.
    fn call(&mut self, id: &str) -> String {
        match id.strip_prefix("call_msg_") {
            Some(rest) => format!("call-{}", self.of(format!("msg_{rest}"))),
            None => id.into(),
        }
    }

    /// The call behind a name.
    pub fn call_id(&self, name: &str) -> String {
        match name.strip_prefix("call-") {
            Some(answer) => format!("call_{}", self.long(answer)),
            None => name.into(),
        }
    }

    /// The id behind a short name.
    pub fn long(&self, short: &str) -> String {
        let found = self.short.iter().find(|(_, name)| *name == short);
        found
            .map(|(id, _)| id.clone())
            .unwrap_or_else(|| panic!("nothing is called {short}"))
    }

    pub fn record(&mut self, logged: &Logged, head: &mut Session) -> String {
        match &logged.record {
            Record::SessionCreated(_) => "created".into(),
            Record::SessionUpdated(info) => {
                let line = head_line(head, info);
                *head = info.as_ref().clone();
                line
            }
            Record::SessionDeleted(_) => "gone".into(),
            Record::MessageUpdated(message) => match message.as_ref() {
                Message::User(user) => {
                    let diff = if user.summary.is_some() { " diff" } else { "" };
                    format!("message {} user {}{diff}", self.of(&user.id), user.agent)
                }
                Message::Assistant(answer) => self.answer(answer),
            },
            Record::MessageRemoved(message) => format!("message {} removed", self.of(message)),
            Record::PartUpdated(part, _) => self.part(part),
            Record::CallProgressed(progress) => {
                let (part, message) = (self.of(&progress.part), self.of(&progress.message));
                let title = progress.title.as_ref();
                let title = title.map(|title| format!(" '{title}'"));
                format!("part {message}.{part} goes on{}", title.unwrap_or_default())
            }
            Record::PartDelta(delta) => format!("delta {} '{}'", self.of(&delta.part), delta.text),
            Record::PartRemoved(_, part) => format!("part {} removed", self.of(part)),
            Record::TurnOpened(turn) => format!("turn opened {}", self.turn(turn)),
            Record::TurnWentOn(turn) => format!("turn went on {}", self.turn(turn)),
            Record::TurnClosed(reason) => format!("turn closed {}", reason.as_str()),
            Record::StatusChanged(Status::Idle) => "status idle".into(),
            Record::StatusChanged(Status::Busy) => "status busy".into(),
            Record::StatusChanged(Status::Retry {
                attempt, message, ..
            }) => {
                format!("status retry {attempt} '{message}'")
            }
            Record::StatusChanged(Status::Offline {
                request_id,
                message,
            }) => {
                format!("status offline {} '{message}'", self.of(request_id))
            }
            Record::Idle => "idle".into(),
            Record::Failed(error) => format!("failed {} '{}'", error.name, error.message()),
            Record::QueueChanged(queue) => {
                let queue: Vec<String> = queue.iter().map(|id| self.of(id)).collect();
                format!("queue [{}]", queue.join(" "))
            }
            Record::PermissionAsked(request) => {
                let id = self.of(&request.id);
                let call = request
                    .tool
                    .as_ref()
                    .map(|tool| self.call(&tool.call_id))
                    .unwrap_or_default();
                format!(
                    "permission {id} asked {call} {} {:?}",
                    request.permission, request.patterns
                )
            }
            Record::PermissionReplied(id, reply) => format!("permission {} {reply}", self.of(id)),
            Record::QuestionAsked(request) => {
                let call = request
                    .tool
                    .as_ref()
                    .map(|tool| tool.call_id.as_str())
                    .unwrap_or_default();
                format!("question {} asked {call}", self.of(&request.id))
            }
            Record::QuestionReplied(id, answers) => {
                format!("question {} answered {answers:?}", self.of(id))
            }
            Record::UndoBegan(Undo::Forward) => "redo began".into(),
            Record::UndoBegan(Undo::Back(to)) => match &to.part {
                None => format!("undo to {} began", self.of(&to.message)),
                Some(part) => format!("undo to {} {} began", self.of(&to.message), self.of(part)),
            },
            Record::UndoEnded => "undo ended".into(),
            Record::QuestionRejected(id) => format!("question {} dismissed", self.of(id)),
            Record::TodosChanged(todos) => format!("todos {}", todos.len()),
            Record::DiffChanged(diff) => format!("diff {} files", diff.len()),
            Record::DiffMerged(merge) => {
                format!(
                    "diff changed {} gone {}",
                    merge.changed.len(),
                    merge.gone.len()
                )
            }
            Record::NetworkAsked(request) => format!(
                "network {} asked '{}'",
                self.of(&request.id),
                request.message
            ),
            Record::NetworkAnswered(id, again) => {
                format!(
                    "network {} {}",
                    self.of(id),
                    if *again { "again" } else { "given up" }
                )
            }
            Record::Compacted => "compacted".into(),
            Record::DrainInterrupted => "drain interrupted".into(),
            Record::Drained(token) => format!("drained {token}"),
            Record::FilesChanged(message, files) => {
                let paths: Vec<String> = files
                    .iter()
                    .map(|file| file.path.display().to_string())
                    .collect();
                format!("files {} {paths:?}", self.of(message))
            }
            Record::FileEdited(path) => format!("edited {}", path.display()),
            Record::FileTouched(path, how) => format!("touched {} {how:?}", path.display()),
        }
    }

    fn turn(&mut self, turn: &TurnHead) -> String {
        let prompt = self.of(&turn.prompt);
        match &turn.kind {
            TurnKind::Prompt => prompt,
            TurnKind::Compaction(None) => format!("{prompt} summary"),
            TurnKind::Shell(command) => format!("{prompt} shell '{command}'"),
            TurnKind::Compaction(Some(waiting)) => {
                format!("{prompt} summary, then {}", self.of(waiting))
            }
        }
    }

    fn answer(&mut self, answer: &AssistantMessage) -> String {
        let mut line = format!(
            "message {} answers {}",
            self.of(&answer.id),
            self.of(&answer.parent_id)
        );
        if answer.summary {
            line.push_str(" summary");
        }
        if let Some(finish) = &answer.finish {
            line.push_str(&format!(" {finish}"));
        }
        if let Some(value) = &answer.structured {
            line.push_str(&format!(" structured {value}"));
        }
        if let Some(error) = &answer.error {
            line.push_str(&format!(" {}", error.name));
        }
        if answer.time.completed.is_some() {
            line.push_str(" complete");
        }
        line
    }

    fn part(&mut self, part: &Part) -> String {
        let (id, message) = (self.of(&part.id), self.of(&part.message_id));
        let body = match &part.body {
            PartBody::Text(text) => format!(
                "text '{}'{}{}",
                text.text,
                ended(text.time.as_ref()),
                if text.ignored { " ignored" } else { "" }
            ),
            PartBody::Reasoning(reasoning) => {
                format!(
                    "reasoning '{}'{}",
                    reasoning.text,
                    ended(Some(&reasoning.time))
                )
            }
            PartBody::Tool(tool) => format!(
                "call {} {} {}",
                self.call(&tool.call_id),
                tool.tool,
                state(&tool.state)
            ),
            PartBody::StepStart(step) => {
                format!("step-start {}", step.snapshot.as_deref().unwrap_or("-"))
            }
            PartBody::StepFinish(step) => {
                format!(
                    "step-finish {} {}",
                    step.reason,
                    step.snapshot.as_deref().unwrap_or("-")
                )
            }
            PartBody::Patch(patch) => format!("patch {} {:?}", patch.hash, patch.files),
            PartBody::Compaction(part) => {
                let why = match (part.auto, part.overflow) {
                    (false, _) => "by hand",
                    (true, Some(true)) => "overflow",
                    (true, _) => "auto",
                };
                format!("compaction {why}")
            }
            other => format!("{other:?}"),
        };
        format!("part {message}.{id} {body}")
    }

    pub fn effect(&mut self, effect: &Effect) -> String {
        match effect {
            Effect::Track(_) => "track".into(),
            Effect::CallModel(_, call) => {
                let (answer, prompt) = (self.of(&call.answer), self.of(&call.prompt));
                let last = if call.last_step { " last" } else { "" };
                format!("call_model {answer} for {prompt} {}{last}", call.agent)
            }
            Effect::StopModel => "stop_model".into(),
            Effect::RunTool(_, run) => {
                let doom = if run.doom_loop { " doom_loop" } else { "" };
                format!(
                    "run_tool {} {} {}{doom}",
                    self.call(&run.call),
                    run.tool,
                    run.input
                )
            }
            Effect::StopTools => "stop_tools".into(),
            Effect::MoveFiles(_, order) => {
                let names = |changes: &[FileChange]| {
                    let names = changes.iter().map(|change| {
                        format!(
                            "{}:{}->{}",
                            change.path.display(),
                            change.after,
                            change.before
                        )
                    });
                    names.collect::<Vec<_>>().join(" ")
                };
                let void = if order.redo_is_void { " void" } else { "" };
                format!(
                    "move redo [{}]{void} undo [{}]",
                    names(&order.redo),
                    names(&order.undo)
                )
            }
            Effect::UndoEnded => "undo_ended".into(),
            Effect::RetryAfter(_, ms) => format!("retry_after {ms}"),
            Effect::WatchNetwork(_, request) => format!("watch_network {}", self.of(request)),
            Effect::AnswerAsk(request, answer) => {
                format!("answer {} {}", self.of(request), heard(answer))
            }
            Effect::AnswerNow(call, answer) => {
                format!("answer {} {}", self.call(call), heard(answer))
            }
            Effect::AnswerQuestion(question, answer) => {
                let answer = match answer {
                    Ok(QuestionAnswer::Answered(answers)) => format!("{answers:?}"),
                    Ok(QuestionAnswer::Dismissed) => "dismissed".into(),
                    Err(error) => error.to_string(),
                };
                format!("answer {} {answer}", self.of(question))
            }
            Effect::TurnEnded(prompt) => format!("turn_ended {}", self.of(prompt)),
            Effect::SaveRules(rules) => {
                let rules: Vec<String> = rules
                    .iter()
                    .map(|rule| format!("{}:{}", rule.permission, rule.pattern))
                    .collect();
                format!("save_rules {rules:?}")
            }
            Effect::MakeTitle => "make_title".into(),
            Effect::MakeDiff(prompt) => format!("make_diff {}", self.of(prompt)),
            Effect::AbortChildren => "abort_children".into(),
        }
    }
}

/// What changed in the head, besides its time.
fn head_line(before: &Session, after: &Session) -> String {
    let mut line = String::from("head");
    let mut changed = |is: bool, name: &str| {
        if is {
            line.push_str(&format!(" {name}"));
        }
    };
    changed(before.agent != after.agent, "agent");
    changed(before.model != after.model, "model");
    changed(before.title != after.title, "title");
    changed(before.cost != after.cost, "cost");
    changed(before.tokens != after.tokens, "tokens");
    changed(before.summary != after.summary, "summary");
    changed(before.revert != after.revert, "revert");
    line
}

fn ended(span: Option<&Span>) -> &'static str {
    if span.is_some_and(|span| span.end.is_some()) {
        " ended"
    } else {
        ""
    }
}

fn state(state: &ToolState) -> String {
    match state {
        ToolState::Pending { .. } => "pending".into(),
        ToolState::Running {
            title, metadata, ..
        } => {
            let mut line = String::from("running");
            if let Some(title) = title {
                line.push_str(&format!(" '{title}'"));
            }
            line + &approval(metadata.as_ref())
        }
        ToolState::Completed {
            output, metadata, ..
        } => format!("completed '{output}'{}", approval(Some(metadata))),
        ToolState::Error {
            error, metadata, ..
        } => {
            let cut = metadata
                .as_ref()
                .is_some_and(|known| known.contains_key("interrupted"));
            format!("error '{error}'{}", if cut { " interrupted" } else { "" })
        }
    }
}

/// Who allowed a call, and by which rule.
fn approval(metadata: Option<&serde_json::Map<String, Value>>) -> String {
    let Some(approval) = metadata.and_then(|known| known.get("approval")) else {
        return String::new();
    };
    format!(
        " (allowed by {} {})",
        approval["source"].as_str().unwrap_or("?"),
        approval["rule"]["pattern"]
    )
}

fn heard(answer: &Result<(), ToolError>) -> String {
    match answer {
        Ok(()) => "allowed".into(),
        Err(ToolError::Rejected(_)) => "rejected".into(),
        Err(ToolError::Denied(why)) => format!("denied: {why}"),
        Err(ToolError::Invalid(why)) => format!("invalid: {why}"),
        Err(other) => other.to_string(),
    }
}

//! Tool calls: start, progress, end.

use super::{Cx, Machine};
use crate::input::{Effect, ToolRun};
use crate::progress::Progress;
use crate::record::Record;
use kilo_ports::checkpoint::FileChange;
use kilo_ports::tool::{ToolError, ToolOutput};
use kilo_protocol::CallId;
use kilo_protocol::model::{Part, PartBody, Span, ToolSpan, ToolState, TurnError};
use kilo_runtime::limits::FRUITLESS_CALLS_MAX;
use serde_json::{Map, Value, json};

/// The tool that carries a structured answer.
pub const STRUCTURED: &str = "StructuredOutput";
/// Identical calls in a row after which a person is asked.
const DOOM_LOOP: usize = 3;

impl Machine {
    /// A call's arguments are whole: start it, or fail it when they are no JSON or nobody offers such a tool.
    pub(super) fn start_call(&mut self, cx: &mut Cx, id: &CallId) {
        let Some(run) = &mut self.run else { return };
        let Some(call) = run
            .calls
            .iter_mut()
            .find(|call| call.id == *id && !call.started)
        else {
            return;
        };
        call.started = true;
        let name = call.name.clone();
        let raw = std::mem::take(&mut call.arguments);
        let text = if raw.trim().is_empty() {
            "{}"
        } else {
            raw.as_str()
        };
        let parsed = match serde_json::from_str::<Value>(text).or_else(|error| {
            // Half a character must not cost the call.
            let mended = kilo_protocol::json::mend(text.as_bytes());
            serde_json::from_slice(&mended.ok_or(error)?)
        }) {
            Ok(input @ Value::Object(_)) => Ok(input),
            // Some models write the object as a string in JSON once more.
            Ok(Value::String(inner)) if is_object(&inner) => serde_json::from_str(&inner)
                .map_err(|error| (json!({"value": raw}), error.to_string())),
            Ok(other) => Err((
                json!({"value": other}),
                "arguments must be a JSON object".to_string(),
            )),
            Err(error) => Err((json!({"value": raw}), error.to_string())),
        };
        let offered: Vec<String> = run.tools.iter().map(|(name, _)| name.clone()).collect();
        match parsed {
            Err((input, why)) => {
                let error = format!(
                    "The arguments of the call to {name} are not valid JSON: {why}. Send the call again with a JSON object."
                );
                self.fail_call(cx, id, input, error);
            }
            Ok(input) if name == STRUCTURED && offered.contains(&name) => {
                self.structured(cx, id, input)
            }
            Ok(input) if !offered.contains(&name) => {
                let tools = if offered.is_empty() {
                    "none".into()
                } else {
                    offered.join(", ")
                };
                let error = format!(
                    "Model tried to call unavailable tool '{name}'. Available tools: {tools}."
                );
                self.fail_call(cx, id, input, error);
            }
            Ok(input) => self.run_call(cx, id, name, input),
        }
    }

    fn run_call(&mut self, cx: &mut Cx, id: &CallId, tool: String, input: Value) {
        let Some(run) = &self.run else { return };
        let Some(message) = run.answer.clone() else {
            return;
        };
        let (stamp, agent) = (run.stamp, run.agent.clone());
        let doom_loop = self.is_doom_loop(&tool, &input);
        let at = cx.now;
        self.set_call(
            cx,
            id,
            ToolState::Running {
                input: input.clone(),
                title: None,
                metadata: None,
                time: Span {
                    start: at,
                    end: None,
                },
            },
        );
        cx.durable();
        let call = id.clone();
        cx.effect(Effect::RunTool(
            stamp,
            ToolRun {
                message,
                call,
                tool,
                input,
                agent,
                doom_loop,
                at,
            },
        ));
    }

    /// The last calls of the session were this same one, and nothing else came between.
    fn is_doom_loop(&self, tool: &str, input: &Value) -> bool {
        let mut same = 0;
        for entry in self.state.messages.iter().rev() {
            if entry.info.user().is_some() {
                break;
            }
            for part in entry.parts.iter().rev() {
                let PartBody::Tool(call) = &part.body else {
                    continue;
                };
                if matches!(call.state, ToolState::Pending { .. }) {
                    continue;
                }
                if call.tool != tool || call.state.input() != input {
                    return false;
                }
                same += 1;
                if same + 1 >= DOOM_LOOP {
                    return true;
                }
            }
        }
        false
    }

    fn structured(&mut self, cx: &mut Cx, id: &CallId, input: Value) {
        let Some(answer) = self.run.as_ref().and_then(|run| run.answer.clone()) else {
            return;
        };
        let output = ToolOutput {
            title: "Structured output".into(),
            output: "The structured answer was taken.".into(),
            metadata: Map::from_iter([
                ("valid".into(), true.into()),
                ("truncated".into(), false.into()),
            ]),
            ends_turn: true,
            ..Default::default()
        };
        let value = input.clone();
        self.set_call(
            cx,
            id,
            ToolState::Running {
                input,
                title: None,
                metadata: None,
                time: Span {
                    start: cx.now,
                    end: None,
                },
            },
        );
        self.change_answer(cx, &answer, |message| message.structured = Some(value));
        self.tool_done(cx, id, Ok(Box::new(output)), Vec::new(), None);
    }

    fn fail_call(&mut self, cx: &mut Cx, id: &CallId, input: Value, error: String) {
        let time = ToolSpan {
            start: cx.now,
            end: cx.now,
            compacted: None,
        };
        self.set_call(
            cx,
            id,
            ToolState::Error {
                input,
                error,
                metadata: None,
                time,
            },
        );
        self.mark_done(id, false);
    }

    fn mark_done(&mut self, id: &CallId, ran: bool) {
        if let Some(run) = &mut self.run
            && let Some(call) = run.calls.iter_mut().find(|call| call.id == *id)
        {
            call.done = true;
            run.fruitless = if ran { 0 } else { run.fruitless + 1 };
        }
    }

    /// Why the turn ends although the model would go on: too many calls in a row came to nothing. A model that does
    /// not listen to a refusal costs a call for each until somebody notices.
    pub(super) fn endless_refusals(&self) -> Option<TurnError> {
        let run = self.run.as_ref()?;
        (run.fruitless >= FRUITLESS_CALLS_MAX).then(|| {
            TurnError::new(
                "UnknownError",
                format!(
                    "The turn was ended: the last {} tool calls were all denied, unknown or malformed.",
                    run.fruitless
                ),
            )
        })
    }

    /// A call's part.
    fn call_part(&self, id: &CallId) -> Option<&Part> {
        let run = self.run.as_ref()?;
        let call = run.calls.iter().find(|call| call.id == *id)?;
        let part = self.state.part(run.answer.as_ref()?, &call.part)?;
        Some(part.as_ref())
    }

    /// Records a call's part in a new state.
    fn set_call(&mut self, cx: &mut Cx, id: &CallId, state: ToolState) {
        let Some(mut part) = self.call_part(id).cloned() else {
            return;
        };
        if let PartBody::Tool(tool) = &mut part.body {
            tool.state = state;
        }
        cx.record(&mut self.state, Record::PartUpdated(Box::new(part), cx.now));
    }

    /// A call's state as the session has it.
    pub(super) fn call_state(&self, id: &CallId) -> Option<&ToolState> {
        let answer = self.run.as_ref()?.answer.as_ref()?;
        self.state
            .calls(answer)
            .find(|(_, tool)| tool.call_id == *id)
            .map(|(_, tool)| &tool.state)
    }

    /// Shows what a running call knows.
    pub(super) fn progress(
        &mut self,
        cx: &mut Cx,
        id: &CallId,
        title: Option<String>,
        metadata: Map<String, Value>,
    ) {
        let mut fields = metadata;
        self.approve_into(id, &mut fields);
        let running = self.call_part(id);
        let progress = running.and_then(|part| Progress::of(part, title, fields, cx.now));
        if let Some(progress) = progress {
            cx.record(&mut self.state, Record::CallProgressed(Box::new(progress)));
        }
    }

    fn approve_into(&self, id: &CallId, metadata: &mut Map<String, Value>) {
        let calls = self
            .run
            .as_ref()
            .map(|run| run.calls.as_slice())
            .unwrap_or_default();
        if let Some(approval) = calls
            .iter()
            .find(|call| call.id == *id)
            .and_then(|call| call.approval.clone())
        {
            metadata.insert("approval".into(), approval);
        }
    }

    /// A call ended.
    pub(super) fn tool_done(
        &mut self,
        cx: &mut Cx,
        id: &CallId,
        result: Result<Box<ToolOutput>, ToolError>,
        files: Vec<FileChange>,
        snapshot: Option<String>,
    ) {
        let Some(ToolState::Running {
            input,
            metadata,
            time,
            ..
        }) = self.call_state(id)
        else {
            return;
        };
        let (input, live, start) = (
            input.clone(),
            metadata.clone().unwrap_or_default(),
            time.start,
        );
        let time = ToolSpan {
            start,
            end: cx.now,
            compacted: None,
        };
        cx.durable();
        self.close_requests_of(cx, id);
        let Some(run) = &mut self.run else { return };
        if snapshot.is_some() {
            run.snapshot = snapshot;
        }
        let answer = run.answer.clone();
        if let (Some(answer), false) = (answer, files.is_empty()) {
            cx.record(&mut self.state, Record::FilesChanged(answer, files));
        }
        let denied = run.calls.iter().any(|call| call.id == *id && call.denied);
        let ran = !denied && !matches!(result, Err(ToolError::Invalid(_)));
        let state = match result {
            Ok(output) => {
                if output.ends_turn
                    && let Some(run) = &mut self.run
                {
                    run.ends = true;
                }
                let mut metadata = output.metadata;
                self.approve_into(id, &mut metadata);
                let attachments = (!output.attachments.is_empty()).then_some(output.attachments);
                ToolState::Completed {
                    input,
                    output: output.output,
                    title: output.title,
                    metadata,
                    time,
                    attachments,
                }
            }
            Err(error) => {
                let mut metadata = live;
                if let ToolError::Aborted { metadata: known } = &error {
                    metadata.extend(known.clone());
                    metadata.insert("interrupted".into(), true.into());
                }
                self.approve_into(id, &mut metadata);
                if matches!(error, ToolError::Rejected(_))
                    && let Some(run) = &mut self.run
                {
                    run.ends = true;
                }
                let metadata = (!metadata.is_empty()).then_some(metadata);
                ToolState::Error {
                    input,
                    error: error.to_string(),
                    metadata,
                    time,
                }
            }
        };
        self.set_call(cx, id, state);
        self.mark_done(id, ran);
        self.maybe_end_step(cx);
    }

    /// A call that was already closed (by an abort) had changed files: remember them for undo.
    pub(super) fn late_files(&mut self, cx: &mut Cx, id: &CallId, files: Vec<FileChange>) {
        if files.is_empty() {
            return;
        }
        let message =
            self.state
                .messages
                .iter()
                .rev()
                .find(|entry| {
                    entry.parts.iter().any(
                        |part| matches!(&part.body, PartBody::Tool(tool) if tool.call_id == *id),
                    )
                })
                .map(|entry| entry.info.id().clone());
        let Some(message) = message else { return };
        let prompt = self
            .state
            .entry(&message)
            .and_then(|entry| entry.info.assistant())
            .map(|answer| answer.parent_id.clone());
        cx.durable();
        cx.record(&mut self.state, Record::FilesChanged(message, files));
        if let Some(prompt) = prompt {
            self.order_diff(cx, &prompt);
        }
    }
}

fn is_object(text: &str) -> bool {
    serde_json::from_str::<Map<String, Value>>(text).is_ok()
}

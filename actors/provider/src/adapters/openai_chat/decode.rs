//! Reads a chat answer: the strict stream of the original and the sloppy ones of its imitators.

use super::details;
use super::event::{CallDelta, Delta, Event, FunctionDelta};
use super::usage::Usage;
use crate::adapters::batch::Batch;
use crate::adapters::lenient::{self, Count, Text};
use crate::errors;
use kilo_ports::provider::{Chunk, ProviderError};
use kilo_protocol::model::Tokens;
use serde_json::{Map, Value, json};

/// What the answer is in the middle of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Open {
    #[default]
    Nothing,
    Text,
    Reasoning,
}

#[derive(Debug)]
struct OpenCall {
    wire_index: Option<u64>,
    id: String,
    ended: bool,
}

/// The most calls in one answer; what goes beyond is left out.
const CALLS_MAX: usize = 256;

/// The index of a call that has none, since it is the only one.
const LEGACY: u64 = u64::MAX;

/// Reads one chat answer.
#[derive(Debug, Default)]
pub struct Decoder {
    open: Open,
    calls: Vec<OpenCall>,
    details: Vec<Value>,
    finish: Option<String>,
    usage: Option<Usage>,
    said_something: bool,
    /// The model's own refusal stands in a field of its own; the finish that follows is an ordinary one.
    refused: bool,
    done: bool,
}

impl Decoder {
    /// See [`crate::adapters::Decoder::event`].
    pub fn event(&mut self, data: &[u8], batch: &mut Batch) -> Result<(), ProviderError> {
        let data = data.trim_ascii();
        if is_end_mark(data) {
            self.done = true;
            return Ok(());
        }
        if data.is_empty() || self.done {
            return Ok(());
        }
        let mut mended = Vec::new();
        let event: Event = lenient::read(data, &mut mended)?;
        if event.is_doubtful()
            && let Some(error) = errors::instead_of_answer(data)
        {
            return Err(error);
        }
        self.usage = event
            .usage
            .or(event.x_groq.and_then(|groq| groq.usage))
            .or(self.usage);
        let Some(choice) = event.choices.0 else {
            return Ok(());
        };
        self.usage = choice.usage.or(self.usage);
        // Some servers repeat the whole message at the end of its stream.
        let message = choice.message.filter(|_| !self.said_something);
        for delta in [choice.delta, message].into_iter().flatten() {
            self.delta(delta, batch);
        }
        if !choice.finish_reason.is_empty() {
            self.finish_reason(&choice.finish_reason.0, batch)?;
        }
        Ok(())
    }

    /// See [`crate::adapters::Decoder::is_complete`].
    pub fn is_complete(&self) -> bool {
        self.done || self.finish.is_some()
    }

    /// See [`crate::adapters::Decoder::is_done`].
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// See [`crate::adapters::Decoder::finish`].
    pub fn finish(&mut self, batch: &mut Batch) -> Result<(), ProviderError> {
        self.close(batch);
        self.end_calls(batch);
        let reason = match self.finish.as_deref().unwrap_or("unknown") {
            _ if self.refused => "content-filter",
            // Weak servers end with `stop` even when they call; the calls are what counts.
            "stop" | "unknown" if !self.calls.is_empty() => "tool-calls",
            reason => reason,
        };
        let nothing_out =
            !self.said_something && self.usage.is_some_and(|usage| usage.output_is_zero());
        // Local servers cut the answer to nothing instead of refusing a prompt that fills the window.
        if reason == "length" && nothing_out {
            return Err(errors::no_room());
        }
        let tokens = self
            .usage
            .map_or_else(Tokens::default, |usage| usage.tokens());
        batch.push(Chunk::Finish {
            reason: reason.to_owned(),
            tokens,
        });
        Ok(())
    }

    fn delta(&mut self, delta: Delta, batch: &mut Batch) {
        let mut reasoned = false;
        for text in [
            &delta.reasoning_content,
            &delta.reasoning,
            &delta.reasoning_text,
            &delta.thinking,
        ] {
            if !text.is_empty() && !reasoned {
                self.reasoning(&text.0, batch);
                reasoned = true; // some servers send the same text under two names
            }
        }
        self.reasoning(&delta.content.thinking, batch);
        if let Some(details) = delta.reasoning_details {
            self.reasoning_details(details.get(), reasoned, batch);
        }
        self.refused |= !delta.refusal.is_empty();
        for text in [&delta.content.text, &delta.refusal] {
            if !text.is_empty() {
                self.turn_to(Open::Text, batch);
                batch.text(&text.0);
            }
        }
        if let Some(function) = delta.function_call
            && delta.tool_calls.0.is_empty()
        {
            self.legacy_call(function, batch);
        }
        let alone = delta.tool_calls.0.len() == 1;
        for call in delta.tool_calls.0 {
            self.call(call, alone, batch);
        }
    }

    fn reasoning(&mut self, text: &str, batch: &mut Batch) {
        if !text.is_empty() {
            self.turn_to(Open::Reasoning, batch);
            batch.reasoning(text);
        }
    }

    /// Keeps OpenRouter's blocks for the way back, joining the pieces of one block.
    fn reasoning_details(&mut self, raw: &str, has_text: bool, batch: &mut Batch) {
        let details: Vec<Map<String, Value>> = serde_json::from_str(raw).unwrap_or_default();
        for detail in details {
            if !has_text
                && let Some(text) = ["text", "summary"]
                    .iter()
                    .find_map(|k| detail.get(*k)?.as_str())
            {
                self.reasoning(text, batch);
            }
            if self.open == Open::Nothing {
                self.turn_to(Open::Reasoning, batch);
            }
            details::join(&mut self.details, detail);
        }
    }

    fn call(&mut self, call: CallDelta, alone: bool, batch: &mut Batch) {
        let name = call
            .function
            .as_ref()
            .map_or("", |function| function.name.0.as_ref());
        let known = self.find(&call, name, alone);
        let index = match known {
            Some(index) => index,
            None if name.is_empty() || self.calls.len() >= CALLS_MAX => return,
            None => self.start(&call, name, batch),
        };
        let Some(arguments) = call
            .function
            .as_ref()
            .and_then(|function| function.arguments)
        else {
            return;
        };
        // Handed on as they come: whether they are JSON is known only once they are whole.
        let piece = arguments_text(arguments.get());
        batch.arguments(index, &piece);
    }

    /// A call from before there could be several: without index and id, and there is only one in an answer.
    fn legacy_call(&mut self, function: FunctionDelta, batch: &mut Batch) {
        let others = |call: &OpenCall| call.wire_index != Some(LEGACY);
        if self.calls.iter().any(others) {
            return; // a server that sends the same call both ways
        }
        let call = CallDelta {
            index: Count(Some(LEGACY)),
            id: Text::default(),
            function: Some(function),
        };
        self.call(call, true, batch);
    }

    /// The call that a delta goes on with: by its index, else by its id, else the last one if the delta has no name.
    fn find(&self, call: &CallDelta, name: &str, alone: bool) -> Option<usize> {
        let same_id = |open: &OpenCall| call.id.is_empty() || open.id == call.id.0;
        if let Some(wire) = call.index.0 {
            // Weak servers give every call the index 0; a new name and a new id show a new call.
            let at = self
                .calls
                .iter()
                .rposition(|open| open.wire_index == Some(wire))?;
            return (same_id(&self.calls[at]) || name.is_empty()).then_some(at);
        }
        if !call.id.is_empty() {
            return self.calls.iter().position(|open| open.id == call.id.0);
        }
        (name.is_empty() && alone && !self.calls.is_empty()).then(|| self.calls.len() - 1)
    }

    fn start(&mut self, call: &CallDelta, name: &str, batch: &mut Batch) -> usize {
        self.close(batch); // text that comes after a call is a part of its own
        self.said_something = true;
        let index = self.calls.len();
        let id = match call.id.0.as_ref() {
            "" => lenient::made_id(),
            id if self.calls.iter().any(|open| open.id == id) => format!("{id}_{index}"),
            id => id.to_owned(),
        };
        batch.push(Chunk::ToolStart {
            index,
            id: id.clone(),
            name: name.to_owned(),
        });
        self.calls.push(OpenCall {
            wire_index: call.index.0,
            id,
            ended: false,
        });
        index
    }

    fn turn_to(&mut self, open: Open, batch: &mut Batch) {
        if self.open != open {
            self.close(batch);
            self.open = open;
        }
        self.said_something = true;
    }

    fn close(&mut self, batch: &mut Batch) {
        match std::mem::take(&mut self.open) {
            Open::Nothing => {}
            Open::Text => batch.push(Chunk::TextEnd),
            Open::Reasoning => {
                let details = std::mem::take(&mut self.details);
                let metadata = (!details.is_empty()).then(|| {
                    let mut metadata = Map::new();
                    metadata.insert("openrouter".into(), json!({"reasoning_details": details}));
                    metadata
                });
                batch.push(Chunk::ReasoningEnd(metadata));
            }
        }
    }

    fn end_calls(&mut self, batch: &mut Batch) {
        for (index, call) in self.calls.iter_mut().enumerate() {
            if !std::mem::replace(&mut call.ended, true) {
                batch.push(Chunk::ToolEnd { index });
            }
        }
    }

    fn finish_reason(&mut self, wire: &str, batch: &mut Batch) -> Result<(), ProviderError> {
        let reason = match wire {
            "stop" | "end_turn" | "eos" | "eos_token" | "stop_sequence" | "STOP" => "stop",
            "length" | "max_tokens" | "model_length" | "MAX_TOKENS" => "length",
            "tool_calls" | "function_call" | "tool_use" => "tool-calls",
            "content_filter" | "safety" | "SAFETY" | "sensitive" | "refusal" => "content-filter",
            "model_context_window_exceeded" => return Err(errors::no_room()),
            "error" | "network_error" | "insufficient_system_resource" => {
                return Err(errors::ended_by(wire));
            }
            _ => "other",
        };
        self.close(batch);
        self.end_calls(batch);
        self.finish = Some(reason.to_owned());
        Ok(())
    }
}

/// `[DONE]`, however a server writes it.
fn is_end_mark(data: &[u8]) -> bool {
    let word = data
        .strip_prefix(b"\"")
        .and_then(|data| data.strip_suffix(b"\""));
    let word = word.unwrap_or(data);
    let word = word
        .strip_prefix(b"[")
        .and_then(|word| word.strip_suffix(b"]"));
    word.unwrap_or(data).eq_ignore_ascii_case(b"done")
}

/// Arguments come as pieces of a JSON text, or from weak servers as the object itself.
fn arguments_text(raw: &str) -> std::borrow::Cow<'_, str> {
    match raw.as_bytes().first() {
        Some(b'"') => match serde_json::from_str::<Text>(raw) {
            Ok(text) => text.0,
            Err(_) => mended_text(raw).into(),
        },
        Some(b'{' | b'[') => raw.into(),
        _ => "".into(),
    }
}

/// A text with half a character in it, as it can be when a server cuts arguments anywhere.
fn mended_text(raw: &str) -> String {
    let mended = kilo_protocol::json::mend(raw.as_bytes()).unwrap_or_default();
    serde_json::from_slice(&mended).unwrap_or_default()
}

//! Pieces of an answer: text, reasoning, tool calls.

use super::{Call, Cx, Machine, names};
use crate::record::{CloseReason, Delta, Record};
use kilo_ports::provider::{Chunk, ErrorClass, ProviderError};
use kilo_protocol::model::{PartBody, ReasoningPart, Span, TextPart, ToolPart, ToolState};
use kilo_runtime::limits::{ARGUMENTS_BYTES_MAX, CALLS_MAX, PART_BYTES_MAX};
use serde_json::{Map, Value, json};

impl Machine {
    /// Takes what one read of the stream gave.
    pub(super) fn chunks(&mut self, cx: &mut Cx, chunks: Vec<Chunk>) {
        if let Some(run) = &mut self.run {
            run.first_chunk.get_or_insert(cx.now);
        }
        for chunk in chunks {
            if self.run.as_ref().is_none_or(|run| run.finish.is_some()) {
                return;
            }
            match chunk {
                Chunk::Text(text) => self.text(cx, text),
                Chunk::TextEnd => self.close_text(cx),
                Chunk::Reasoning(text) => self.reasoning(cx, text),
                Chunk::ReasoningEnd(metadata) => self.close_reasoning(cx, metadata),
                Chunk::ToolStart { index, id, name } => self.call_starts(cx, index, id, name),
                Chunk::ToolDelta { index, arguments } => self.call_grows(cx, index, &arguments),
                Chunk::ToolEnd { index } => self.call_is_whole(cx, index),
                Chunk::Finish { reason, tokens } => {
                    self.close_text(cx);
                    self.close_calls(cx);
                    if let Some(run) = &mut self.run {
                        let reason = if run.calls.is_empty() {
                            reason
                        } else {
                            "tool-calls".into()
                        };
                        run.finish = Some((reason, tokens));
                    }
                    self.maybe_end_step(cx);
                    return;
                }
            }
        }
    }

    fn text(&mut self, cx: &mut Cx, text: String) {
        let Some(run) = &mut self.run else { return };
        let Some(answer) = run.answer.clone() else {
            return;
        };
        if text.is_empty() {
            return;
        }
        if run.reasoning.is_some() {
            self.close_reasoning(cx, None);
        }
        let part = match self.run.as_ref().and_then(|run| run.text.clone()) {
            Some(part) => part,
            None => {
                let time = Some(Span {
                    start: cx.now,
                    end: None,
                });
                let part = cx.part(
                    &mut self.state,
                    &answer,
                    PartBody::Text(TextPart {
                        time,
                        ..Default::default()
                    }),
                );
                if let Some(run) = &mut self.run {
                    run.text = Some(part.clone());
                }
                part
            }
        };
        if self.is_over_limit(&answer, &part, text.len()) {
            return self.answer_too_long(cx);
        }
        cx.record(
            &mut self.state,
            Record::PartDelta(Delta {
                message: answer,
                part,
                text,
            }),
        );
    }

    fn reasoning(&mut self, cx: &mut Cx, text: String) {
        let Some(run) = &mut self.run else { return };
        let Some(answer) = run.answer.clone() else {
            return;
        };
        if run.text.is_some() {
            self.close_text(cx);
        }
        let part = match self.run.as_ref().and_then(|run| run.reasoning.clone()) {
            Some(part) => part,
            None => {
                let body = ReasoningPart {
                    time: Span {
                        start: cx.now,
                        end: None,
                    },
                    ..Default::default()
                };
                let part = cx.part(&mut self.state, &answer, PartBody::Reasoning(body));
                if let Some(run) = &mut self.run {
                    run.reasoning = Some(part.clone());
                }
                part
            }
        };
        if text.is_empty() {
            return;
        }
        if self.is_over_limit(&answer, &part, text.len()) {
            return self.answer_too_long(cx);
        }
        cx.record(
            &mut self.state,
            Record::PartDelta(Delta {
                message: answer,
                part,
                text,
            }),
        );
    }

    fn is_over_limit(
        &self,
        message: &kilo_protocol::MessageId,
        part: &kilo_protocol::PartId,
        more: usize,
    ) -> bool {
        self.state
            .part(message, part)
            .is_some_and(|part| match &part.body {
                PartBody::Text(text) => text.text.len() + more > PART_BYTES_MAX,
                PartBody::Reasoning(reasoning) => reasoning.text.len() + more > PART_BYTES_MAX,
                _ => false,
            })
    }

    fn answer_too_long(&mut self, cx: &mut Cx) {
        cx.effect(crate::input::Effect::StopModel);
        let error = ProviderError::new(
            ErrorClass::Unknown,
            "the answer is longer than one message may be",
        );
        self.fail_turn(cx, error.to_turn_error());
    }

    /// Ends the open text and reasoning parts.
    pub(super) fn close_text(&mut self, cx: &mut Cx) {
        self.close_reasoning(cx, None);
        let Some(run) = &mut self.run else { return };
        let (Some(answer), Some(part)) = (run.answer.clone(), run.text.take()) else {
            return;
        };
        let Some(part) = self.state.part(&answer, &part) else {
            return;
        };
        let mut part = part.as_ref().clone();
        if let PartBody::Text(text) = &mut part.body
            && let Some(time) = &mut text.time
        {
            time.end = Some(cx.now);
        }
        cx.record(&mut self.state, Record::PartUpdated(Box::new(part), cx.now));
    }

    fn close_reasoning(&mut self, cx: &mut Cx, metadata: Option<Map<String, Value>>) {
        let Some(run) = &mut self.run else { return };
        let (Some(answer), Some(part)) = (run.answer.clone(), run.reasoning.take()) else {
            return;
        };
        let Some(part) = self.state.part(&answer, &part) else {
            return;
        };
        let mut part = part.as_ref().clone();
        if let PartBody::Reasoning(reasoning) = &mut part.body {
            reasoning.time.end = Some(cx.now);
            reasoning.metadata = metadata;
        }
        cx.record(&mut self.state, Record::PartUpdated(Box::new(part), cx.now));
    }

    pub(super) fn call_starts(&mut self, cx: &mut Cx, index: usize, id: String, name: String) {
        self.close_text(cx);
        let Some(run) = &mut self.run else { return };
        let Some(answer) = run.answer.clone() else {
            return;
        };
        if run.calls.len() >= CALLS_MAX || run.calls.iter().any(|call| call.index == index) {
            return;
        }
        // A provider may use one id twice in a session; within a message it must be unique.
        let id = if run.calls.iter().any(|call| call.id == id) {
            format!("{id}_{index}")
        } else {
            id
        };
        let name = names::meant(&name, &run.tools);
        run.used_tool = true;
        let state = ToolState::Pending {
            input: json!({}),
            raw: String::new(),
        };
        let body = PartBody::Tool(ToolPart {
            call_id: id.clone(),
            tool: name.clone(),
            state,
            metadata: None,
        });
        let part = cx.part(&mut self.state, &answer, body);
        if let Some(run) = &mut self.run {
            run.calls.push(Call {
                index,
                part,
                id,
                name,
                arguments: String::new(),
                started: false,
                done: false,
                approval: None,
                must_ask: false,
                denied: false,
            });
        }
    }

    fn call_grows(&mut self, cx: &mut Cx, index: usize, arguments: &str) {
        let Some(run) = &mut self.run else { return };
        let Some(call) = run
            .calls
            .iter_mut()
            .find(|call| call.index == index && !call.started)
        else {
            return;
        };
        if call.arguments.len() + arguments.len() > ARGUMENTS_BYTES_MAX {
            return self.answer_too_long(cx);
        }
        call.arguments.push_str(arguments);
    }

    fn call_is_whole(&mut self, cx: &mut Cx, index: usize) {
        let Some(run) = &self.run else { return };
        let id = run
            .calls
            .iter()
            .find(|call| call.index == index && !call.started)
            .map(|call| call.id.clone());
        if let Some(id) = id {
            self.start_call(cx, &id);
        }
    }

    /// Starts the calls whose end the provider did not mark.
    fn close_calls(&mut self, cx: &mut Cx) {
        let Some(run) = &self.run else { return };
        let open: Vec<_> = run
            .calls
            .iter()
            .filter(|call| !call.started)
            .map(|call| call.id.clone())
            .collect();
        for id in open {
            self.start_call(cx, &id);
        }
    }

    /// Ends the turn with an error that people see.
    pub(super) fn fail_turn(&mut self, cx: &mut Cx, error: kilo_protocol::model::TurnError) {
        cx.effect(crate::input::Effect::StopTools);
        cx.record(&mut self.state, Record::Failed(error.clone()));
        self.close_requests(cx);
        self.finish_message(
            cx,
            Some(error),
            "The call was stopped because the turn failed.",
        );
        self.close_turn(cx, CloseReason::Error);
    }
}

//! Messages as a session has stored them, and the conversation made of them as lines.

use crate::conversation::{Selection, conversation};
use crate::state::Entry;
use kilo_ports::provider::{AssistantContent, ModelInfo, ModelMessage, UserContent};
use kilo_protocol::model::{
    AssistantMessage, AssistantTime, CompactionPart, Created, FilePart, Message, ModelRef, Part,
    PartBody, ReasoningPart, TextPart, ToolPart, ToolSpan, ToolState, TurnError, UserMessage,
};
use kilo_protocol::{MessageId, PartId, SessionId};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Messages in the order in which they were stored.
#[derive(Default)]
pub(super) struct Talk {
    pub messages: Vec<Arc<Entry>>,
    pub queue: Vec<MessageId>,
    pub context: u64,
    pub images: bool,
}

pub(super) fn id(text: &str) -> MessageId {
    MessageId::from_wire(text)
}

pub(super) fn part(message: &str, number: usize, body: PartBody) -> Arc<Part> {
    Arc::new(Part {
        id: PartId::from_wire(format!("prt_{message}_{number}")),
        session_id: SessionId::from_wire("ses_1"),
        message_id: id(message),
        body,
    })
}

pub(super) fn text(text: &str) -> PartBody {
    PartBody::Text(TextPart {
        text: text.into(),
        ..Default::default()
    })
}

pub(super) fn reasoning(text: &str) -> PartBody {
    PartBody::Reasoning(ReasoningPart {
        text: text.into(),
        ..Default::default()
    })
}

pub(super) fn file(mime: &str, name: &str, url: &str) -> PartBody {
    PartBody::File(FilePart {
        mime: mime.into(),
        filename: Some(name.into()),
        url: url.into(),
        source: None,
    })
}

pub(super) fn compaction(tail: Option<&str>) -> PartBody {
    PartBody::Compaction(CompactionPart {
        auto: true,
        overflow: None,
        tail_start_id: tail.map(id),
    })
}

pub(super) fn call(call: &str, state: ToolState) -> PartBody {
    PartBody::Tool(ToolPart {
        call_id: call.into(),
        tool: "read".into(),
        state,
        metadata: None,
    })
}

pub(super) fn done(name: &str, output: &str) -> PartBody {
    call(
        name,
        ToolState::Completed {
            input: json!({"path": "a"}),
            output: output.into(),
            title: String::new(),
            metadata: Map::new(),
            time: ToolSpan::default(),
            attachments: None,
        },
    )
}

pub(super) fn failed(name: &str, error: &str, metadata: Value) -> PartBody {
    call(
        name,
        ToolState::Error {
            input: json!({}),
            error: error.into(),
            metadata: metadata.as_object().cloned(),
            time: ToolSpan::default(),
        },
    )
}

impl Talk {
    fn push(mut self, info: Message, bodies: Vec<PartBody>) -> Self {
        let message = info.id().to_string();
        let parts = bodies
            .into_iter()
            .enumerate()
            .map(|(number, body)| part(&message, number, body))
            .collect();
        self.messages.push(Arc::new(Entry { info, parts }));
        self
    }

    pub fn user(self, message: &str, bodies: Vec<PartBody>) -> Self {
        let info = Message::User(UserMessage {
            id: id(message),
            session_id: SessionId::from_wire("ses_1"),
            time: Created::default(),
            format: None,
            summary: None,
            agent: "code".into(),
            model: ModelRef {
                provider_id: "fake".into(),
                model_id: "m".into(),
                variant: None,
            },
            system: None,
            tools: None,
            editor_context: None,
        });
        self.push(info, bodies)
    }

    pub fn says(self, message: &str, words: &str) -> Self {
        self.user(message, vec![text(words)])
    }

    pub fn answers(self, message: &str, prompt: &str, bodies: Vec<PartBody>) -> Self {
        self.push(Message::Assistant(answer(message, prompt)), bodies)
    }

    /// An answer that failed.
    pub fn fails(self, message: &str, prompt: &str, bodies: Vec<PartBody>) -> Self {
        let error = Some(TurnError::new(
            "MessageAbortedError",
            "The turn was stopped.",
        ));
        self.push(
            Message::Assistant(AssistantMessage {
                error,
                finish: None,
                ..answer(message, prompt)
            }),
            bodies,
        )
    }

    pub fn summary(self, message: &str, prompt: &str, words: &str) -> Self {
        self.push(
            Message::Assistant(AssistantMessage {
                summary: true,
                ..answer(message, prompt)
            }),
            vec![text(words)],
        )
    }

    /// A summary that was stopped in the middle.
    pub fn half_summary(self, message: &str, prompt: &str) -> Self {
        let error = Some(TurnError::new(
            "MessageAbortedError",
            "The turn was stopped.",
        ));
        let info = AssistantMessage {
            summary: true,
            error,
            finish: None,
            ..answer(message, prompt)
        };
        self.push(Message::Assistant(info), vec![text("We sp")])
    }

    pub fn model(&self) -> ModelInfo {
        ModelInfo {
            images: self.images,
            context: self.context,
            ..crate::samples::model()
        }
    }

    /// The conversation for the answer `answer` to `prompt`, a line for each piece.
    #[track_caller]
    pub fn expect(&self, prompt: &str, answer: &str, expected: &[&str]) {
        let (prompt, answer) = (id(prompt), id(answer));
        let selection = Selection {
            prompt: &prompt,
            answer: &answer,
        };
        let messages = conversation(&self.messages, &self.queue, &selection, &self.model());
        let lines: Vec<String> = messages.iter().flat_map(lines).collect();
        assert_eq!(lines, expected);
    }
}

pub(super) fn answer(message: &str, prompt: &str) -> AssistantMessage {
    AssistantMessage {
        id: id(message),
        session_id: SessionId::from_wire("ses_1"),
        time: AssistantTime {
            created: 1,
            completed: Some(2),
        },
        error: None,
        parent_id: id(prompt),
        model_id: "m".into(),
        provider_id: "fake".into(),
        mode: "code".into(),
        agent: "code".into(),
        path: Default::default(),
        summary: false,
        cost: 0.0,
        tokens: Default::default(),
        structured: None,
        variant: None,
        finish: Some("stop".into()),
    }
}

/// The engine's own sentences are named, not repeated.
pub(super) fn named(text: &str) -> String {
    if text == crate::texts::SUMMARY_REQUEST {
        return "<summarise>".into();
    }
    if text == crate::texts::GO_ON {
        return "<go on>".into();
    }
    match text.strip_prefix(crate::texts::SUMMARY_INTRO) {
        Some(summary) => format!("<summary> {}", summary.trim()),
        None => text.into(),
    }
}

pub(super) fn lines(message: &ModelMessage) -> Vec<String> {
    match message {
        ModelMessage::User(content) => content
            .iter()
            .map(|item| match item {
                UserContent::Text(text) => format!("user: {}", named(text)),
                UserContent::File {
                    mime,
                    filename,
                    data,
                } => {
                    format!(
                        "user: file {} {mime} {data}",
                        filename.as_deref().unwrap_or("-")
                    )
                }
            })
            .collect(),
        ModelMessage::Assistant(content) => content
            .iter()
            .map(|item| match item {
                AssistantContent::Text(text) => format!("model: {text}"),
                AssistantContent::Reasoning { text, .. } => format!("model thinks: {text}"),
                AssistantContent::ToolCall { id, name, input } => {
                    format!("model: call {id} {name} {input}")
                }
            })
            .collect(),
        ModelMessage::Tool(results) => results
            .iter()
            .map(|result| {
                let error = if result.is_error { " failed" } else { "" };
                let files: String = result
                    .files
                    .iter()
                    .map(|(mime, data)| format!(" +{mime} {data}"))
                    .collect();
                format!("tool: {}{error}: {}{files}", result.id, result.output)
            })
            .collect(),
    }
}

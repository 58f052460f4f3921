//! How a view stores messages: the same facts as on the wire, in a shape that is read several times faster.
//!
//! The wire tags messages and parts inside their objects (`role`, `type`), which makes a reader hold every field back until
//! the tag is found. A view tags from outside and leaves out the ids that follow from the message.

use crate::state::Entry;
use kilo_protocol::PartId;
use kilo_protocol::model::{
    AgentPart, AssistantMessage, CompactionPart, FilePart, Message, Part, PartBody, PatchPart,
    ReasoningPart, RetryPart, SnapshotPart, StepFinish, StepStart, SubtaskPart, TextPart, ToolPart,
    UserMessage,
};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::Arc;

macro_rules! bodies {
    ($($name:ident($part:ty),)*) => {
        #[derive(Serialize)]
        enum BodyOut<'a> {
            $($name(&'a $part),)*
        }

        #[derive(Deserialize)]
        enum BodyIn {
            $($name($part),)*
        }

        impl<'a> From<&'a PartBody> for BodyOut<'a> {
            fn from(body: &'a PartBody) -> Self {
                match body {
                    $(PartBody::$name(part) => Self::$name(part),)*
                }
            }
        }

        impl From<BodyIn> for PartBody {
            fn from(body: BodyIn) -> Self {
                match body {
                    $(BodyIn::$name(part) => Self::$name(part),)*
                }
            }
        }
    };
}

bodies! {
    Text(TextPart),
    Reasoning(ReasoningPart),
    File(FilePart),
    Tool(ToolPart),
    StepStart(StepStart),
    StepFinish(StepFinish),
    Snapshot(SnapshotPart),
    Patch(PatchPart),
    Agent(AgentPart),
    Subtask(SubtaskPart),
    Retry(RetryPart),
    Compaction(CompactionPart),
}

#[derive(Serialize)]
enum InfoOut<'a> {
    #[serde(rename = "u")]
    User(&'a UserMessage),
    #[serde(rename = "a")]
    Assistant(&'a AssistantMessage),
}

#[derive(Deserialize)]
enum InfoIn {
    #[serde(rename = "u")]
    User(Box<UserMessage>),
    #[serde(rename = "a")]
    Assistant(Box<AssistantMessage>),
}

#[derive(Serialize)]
struct EntryOut<'a> {
    i: InfoOut<'a>,
    p: Vec<(&'a PartId, BodyOut<'a>)>,
}

#[derive(Deserialize)]
struct EntryIn {
    i: InfoIn,
    p: Vec<(PartId, BodyIn)>,
}

/// Writes messages.
pub fn serialize<S: Serializer>(entries: &[Arc<Entry>], serializer: S) -> Result<S::Ok, S::Error> {
    let mut sequence = serializer.serialize_seq(Some(entries.len()))?;
    for entry in entries {
        let i = match &entry.info {
            Message::User(user) => InfoOut::User(user),
            Message::Assistant(answer) => InfoOut::Assistant(answer),
        };
        let p = entry
            .parts
            .iter()
            .map(|part| (&part.id, BodyOut::from(&part.body)))
            .collect();
        sequence.serialize_element(&EntryOut { i, p })?;
    }
    sequence.end()
}

/// Reads messages.
pub fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Arc<Entry>>, D::Error> {
    let entries: Vec<EntryIn> = Vec::deserialize(deserializer)?;
    Ok(entries
        .into_iter()
        .map(|entry| Arc::new(whole(entry)))
        .collect())
}

fn whole(entry: EntryIn) -> Entry {
    let info = match entry.i {
        InfoIn::User(user) => Message::User(*user),
        InfoIn::Assistant(answer) => Message::Assistant(*answer),
    };
    let session_id = match &info {
        Message::User(user) => user.session_id.clone(),
        Message::Assistant(answer) => answer.session_id.clone(),
    };
    let message_id = info.id().clone();
    let parts = entry
        .p
        .into_iter()
        .map(|(id, body)| {
            let (session_id, message_id) = (session_id.clone(), message_id.clone());
            Arc::new(Part {
                id,
                session_id,
                message_id,
                body: body.into(),
            })
        })
        .collect();
    Entry { info, parts }
}

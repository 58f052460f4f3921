//! What is said in a session: prompts, configured commands, shell texts of the user's own.

use super::is_false;
use crate::ids::MessageId;
use crate::model::{AgentPart, FilePart, ModelRef, SubtaskPart, TextPart};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

/// `session.prompt` and `session.prompt_async`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Prompt {
    /// What is said, in order.
    pub parts: Vec<InputPart>,
    /// The message's id, if the client chooses it: `msg` and then letters, digits, `_` and `-`.
    #[serde(rename = "messageID", skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// The model that is to answer; else the session's, the agent's or the configured one.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "without_variant"
    )]
    pub model: Option<ModelRef>,
    /// The agent that is to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The model's variant (reasoning effort).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// A system text for this prompt alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Stores the message and answers nothing.
    #[serde(skip_serializing_if = "is_false")]
    pub no_reply: bool,
    /// Tools that are switched on or off, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Map<String, Value>>,
    /// The shape that the answer must have: `{type: "json_schema", schema}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Value>,
    /// What the client's editor shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub editor_context: Option<Value>,
}

/// The contract has the variant beside the model, not in it.
fn without_variant<S: Serializer>(model: &Option<ModelRef>, to: S) -> Result<S::Ok, S::Error> {
    let pair = model.as_ref().map(|model| ModelRef {
        variant: None,
        ..model.clone()
    });
    pair.serialize(to)
}

/// A part of a prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputPart {
    /// The part's id, if the client chooses it: `prt` and then as in a message's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What it holds.
    #[serde(flatten)]
    pub body: InputPartBody,
}

/// What a part of a prompt holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum InputPartBody {
    /// Text.
    Text(TextPart),
    /// An attached file or folder.
    File(FilePart),
    /// A subagent that the text names.
    Agent(AgentPart),
    /// A task for a subagent.
    Subtask(SubtaskPart),
}

impl From<InputPartBody> for InputPart {
    fn from(body: InputPartBody) -> Self {
        Self { id: None, body }
    }
}

impl InputPart {
    /// A part of text.
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        InputPartBody::Text(TextPart {
            text,
            ..TextPart::default()
        })
        .into()
    }
}

impl Prompt {
    /// A prompt of one text.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            parts: vec![InputPart::text(text)],
            ..Self::default()
        }
    }
}

/// `session.shell`: a command of the user's own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shell {
    /// The id of the message that it becomes.
    #[serde(rename = "messageID", skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// The agent that the message is for.
    pub agent: Option<String>,
    /// The model that the message is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelRef>,
    /// The shell text.
    pub command: String,
}

/// `session.command`: a configured command.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RunCommand {
    /// Its name.
    pub command: String,
    /// What its template gets.
    pub arguments: String,
    /// The id of the message that it becomes.
    #[serde(rename = "messageID", skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// The agent, unless the command names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The model as `PROVIDER/MODEL`, unless the command names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The variant of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Attached files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<InputPart>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parts_are_read_and_written_as_they_were() {
        let parts = json!([
            {"id": "prt_1", "type": "text", "text": "a", "metadata": {"n": 1.5, "list": [null, 18446744073709551615u64]}},
            {"type": "file", "mime": "text/plain", "filename": "a.txt", "url": "file:///a.txt"},
            {"type": "agent", "name": "explore"},
            {"type": "subtask", "prompt": "p", "description": "d", "agent": "general"},
        ]);
        let read: Vec<InputPart> = serde_json::from_value(parts.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), parts);
        assert_eq!(read[0].id.as_deref(), Some("prt_1"));
        let unknown = json!({"type": "tool", "tool": "bash"});
        assert!(serde_json::from_value::<InputPart>(unknown).is_err());
    }

    #[test]
    fn a_prompt_says_only_what_was_given() {
        let model = ModelRef {
            provider_id: "p".into(),
            model_id: "m".into(),
            variant: Some("high".into()),
        };
        let prompt = Prompt {
            model: Some(model),
            variant: Some("high".into()),
            ..Prompt::text("hi")
        };
        assert_eq!(
            serde_json::to_value(&prompt).unwrap(),
            json!({"parts": [{"type": "text", "text": "hi"}], "model": {"providerID": "p", "modelID": "m"}, "variant": "high"})
        );
        let back: Prompt = serde_json::from_value(json!({})).unwrap();
        assert!(back.parts.is_empty() && !back.no_reply);
    }
}

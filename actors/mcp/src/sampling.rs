//! What a server wants to know of a model: read, shown to the user before it is sent, and answered.

use crate::ask::harmless;
use kilo_ports::aside::{Aside, AsideAnswer};
use kilo_ports::cut;
use kilo_ports::provider::{AssistantContent, ModelMessage, UserContent};
use serde_json::{Value, json};

/// What a server is told whose wish is not granted, whatever the reason: it shall not learn who said no.
pub const REFUSED: &str = "User rejected sampling request";
/// Messages, and bytes of all of them.
const MESSAGES_MAX: usize = 64;
const BYTES_MAX: usize = 256 << 10;
/// Tokens of an answer, whatever the server wants.
const TOKENS_MAX: u64 = 8_192;
/// Bytes of the last message that the user is shown.
const SHOWN_BYTES_MAX: usize = 1_000;

/// A wish for a model's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// The server.
    pub server: String,
    /// For the model.
    pub aside: Aside,
    /// Where the answer ends, if it comes to one of these.
    stops: Vec<String>,
    bytes: usize,
}

impl Sampling {
    /// The wish of `sampling/createMessage`'s params. Wishes about the model itself and for context of the session are not
    /// granted, which the protocol leaves to us.
    ///
    /// Errors: what cannot be done, for the server.
    pub fn of(server: &str, params: &Value) -> Result<Self, String> {
        let has_tools = |key: &str| params.get(key).is_some_and(|value| !value.is_null());
        if has_tools("tools") || has_tools("toolChoice") {
            return Err("this client samples without tools".into());
        }
        let bytes = params.to_string().len();
        if bytes > BYTES_MAX {
            return Err(format!(
                "{bytes} bytes are too many: at most {BYTES_MAX} are taken"
            ));
        }
        let messages = params.get("messages").and_then(Value::as_array);
        let messages = messages.map(Vec::as_slice).unwrap_or_default();
        if messages.is_empty() || messages.len() > MESSAGES_MAX {
            return Err(format!("1 to {MESSAGES_MAX} messages are taken"));
        }
        let messages: Result<Vec<ModelMessage>, String> = messages.iter().map(message).collect();
        let wanted = params.get("maxTokens").and_then(Value::as_u64);
        let system = params.get("systemPrompt").and_then(Value::as_str);
        let stops = params.get("stopSequences").and_then(Value::as_array);
        Ok(Self {
            server: server.to_owned(),
            aside: Aside {
                system: system.map(str::to_owned),
                messages: messages?,
                output_max: wanted.unwrap_or(TOKENS_MAX).clamp(1, TOKENS_MAX),
                temperature: params.get("temperature").and_then(Value::as_f64),
            },
            stops: stops
                .into_iter()
                .flatten()
                .filter_map(|stop| stop.as_str().filter(|stop| !stop.is_empty()))
                .map(str::to_owned)
                .collect(),
            bytes,
        })
    }

    /// What the user is asked before anything is sent.
    pub fn question(&self) -> String {
        let last = self.aside.messages.last().map(text).unwrap_or_default();
        let last = harmless(&last);
        let shown = cut::start(&last, SHOWN_BYTES_MAX);
        let more = if shown.len() < last.len() { " …" } else { "" };
        let messages = match self.aside.messages.len() {
            1 => "one message".to_owned(),
            many => format!("{many} messages"),
        };
        format!(
            "The MCP server {} wants to ask your model, at your cost: {messages}, {} bytes, an answer of at most {} tokens. \
             The server gets the answer. The last message:\n\n{shown}{more}",
            self.server, self.bytes, self.aside.output_max,
        )
    }

    /// The result of `sampling/createMessage`.
    pub fn answer(&self, answer: AsideAnswer) -> Value {
        let ends = self
            .stops
            .iter()
            .filter_map(|stop| answer.text.find(stop.as_str()));
        let (text, reason) = match ends.min() {
            Some(end) => (&answer.text[..end], "stopSequence"),
            None if answer.is_cut => (&*answer.text, "maxTokens"),
            None => (&*answer.text, "endTurn"),
        };
        json!({
            "role": "assistant",
            "content": {"type": "text", "text": text},
            "model": answer.model,
            "stopReason": reason,
        })
    }
}

fn message(message: &Value) -> Result<ModelMessage, String> {
    let content = &message["content"];
    let blocks = match content {
        Value::Array(blocks) => blocks.as_slice(),
        one => std::slice::from_ref(one),
    };
    let field = |block: &Value, key: &str| block[key].as_str().unwrap_or_default().to_owned();
    if message["role"] == "assistant" {
        let text = |block: &Value| match block["type"].as_str() {
            Some("text") => Ok(AssistantContent::Text(field(block, "text"))),
            _ => Err("of an assistant only text is taken".to_owned()),
        };
        let content: Result<_, String> = blocks.iter().map(text).collect();
        return Ok(ModelMessage::Assistant(content?));
    }
    let content = |block: &Value| match block["type"].as_str() {
        Some("text") => Ok(UserContent::Text(field(block, "text"))),
        Some("image") => Ok(UserContent::File {
            mime: field(block, "mimeType"),
            filename: None,
            data: field(block, "data"),
        }),
        _ => Err("of a user only text and images are taken".to_owned()),
    };
    let content: Result<_, String> = blocks.iter().map(content).collect();
    Ok(ModelMessage::User(content?))
}

fn text(message: &ModelMessage) -> String {
    let texts: Vec<&str> = match message {
        ModelMessage::User(content) => content
            .iter()
            .map(|content| match content {
                UserContent::Text(text) => text,
                UserContent::File { .. } => "[an image]",
            })
            .collect(),
        ModelMessage::Assistant(content) => content
            .iter()
            .filter_map(|content| match content {
                AssistantContent::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect(),
        ModelMessage::Tool(_) => Vec::new(),
    };
    texts.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_read_shown_and_answered() {
        let params = json!({
            "messages": [
                {"role": "user", "content": {"type": "text", "text": "One?"}},
                {"role": "assistant", "content": [{"type": "text", "text": "Two."}]},
                {"role": "user", "content": [{"type": "text", "text": "Three?"}, {"type": "image", "mimeType": "image/png", "data": "AA=="}]},
            ],
            "systemPrompt": "Be brief.", "maxTokens": 90_000, "temperature": 0.5, "stopSequences": ["", "END"],
        });
        let sampling = Sampling::of("s", &params).unwrap();
        let texts: Vec<String> = sampling.aside.messages.iter().map(text).collect();
        assert_eq!(texts, ["One?", "Two.", "Three?\n[an image]"]);
        assert_eq!(sampling.aside.system.as_deref(), Some("Be brief."));
        assert_eq!(sampling.aside.output_max, TOKENS_MAX);
        let question = sampling.question();
        assert!(
            question.contains("server s wants to ask your model")
                && question.contains("3 messages")
                && question.ends_with("Three?\n[an image]"),
            "{question}"
        );
        let answer = |text: &str, is_cut| {
            sampling.answer(AsideAnswer {
                text: text.into(),
                model: "p/m".into(),
                is_cut,
            })
        };
        assert_eq!(
            answer("Four. END Five.", true),
            json!({"role": "assistant", "content": {"type": "text", "text": "Four. "}, "model": "p/m", "stopReason": "stopSequence"})
        );
        assert_eq!(answer("Four", true)["stopReason"], "maxTokens");
        assert_eq!(answer("Four.", false)["stopReason"], "endTurn");
    }

    #[test]
    fn what_is_too_much_or_no_message_is_refused() {
        let of = |params: Value| Sampling::of("s", &params).map(|_| ());
        let user = |text: &str| json!({"role": "user", "content": {"type": "text", "text": text}});
        assert!(of(json!({"messages": [user("a")]})).is_ok());
        assert!(of(json!({"messages": []})).is_err());
        assert!(of(json!({})).is_err());
        assert!(of(json!({"messages": vec![user("a"); MESSAGES_MAX + 1]})).is_err());
        assert!(of(json!({"messages": [user(&"x".repeat(BYTES_MAX))]})).is_err());
        assert!(of(json!({"messages": [user("a")], "tools": []})).is_err());
        assert!(
            of(json!({"messages": [{"role": "user", "content": {"type": "audio", "data": ""}}]}))
                .is_err()
        );
    }
}

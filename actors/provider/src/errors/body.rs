//! What an error body says, in whatever shape it comes.

use serde_json::Value;

/// Where codes and types stand, in an error or beside it.
const CODE_KEYS: [&str; 7] = [
    "code",
    "type",
    "status",
    "error_type",
    "status_code",
    "statusCode",
    "error_code",
];

/// Where the sentence stands, the likeliest first.
const MESSAGE_KEYS: [&str; 10] = [
    "message",
    "detail",
    "error_description",
    "error",
    "msg",
    "errors",
    "error_message",
    "errorMessage",
    "error_msg",
    "status_msg",
];

/// The sentence and the codes of an error.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// What the provider says, for people.
    pub message: Option<String>,
    /// Its codes and types, as text.
    pub code: Vec<String>,
    /// The body as it came; null if it is no JSON.
    pub whole: Value,
}

/// Reads a whole body: JSON in one of the usual shapes, or a short text.
pub(super) fn read(body: &str) -> Facts {
    match serde_json::from_str::<Value>(body) {
        Ok(Value::Array(list)) => list.into_iter().next().map(facts).unwrap_or_default(),
        Ok(value) => facts(value),
        Err(_) => Facts {
            message: plain(body),
            ..Facts::default()
        },
    }
}

/// Reads an error that came as JSON.
pub(super) fn facts(whole: Value) -> Facts {
    let value = &whole;
    let error = value.get("error").unwrap_or(value);
    let mut code = Vec::new();
    for object in [error, value] {
        for key in CODE_KEYS {
            match object.get(key) {
                Some(Value::String(text)) if !text.is_empty() => code.push(text.clone()),
                Some(Value::Number(number)) => code.push(number.to_string()),
                _ => {}
            }
        }
    }
    let message = [error, value].into_iter().find_map(message);
    Facts {
        message: with_upstream(message, error),
        code,
        whole,
    }
}

fn message(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => sentence(text),
        Value::Array(list) => list.first().and_then(message),
        Value::Object(map) => MESSAGE_KEYS
            .iter()
            .find_map(|key| map.get(*key).and_then(message)),
        _ => None,
    }
}

/// A text; where a gateway passes on another's body as text, the sentence in that.
fn sentence(text: &str) -> Option<String> {
    let inner = || match text.trim_start().as_bytes().first() {
        Some(b'{' | b'[') => message(&serde_json::from_str(text).ok()?),
        _ => None,
    };
    inner().or_else(|| text_of(text))
}

/// Gateways wrap what the provider behind them said.
fn with_upstream(message: Option<String>, error: &Value) -> Option<String> {
    let raw = match error.pointer("/metadata/raw") {
        Some(Value::String(raw)) => read(raw).message,
        Some(raw) => facts(raw.clone()).message,
        None => None,
    };
    match (message, raw) {
        (Some(message), Some(raw)) if !message.contains(&raw) => Some(format!("{message}: {raw}")),
        (message, raw) => message.or(raw),
    }
}

fn text_of(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A body that is no JSON is shown if it looks like a sentence, not if it is a web page.
fn plain(body: &str) -> Option<String> {
    let text = text_of(body)?;
    (!text.starts_with('<')).then_some(text)
}

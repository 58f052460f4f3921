//! What an error body says, in whatever shape it comes.

use serde_json::Value;

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

/// Reads an error object (or text) by itself.
pub(super) fn read_error(raw: &str) -> Facts {
    let value: Value = serde_json::from_str(raw).unwrap_or(Value::Null);
    facts(serde_json::json!({"error": value}))
}

fn facts(whole: Value) -> Facts {
    let value = &whole;
    let error = value.get("error").unwrap_or(value);
    let mut code = Vec::new();
    for object in [error, value] {
        for key in ["code", "type", "status", "error_type"] {
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
    if let Value::String(text) = value {
        return text_of(text);
    }
    for key in [
        "message",
        "detail",
        "error_description",
        "error",
        "msg",
        "errors",
    ] {
        let found = match value.get(key) {
            Some(Value::String(text)) => text_of(text),
            Some(Value::Array(list)) => list.first().and_then(message),
            Some(object @ Value::Object(_)) => message(object),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
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

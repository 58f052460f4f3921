//! Errors that come where an answer was expected: behind a 200, as one event of the stream or as the whole body.

use super::class::class;
use super::cut::{BODY_BYTES_MAX, cut};
use super::redact::redact;
use super::{body, wait};
use kilo_ports::provider::ProviderError;
use serde_json::{Value, json};

/// Where servers put an error object (or its text) within what they send instead of an answer.
const PLACES: [&str; 7] = [
    "/error",
    "/errors",
    "/choices/0/error",
    "/choices/0/delta/error",
    "/choices/0/message/error",
    "/response/error",
    "/detail",
];

/// Fields of which one stands beside the sentence of an error that is not marked as one.
const MARKS: [&str; 7] = [
    "code",
    "status",
    "statusCode",
    "status_code",
    "error_code",
    "type",
    "request_id",
];

/// The error that `data` is, in any of the usual shapes; `None` if it is none.
///
/// JSON of some other kind is none, and so is JSON that was cut; a text that never was JSON is one.
pub fn instead_of_answer(data: &[u8]) -> Option<ProviderError> {
    let first = data.trim_ascii_start().first()?;
    if !matches!(first, b'{' | b'[' | b'"') {
        return Some(from_text(&String::from_utf8_lossy(data)));
    }
    let parsed = serde_json::from_slice(data)
        .or_else(|error| serde_json::from_slice(&kilo_protocol::json::mend(data).ok_or(error)?));
    let value = match parsed.ok()? {
        Value::Array(list) => list.into_iter().next()?,
        Value::String(text) => return Some(from_text(&text)),
        value => value,
    };
    let error = error_within(&value)?;
    Some(from_facts(body::facts(error), data))
}

/// The error of an event that is one by its name, whatever its data is.
pub fn named(data: &[u8]) -> ProviderError {
    if let Some(error) = instead_of_answer(data) {
        return error;
    }
    match serde_json::from_slice::<Value>(data) {
        Ok(value) => from_facts(body::facts(json!({"error": value})), data),
        Err(_) => from_text(&String::from_utf8_lossy(data)),
    }
}

/// The error that a body is in which no event came: a sentence. `None` if it is empty, or a stream after all.
pub fn from_body(begin: &[u8]) -> Option<ProviderError> {
    const FIELDS: [&str; 5] = [":", "event:", "id:", "retry:", "data:"];
    let text = String::from_utf8_lossy(begin);
    let text = text.trim();
    let is_stream = FIELDS.iter().any(|field| text.starts_with(field));
    (!text.is_empty() && !is_stream).then(|| from_text(text))
}

/// The error that a sentence is.
fn from_text(text: &str) -> ProviderError {
    let facts = body::Facts {
        message: Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        ..body::Facts::default()
    };
    from_facts(facts, text.as_bytes())
}

fn from_facts(facts: body::Facts, raw: &[u8]) -> ProviderError {
    let message = facts
        .message
        .unwrap_or_else(|| "the provider broke off with an error".into());
    let status = facts.code.iter().find_map(|code| code.parse().ok());
    let status = status.filter(|status| (400..600).contains(status));
    let mut error = ProviderError::new(class(status, &facts.code, &message, false), message);
    error.status = status;
    // No clock is at hand here, so a wish for a time of day counts as none.
    error.retry_after_ms = wait::told_ms(&facts.whole, &error.message, u64::MAX);
    error.message = cut(&redact(&error.message, None), 2_000);
    // Keys are looked for before the cut, or half of one could stand at the end.
    let raw = &raw[..raw.len().min(2 * BODY_BYTES_MAX)];
    error.body = Some(cut(
        &redact(&String::from_utf8_lossy(raw), None),
        BODY_BYTES_MAX,
    ));
    error
}

fn error_within(value: &Value) -> Option<Value> {
    for place in PLACES {
        if value.pointer(place).is_some_and(says_something) {
            return Some(match place.rsplit_once('/') {
                Some(("", _)) => value.clone(),
                _ => json!({"error": value.pointer(place)}),
            });
        }
    }
    if value
        .pointer("/base_resp/status_code")
        .is_some_and(says_something)
    {
        return Some(json!({"error": value["base_resp"]})); // 0 means that all went well
    }
    (is_marked(value) || is_bare(value)).then(|| value.clone())
}

/// `null`, `false`, 0 and what is empty are the absence of an error.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(on) => *on,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

fn is_marked(value: &Value) -> bool {
    let is = |key: &str, words: &[&str]| {
        let word = value.get(key).and_then(Value::as_str);
        word.is_some_and(|word| words.iter().any(|known| word.eq_ignore_ascii_case(known)))
    };
    is("type", &["error", "exception"])
        || is("object", &["error"])
        || is("status", &["error", "failed", "failure"])
        || value.get("success") == Some(&Value::Bool(false))
}

/// A sentence with a code, and nothing of an answer.
fn is_bare(value: &Value) -> bool {
    let has = |key: &&str| value.get(*key).is_some_and(says_something);
    let sentence = ["message", "msg", "detail", "error_msg"]
        .iter()
        .any(|key| value.get(key).is_some_and(Value::is_string));
    sentence && value.get("choices").is_none() && MARKS.iter().any(has)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kilo_ports::provider::ErrorClass;

    #[test]
    fn every_usual_shape_gives_the_errors_own_text() {
        let shapes = [
            r#"{"error":{"message":"boom","type":"server_error","code":500}}"#,
            r#"{"error":"boom"}"#,
            r#"{"error":{"error":{"message":"boom"}}}"#,
            r#"{"error":true,"message":"boom"}"#,
            r#"{"type":"error","error":{"type":"api_error","message":"boom"}}"#,
            r#"{"type":"error","message":"boom"}"#,
            r#"{"object":"error","message":"boom","type":"InternalServerError","code":500}"#,
            r#"{"code":500,"message":"boom"}"#,
            r#"{"code":"InternalError","message":"boom","request_id":"r"}"#,
            r#"{"statusCode":500,"msg":"boom"}"#,
            r#"{"status":"failed","message":"boom"}"#,
            r#"{"success":false,"errors":[{"code":7003,"message":"boom"}],"result":null}"#,
            r#"{"errors":["boom"]}"#,
            r#"{"detail":"boom"}"#,
            r#"{"detail":[{"loc":["body"],"msg":"boom","type":"value_error"}]}"#,
            r#"{"base_resp":{"status_code":1000,"status_msg":"boom"},"choices":null}"#,
            r#"{"choices":[{"index":0,"delta":{},"error":{"code":502,"message":"boom"},"finish_reason":"error"}]}"#,
            r#"{"choices":[{"delta":{"error":{"message":"boom"}}}]}"#,
            r#"[{"error":{"code":500,"message":"boom","status":"INTERNAL"}}]"#,
            r#"{"error":{"message":"{\"error\":{\"message\":\"boom\"}}"}}"#,
            r#"{"response":{"status":"failed","error":{"code":"server_error","message":"boom"}}}"#,
            r#""boom""#,
            "boom",
        ];
        for shape in shapes {
            let error = instead_of_answer(shape.as_bytes()).expect(shape);
            assert_eq!(error.message, "boom", "{shape}");
        }
    }

    #[test]
    fn answers_pings_and_absent_errors_are_none() {
        let none = [
            r#"{"choices":[],"prompt_filter_results":[{"content_filter_results":{}}]}"#,
            r#"{"error":null,"choices":[]}"#,
            r#"{"error":"","choices":[]}"#,
            r#"{"error":{},"choices":[]}"#,
            r#"{"error":false}"#,
            r#"{"type":"ping"}"#,
            r#"{"base_resp":{"status_code":0,"status_msg":""}}"#,
            r#"{"object":"chat.completion.chunk","model":"m","created":1}"#,
            r#"{"choices":[{"delta":{"content":"error"}}]}"#,
            r#"{"choices":[{"delta":{"conte"#,
            "",
        ];
        for shape in none {
            assert_eq!(instead_of_answer(shape.as_bytes()), None, "{shape}");
        }
    }

    #[test]
    fn class_status_and_wait_are_read_from_it() {
        let error = instead_of_answer(
            br#"{"error":{"code":429,"message":"rate limited, try again in 7s"}}"#,
        )
        .unwrap();
        assert_eq!(
            (error.class, error.status, error.retry_after_ms),
            (ErrorClass::RateLimited, Some(429), Some(7_000))
        );
        let error = instead_of_answer(br#"{"error":{"code":500,"message":"Context size has been exceeded.","type":"server_error"}}"#).unwrap();
        assert_eq!(error.class, ErrorClass::ContextOverflow);
        let error = instead_of_answer(b"Rate limit reached").unwrap();
        assert_eq!(error.class, ErrorClass::RateLimited);
    }
}

//! Lines for programs: one JSON object per event, in the keys that `kilo run --format json` has always had.

use kilo_protocol::Millis;
use serde_json::{Map, Value};

/// `{"type", "timestamp", "sessionID", KEY: value}` without a newline.
pub fn line(kind: &str, now: Millis, session: &str, key: &str, value: Value) -> String {
    let mut map = Map::new();
    map.insert("type".into(), kind.into());
    map.insert("timestamp".into(), now.into());
    map.insert("sessionID".into(), session.into());
    map.insert(key.into(), value);
    Value::Object(map).to_string()
}

/// The name of a finished part's line; `None` for parts that have none or are not finished.
///
/// `step_start`, `step_finish`, `text` and `reasoning` (once they have an end), `tool_use` (completed or failed).
pub fn kind(part: &Value) -> Option<&'static str> {
    let ended = || part.pointer("/time/end").is_some_and(|end| !end.is_null());
    match part.get("type")?.as_str()? {
        "step-start" => Some("step_start"),
        "step-finish" => Some("step_finish"),
        "text" if ended() => Some("text"),
        "reasoning" if ended() => Some("reasoning"),
        "tool" => {
            let status = part.pointer("/state/status")?.as_str()?;
            matches!(status, "completed" | "error").then_some("tool_use")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_keeps_its_order_and_the_parts() {
        let part =
            json!({"id": "prt_1", "type": "text", "text": "hi", "time": {"start": 1, "end": 2}});
        assert_eq!(
            line("text", 5, "ses_1", "part", part),
            r#"{"type":"text","timestamp":5,"sessionID":"ses_1","part":{"id":"prt_1","type":"text","text":"hi","time":{"start":1,"end":2}}}"#
        );
    }

    #[test]
    fn only_finished_parts_have_a_line() {
        let kinds = [
            json!({"type": "text", "time": {"start": 1}}),
            json!({"type": "text", "time": {"start": 1, "end": 2}}),
            json!({"type": "tool", "state": {"status": "running"}}),
            json!({"type": "tool", "state": {"status": "error"}}),
            json!({"type": "patch"}),
            json!({"type": "step-finish"}),
        ];
        let kinds: Vec<_> = kinds.iter().map(kind).collect();
        assert_eq!(
            kinds,
            [
                None,
                Some("text"),
                None,
                Some("tool_use"),
                None,
                Some("step_finish")
            ]
        );
    }
}

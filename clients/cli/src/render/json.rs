//! Lines for programs: one JSON object per event, in the keys that `kilo run --format json` has always had.

use kilo_protocol::Millis;
use kilo_protocol::model::{Part, PartBody};
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
pub fn kind(part: &Part) -> Option<&'static str> {
    match &part.body {
        PartBody::StepStart(_) => Some("step_start"),
        PartBody::StepFinish(_) => Some("step_finish"),
        PartBody::Text(text) => text.time.as_ref()?.end.map(|_| "text"),
        PartBody::Reasoning(reasoning) => reasoning.time.end.map(|_| "reasoning"),
        PartBody::Tool(call) => call.state.is_final().then_some("tool_use"),
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
            json!({"type": "text", "text": "", "time": {"start": 1}}),
            json!({"type": "text", "text": "", "time": {"start": 1, "end": 2}}),
            json!({"type": "tool", "callID": "c", "tool": "t", "state": {"status": "running", "input": {}, "time": {"start": 1}}}),
            json!({"type": "tool", "callID": "c", "tool": "t", "state": {"status": "error", "input": {}, "error": "", "time": {"start": 1, "end": 2}}}),
            json!({"type": "snapshot", "snapshot": "h"}),
            json!({"type": "step-start"}),
        ];
        let part = |mut body: serde_json::Value| -> Part {
            for id in ["id", "sessionID", "messageID"] {
                body[id] = "x".into();
            }
            serde_json::from_value(body).expect("a part")
        };
        let kinds: Vec<_> = kinds.map(|body| kind(&part(body))).into();
        assert_eq!(
            kinds,
            [
                None,
                Some("text"),
                None,
                Some("tool_use"),
                None,
                Some("step_start")
            ]
        );
    }
}

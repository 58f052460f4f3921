//! Takes out of an exported session what may be private, and leaves its shape.

use kilo_client::Transcript;
use serde_json::{Map, Value};

/// Keys whose texts say nothing about a user's work.
const KEPT: &[&str] = &[
    "id",
    "sessionID",
    "messageID",
    "parentID",
    "projectID",
    "callID",
    "type",
    "role",
    "status",
    "tool",
    "reason",
    "mime",
    "providerID",
    "modelID",
    "agent",
    "mode",
    "variant",
    "finish",
    "version",
    "name",
    "action",
    "permission",
    "source",
    "tail_start_id",
];

/// Replaces every text except ids, kinds and names of tools, agents and models by `[redacted: N characters]`.
pub fn sanitize(transcript: &mut Transcript) {
    redact_map(&mut transcript.info);
    for entry in &mut transcript.messages {
        redact_map(&mut entry.info);
        for part in &mut entry.parts {
            redact_map(part);
        }
    }
}

fn redact_map(map: &mut Map<String, Value>) {
    let kept: Vec<(String, Value)> = std::mem::take(map)
        .into_iter()
        .map(|(key, mut value)| {
            if key == "input" || key == "metadata" || key == "raw" || key == "structured" {
                redact(&mut value, &[]);
            } else if !(value.is_string() && KEPT.contains(&key.as_str())) {
                redact(&mut value, KEPT);
            }
            (key, value)
        })
        .collect();
    map.extend(kept);
}

/// Redacts all texts in `value`; in objects, those under the keys `kept` stay.
fn redact(value: &mut Value, kept: &[&str]) {
    match value {
        Value::String(text) if !text.is_empty() => {
            *value = Value::String(format!("[redacted: {} characters]", text.chars().count()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redact(item, kept)),
        Value::Object(map) if kept.is_empty() => {
            map.values_mut().for_each(|value| redact(value, kept))
        }
        Value::Object(map) => redact_map(map),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_go_and_the_shape_stays() {
        let mut transcript: Transcript = serde_json::from_value(json!({
            "info": {"id": "ses_1", "title": "secret plan", "directory": "/home/me", "cost": 1.5},
            "messages": [{
                "info": {"id": "msg_1", "role": "assistant", "modelID": "m", "error": {"name": "APIError", "data": {"message": "key abc"}}},
                "parts": [
                    {"id": "prt_1", "type": "text", "text": "hello"},
                    {"id": "prt_2", "type": "tool", "tool": "bash", "state": {"status": "completed",
                        "input": {"command": "ls", "name": "x"}, "output": "a\nb", "title": "", "metadata": {"exit": 0, "output": "a"}}}
                ]
            }]
        }))
        .expect("a transcript");
        sanitize(&mut transcript);
        let text = serde_json::to_string(&transcript).expect("json");
        assert_eq!(
            text,
            concat!(
                r#"{"info":{"id":"ses_1","title":"[redacted: 11 characters]","directory":"[redacted: 8 characters]","cost":1.5},"#,
                r#""messages":[{"info":{"id":"msg_1","role":"assistant","modelID":"m","error":{"name":"APIError","data":{"message":"[redacted: 7 characters]"}}},"#,
                r#""parts":[{"id":"prt_1","type":"text","text":"[redacted: 5 characters]"},"#,
                r#"{"id":"prt_2","type":"tool","tool":"bash","state":{"status":"completed","input":{"command":"[redacted: 2 characters]","name":"[redacted: 1 characters]"},"#,
                r#""output":"[redacted: 3 characters]","title":"","metadata":{"exit":0,"output":"[redacted: 1 characters]"}}}]}]}"#,
            )
        );
    }
}

//! Requests to people as events: every subscriber gets a copy, so one is at most a few kilobytes of text. The open requests
//! (`GET /permission`, `GET /question`) have the whole.

use kilo_protocol::model::{PermissionRequest, QuestionRequest};
use serde::Serialize;
use serde_json::{Map, Value};

/// Bytes of text in an event.
const TEXT_BYTES_MAX: usize = 4_096;
/// Bytes of one text in an event that is cut, so that the first does not leave the others nothing.
const ONE_BYTES_MAX: usize = 1_024;
/// Says in an event that it was cut.
const MARK: &str = "truncated";

/// The event of a request for permission; cut, its metadata say `truncated: true`.
pub fn permission(request: &PermissionRequest) -> Value {
    brief(request, |fields| {
        if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
            metadata.insert(MARK.into(), true.into());
        }
    })
}

/// The event of a question; cut, it says `truncated: true`.
pub fn question(request: &QuestionRequest) -> Value {
    brief(request, |fields| {
        fields.insert(MARK.into(), true.into());
    })
}

fn brief(request: &impl Serialize, mark: impl FnOnce(&mut Map<String, Value>)) -> Value {
    let mut event = serde_json::to_value(request).unwrap_or_default();
    let Value::Object(fields) = &mut event else {
        return event;
    };
    if fields.values().map(text_bytes).sum::<usize>() <= TEXT_BYTES_MAX {
        return event;
    }
    let mut left = TEXT_BYTES_MAX;
    for (key, value) in fields.iter_mut() {
        // Without these a client cannot find the whole or answer it.
        if !matches!(key.as_str(), "id" | "sessionID" | "tool" | "permission") {
            cut(value, &mut left);
        }
    }
    mark(fields);
    event
}

/// Bytes of all texts within, field names included.
fn text_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| 1 + text_bytes(item)).sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| key.len() + text_bytes(value))
            .sum(),
        _ => 1,
    }
}

/// Cuts texts and lists to what is left; fields stay, so that the shape does.
fn cut(value: &mut Value, left: &mut usize) {
    match value {
        Value::String(text) => {
            let end = text.floor_char_boundary(ONE_BYTES_MAX.min(*left));
            if end < text.len() {
                text.truncate(end);
                text.push('…');
            }
            *left = left.saturating_sub(text.len());
        }
        Value::Array(items) => {
            let mut kept = 0;
            for item in items.iter_mut() {
                // The first stays whatever is left: an empty list would say that there is nothing.
                if *left == 0 && kept > 0 {
                    break;
                }
                *left = left.saturating_sub(1);
                cut(item, left);
                kept += 1;
            }
            items.truncate(kept);
        }
        Value::Object(fields) => {
            for (key, value) in fields.iter_mut() {
                *left = left.saturating_sub(key.len());
                cut(value, left);
            }
        }
        _ => *left = left.saturating_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::{permission, question};
    use kilo_protocol::model::{PermissionRequest, QuestionRequest};
    use kilo_protocol::{PermissionId, QuestionId, SessionId};
    use serde_json::{Value, json};

    fn asked(patterns: Vec<String>, metadata: Value) -> PermissionRequest {
        PermissionRequest {
            id: PermissionId::from_wire("per_1"),
            session_id: SessionId::from_wire("ses_1"),
            permission: "edit".into(),
            always: patterns.clone(),
            patterns,
            metadata: serde_json::from_value(metadata).unwrap(),
            tool: None,
        }
    }

    #[test]
    fn a_short_request_is_its_own_event() {
        let request = asked(vec!["a.rs".into()], json!({"diff": "+x"}));
        assert_eq!(
            permission(&request),
            serde_json::to_value(&request).unwrap()
        );
    }

    #[test]
    fn a_long_request_is_cut_and_says_so() {
        let long = json!({"diff": "☃".repeat(1_000_000), "files": [{"path": "b", "patch": "p".repeat(9_000)}]});
        let event = permission(&asked(vec!["a.rs".into()], long));
        assert!(
            event.to_string().len() < 5_000,
            "{}",
            event.to_string().len()
        );
        assert_eq!(event["id"], "per_1");
        assert_eq!(event["patterns"], json!(["a.rs"]));
        assert_eq!(event["metadata"]["truncated"], true);
        assert!(event["metadata"]["diff"].as_str().unwrap().ends_with("☃…"));
        assert_eq!(event["metadata"]["files"][0]["path"], "b");
        serde_json::from_value::<PermissionRequest>(event).unwrap();
    }

    #[test]
    fn many_patterns_are_cut_too() {
        let patterns = (0..100_000).map(|n| format!("src/{n}.rs")).collect();
        let event = permission(&asked(patterns, json!({"command": "c".repeat(50)})));
        assert!(
            event.to_string().len() < 6_000,
            "{}",
            event.to_string().len()
        );
        assert_eq!(event["patterns"][0], "src/0.rs");
        assert_eq!(event["metadata"]["truncated"], true);
    }

    #[test]
    fn a_long_question_keeps_its_shape() {
        let choice =
            |n: usize| json!({"label": format!("choice {n}"), "description": "d".repeat(500)});
        let asked = json!({"question": "q".repeat(100_000), "header": "h", "options": (0..500).map(choice).collect::<Vec<_>>()});
        let event = question(&QuestionRequest {
            id: QuestionId::from_wire("que_1"),
            session_id: SessionId::from_wire("ses_1"),
            questions: vec![asked.clone(), asked],
            tool: None,
        });
        assert!(
            event.to_string().len() < 6_000,
            "{}",
            event.to_string().len()
        );
        assert_eq!(event["truncated"], true);
        let first = &event["questions"][0];
        assert_eq!(first["header"], "h");
        assert_eq!(first["options"][0]["label"], "choice 0");
        assert_eq!(first["question"].as_str().unwrap().len(), 1_024 + "…".len());
    }
}

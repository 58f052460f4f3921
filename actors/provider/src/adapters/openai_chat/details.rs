//! OpenRouter's blocks of reasoning, which come in pieces and go back whole.

use serde_json::{Map, Value};

/// The most blocks of reasoning that are kept for the way back.
const DETAILS_MAX: usize = 1_024;

/// Adds a piece: to the last block if it goes on with that one, else as a new block.
pub(super) fn join(details: &mut Vec<Value>, detail: Map<String, Value>) {
    let same_block = |last: &&mut Value| {
        ["type", "index", "id"]
            .iter()
            .all(|key| match (last.get(*key), detail.get(*key)) {
                (Some(before), Some(now)) => before == now,
                (before, None) => *key == "id" || before.is_none(),
                (None, Some(_)) => *key == "id",
            })
    };
    let Some(last) = details
        .last_mut()
        .filter(same_block)
        .and_then(Value::as_object_mut)
    else {
        if details.len() < DETAILS_MAX {
            details.push(Value::Object(detail));
        }
        return;
    };
    for (key, value) in detail {
        match (key.as_str(), last.get_mut(&key), value) {
            ("text" | "summary" | "data", Some(Value::String(text)), Value::String(more)) => {
                text.push_str(&more)
            }
            (_, _, Value::Null) => {}
            (_, _, value) => {
                last.insert(key, value);
            }
        }
    }
}

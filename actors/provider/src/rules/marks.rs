//! Cache marks: where a provider that asks for marks should keep its prefix.

use super::text::is_environment;
use serde_json::{Map, Value, json};

/// How many system texts get a mark, from the front.
pub const SYSTEM_MARKS: usize = 2;

/// How many messages get a mark, from the back. With the system's these are the four that providers allow.
pub const MESSAGE_MARKS: usize = 2;

/// The mark.
pub fn ephemeral() -> Value {
    json!({"type": "ephemeral"})
}

/// Marks the last block of `blocks` that may carry one: no reasoning, no empty text and, if there is another, no
/// description of the environment. Returns whether there was one.
pub fn mark_last(blocks: &mut [Value]) -> bool {
    let may = |block: &Value| {
        let kind = block
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let text = block.get("text").and_then(Value::as_str);
        !matches!(kind, "thinking" | "redacted_thinking") && text != Some("")
    };
    let steady = |block: &Value| {
        !block
            .get("text")
            .and_then(Value::as_str)
            .is_some_and(is_environment)
    };
    let place = blocks
        .iter()
        .rposition(|block| may(block) && steady(block))
        .or_else(|| blocks.iter().rposition(may));
    let Some(block) = place.and_then(|at| blocks[at].as_object_mut()) else {
        return false;
    };
    block.insert("cache_control".into(), ephemeral());
    true
}

/// Marks a chat message: its content becomes a list of blocks, since only a block can carry the mark; a tool's output
/// carries it on the message.
pub fn mark_message(message: &mut Map<String, Value>) {
    if message.get("role").and_then(Value::as_str) == Some("tool") {
        message.insert("cache_control".into(), ephemeral());
        return;
    }
    match message.get_mut("content") {
        Some(Value::String(text)) if !text.is_empty() => {
            let block =
                json!({"type": "text", "text": std::mem::take(text), "cache_control": ephemeral()});
            message.insert("content".into(), Value::Array(vec![block]));
        }
        Some(Value::Array(blocks)) => {
            mark_last(blocks);
        }
        _ => {}
    }
}

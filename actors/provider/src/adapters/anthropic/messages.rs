//! The conversation as messages of blocks: user and assistant in turns, tool outputs in the user's turn.

use crate::rules::{marks, text};
use kilo_ports::provider::{
    AssistantContent, ModelInfo, ModelMessage, ModelRequest, ToolResult, UserContent,
};
use serde_json::{Map, Value, json};

/// The system texts as blocks, the first two marked. `None` if there is no text.
pub(super) fn system(texts: &[String]) -> Option<Value> {
    let mut blocks: Vec<Value> = Vec::new();
    for text in texts.iter().filter(|text| !text.trim().is_empty()) {
        let mut block = json!({"type": "text", "text": text});
        if blocks.len() < marks::SYSTEM_MARKS {
            block["cache_control"] = marks::ephemeral();
        }
        blocks.push(block);
    }
    (!blocks.is_empty()).then_some(Value::Array(blocks))
}

/// All messages of `request`; neighbours of the same role are one, and the last two carry a cache mark.
pub(super) fn messages(request: &ModelRequest) -> Vec<Value> {
    let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
    for message in &request.messages {
        let (role, blocks) = match message {
            ModelMessage::User(content) => ("user", user(&request.model, content)),
            ModelMessage::Assistant(content) => ("assistant", assistant(content)),
            ModelMessage::Tool(results) => (
                "user",
                results
                    .iter()
                    .map(|r| tool_result(&request.model, r))
                    .collect(),
            ),
        };
        match turns.last_mut() {
            _ if blocks.is_empty() => {}
            Some((last, before)) if *last == role => before.extend(blocks),
            _ => turns.push((role, blocks)),
        }
    }
    trim_last(&mut turns);
    let last = turns.len().saturating_sub(marks::MESSAGE_MARKS);
    for (_, blocks) in &mut turns[last..] {
        marks::mark_last(blocks);
    }
    turns
        .into_iter()
        .map(|(role, content)| json!({"role": role, "content": content}))
        .collect()
}

/// An answer that the model shall go on with must not end in white space.
fn trim_last(turns: &mut [(&str, Vec<Value>)]) {
    if let Some(("assistant", blocks)) = turns.last_mut()
        && let Some(Value::String(text)) = blocks.last_mut().and_then(|block| block.get_mut("text"))
    {
        text.truncate(text.trim_end().len());
    }
}

fn user(model: &ModelInfo, content: &[UserContent]) -> Vec<Value> {
    let mut blocks = Vec::new();
    for part in content {
        match part {
            UserContent::Text(text) => blocks.extend(text_block(text)),
            UserContent::File {
                mime,
                filename,
                data,
            } => blocks.push(file(model, mime, filename.as_deref(), data)),
        }
    }
    blocks
}

/// Empty texts are refused, so they are left out.
fn text_block(text: &str) -> Option<Value> {
    (!text.trim().is_empty()).then(|| json!({"type": "text", "text": text}))
}

fn file(model: &ModelInfo, mime: &str, filename: Option<&str>, data: &str) -> Value {
    let source = || json!({"type": "base64", "media_type": mime, "data": data});
    if mime.starts_with("image/") && model.images {
        json!({"type": "image", "source": source()})
    } else if mime == "application/pdf" && model.pdf {
        let mut block = json!({"type": "document", "source": source()});
        if let Some(name) = filename {
            block["title"] = name.into();
        }
        block
    } else {
        json!({"type": "text", "text": text::untaken(mime, filename)})
    }
}

fn assistant(content: &[AssistantContent]) -> Vec<Value> {
    let mut blocks = Vec::new();
    for part in content {
        match part {
            AssistantContent::Text(text) => blocks.extend(text_block(text)),
            AssistantContent::Reasoning { text, metadata } => {
                blocks.extend(thinking(text, metadata.as_ref()))
            }
            AssistantContent::ToolCall { id, name, input } => {
                let input = if input.is_object() {
                    input.clone()
                } else {
                    json!({"value": input})
                };
                blocks.push(json!({"type": "tool_use", "id": text::claude_id(id), "name": name, "input": input}));
            }
        }
    }
    blocks
}

/// Reasoning goes back as it came, with its signature; without one it is refused, so it stays away.
fn thinking(text: &str, metadata: Option<&Map<String, Value>>) -> Option<Value> {
    let own = metadata?.get("anthropic")?;
    if let Some(data) = own.get("redactedData").and_then(Value::as_str) {
        return Some(json!({"type": "redacted_thinking", "data": data}));
    }
    let signature = own.get("signature").and_then(Value::as_str)?;
    Some(json!({"type": "thinking", "thinking": text, "signature": signature}))
}

fn tool_result(model: &ModelInfo, result: &ToolResult) -> Value {
    let content: Value = if result.files.is_empty() {
        result.output.clone().into()
    } else {
        let files = result
            .files
            .iter()
            .map(|(mime, data)| file(model, mime, None, data));
        text_block(&result.output)
            .into_iter()
            .chain(files)
            .collect()
    };
    let mut block = json!({"type": "tool_result", "tool_use_id": text::claude_id(&result.id), "content": content});
    if result.is_error {
        block["is_error"] = true.into();
    }
    block
}

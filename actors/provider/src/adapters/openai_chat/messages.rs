//! The conversation as chat messages.

use crate::rules::{self, marks, text};
use kilo_ports::provider::{
    AssistantContent, ModelInfo, ModelMessage, ModelRequest, ToolResult, UserContent,
};
use kilo_protocol::data_url;
use serde_json::{Map, Value, json};

/// Says what follows a tool's output that came with files, since a tool message can carry text only.
const FILES_OF_TOOL: &str = "The files that the tool call above returned:";

/// What the model says between a tool's output and a user's words, where a provider wants it to say something.
const FILLER: &str = "Done.";

/// All messages of `request`, the system's first.
pub(super) fn messages(request: &ModelRequest) -> Vec<Value> {
    let model = &*request.model;
    let marked = takes_marks(model);
    let mut out = system(&request.system, marked);
    let systems = out.len();
    for message in &request.messages {
        match message {
            ModelMessage::User(content) => {
                if rules::is_mistral(model) {
                    fill_gap(&mut out);
                }
                out.push(message_of("user", user_content(model, content)));
            }
            ModelMessage::Assistant(content) => out.extend(assistant(model, content)),
            ModelMessage::Tool(results) => tool_results(model, results, &mut out),
        }
    }
    if marked {
        mark(&mut out, systems);
    }
    out.into_iter().map(Value::Object).collect()
}

/// One message with all texts, since many chat templates take one only; two where each of them gets a cache mark.
fn system(texts: &[String], marked: bool) -> Vec<Map<String, Value>> {
    let texts: Vec<&str> = texts
        .iter()
        .map(String::as_str)
        .filter(|text| !text.is_empty())
        .collect();
    let (first, rest) = texts.split_at(if marked { texts.len().min(1) } else { 0 });
    let joined = [first.join("\n\n"), rest.join("\n\n")];
    joined
        .into_iter()
        .filter(|text| !text.is_empty())
        .map(|text| message_of("system", text.into()))
        .collect()
}

fn message_of(role: &str, content: Value) -> Map<String, Value> {
    let mut message = Map::new();
    message.insert("role".into(), role.into());
    message.insert("content".into(), content);
    message
}

fn user_content(model: &ModelInfo, content: &[UserContent]) -> Value {
    if let [UserContent::Text(text)] = content {
        return text.clone().into();
    }
    content.iter().map(|part| user_part(model, part)).collect()
}

fn user_part(model: &ModelInfo, part: &UserContent) -> Value {
    match part {
        UserContent::Text(text) => json!({"type": "text", "text": text}),
        UserContent::File {
            mime,
            filename,
            data,
        } => file(model, mime, filename.as_deref(), data),
    }
}

fn file(model: &ModelInfo, mime: &str, filename: Option<&str>, data: &str) -> Value {
    let url = || data_url::of_base64(mime, data);
    if mime.starts_with("image/") && model.images {
        json!({"type": "image_url", "image_url": {"url": url()}})
    } else if mime == "application/pdf" && model.pdf {
        let name = filename.unwrap_or("document.pdf");
        json!({"type": "file", "file": {"filename": name, "file_data": url()}})
    } else {
        json!({"type": "text", "text": text::untaken(mime, filename)})
    }
}

/// `None` if nothing is left to send.
fn assistant(model: &ModelInfo, content: &[AssistantContent]) -> Option<Map<String, Value>> {
    let (mut said, mut thought) = (String::new(), String::new());
    let (mut calls, mut details) = (Vec::new(), Vec::new());
    for part in content {
        match part {
            AssistantContent::Text(text) => said.push_str(text),
            AssistantContent::Reasoning { text, metadata } => {
                thought.push_str(text);
                let blocks = metadata
                    .as_ref()
                    .and_then(|m| m.get("openrouter")?.get("reasoning_details")?.as_array());
                details.extend(blocks.into_iter().flatten().cloned());
            }
            AssistantContent::ToolCall { id, name, input } => {
                calls.push(tool_call(model, id, name, input))
            }
        }
    }
    if said.is_empty() && calls.is_empty() {
        return None;
    }
    let said = if said.is_empty() {
        Value::Null
    } else {
        said.into()
    };
    let mut message = message_of("assistant", said);
    if !calls.is_empty() {
        message.insert("tool_calls".into(), calls.into());
    }
    replay(model, thought, details, &mut message);
    Some(message)
}

/// Gives reasoning back in the form that the model reads; others would refuse the field or ignore it.
fn replay(
    model: &ModelInfo,
    thought: String,
    details: Vec<Value>,
    message: &mut Map<String, Value>,
) {
    let wants_details =
        rules::is_openrouter(model) || model.interleaved.as_deref() == Some("reasoning_details");
    if wants_details {
        if !details.is_empty() {
            message.insert("reasoning_details".into(), details.into());
        }
        return;
    }
    // DeepSeek refuses a turn of its own without the field, even an empty one.
    let deepseek = model.reasoning && model.api_id.to_lowercase().contains("deepseek");
    let field = model
        .interleaved
        .as_deref()
        .or(deepseek.then_some("reasoning_content"));
    if let Some(field) = field.filter(|_| deepseek || !thought.is_empty()) {
        message.insert(field.into(), thought.into());
    }
}

fn tool_call(model: &ModelInfo, id: &str, name: &str, input: &Value) -> Value {
    let arguments = if input.is_null() {
        "{}".into()
    } else {
        input.to_string()
    };
    let mut call = json!({
        "id": call_id(model, id), "type": "function", "function": {"name": name, "arguments": arguments},
    });
    if model.npm == "@ai-sdk/google" && model.api_id.contains("gemini-3") {
        // Calls are refused without a signature; this is the documented word for one that was not kept.
        call["extra_content"] =
            json!({"google": {"thought_signature": "skip_thought_signature_validator"}});
    }
    call
}

fn call_id(model: &ModelInfo, id: &str) -> String {
    if rules::is_mistral(model) {
        text::mistral_id(id)
    } else if rules::is_claude(model) {
        text::claude_id(id)
    } else {
        id.to_owned()
    }
}

fn tool_results(model: &ModelInfo, results: &[ToolResult], out: &mut Vec<Map<String, Value>>) {
    let mut files = Vec::new();
    for result in results {
        let mut message = message_of("tool", result.output.clone().into());
        message.insert("tool_call_id".into(), call_id(model, &result.id).into());
        out.push(message);
        files.extend(
            result
                .files
                .iter()
                .map(|(mime, data)| file(model, mime, None, data)),
        );
    }
    if files.is_empty() {
        return;
    }
    if rules::is_mistral(model) {
        fill_gap(out);
    }
    files.insert(0, json!({"type": "text", "text": FILES_OF_TOOL}));
    out.push(message_of("user", files.into()));
}

fn fill_gap(out: &mut Vec<Map<String, Value>>) {
    if out
        .last()
        .and_then(|message| message.get("role"))
        .and_then(Value::as_str)
        == Some("tool")
    {
        out.push(message_of("assistant", FILLER.into()));
    }
}

/// Claude behind OpenRouter and gateways of its kind keeps a prefix only where a mark is.
fn takes_marks(model: &ModelInfo) -> bool {
    let gateway =
        rules::is_openrouter(model) || matches!(model.provider_id.as_str(), "openrouter" | "kilo");
    gateway && rules::is_claude(model) && !model.options.contains_key("cache_control")
}

fn mark(messages: &mut [Map<String, Value>], systems: usize) {
    let (system, rest) = messages.split_at_mut(systems);
    let last = rest.len().saturating_sub(marks::MESSAGE_MARKS);
    for message in system
        .iter_mut()
        .take(marks::SYSTEM_MARKS)
        .chain(&mut rest[last..])
    {
        marks::mark_message(message);
    }
}

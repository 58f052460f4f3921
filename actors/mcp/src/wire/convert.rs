//! From `rmcp`'s types to ours.

#![expect(
    deprecated,
    reason = "logging is on its way out of the protocol, and in use"
)]

use super::CallError;
use crate::model::{CallAnswer, Facts, PromptInfo, ResourceInfo, TemplateInfo, ToolInfo};
use kilo_ports::cut;
use rmcp::model::{
    CallToolResult, LoggingMessageNotificationParam, Prompt, PromptMessage, Resource,
    ResourceTemplate, ServerPeerInfo, ServerResult, Tool,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Bytes of a tool's description that a model gets.
const DESCRIPTION_BYTES_MAX: usize = 16 << 10;
/// Bytes of a tool's schema.
const SCHEMA_BYTES_MAX: usize = 256 << 10;
/// Bytes of a server's instructions.
const INSTRUCTIONS_BYTES_MAX: usize = 16 << 10;
/// Bytes of a line of a server's log.
const LOG_BYTES_MAX: usize = 1 << 10;

pub fn value(item: &impl Serialize) -> Value {
    serde_json::to_value(item).unwrap_or_default()
}

pub fn facts(info: &ServerPeerInfo) -> Facts {
    let can = &info.capabilities;
    let instructions = info.instructions.as_deref().map(str::trim);
    Facts {
        instructions: instructions
            .filter(|text| !text.is_empty())
            .map(|text| cut::start(text, INSTRUCTIONS_BYTES_MAX).to_owned()),
        tools: can.tools.is_some(),
        prompts: can.prompts.is_some(),
        resources: can.resources.is_some(),
        subscribe: can.resources.as_ref().and_then(|can| can.subscribe) == Some(true),
        logging: can.logging.is_some(),
    }
}

/// A tool; `None` where its schema is too large for any model.
pub fn tool(tool: Tool) -> Option<ToolInfo> {
    let mut schema = tool.input_schema.as_ref().clone();
    // Providers refuse a schema that is not an object's, and with it every tool of the request.
    if schema.get("type") != Some(&"object".into()) {
        schema.insert("type".into(), "object".into());
    }
    if !schema.get("properties").is_some_and(Value::is_object) {
        schema.insert("properties".into(), json!({}));
    }
    let is_list = |value: &Value| {
        let names = value.as_array();
        names.is_some_and(|names| names.iter().all(Value::is_string))
    };
    if schema.get("required").is_some_and(|names| !is_list(names)) {
        schema.remove("required");
    }
    let schema = Value::Object(schema);
    let bytes = schema.to_string().len();
    if bytes > SCHEMA_BYTES_MAX {
        tracing::warn!(tool = %tool.name, bytes, "the schema of an MCP server's tool is too large: it is left out");
        return None;
    }
    let description = tool.description.as_deref().or(tool.title.as_deref());
    let hints = tool.annotations.as_ref();
    Some(ToolInfo {
        name: tool.name.to_string(),
        description: cut::start(description.unwrap_or_default(), DESCRIPTION_BYTES_MAX).to_owned(),
        schema: Arc::new(schema),
        read_only: hints.and_then(|hints| hints.read_only_hint) == Some(true),
    })
}

pub fn prompt(prompt: Prompt) -> PromptInfo {
    let arguments = prompt.arguments.unwrap_or_default().into_iter();
    PromptInfo {
        name: prompt.name,
        description: prompt.description.or(prompt.title),
        arguments: arguments
            .map(|argument| (argument.name, argument.required == Some(true)))
            .collect(),
    }
}

pub fn resource(resource: Resource) -> ResourceInfo {
    ResourceInfo {
        name: resource.name,
        uri: resource.uri,
        description: resource.description,
        mime_type: resource.mime_type,
    }
}

pub fn template(template: ResourceTemplate) -> TemplateInfo {
    TemplateInfo {
        name: template.name,
        uri_template: template.uri_template,
        description: template.description,
        mime_type: template.mime_type,
    }
}

pub fn message(message: &PromptMessage) -> (String, Value) {
    let role = value(&message.role);
    let role = role.as_str().unwrap_or("user").to_owned();
    (role, value(&message.content))
}

/// The answer to a call. One without any known field, an empty object say, is an empty answer.
pub fn call_answer(result: ServerResult) -> Result<CallAnswer, CallError> {
    let result = match result {
        ServerResult::CallToolResult(result) => result,
        ServerResult::EmptyResult(_) => CallToolResult::default(),
        _ => {
            let why = "the server's answer is none to a call of a tool";
            return Err(CallError::Failed(why.into()));
        }
    };
    Ok(CallAnswer {
        content: result.content.iter().map(value).collect(),
        structured: result.structured_content,
        is_error: result.is_error == Some(true),
    })
}

/// The level and the text of a log line.
pub fn log_line(params: &LoggingMessageNotificationParam) -> (String, String) {
    let level = value(&params.level);
    let text = match &params.data {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let text = cut::start(&text, LOG_BYTES_MAX).to_owned();
    (level.as_str().unwrap_or("info").to_owned(), text)
}

//! Writes a request of the Messages protocol.

use super::messages;
use crate::adapters::body::{Body, Call, address};
use crate::rules::{self, family, options};
use kilo_ports::provider::{ModelInfo, ModelRequest, Protocol, ProviderError, ToolOffer};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The protocol's version.
const VERSION: &str = "2023-06-01";

/// Lets the model think between two tool calls of one turn.
const BETA_INTERLEAVED: &str = "interleaved-thinking-2025-05-14";

/// Lets models take an effort that came before the field was for all.
const BETA_EFFORT: &str = "effort-2025-11-24";

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    description: &'a str,
    input_schema: &'a Value,
}

/// See [`crate::adapters::call`].
pub fn call(request: &ModelRequest) -> Result<Call, ProviderError> {
    let model = &*request.model;
    let fields = fields(request);
    let headers = headers(model, &fields);
    let body = Body {
        fields,
        system: messages::system(&request.system),
        messages: messages::messages(request),
        tools: request.tools.iter().map(tool).collect(),
    };
    Ok(Call {
        url: address(&model.base_url, "/messages")?,
        headers,
        body: body.to_bytes()?,
    })
}

fn tool(offer: &ToolOffer) -> Tool<'_> {
    Tool {
        name: &offer.name,
        description: &offer.description,
        input_schema: &offer.parameters,
    }
}

fn headers(model: &ModelInfo, fields: &Map<String, Value>) -> Vec<(String, String)> {
    let mut headers = vec![("anthropic-version".into(), VERSION.into())];
    if let Some(key) = &model.api_key {
        headers.push(("x-api-key".into(), key.clone()));
    }
    let mut betas = Vec::new();
    if rules::is_claude(model) && is_thinking(fields) {
        betas.push(BETA_INTERLEAVED);
    }
    if fields.contains_key("output_config") && model.api_id.contains("4-5") {
        betas.push(BETA_EFFORT);
    }
    if !betas.is_empty() {
        headers.push(("anthropic-beta".into(), betas.join(",")));
    }
    headers
}

fn is_thinking(fields: &Map<String, Value>) -> bool {
    let kind = fields
        .get("thinking")
        .and_then(|thinking| thinking.get("type"))
        .and_then(Value::as_str);
    kind.is_some_and(|kind| kind != "disabled")
}

/// Everything but system, messages and tools.
fn fields(request: &ModelRequest) -> Map<String, Value> {
    let model = &*request.model;
    let over = options::body_fields(request, Protocol::AnthropicMessages);
    let thinking = is_thinking(&over);
    let mut fields = Map::new();
    fields.insert("model".into(), model.api_id.clone().into());
    fields.insert("max_tokens".into(), max_tokens(request, &over).into());
    if !thinking {
        // A model that thinks refuses both.
        sampling(request, &mut fields);
    }
    fields.insert("stream".into(), true.into());
    if !request.tools.is_empty() {
        // While it thinks, a model cannot be made to call a tool.
        let choice = if request.tool_required && !thinking {
            "any"
        } else {
            "auto"
        };
        fields.insert("tool_choice".into(), json!({"type": choice}));
    }
    rules::merge(&mut fields, &over);
    for long in ["messages", "tools", "system"] {
        fields.remove(long);
    }
    fields
}

/// The thinking budget comes on top of what the answer may have, up to what the model can give.
fn max_tokens(request: &ModelRequest, over: &Map<String, Value>) -> u64 {
    let budget = over
        .get("thinking")
        .and_then(|thinking| thinking.get("budget_tokens"))
        .and_then(Value::as_u64);
    let wanted = request.output_max.max(1) + budget.unwrap_or(0);
    match request.model.output {
        0 => wanted,
        output => wanted.min(output.max(request.output_max)),
    }
}

fn sampling(request: &ModelRequest, fields: &mut Map<String, Value>) {
    let family = family::sampling(&request.model);
    let temperature = request
        .temperature
        .filter(|_| request.model.temperature)
        .or(family.temperature);
    let top_p = request.top_p.or(family.top_p);
    for (name, value) in [("temperature", temperature), ("top_p", top_p)] {
        if let Some(value) = value {
            fields.insert(name.into(), value.into());
        }
    }
    if let Some(top_k) = family.top_k {
        fields.insert("top_k".into(), top_k.into());
    }
}

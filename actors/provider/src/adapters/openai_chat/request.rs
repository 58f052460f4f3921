//! Writes a chat request.

use super::messages;
use crate::adapters::body::{Body, Call, address};
use crate::rules::{self, CACHE_KEY_KEY, family, options};
use kilo_ports::provider::{ModelInfo, ModelRequest, Protocol, ProviderError, ToolOffer};
use serde::Serialize;
use serde_json::{Map, Value, json};

#[derive(Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a Value,
}

/// See [`crate::adapters::call`].
pub fn call(request: &ModelRequest) -> Result<Call, ProviderError> {
    let model = &*request.model;
    let body = Body {
        fields: fields(request),
        system: None,
        messages: messages::messages(request),
        tools: request.tools.iter().map(tool).collect(),
    };
    Ok(Call {
        url: address(&model.base_url, "/chat/completions")?,
        headers: headers(model),
        body: body.to_bytes()?,
    })
}

fn tool(offer: &ToolOffer) -> Tool<'_> {
    let function = Function {
        name: &offer.name,
        description: &offer.description,
        parameters: &offer.parameters,
    };
    Tool {
        r#type: "function",
        function,
    }
}

fn headers(model: &ModelInfo) -> Vec<(String, String)> {
    let Some(key) = &model.api_key else {
        return Vec::new();
    };
    if model.npm == "@ai-sdk/azure" {
        return vec![("api-key".into(), key.clone())];
    }
    vec![("authorization".into(), format!("Bearer {key}"))]
}

/// Everything but messages and tools. The configuration's options win over what follows from the model's family.
fn fields(request: &ModelRequest) -> Map<String, Value> {
    let model = &*request.model;
    let mut fields = Map::new();
    fields.insert("model".into(), model.api_id.clone().into());
    let over = options::body_fields(request, Protocol::OpenaiChat);
    limit(request, &over, &mut fields);
    sampling(request, &mut fields);
    fields.insert("stream".into(), true.into());
    if model.npm != "@ai-sdk/mistral" {
        // Mistral refuses the field and counts without being asked.
        fields.insert("stream_options".into(), json!({"include_usage": true}));
    }
    if !request.tools.is_empty() {
        fields.insert("tool_choice".into(), tool_choice(request).into());
    }
    if wants_cache_key(model) {
        fields.insert("prompt_cache_key".into(), request.session.clone().into());
    }
    if rules::is_openrouter(model) {
        fields.insert("usage".into(), json!({"include": true}));
    }
    if matches!(model.npm.as_str(), "@ai-sdk/openai" | "@ai-sdk/azure") {
        fields.insert("store".into(), false.into());
    }
    if model.reasoning && glm_service(model) {
        fields.insert(
            "thinking".into(),
            json!({"type": "enabled", "clear_thinking": false}),
        );
    }
    rules::merge(&mut fields, &over);
    for long in ["messages", "tools", "system"] {
        fields.remove(long);
    }
    fields
}

/// The models of OpenAI that reason know the limit by another name and refuse the old one.
fn limit(request: &ModelRequest, over: &Map<String, Value>, fields: &mut Map<String, Value>) {
    let model = &*request.model;
    let own = matches!(model.npm.as_str(), "@ai-sdk/openai" | "@ai-sdk/azure");
    let name = if own && model.reasoning {
        "max_completion_tokens"
    } else {
        "max_tokens"
    };
    let set = ["max_tokens", "max_completion_tokens"]
        .iter()
        .any(|name| over.contains_key(*name));
    if request.output_max > 0 && !set {
        fields.insert(name.into(), request.output_max.into());
    }
}

fn sampling(request: &ModelRequest, fields: &mut Map<String, Value>) {
    let model = &*request.model;
    let family = family::sampling(model);
    let temperature = request
        .temperature
        .filter(|_| model.temperature)
        .or(family.temperature);
    if let Some(temperature) = temperature {
        fields.insert("temperature".into(), temperature.into());
    }
    if let Some(top_p) = request.top_p.or(family.top_p) {
        fields.insert("top_p".into(), top_p.into());
    }
    // The original protocol knows no top_k; its own service and Google's copy refuse the field.
    let takes_top_k = !matches!(
        model.npm.as_str(),
        "@ai-sdk/google" | "@ai-sdk/openai" | "@ai-sdk/azure"
    );
    if let Some(top_k) = family.top_k.filter(|_| takes_top_k) {
        fields.insert("top_k".into(), top_k.into());
    }
}

fn tool_choice(request: &ModelRequest) -> &'static str {
    match request.tool_required {
        true if request.model.npm == "@ai-sdk/mistral" => "any",
        true => "required",
        false => "auto",
    }
}

/// Providers that keep a session's prompts together if they are given a key; `setCacheKey` decides otherwise.
fn wants_cache_key(model: &ModelInfo) -> bool {
    if let Some(set) = model.options.get(CACHE_KEY_KEY).and_then(Value::as_bool) {
        return set;
    }
    const TAKERS: [&str; 7] = [
        "@ai-sdk/openai",
        "@ai-sdk/azure",
        "@ai-sdk/xai",
        "@ai-sdk/mistral",
        "@ai-sdk/deepinfra",
        "@ai-sdk/cerebras",
        "venice-ai-sdk-provider",
    ];
    TAKERS.contains(&model.npm.as_str())
}

fn glm_service(model: &ModelInfo) -> bool {
    model.provider_id.starts_with("zai") || model.provider_id.starts_with("zhipuai")
}

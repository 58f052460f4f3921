//! Options as configurations write them (camel case, as the reference does) and as the wires want them.

use super::{VARIANTS_KEY, merge, variants};
use kilo_ports::provider::{ModelRequest, Protocol};
use serde_json::{Map, Value, json};

/// The body fields of a request beyond the fixed ones: the model's options, above them the agent's, above them the
/// variant's.
pub fn body_fields(request: &ModelRequest, protocol: Protocol) -> Map<String, Value> {
    let mut options = request.model.options.clone();
    merge(&mut options, &request.options);
    if let Some(variant) = &request.variant {
        merge(&mut options, &variant_options(request, variant));
    }
    let mut fields = Map::new();
    for (key, value) in options {
        if !key.starts_with('$') {
            put(&mut fields, protocol, key, value);
        }
    }
    fields
}

/// The options of a variant: the configuration's, else those that follow from the model's name.
fn variant_options(request: &ModelRequest, name: &str) -> Map<String, Value> {
    let own = request
        .model
        .options
        .get(VARIANTS_KEY)
        .and_then(|variants| variants.get(name));
    let known = || variants::of_model(&request.model).remove(name);
    match own.cloned().or_else(known) {
        Some(Value::Object(options)) => options
            .into_iter()
            .filter(|(key, _)| key != "disabled")
            .collect(),
        _ => Map::new(),
    }
}

fn put(fields: &mut Map<String, Value>, protocol: Protocol, key: String, value: Value) {
    let name = match (protocol, key.as_str()) {
        // Settings of the original's client library that are no part of a body.
        (
            _,
            "sendReasoning" | "toolStreaming" | "cacheControl" | "structuredOutputs"
            | "reasoningSummary" | "include",
        ) => return,
        (_, "extraBody") => {
            if let Value::Object(extra) = &value {
                merge(fields, extra);
            }
            return;
        }
        (_, "thinking") => {
            fields.insert(key, thinking(value));
            return;
        }
        (Protocol::AnthropicMessages, "effort") => {
            let config = json!({"output_config": {"effort": value}});
            merge(fields, config.as_object().unwrap_or(&Map::new()));
            return;
        }
        (Protocol::OpenaiChat, "textVerbosity") => "verbosity",
        (_, "reasoningEffort") => "reasoning_effort",
        (_, "serviceTier") => "service_tier",
        (_, "promptCacheKey") => "prompt_cache_key",
        (_, "parallelToolCalls") => "parallel_tool_calls",
        (_, "maxCompletionTokens") => "max_completion_tokens",
        (_, "safetyIdentifier") => "safety_identifier",
        (_, "logitBias") => "logit_bias",
        (_, "topP") => "top_p",
        (_, "topK") => "top_k",
        (_, other) => other,
    };
    fields.insert(name.to_owned(), value);
}

fn thinking(value: Value) -> Value {
    let Value::Object(mut thinking) = value else {
        return value;
    };
    if let Some(budget) = thinking.remove("budgetTokens") {
        thinking.insert("budget_tokens".into(), budget);
    }
    Value::Object(thinking)
}

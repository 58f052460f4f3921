//! What differs from model to model within one wire: pure functions of the model's name and its package.

pub mod family;
pub mod marks;
pub mod options;
pub mod text;
pub mod variants;

use kilo_ports::provider::ModelInfo;
use serde_json::{Map, Value};

/// The key in `ModelInfo::options` that holds the configuration's own variants. Keys with a dollar are never sent.
pub const VARIANTS_KEY: &str = "$variants";

/// The key in `ModelInfo::options` that holds the configuration's `setCacheKey`.
pub const CACHE_KEY_KEY: &str = "$setCacheKey";

/// Puts `over` above `base`: objects are merged, everything else is replaced.
pub fn merge(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Object(below)), Value::Object(above)) => merge(below, above),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// The model is a Claude, on whatever provider.
pub fn is_claude(model: &ModelInfo) -> bool {
    let id = model.api_id.to_lowercase();
    id.contains("claude") || id.starts_with("anthropic/")
}

/// The model speaks to Mistral's own service, which is strict about ids and turns.
pub fn is_mistral(model: &ModelInfo) -> bool {
    model.npm == "@ai-sdk/mistral"
        || model.provider_id == "mistral"
        || model.api_id.to_lowercase().contains("devstral")
}

/// The provider is OpenRouter or speaks its dialect.
pub fn is_openrouter(model: &ModelInfo) -> bool {
    model.npm == "@openrouter/ai-sdk-provider" || model.base_url.contains("openrouter.ai")
}

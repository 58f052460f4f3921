//! One model with everything needed to call it.

use super::merged::{MergedModel, MergedProvider, NPM_DEFAULT};
use super::sources::Sources;
use super::{address, merge};
use crate::rules::{CACHE_KEY_KEY, VARIANTS_KEY};
use kilo_ports::provider::{ModelInfo, Price};
use serde_json::{Map, Value};

/// Milliseconds to the first byte of an answer, unless the configuration says otherwise.
pub const FIRST_BYTE_MS: u64 = 120_000;

/// Milliseconds between two reads of an answer, unless the configuration says otherwise.
pub const GAP_MS: u64 = 120_000;

/// The bound that stands for none, in milliseconds: an hour.
const UNBOUNDED_MS: u64 = 3_600_000;

/// How many names an error offers instead of an unknown one.
const CLOSE_MAX: usize = 5;

/// A model cannot be called because nobody knows it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// No source names the provider.
    #[error("Provider not found: {provider}.{}", did_you_mean(close))]
    UnknownProvider {
        /// What was asked for.
        provider: String,
        /// Names that look alike, the closest first.
        close: Vec<String>,
    },
    /// The provider is there, but not the model.
    #[error("Model not found: {provider}/{model}.{}", did_you_mean(close))]
    UnknownModel {
        /// The provider.
        provider: String,
        /// What was asked for.
        model: String,
        /// Names that look alike, the closest first.
        close: Vec<String>,
    },
    /// The configuration switches the provider off.
    #[error("the provider {provider} is switched off in the configuration")]
    Disabled {
        /// The provider.
        provider: String,
    },
}

fn did_you_mean(close: &[String]) -> String {
    match close.is_empty() {
        true => String::new(),
        false => format!(" Did you mean: {}?", close.join(", ")),
    }
}

/// Everything needed to call `model` of `provider`. Reads that one provider from the catalogue.
///
/// A provider without a key is no error here: its own answer says better what is missing.
pub fn resolve_model(
    sources: &Sources,
    provider: &str,
    model: &str,
) -> Result<ModelInfo, ResolveError> {
    if !merge::is_enabled(sources, provider) {
        return Err(ResolveError::Disabled {
            provider: provider.to_owned(),
        });
    }
    let Some(merged) = merge::provider(sources, provider) else {
        let close = close(
            provider,
            merge::known_ids(sources).iter().map(String::as_str),
        );
        return Err(ResolveError::UnknownProvider {
            provider: provider.to_owned(),
            close,
        });
    };
    match merged.models.get(model) {
        Some(found) => Ok(info(sources, &merged, found)),
        None => Err(ResolveError::UnknownModel {
            provider: provider.to_owned(),
            model: model.to_owned(),
            close: close(model, merged.models.keys().map(String::as_str)),
        }),
    }
}

/// A model about which nothing but its names is known: no key, no limits, chat protocol, no address.
pub fn blank_model(provider: &str, model: &str) -> ModelInfo {
    ModelInfo {
        provider_id: provider.to_owned(),
        model_id: model.to_owned(),
        api_id: model.to_owned(),
        name: model.to_owned(),
        protocol: Some(kilo_ports::provider::Protocol::OpenaiChat),
        npm: NPM_DEFAULT.to_owned(),
        base_url: String::new(),
        api_key: None,
        headers: Vec::new(),
        context: 0,
        input_limit: None,
        output: 0,
        tool_call: true,
        reasoning: false,
        temperature: false,
        images: false,
        pdf: false,
        cost: Price::default(),
        interleaved: None,
        options: Map::new(),
        first_byte_ms: FIRST_BYTE_MS,
        gap_ms: GAP_MS,
    }
}

fn info(sources: &Sources, provider: &MergedProvider, merged: &MergedModel) -> ModelInfo {
    let model = &merged.model;
    let takes = |kind: &str| model.modalities.input.iter().any(|input| input == kind);
    let base_url = address::base_url(sources, provider, merged);
    let mut options = merged.options.clone();
    if let Some(variants) = &merged.variants {
        options.insert(VARIANTS_KEY.into(), variants.clone().into());
    }
    if let Some(set @ Value::Bool(_)) = provider.options.get("setCacheKey") {
        options.insert(CACHE_KEY_KEY.into(), set.clone());
    }
    ModelInfo {
        provider_id: provider.id.clone(),
        model_id: merged.id.clone(),
        api_id: merged.api_id.clone(),
        name: model.name.clone(),
        protocol: address::protocol(&merged.npm, &merged.api_id, !base_url.is_empty()),
        npm: merged.npm.clone(),
        base_url,
        api_key: provider.key.clone(),
        headers: headers(provider, merged),
        context: model.limit.context,
        input_limit: model.limit.input,
        output: model.limit.output,
        tool_call: model.tool_call,
        reasoning: model.reasoning,
        temperature: model.temperature.unwrap_or(false),
        images: takes("image"),
        pdf: takes("pdf"),
        cost: Price {
            input: model.cost.input,
            output: model.cost.output,
            cache_read: model.cost.cache_read.unwrap_or(0.0),
            cache_write: model.cost.cache_write.unwrap_or(0.0),
        },
        interleaved: model
            .interleaved
            .as_ref()
            .and_then(|i| i.field())
            .map(str::to_owned),
        options,
        first_byte_ms: bound_ms(provider, &["headerTimeout", "timeout"], FIRST_BYTE_MS),
        gap_ms: bound_ms(provider, &["chunkTimeout"], GAP_MS),
    }
}

/// A bound from the provider's options: milliseconds, or `false` for none.
fn bound_ms(provider: &MergedProvider, keys: &[&str], default_ms: u64) -> u64 {
    match keys.iter().find_map(|key| provider.options.get(*key)) {
        Some(Value::Bool(false)) => UNBOUNDED_MS,
        Some(ms) => ms
            .as_u64()
            .filter(|ms| *ms > 0)
            .unwrap_or(default_ms)
            .min(UNBOUNDED_MS),
        None => default_ms,
    }
}

fn headers(provider: &MergedProvider, model: &MergedModel) -> Vec<(String, String)> {
    let general = provider.options.get("headers").and_then(Value::as_object);
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in general.into_iter().flatten().chain(&model.headers) {
        let Some(value) = value.as_str() else {
            continue;
        };
        headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name)); // the model's own win
        headers.push((name.clone(), value.to_owned()));
    }
    headers
}

/// The names most like `wanted`, the closest first.
fn close<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wanted = wanted.to_lowercase();
    let likeness = |name: &str| {
        let name = name.to_lowercase();
        let contained = name.contains(&wanted) || wanted.contains(&name);
        strsim::jaro_winkler(&wanted, &name) + if contained { 0.15 } else { 0.0 }
    };
    let mut ranked: Vec<(f64, &str)> = names
        .map(|name| (likeness(name), name))
        .filter(|(like, _)| *like > 0.75)
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    ranked
        .into_iter()
        .take(CLOSE_MAX)
        .map(|(_, name)| name.to_owned())
        .collect()
}

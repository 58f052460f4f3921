//! One model out of its catalogue entry and its configuration.

use super::merged::{MergedModel, MergedProvider};
use crate::catalog::{self, Interleaved};
use crate::rules;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A model as the list has it. `npm` is its provider's package.
pub(super) fn listed(id: String, mut model: catalog::Model, npm: &str) -> MergedModel {
    let own = model.provider.take().unwrap_or_default();
    MergedModel {
        api_id: if model.id.is_empty() {
            id.clone()
        } else {
            model.id.clone()
        },
        id,
        npm: own.npm.unwrap_or_else(|| npm.to_owned()),
        api: own.api,
        options: own.body,
        headers: own
            .headers
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect(),
        variants: None,
        place: usize::MAX,
        model,
    }
}

/// A model of the configuration, above the listed one with its name (or with the id it names), if there is one.
pub(super) fn configure(
    provider: &MergedProvider,
    place: usize,
    id: &str,
    config: &Value,
    npm: &str,
) -> MergedModel {
    let text = |key: &str| config.get(key).and_then(Value::as_str);
    let wanted = text("id").unwrap_or(id);
    let known = provider.models.get(wanted);
    let mut merged = known
        .cloned()
        .unwrap_or_else(|| listed(wanted.to_owned(), unlisted(id), npm));
    // Another name for a listed model: people know it by the name they gave it.
    let renamed = text("id").is_some_and(|api_id| api_id != id);
    merged.id = id.to_owned();
    merged.place = place;
    if let Some(api_id) = text("id") {
        merged.api_id = api_id.to_owned();
    } else if known.is_none() {
        merged.api_id = id.to_owned();
    }
    match text("name") {
        Some(name) => merged.model.name = name.to_owned(),
        None if renamed => merged.model.name = id.to_owned(),
        None => {}
    }
    if let Some(own) = config.get("provider") {
        let text = |key: &str| own.get(key).and_then(Value::as_str).map(str::to_owned);
        merged.npm = text("npm").unwrap_or(merged.npm);
        merged.api = text("api").or(merged.api);
    }
    describe(&mut merged.model, config);
    rules::merge(&mut merged.options, &object(config.get("options")));
    rules::merge(&mut merged.headers, &object(config.get("headers")));
    merged.variants = config.get("variants").and_then(Value::as_object).cloned();
    merged
}

/// What is taken for granted about a model that no list knows: text in, text out, tools.
fn unlisted(id: &str) -> catalog::Model {
    let mut model = catalog::Model {
        name: id.to_owned(),
        tool_call: true,
        ..Default::default()
    };
    model.modalities.input = vec!["text".into()];
    model.modalities.output = vec!["text".into()];
    model
}

/// Sets what the configuration says about a model; what has the wrong type is left as it was.
fn describe(model: &mut catalog::Model, config: &Value) {
    let flag = |key: &str| config.get(key).and_then(Value::as_bool);
    let text = |key: &str| config.get(key).and_then(Value::as_str).map(str::to_owned);
    model.tool_call = flag("tool_call").unwrap_or(model.tool_call);
    model.temperature = flag("temperature").or(model.temperature);
    model.attachment = flag("attachment").unwrap_or(model.attachment);
    model.reasoning = flag("reasoning").unwrap_or(model.reasoning);
    model.family = text("family").or(model.family.take());
    model.status = text("status").or(model.status.take());
    model.release_date = text("release_date").unwrap_or(std::mem::take(&mut model.release_date));
    for (list, key) in [
        (&mut model.modalities.input, "input"),
        (&mut model.modalities.output, "output"),
    ] {
        let kinds = config
            .get("modalities")
            .and_then(|modalities| modalities.get(key));
        if let Some(kinds) = kinds.and_then(|kinds| Vec::deserialize(kinds).ok()) {
            *list = kinds;
        }
    }
    if let Some(interleaved) = config
        .get("interleaved")
        .and_then(|i| Interleaved::deserialize(i).ok())
    {
        model.interleaved = Some(interleaved);
    }
    let limit = |key: &str| {
        config
            .get("limit")
            .and_then(|limit| limit.get(key))
            .and_then(Value::as_f64)
            .map(|n| n as u64)
    };
    model.limit.context = limit("context").unwrap_or(model.limit.context);
    model.limit.output = limit("output").unwrap_or(model.limit.output);
    model.limit.input = limit("input").or(model.limit.input);
    let cost = |key: &str| {
        config
            .get("cost")
            .and_then(|cost| cost.get(key))
            .and_then(Value::as_f64)
    };
    model.cost.input = cost("input").unwrap_or(model.cost.input);
    model.cost.output = cost("output").unwrap_or(model.cost.output);
    model.cost.cache_read = cost("cache_read").or(model.cost.cache_read);
    model.cost.cache_write = cost("cache_write").or(model.cost.cache_write);
}

/// The value's object, or an empty one.
pub(super) fn object(value: Option<&Value>) -> Map<String, Value> {
    value
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

//! The second generation's lists of models, providers and ways to connect them.

use super::super::Answer;
use super::{envelope, present};
use crate::daemon::Daemon;
use kilo_edge::Request;
use kilo_protocol::Fault;
use kilo_provider::resolve;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A provider as the first generation lists it.
#[derive(Deserialize)]
struct Provider {
    id: String,
    name: String,
    #[serde(default)]
    options: Map<String, Value>,
    models: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Connected {
    providers: Vec<Provider>,
}

/// The connected providers of a folder.
async fn connected(daemon: &Arc<Daemon>, request: &Request) -> Result<Vec<Provider>, Fault> {
    let folder = daemon.instance(request).await?.folder;
    daemon.folders.look_for_servers().await;
    let folders = Arc::clone(&daemon.folders);
    daemon
        .blocking(move || {
            let json = folders.with_sources(&folder, resolve::config_providers_json);
            let connected: Connected = serde_json::from_slice(&json).map_err(unreadable)?;
            Ok(connected.providers)
        })
        .await
}

fn unreadable(error: serde_json::Error) -> Fault {
    Fault::unknown(format!("the providers cannot be read back: {error}"))
}

pub(super) async fn models(daemon: Arc<Daemon>, request: Request) -> Answer {
    let providers = connected(&daemon, &request).await?;
    let models: Vec<Value> = providers
        .iter()
        .flat_map(|provider| provider.models.values())
        .map(model)
        .collect();
    envelope(&daemon, &request, models).await
}

fn model(model: &Value) -> Value {
    let able = &model["capabilities"];
    let variants = model["variants"].as_object().into_iter().flatten();
    present(json!({
        "id": model["id"],
        "providerID": model["providerID"],
        "family": model.get("family"),
        "name": model["name"],
        "api": interface(&model["api"]["id"], &model["api"]),
        "capabilities": {
            "tools": able["toolcall"],
            "input": kinds(&able["input"]),
            "output": kinds(&able["output"]),
        },
        "request": {"headers": {}, "body": {}},
        "variants": variants.map(|(id, body)| json!({"id": id, "headers": {}, "body": body})).collect::<Vec<_>>(),
        "time": {"released": released(model["release_date"].as_str().unwrap_or_default())},
        "cost": prices(&model["cost"]),
        "status": model["status"],
        "enabled": true,
        "limit": model["limit"],
    }))
}

/// `{id, type, package, url?}` of a model.
fn interface(id: &Value, api: &Value) -> Value {
    let mut interface = library(api);
    interface["id"] = id.clone();
    interface
}

/// `{type, package, url?}`: which library of the first generation speaks to the provider, and where.
fn library(api: &Value) -> Value {
    let url = api["url"].as_str().filter(|url| !url.is_empty());
    present(json!({"type": "aisdk", "package": api["npm"], "url": url}))
}

/// The names of the switches that are on.
fn kinds(switches: &Value) -> Vec<&String> {
    let switches = switches.as_object().into_iter().flatten();
    switches
        .filter(|(_, on)| on.as_bool() == Some(true))
        .map(|(name, _)| name)
        .collect()
}

/// The plain price, then those of longer contexts.
fn prices(cost: &Value) -> Vec<Value> {
    let price = |cost: &Value| {
        present(json!({
            "tier": cost.get("tier"),
            "input": cost["input"],
            "output": cost["output"],
            "cache": cost["cache"],
        }))
    };
    let tiers = cost["tiers"].as_array().into_iter().flatten();
    std::iter::once(cost).chain(tiers).map(price).collect()
}

/// The milliseconds of a date `YYYY-MM-DD`, or of the first of `YYYY-MM`; 0 for anything else.
fn released(date: &str) -> i64 {
    let mut numbers = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (Some(Some(year)), Some(Some(month))) = (numbers.next(), numbers.next()) else {
        return 0;
    };
    let day = numbers.next().flatten().unwrap_or(1);
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return 0;
    }
    // Years begin in March here, so that the leap day is a year's last.
    let (years, months) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = years / 4 - years / 100 + years / 400;
    let days = years * 365 + leap_days + (months * 153 + 2) / 5 + day - 1;
    (days - 719_468) * 86_400_000
}

pub(super) async fn providers(daemon: Arc<Daemon>, request: Request) -> Answer {
    let providers = connected(&daemon, &request).await?;
    let providers: Vec<Value> = providers.iter().map(provider_info).collect();
    envelope(&daemon, &request, providers).await
}

pub(super) async fn provider(daemon: Arc<Daemon>, request: Request) -> Answer {
    let id = request.params.get("providerID");
    let providers = connected(&daemon, &request).await?;
    let found = providers.iter().find(|provider| provider.id == id);
    let found = found.ok_or_else(|| Fault::not_found("Provider", id))?;
    envelope(&daemon, &request, provider_info(found)).await
}

fn provider_info(provider: &Provider) -> Value {
    let mut api = provider
        .models
        .values()
        .next()
        .map_or(json!({}), |model| model["api"].clone());
    if let Some(url) = provider.options.get("baseURL") {
        api["url"] = url.clone();
    }
    json!({
        "id": provider.id,
        "name": provider.name,
        "api": library(&api),
        "request": {"headers": {}, "body": {}},
    })
}

/// A provider of the whole list, without its models.
#[derive(Deserialize)]
struct Known {
    id: String,
    name: String,
    #[serde(default)]
    env: Vec<String>,
}

#[derive(Deserialize)]
struct All {
    all: Vec<Known>,
}

/// Every known provider with the ways to connect it: a key, or a variable of the environment.
pub(super) async fn integrations(daemon: Arc<Daemon>, request: Request) -> Answer {
    let folder = daemon.instance(&request).await?.folder;
    let reader = Arc::clone(&daemon);
    let integrations = daemon
        .blocking(move || {
            let json = reader
                .folders
                .with_sources(&folder, resolve::provider_list_json);
            let known: All = serde_json::from_slice(&json).map_err(unreadable)?;
            let stored = reader.folders.auth().read().unwrap_or_default();
            let is_set = |name: &String| {
                reader
                    .environment
                    .get(name)
                    .is_some_and(|value| !value.is_empty())
            };
            Ok(known
                .all
                .iter()
                .map(|known| integration(known, stored.contains_key(&known.id), is_set))
                .collect::<Vec<_>>())
        })
        .await?;
    envelope(&daemon, &request, integrations).await
}

fn integration(known: &Known, is_stored: bool, is_set: impl Fn(&String) -> bool) -> Value {
    let mut methods = vec![json!({"type": "key"})];
    if !known.env.is_empty() {
        methods.push(json!({"type": "env", "names": known.env}));
    }
    let mut connections = Vec::new();
    if is_stored {
        connections.push(json!({"type": "credential", "id": known.id, "label": known.name}));
    }
    if let Some(name) = known.env.iter().find(|name| is_set(name)) {
        connections.push(json!({"type": "env", "name": name}));
    }
    json!({"id": known.id, "name": known.name, "methods": methods, "connections": connections})
}

#[cfg(test)]
mod tests {
    use super::{kinds, prices, released};
    use serde_json::json;

    #[test]
    fn release_dates_become_milliseconds() {
        assert_eq!(released("1970-01-01"), 0);
        assert_eq!(released("2024-02-29"), 1_709_164_800_000);
        assert_eq!(released("2026-09-22"), 1_790_035_200_000);
        assert_eq!(released("2025-03"), released("2025-03-01"));
        assert_eq!(
            [released(""), released("soon"), released("2025-13-01")],
            [0, 0, 0]
        );
    }

    #[test]
    fn prices_of_longer_contexts_follow_the_plain_one() {
        let plain = json!({"input": 1.0, "output": 2.0, "cache": {"read": 0.1, "write": 0.0}});
        let mut long = plain.clone();
        long["tier"] = json!({"type": "context", "size": 200_000});
        let mut cost = plain.clone();
        cost["tiers"] = json!([long]);
        assert_eq!(prices(&cost), [plain, long]);
    }

    #[test]
    fn only_switches_that_are_on_are_named() {
        assert_eq!(
            kinds(&json!({"image": true, "pdf": false, "text": true})),
            ["image", "text"]
        );
    }
}

//! One provider out of its catalogue entry, its configuration, its key and a local server.

use super::keys::{auth_key, credentials, env_key};
use super::merged::{MergedModel, MergedProvider, NPM_DEFAULT, Origin};
use super::models::{configure, listed, object};
use super::sources::Sources;
use crate::catalog::{self, Head};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Whether the configuration leaves the provider on.
pub(super) fn is_enabled(sources: &Sources, id: &str) -> bool {
    let names = |key: &str| {
        let list = sources.config.get(key).and_then(Value::as_array);
        list.map(|list| list.iter().any(|name| name.as_str() == Some(id)))
    };
    names("enabled_providers").unwrap_or(true) && !names("disabled_providers").unwrap_or(false)
}

/// The ids that any source names, sorted, without those that are switched off.
pub(super) fn known_ids(sources: &Sources) -> Vec<String> {
    let configured = section(sources)
        .into_iter()
        .flatten()
        .map(|(id, _)| id.as_str());
    let local = sources
        .local
        .iter()
        .map(|server| server.provider_id.as_str());
    let mut ids: Vec<&str> = sources
        .catalog
        .provider_ids()
        .chain(configured)
        .chain(local)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter()
        .filter(|id| is_enabled(sources, id))
        .map(str::to_owned)
        .collect()
}

/// The ids that have a key, a configuration or a local server, sorted. Inflates names only.
pub(super) fn connected_ids(sources: &Sources) -> Vec<String> {
    let heads = sources.catalog.heads();
    let connected = |id: &String| {
        let env = heads
            .get(id)
            .is_some_and(|head| env_key(sources, &head.env).is_some());
        let configured = section(sources).is_some_and(|section| section.contains_key(id));
        let stored = sources.auth.get(id).and_then(auth_key).is_some();
        let local = sources.local.iter().any(|server| server.provider_id == *id);
        env || configured || stored || local
    };
    known_ids(sources).into_iter().filter(connected).collect()
}

fn section<'a>(sources: &Sources<'a>) -> Option<&'a Map<String, Value>> {
    sources.config.get("provider")?.as_object()
}

/// The provider `id`; `None` if no source names it or nothing gives it a model.
pub(super) fn provider(sources: &Sources, id: &str) -> Option<MergedProvider> {
    let config = section(sources)
        .and_then(|section| section.get(id))
        .and_then(Value::as_object);
    let local = sources.local.iter().find(|server| server.provider_id == id);
    let listed = sources.catalog.provider(id);
    let is_listed = listed.is_some();
    if !is_listed && config.is_none() && local.is_none() {
        return None;
    }
    let catalog::Provider { mut head, models } = listed.unwrap_or_default();
    let mut models = if local.is_some() {
        BTreeMap::new()
    } else {
        models
    };
    // What a server on this machine has, only it knows: it stands in for the list's models.
    if let Some(server) = local {
        head.name = server.name.clone();
        head.npm = NPM_DEFAULT.into();
        head.api = Some(server.base_url.clone());
        models = server
            .models
            .iter()
            .map(|model| (model.id.clone(), model.to_catalog()))
            .collect();
    }
    let mut merged = overlay(id, head, models, config);
    merged.is_local = local.is_some();
    merged.is_listed = is_listed && local.is_none();
    (merged.key, merged.origin) = credentials(sources, &merged, config.is_some());
    (!merged.models.is_empty()).then_some(merged) // nothing could be chosen from it
}

fn overlay(
    id: &str,
    head: Head,
    models: BTreeMap<String, catalog::Model>,
    config: Option<&Map<String, Value>>,
) -> MergedProvider {
    let text = |key: &str| {
        config
            .and_then(|config| config.get(key)?.as_str())
            .map(str::to_owned)
    };
    let env = config
        .and_then(|config| config.get("env"))
        .and_then(|env| Vec::<String>::deserialize(env).ok());
    let npm = text("npm");
    let listed_npm = if head.npm.is_empty() {
        NPM_DEFAULT.to_owned()
    } else {
        head.npm
    };
    let mut provider = MergedProvider {
        id: id.to_owned(),
        name: text("name")
            .or(Some(head.name).filter(|name| !name.is_empty()))
            .unwrap_or_else(|| id.to_owned()),
        origin: Origin::Custom,
        env: env.unwrap_or(head.env),
        api: text("api").or(head.api),
        key: None,
        options: object(config.and_then(|config| config.get("options"))),
        models: BTreeMap::new(),
        is_local: false,
        is_listed: false,
    };
    for (id, model) in models {
        let merged = listed(id, model, npm.as_deref().unwrap_or(&listed_npm));
        provider.models.insert(merged.id.clone(), merged);
    }
    let configured = config
        .and_then(|config| config.get("models"))
        .and_then(Value::as_object);
    for (place, (id, config)) in configured.into_iter().flatten().enumerate() {
        let merged = configure(
            &provider,
            place,
            id,
            config,
            npm.as_deref().unwrap_or(&listed_npm),
        );
        provider.models.insert(id.clone(), merged);
    }
    if let Some(config) = config {
        choose(&mut provider.models, config);
    }
    provider
}

/// The configuration's `whitelist` and `blacklist`.
fn choose(models: &mut BTreeMap<String, MergedModel>, config: &Map<String, Value>) {
    let list = |key: &str| config.get(key).and_then(Value::as_array);
    let names = |list: &Vec<Value>, id: &str| list.iter().any(|name| name.as_str() == Some(id));
    models.retain(|id, _| {
        list("whitelist").is_none_or(|white| names(white, id))
            && !list("blacklist").is_some_and(|black| names(black, id))
    });
}

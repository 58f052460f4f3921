//! The lists of providers as clients read them.
//!
//! Keys are not in them: a mark says that there is one, for whoever may see a list may not always see the keys.

use super::merged::{MergedModel, MergedProvider, Origin};
use super::sources::Sources;
use super::{address, merge, pick};
use crate::catalog::Interleaved;
use crate::rules::variants;
use kilo_protocol::secrets;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

#[derive(Serialize)]
struct Provider<'a> {
    id: &'a str,
    name: &'a str,
    source: &'static str,
    env: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'static str>,
    options: Value,
    models: BTreeMap<&'a str, Model<'a>>,
}

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    #[serde(rename = "providerID")]
    provider_id: &'a str,
    api: Api<'a>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    family: Option<&'a str>,
    capabilities: Capabilities<'a>,
    cost: Cost,
    limit: Limit,
    status: &'a str,
    options: Value,
    headers: Value,
    release_date: &'a str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    variants: Map<String, Value>,
}

#[derive(Serialize)]
struct Api<'a> {
    id: &'a str,
    url: String,
    npm: &'a str,
}

#[derive(Serialize)]
struct Capabilities<'a> {
    temperature: bool,
    reasoning: bool,
    attachment: bool,
    toolcall: bool,
    input: Kinds,
    output: Kinds,
    interleaved: Where<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Where<'a> {
    Flag(bool),
    Field { field: &'a str },
}

#[derive(Serialize)]
struct Kinds {
    text: bool,
    audio: bool,
    image: bool,
    video: bool,
    pdf: bool,
}

#[derive(Serialize)]
struct Cost {
    input: f64,
    output: f64,
    cache: Cache,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tiers: Vec<Tier>,
    #[serde(
        rename = "experimentalOver200K",
        skip_serializing_if = "Option::is_none"
    )]
    over_200k: Option<Over>,
}

#[derive(Serialize)]
struct Cache {
    read: f64,
    write: f64,
}

#[derive(Serialize)]
struct Tier {
    input: f64,
    output: f64,
    cache: Cache,
    tier: TierSize,
}

#[derive(Serialize)]
struct TierSize {
    r#type: &'static str,
    size: u64,
}

#[derive(Serialize)]
struct Over {
    input: f64,
    output: f64,
    cache: Cache,
}

#[derive(Serialize)]
struct Limit {
    context: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<u64>,
    output: u64,
}

/// The answer of `GET /config/providers`: `{providers, default}`, the connected providers by id.
///
/// `default` begins with the provider whose model is taken when nobody names one; the contract has no other place for it.
pub fn config_providers_json(sources: &Sources) -> Vec<u8> {
    let mut list = List::begin("providers");
    list.first = pick::default_model(sources).map(|(provider, _)| provider);
    for id in merge::connected_ids(sources) {
        if let Some(provider) = merge::provider(sources, &id) {
            list.add(sources, &provider);
        }
    }
    list.end(None)
}

/// The answer of `GET /provider`: `{all, default, connected, failed}`, every provider that is known, by id.
///
/// Some 5 MB with the compiled-in catalogue; only one provider at a time is in memory besides.
pub fn provider_list_json(sources: &Sources) -> Vec<u8> {
    let (mut list, mut connected) = (List::begin("all"), Vec::new());
    for id in merge::known_ids(sources) {
        if let Some(provider) = merge::provider(sources, &id)
            && list.add(sources, &provider)
            && provider.is_connected()
        {
            connected.push(id);
        }
    }
    list.end(Some(connected))
}

/// The answer of `GET /provider/auth`: the ways to sign in that need more than a key, by provider.
pub fn provider_auth_json(sources: &Sources) -> Value {
    let mut methods = Map::new();
    if merge::is_enabled(sources, "kilo") {
        let sign_in = json!({"type": "oauth", "label": "Kilo Gateway (sign in with a browser)"});
        methods.insert(
            "kilo".into(),
            json!([sign_in, {"type": "api", "label": "API key"}]),
        );
    }
    Value::Object(methods)
}

/// A list in the making, as bytes.
struct List {
    bytes: Vec<u8>,
    is_empty: bool,
    default: BTreeMap<String, String>,
    /// The provider whose default comes first.
    first: Option<String>,
}

impl List {
    fn begin(name: &str) -> Self {
        Self {
            bytes: format!("{{\"{name}\":[").into_bytes(),
            is_empty: true,
            default: BTreeMap::new(),
            first: None,
        }
    }

    /// Returns whether the provider has something to show.
    fn add(&mut self, sources: &Sources, provider: &MergedProvider) -> bool {
        let Some(best) = pick::best(provider) else {
            return false;
        };
        let begin = self.bytes.len();
        if !std::mem::take(&mut self.is_empty) {
            self.bytes.push(b',');
        }
        if let Err(error) = serde_json::to_writer(&mut self.bytes, &wire(sources, provider)) {
            tracing::warn!(provider = %provider.id, %error, "provider cannot be listed");
            self.bytes.truncate(begin);
            self.is_empty = self.bytes.ends_with(b"[");
            return false;
        }
        self.default.insert(provider.id.clone(), best.id.clone());
        true
    }

    fn end(mut self, connected: Option<Vec<String>>) -> Vec<u8> {
        let mut tail = Map::new();
        let first = self.first.and_then(|id| self.default.remove_entry(&id));
        let defaults = first.into_iter().chain(self.default);
        let defaults = defaults.map(|(provider, model)| (provider, model.into()));
        tail.insert("default".into(), Value::Object(defaults.collect()));
        if let Some(connected) = connected {
            tail.insert("connected".into(), json!(connected));
            tail.insert("failed".into(), json!([]));
        }
        self.bytes.extend_from_slice(b"],");
        let tail = Value::Object(tail).to_string();
        self.bytes.extend_from_slice(&tail.as_bytes()[1..]);
        self.bytes
    }
}

fn wire<'a>(sources: &Sources, provider: &'a MergedProvider) -> Provider<'a> {
    Provider {
        id: &provider.id,
        name: &provider.name,
        source: match provider.origin {
            Origin::Env => "env",
            Origin::Config => "config",
            Origin::Api => "api",
            Origin::Custom => "custom",
        },
        env: &provider.env,
        key: provider.key.as_ref().map(|_| secrets::MARK),
        options: masked("options", &provider.options),
        models: provider
            .shown()
            .map(|merged| (merged.id.as_str(), model(sources, provider, merged)))
            .collect(),
    }
}

fn model<'a>(
    sources: &Sources,
    provider: &'a MergedProvider,
    merged: &'a MergedModel,
) -> Model<'a> {
    let model = &merged.model;
    Model {
        id: &merged.id,
        provider_id: &provider.id,
        api: Api {
            id: &merged.api_id,
            url: secrets::masked_text(&address::base_url(sources, provider, merged)),
            npm: &merged.npm,
        },
        name: &model.name,
        family: model.family.as_deref(),
        capabilities: Capabilities {
            temperature: model.temperature.unwrap_or(false),
            reasoning: model.reasoning,
            attachment: model.attachment,
            toolcall: model.tool_call,
            input: kinds(&model.modalities.input),
            output: kinds(&model.modalities.output),
            interleaved: match &model.interleaved {
                None => Where::Flag(false),
                Some(Interleaved::Flag(flag)) => Where::Flag(*flag),
                Some(Interleaved::Field { field } | Interleaved::Name(field)) => {
                    Where::Field { field }
                }
            },
        },
        cost: cost(&model.cost),
        limit: Limit {
            context: model.limit.context,
            input: model.limit.input,
            output: model.limit.output,
        },
        status: model
            .status
            .as_deref()
            .filter(|s| matches!(*s, "alpha" | "beta" | "deprecated"))
            .unwrap_or("active"),
        options: masked("options", &merged.options),
        headers: masked("headers", &merged.headers),
        release_date: &model.release_date,
        variants: all_variants(merged),
    }
}

fn masked(name: &str, fields: &Map<String, Value>) -> Value {
    secrets::masked_under(name, &Value::Object(fields.clone()))
}

/// The variants that follow from the name, above them the configuration's, without those it disables.
fn all_variants(merged: &MergedModel) -> Map<String, Value> {
    let model = &merged.model;
    let mut all = variants::of(
        &merged.npm,
        &merged.api_id,
        model.reasoning,
        model.limit.output,
    );
    for (name, own) in merged.variants.iter().flatten() {
        let Value::Object(own) = own else { continue };
        let mut own = own.clone();
        if own.remove("disabled") == Some(Value::Bool(true)) {
            all.remove(name);
            continue;
        }
        if let Value::Object(masked) = masked(name, &own) {
            own = masked;
        }
        match all.get_mut(name) {
            Some(Value::Object(known)) => crate::rules::merge(known, &own),
            _ => drop(all.insert(name.clone(), own.into())),
        }
    }
    all
}

fn kinds(list: &[String]) -> Kinds {
    let has = |kind: &str| list.iter().any(|known| known == kind);
    Kinds {
        text: has("text"),
        audio: has("audio"),
        image: has("image"),
        video: has("video"),
        pdf: has("pdf"),
    }
}

fn cost(cost: &crate::catalog::Cost) -> Cost {
    let cache = |read: Option<f64>, write: Option<f64>| Cache {
        read: read.unwrap_or(0.0),
        write: write.unwrap_or(0.0),
    };
    let tier = |tier: &crate::catalog::Tier| Tier {
        input: tier.input,
        output: tier.output,
        cache: cache(tier.cache_read, tier.cache_write),
        tier: TierSize {
            r#type: "context",
            size: tier.tier.size,
        },
    };
    Cost {
        input: cost.input,
        output: cost.output,
        cache: cache(cost.cache_read, cost.cache_write),
        tiers: cost.tiers.iter().map(tier).collect(),
        over_200k: cost.context_over_200k.as_ref().map(|over| Over {
            input: over.input,
            output: over.output,
            cache: cache(over.cache_read, over.cache_write),
        }),
    }
}

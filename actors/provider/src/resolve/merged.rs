//! A provider and its models once all sources are merged.

use crate::catalog;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The package of providers that name none.
pub(super) const NPM_DEFAULT: &str = "@ai-sdk/openai-compatible";

/// What makes a provider count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A variable of the environment holds its key.
    Env,
    /// The configuration names it.
    Config,
    /// A key is stored.
    Api,
    /// The catalogue alone, or a local server.
    Custom,
}

/// A provider, merged.
#[derive(Clone, Debug)]
pub(super) struct MergedProvider {
    pub id: String,
    pub name: String,
    pub origin: Origin,
    pub env: Vec<String>,
    pub api: Option<String>,
    pub key: Option<String>,
    /// The configuration's `options`.
    pub options: Map<String, Value>,
    pub models: BTreeMap<String, MergedModel>,
    /// The server was found on this machine.
    pub is_local: bool,
    /// The catalogue knows it.
    pub is_listed: bool,
}

/// A model, merged.
#[derive(Clone, Debug)]
pub(super) struct MergedModel {
    pub id: String,
    pub api_id: String,
    pub npm: String,
    pub api: Option<String>,
    pub model: catalog::Model,
    pub options: Map<String, Value>,
    pub headers: Map<String, Value>,
    /// The configuration's variants.
    pub variants: Option<Map<String, Value>>,
    /// Its place in the configuration; behind all others if it is not there.
    pub place: usize,
}

impl MergedProvider {
    /// It can be used: it has a key, or it is of a kind that may need none.
    pub fn is_connected(&self) -> bool {
        self.is_local || self.origin != Origin::Custom
    }

    /// It is connected and nothing is known to be missing.
    pub fn is_usable(&self) -> bool {
        self.is_connected() && (self.key.is_some() || self.is_local || !self.is_listed)
    }

    /// The models that lists show: no retired and no unfinished ones.
    pub fn shown(&self) -> impl Iterator<Item = &MergedModel> {
        self.models
            .values()
            .filter(|m| !matches!(m.model.status.as_deref(), Some("deprecated" | "alpha")))
    }
}

//! The list's own shapes. Every field may be missing: the list is made elsewhere and grows.

use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A provider without its models.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Head {
    /// Its id.
    pub id: String,
    /// A name for people.
    pub name: String,
    /// Environment variables that hold its key; several mean that all of them are needed or any will do.
    pub env: Vec<String>,
    /// The package that speaks its protocol.
    pub npm: String,
    /// The base URL; may hold `${VARIABLE}`.
    pub api: Option<String>,
    /// Where it is documented.
    pub doc: Option<String>,
}

/// A provider with its models.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Provider {
    /// All but the models.
    #[serde(flatten)]
    pub head: Head,
    /// Models by id.
    pub models: BTreeMap<String, Model>,
}

/// A model.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Model {
    /// Its id with the provider.
    pub id: String,
    /// A name for people.
    pub name: String,
    /// The family, for example `claude-sonnet`.
    pub family: Option<String>,
    /// It takes files.
    pub attachment: bool,
    /// It reasons.
    pub reasoning: bool,
    /// It calls tools.
    pub tool_call: bool,
    /// It takes a temperature.
    pub temperature: Option<bool>,
    /// Day of release, `YYYY-MM-DD` or shorter.
    pub release_date: String,
    /// What goes in and out.
    pub modalities: Modalities,
    /// Sizes in tokens.
    pub limit: Limit,
    /// Prices in US dollars for a million tokens.
    pub cost: Cost,
    /// Where reasoning goes back.
    pub interleaved: Option<Interleaved>,
    /// `alpha`, `beta`, `deprecated`, or nothing for an ordinary model.
    pub status: Option<String>,
    /// Where the model differs from its provider.
    pub provider: Option<ModelProvider>,
    /// Body fields from a configuration.
    #[serde(skip)]
    pub options: Map<String, Value>,
}

/// Kinds of content: `text`, `image`, `pdf`, `audio`, `video`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Modalities {
    /// What goes in.
    pub input: Vec<String>,
    /// What comes out.
    pub output: Vec<String>,
}

/// Sizes in tokens; 0 where unknown.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Limit {
    /// Prompt and answer together.
    pub context: u64,
    /// The prompt, where it is counted apart.
    pub input: Option<u64>,
    /// The answer.
    pub output: u64,
}

/// Prices in US dollars for a million tokens.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Cost {
    /// Prompt tokens.
    pub input: f64,
    /// Answer tokens.
    pub output: f64,
    /// Tokens read from a cache.
    pub cache_read: Option<f64>,
    /// Tokens written to a cache.
    pub cache_write: Option<f64>,
    /// Other prices above a size of the prompt.
    pub tiers: Vec<Tier>,
    /// Other prices above 200,000 tokens.
    pub context_over_200k: Option<Box<Cost>>,
}

/// Prices above a size.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Tier {
    /// Prompt tokens.
    pub input: f64,
    /// Answer tokens.
    pub output: f64,
    /// Tokens read from a cache.
    pub cache_read: Option<f64>,
    /// Tokens written to a cache.
    pub cache_write: Option<f64>,
    /// From which size on.
    pub tier: TierSize,
}

/// The size where a tier begins.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TierSize {
    /// Tokens.
    pub size: u64,
}

/// Where reasoning goes back.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Interleaved {
    /// Somewhere, or nowhere.
    Flag(bool),
    /// In this field.
    Field {
        /// Its name.
        field: String,
    },
    /// In this field (a configuration's short form).
    Name(String),
}

impl Interleaved {
    /// The field, if one is named.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Flag(_) => None,
            Self::Field { field } | Self::Name(field) => Some(field),
        }
    }
}

/// Where a model differs from its provider.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ModelProvider {
    /// The package.
    pub npm: Option<String>,
    /// The base URL.
    pub api: Option<String>,
    /// Body fields.
    pub body: Map<String, Value>,
    /// Headers.
    pub headers: BTreeMap<String, String>,
}

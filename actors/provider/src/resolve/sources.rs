//! What goes in.

use crate::catalog::Catalog;
use crate::local::LocalServer;
use serde_json::Value;
use std::collections::BTreeMap;

/// Everything that decides what can be called.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The merged configuration; read are `provider`, `model`, `small_model`, `enabled_providers` and
    /// `disabled_providers`.
    pub config: &'a Value,
    /// The stored keys by provider, as `auth.json` has them.
    pub auth: &'a BTreeMap<String, Value>,
    /// The environment's variables.
    pub env: &'a BTreeMap<String, String>,
    /// The public list.
    pub catalog: &'a Catalog,
    /// Servers that were found on this machine.
    pub local: &'a [LocalServer],
}

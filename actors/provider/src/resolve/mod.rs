//! What can be called: the catalogue, the configuration, the keys and the local servers, merged.
//!
//! Start at [`resolve_model`] for one model and at [`provider_list_json`] for what clients show. All functions are
//! pure; the two lists inflate the whole catalogue (some 2 MB) piece by piece and belong on a blocking thread.
//!
//! The files, each using those before it: `sources`, `merged` (types), `keys`, `models`, `merge`, `address`, `pick`, then
//! `info` and `wire`, which answer.

mod address;
mod info;
mod keys;
mod merge;
mod merged;
mod models;
mod pick;
mod sources;
mod wire;

pub use info::{FIRST_BYTE_MS, GAP_MS, ResolveError, blank_model, resolve_model};
pub use pick::{default_model, small_model};
pub use sources::Sources;
pub use wire::{config_providers_json, provider_auth_json, provider_list_json};

//! Models: the wires that providers speak, the catalogue of what they offer, and the rules between the two.
//!
//! It must never know sessions, tools, storage or the environment: keys, folders and addresses come in as arguments.
//! Start at [`Client`] (calls a model), then [`resolve`] (what a configuration offers) and [`catalog`] (the public list).
//!
//! The path of an answer: socket → `kilo_sse` → [`adapters`] → chunks in batches → the caller's bounded channel.

pub mod adapters;
mod answer;
pub mod catalog;
mod client;
pub mod errors;
pub mod limits;
pub mod local;
mod net;
pub mod resolve;
pub mod rules;

pub use catalog::Catalog;
pub use client::{Client, ClientOptions};
pub use local::LocalServer;

/// Milliseconds to the first byte of an answer, unless the configuration says otherwise.
pub const FIRST_BYTE_MS: u64 = 120_000;

/// Milliseconds between two reads of an answer, unless the configuration says otherwise.
pub const GAP_MS: u64 = 120_000;

//! Models: the wires that providers speak, the catalogue of what they offer, and the rules between the two.
//!
//! It must never know sessions, tools, storage or the environment: keys, folders and addresses come in as arguments.
//! Start at [`Client`] (calls a model), then [`resolve`] (what a configuration offers) and [`catalog`] (the public list).
//!
//! The path of an answer: socket → `kilo_sse` → [`adapters`] → chunks in batches → the caller's bounded channel.

mod accounts;
pub mod adapters;
mod answer;
pub mod catalog;
mod client;
pub mod errors;
pub mod local;
mod net;
pub mod resolve;
pub mod rules;

pub use catalog::Catalog;
pub use client::{Client, ClientOptions};
pub use local::LocalServer;

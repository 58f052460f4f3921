//! Coding sessions: the log's records, the pure machine that decides, the actor that carries out.
//!
//! It must never know HTTP, a provider's wire, sled or git. Start at [`record`] (what is remembered), then [`machine`]
//! (what is decided), [`project`] (what clients see), [`sessions`] and [`queries`] (what others may order and read).

pub mod activity;
mod actor;
mod actors;
pub mod apply;
pub mod approvals;
mod brief;
pub mod catalog;
pub mod catch_up;
pub mod conversation;
pub mod core;
mod effects;
pub mod engine;
pub mod folder;
mod guarded;
mod host;
pub mod input;
pub mod ledger;
pub mod machine;
pub mod message;
pub mod prepare;
pub mod progress;
pub mod project;
pub mod queries;
pub mod record;
mod runner;
#[cfg(test)]
mod samples;
mod scope;
mod seen;
pub mod sessions;
mod slug;
pub mod state;
mod stored;
mod texts;

pub use self::core::{Core, Ports};
pub use self::prepare::is_plain_id;
pub use engine::Engine;
pub use queries::Queries;
pub use sessions::Sessions;

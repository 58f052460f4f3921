//! Coding sessions: the log's records, the pure machine that decides, the actor that carries out.
//!
//! It must never know HTTP, a provider's wire, sled or git. Start at [`record`] (what is remembered), then [`machine`]
//! (what is decided), [`project`] (what clients see) and [`engine`] (what others may ask).

pub mod actor;
pub mod apply;
pub mod board;
mod brief;
pub mod catalog;
pub mod conversation;
mod effects;
pub mod engine;
mod guarded;
mod host;
pub mod input;
pub mod machine;
pub mod prepare;
pub mod project;
pub mod record;
mod runner;
#[cfg(test)]
mod samples;
mod slug;
pub mod state;
mod stored;
pub mod surroundings;
mod texts;

pub use engine::{Engine, NewSession, Parts};
pub use prepare::PromptBody;

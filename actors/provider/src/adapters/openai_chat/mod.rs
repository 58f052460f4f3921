//! OpenAI Chat Completions and everything that is compatible with it, strictly or weakly.

mod content;
pub mod decode;
mod details;
mod event;
mod messages;
pub mod request;
mod usage;

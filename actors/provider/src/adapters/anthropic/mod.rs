//! Anthropic Messages.

pub mod decode;
mod messages;
pub mod request;

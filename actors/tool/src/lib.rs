//! The built-in tools: what a model may call, each checked, asked for, bounded and stoppable.
//!
//! It must never know sessions, HTTP, the log or actix: a tool sees its arguments and a [`kilo_ports::tool::ToolCx`],
//! nothing else. Start at [`Registry`]; then [`builtin`], one file per tool. [`place`] judges paths for all of them, and
//! [`output`] bounds what a model gets.

mod after;
pub mod builtin;
mod call;
mod check;
mod diff;
mod guard;
pub mod output;
mod patch;
pub mod place;
mod registry;
mod repair;
mod rules;
mod schema;
mod search;
#[cfg(test)]
mod testing;
pub mod text;
mod web;

pub use check::invalid_arguments;
pub use registry::{Options, Registry};

//! The composition root: builds the graph of store, engine and edge, and serves the table of operations over it.
//!
//! It must never decide anything about a session. Start at [`wire`] (what starts, in which order) and `groups/` (one file of
//! handlers for each group of operations).

mod after;
mod announce;
mod daemon;
mod events;
mod fleet;
mod folders;
mod groups;
mod keep;
pub mod parent;
mod paths;
mod toolbox;
mod trees;
mod underway;
mod watching;
pub mod wire;

pub use keep::keep;
pub use wire::{Options, Running, StartError, holder, start};

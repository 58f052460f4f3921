//! What the engine knows about a folder's files: checkpoints and undo, the project it belongs to, its version control,
//! its listing and search; and the worktrees that agents work in ([`trees`]).
//!
//! It must never know actix, HTTP, sessions or a provider. Start at [`snapshot::GitCheckpoints`] (the one part with
//! state); [`project`], [`vcs`], [`files`] and [`find`] are plain functions that block: callers move them to blocking
//! threads. Every one of them takes its directory as an argument.

mod beneath;
mod checkout;
mod patch;
mod stamp;

pub mod files;
pub mod find;
pub mod project;
pub mod snapshot;
mod sparse;
pub mod trees;
pub mod vcs;

pub use project::{ProjectFacts, Projects};
pub use snapshot::{GitCheckpoints, Limits, PruneReport};
pub use trees::Trees;

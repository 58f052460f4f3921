//! Configuration: finds it, merges it, checks it, and hands out plain values. The only reader of environment variables,
//! of the home folder and of the current directory.
//!
//! It must never know sessions, providers' wires, HTTP or a clock, and it keeps nothing between two calls: [`load::load`]
//! gives an immutable [`load::Loaded`] that a caller keeps until [`load::Loaded::is_stale`] says otherwise.
//!
//! Start at [`mod@load`] (which files, in which order), then [`permission`] (rules and who wins), [`agent`] and [`prompt`].
//! What a cloned repository may not do by itself is in [`trust`].

pub mod agent;
pub mod auth;
pub mod check;
pub mod commands;
pub mod edit;
pub mod env;
pub mod files;
pub mod front_matter;
pub mod guard;
pub mod instructions;
pub mod load;
pub mod paths;
pub mod permission;
pub mod programs;
pub mod project;
pub mod prompt;
pub mod skills;
pub mod source;
pub mod trust;
pub mod view;

mod decode;
mod documents;
mod doubled;
mod folders;
mod jsonc;
mod merge;
mod substitute;
mod yaml;

pub use agent::{Agent, agents, default_agent};
pub use auth::AuthFile;
pub use env::Environment;
pub use load::{Loaded, Warning, load, sources_json};
pub use paths::Paths;
pub use source::{Scope, Source};
pub use view::Config;

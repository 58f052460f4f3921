//! Servers that speak the Model Context Protocol, for all sessions and worktrees at once.
//!
//! It must never know a session's records, HTTP handlers or how a process is made: processes come from the sandbox port,
//! questions go through the call's host. The crate `rmcp` is named in [`mod@wire`] only, so that a breaking version of
//! it changes that folder and nothing else.
//!
//! Start at [`Servers`] (what the daemon holds), then `folder.rs` (what one folder sees of it), `connection.rs` (one
//! running server) and `tool.rs` (one call). Bytes come and go through `channel.rs`; `stdio.rs` and `http/` carry them.

mod ask;
mod browser;
mod channel;
pub mod config;
mod connection;
mod desk;
mod folder;
pub mod foreign;
mod http;
mod model;
mod names;
mod oauth;
mod output;
mod overview;
mod resources;
mod sampling;
mod search;
mod servers;
mod shared;
mod stdio;
mod tool;
mod watched;
mod wire;

pub use browser::Browser;
pub use config::{Origin, ServerConfig, Transport};
pub use folder::{FolderServers, Offered, Place, ServerError, SignInError, Status};
pub use foreign::{Foreign, Trust};
pub use model::{PromptInfo, ResourceInfo, TemplateInfo, ToolInfo};
pub use oauth::Begun;
pub use output::{Shown, blocks};
pub use overview::what;
pub use servers::{Publish, Servers, Settings};

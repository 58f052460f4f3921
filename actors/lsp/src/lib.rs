//! Language servers: which are for a file, one process for each root, what they find after an edit, and what they know
//! when asked.
//!
//! It must never know sessions, HTTP or formatters. Start at [`Languages`] (all servers of the daemon) and [`Folder`] (what one
//! folder's configuration makes of them). Below: `table.rs` (the built-in list as data), `choose.rs` (which servers a file
//! has), `server.rs` (one process), `rpc.rs` and `frame.rs` (the protocol), `look.rs` (diagnostics after an edit),
//! `report.rs` (what the model is told of them), `tool.rs` (the tool `lsp`).

mod changed;
mod choose;
mod docs;
mod folder;
mod frame;
mod handshake;
mod language;
mod languages;
mod look;
mod problems;
mod report;
mod rpc;
mod server;
mod state;
mod table;
mod tool;

pub use choose::Servers;
pub use folder::{BUSY_TIME, Folder, READY_TIME, SYMBOLS_MAX, Status};
pub use kilo_runtime::pool::Options;
pub use languages::{Languages, MEMORY_MAX, Notice, OnNotice};
pub use report::{OTHERS_MAX, Report, SHOWN_MAX};
pub use tool::LspTool;

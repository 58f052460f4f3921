//! Formatters: which one is for a file, and its run after a tool wrote that file.
//!
//! It must never know tools, sessions, HTTP or language servers. Start at [`Formatters`] (what a folder's configuration
//! switches on), then `table.rs` (the built-in list as data), `found.rs` (what this machine and the project have of it)
//! and `run.rs` (one run, and the file put back when it fails).

mod after;
mod formatter;
mod formatters;
mod found;
mod run;
mod rustfmt;
mod table;

pub use after::{Formatted, Formatting};
pub use formatters::{Formatters, Status};

//! What stands around a text.

use kilo_ports::guarded::Guarded;
use kilo_protocol::model::Rule;
use std::path::Path;

/// Where a text runs, and what is said about it.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The folder in which it starts (absolute).
    pub start: &'a Path,
    /// The session's folder.
    pub directory: &'a Path,
    /// The root of the worktree around it.
    pub worktree: &'a Path,
    /// The user's home.
    pub home: &'a Path,
    /// Files that only a person may have changed.
    pub guarded: &'a Guarded,
    /// The rules in force: the agent's and the session's.
    pub rules: &'a [Rule],
    /// What users of the project saved; it counts only where those ask.
    pub saved: &'a [Rule],
    /// Whether the answer is no longer wanted.
    pub cancelled: &'a dyn Fn() -> bool,
}

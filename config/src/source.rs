//! The places that a configuration comes from.

use serde::Serialize;
use std::path::PathBuf;

/// Whose place it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The program's own defaults, or the administrator's folder.
    System,
    /// The user's.
    Global,
    /// The project's: it came with the repository.
    Project,
}

/// One place, in the order in which they are merged (the last wins).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Source {
    /// Its position, from 0.
    pub order: usize,
    /// `builtin`, `file`, `folder` (agents and commands as markdown), `environment` or `managed`.
    pub kind: &'static str,
    /// Whose it is.
    pub scope: Scope,
    /// A name for people.
    pub label: String,
    /// The path or the variable's name.
    pub source: String,
    /// The file or folder, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// It is there.
    pub exists: bool,
    /// A client may change it.
    pub editable: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

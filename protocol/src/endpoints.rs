//! The table of operations: everything that a client may call, one row each.
//!
//! The table is the contract. The server routes by it, the document at `/doc` is made of it (with the shapes of
//! [`crate::openapi`]), and an operation without a handler answers 501 by it. To add a route, write a row in the file of
//! its group and its shapes in the file of that name in `shapes/`.

mod row;

mod answers;
mod api;
mod api_session;
mod catalog;
mod config;
mod experimental;
mod kilo;
mod kilocode;
mod mcp;
mod memory;
mod pty;
mod server;
mod session;
mod trees;
mod tui;
mod workspace;

use std::fmt;

/// The method of an operation; `HEAD` is served by `GET`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Reads.
    Get,
    /// Makes, or does something.
    Post,
    /// Replaces.
    Put,
    /// Changes parts.
    Patch,
    /// Deletes.
    Delete,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// The method as an HTTP request has it: `GET`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// The method as an OpenAPI document has it: `get`.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an operation takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing; what comes all the same is ignored.
    None,
    /// JSON.
    Json {
        /// False: an empty body stands for `{}`.
        required: bool,
    },
}

/// How an operation answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Once.
    No,
    /// With an event stream.
    Sse,
    /// By becoming a WebSocket.
    WebSocket,
}

/// What an operation answers whose feature is not there: its true empty or off state. Clients ask for these when they
/// attach; starting or changing such a feature stays unimplemented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// Always the same.
    Constant {
        /// The status, for example 200.
        status: u16,
        /// The body.
        json: &'static str,
        /// A query parameter that has to be there all the same.
        query: Option<&'static str>,
    },
    /// An off state that names the folder or the session, so a handler writes it.
    Described,
}

/// The largest body of an operation that carries no content: what it says goes into heads, rules and settings, which stay
/// in memory.
pub const SMALL_BODY_BYTES_MAX: usize = 256 * 1024;
/// The largest body of one that does: prompts with attached files, patches, imported messages.
pub const CONTENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// The method.
    pub method: Method,
    /// The path as the document has it: `/session/{sessionID}/message`. A `*` at the end stands for the rest of the path.
    pub path: &'static str,
    /// The operation id, for example `session.prompt`; no two rows share one.
    pub id: &'static str,
    /// The first segment of the path.
    pub group: &'static str,
    /// One sentence for people.
    pub summary: &'static str,
    /// What it takes.
    pub body: Body,
    /// The largest body. Most operations take a few words; see [`SMALL_BODY_BYTES_MAX`].
    pub body_bytes_max: usize,
    /// How it answers.
    pub stream: Stream,
    /// Set if the feature is not there. Such an operation is not counted as served.
    pub absent: Option<Absent>,
}

/// The tables, one a file; those that are called most come first.
static TABLES: [(&str, &[Operation]); 16] = [
    ("session", session::ROWS),
    ("server", server::ROWS),
    ("answers", answers::ROWS),
    ("config", config::ROWS),
    ("catalog", catalog::ROWS),
    ("workspace", workspace::ROWS),
    ("pty", pty::ROWS),
    ("mcp", mcp::ROWS),
    ("experimental", experimental::ROWS),
    ("kilocode", kilocode::ROWS),
    ("kilo", kilo::ROWS),
    ("memory", memory::ROWS),
    ("tui", tui::ROWS),
    ("trees", trees::ROWS),
    ("api_session", api_session::ROWS),
    ("api", api::ROWS),
];

/// The tables with the names of their files.
pub fn tables() -> impl Iterator<Item = (&'static str, &'static [Operation])> {
    TABLES.iter().copied()
}

/// Goes through all rows, table by table.
pub fn all() -> impl Iterator<Item = &'static Operation> {
    TABLES.iter().flat_map(|(_, rows)| rows.iter())
}

/// Finds a row by its operation id. It walks the table: for start-up and tests, not for every request.
pub fn find(id: &str) -> Option<&'static Operation> {
    all().find(|operation| operation.id == id)
}

#[cfg(test)]
mod tests;

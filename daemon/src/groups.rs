//! Handlers: one file for each table of operations (with a folder of its name where it is long), one function for each
//! operation. They hold no state and take no lock. Operations of features that are not there have no function here: their
//! row in the table says what they answer.

mod answers;
mod api;
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
mod workspace;

use crate::daemon::Daemon;
use kilo_edge::{Reply, Router};
use kilo_protocol::Fault;
use std::sync::Arc;

/// What a handler gives back.
type Answer = Result<Reply, Fault>;

/// The handlers of one file.
struct Group {
    /// The operations; the tests compare them with the table.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the tests"))]
    operations: &'static [&'static str],
    mount: fn(Router, &Arc<Daemon>) -> Router,
}

/// Makes a file's [`Group`] of lines `operation id => function(daemon, request)`.
macro_rules! routes {
    ($($id:literal => $function:path;)*) => {
        /// The handlers of this table.
        pub(super) const GROUP: super::Group = super::Group {
            operations: &[$($id),*],
            mount: |router, daemon| {
                $(let router = {
                    let daemon = ::std::sync::Arc::clone(daemon);
                    router.on($id, move |request| $function(::std::sync::Arc::clone(&daemon), request))
                };)*
                router
            },
        };
    };
}
use routes;

/// The groups, by the names of their tables.
const GROUPS: [(&str, Group); 14] = [
    ("session", session::GROUP),
    ("server", server::GROUP),
    ("answers", answers::GROUP),
    ("config", config::GROUP),
    ("catalog", catalog::GROUP),
    ("workspace", workspace::GROUP),
    ("experimental", experimental::GROUP),
    ("kilocode", kilocode::GROUP),
    ("kilo", kilo::GROUP),
    ("mcp", mcp::GROUP),
    ("memory", memory::GROUP),
    ("pty", pty::GROUP),
    ("trees", trees::GROUP),
    ("api", api::GROUP),
];

/// All handlers.
pub fn router(daemon: &Arc<Daemon>) -> Router {
    let router = GROUPS.iter().fold(Router::new(), |router, (_, group)| {
        (group.mount)(router, daemon)
    });
    server::mount_socket(router, daemon)
}

#[cfg(test)]
mod tests;

//! The wire and the stored shapes: ids, messages, parts, events, faults and the table of operations.
//!
//! It must never know I/O, async, actix or a clock of its own. Start at [`model`] for what a session is made of and at
//! [`endpoints`] for what a client may call.

pub mod clock;
pub mod contract;
pub mod data_url;
pub mod endpoints;
pub mod event;
pub mod fault;
pub mod ids;
pub mod json;
pub mod model;
pub mod openapi;
pub mod process;
pub mod requests;
pub mod secrets;
mod shapes;
pub mod terminal;
pub mod worktree;

pub use clock::Millis;
pub use event::{Event, Frame, Received};
pub use fault::{Fault, FaultKind};
pub use ids::{
    CallId, EventId, IdSource, MessageId, PartId, PermissionId, ProjectId, QuestionId, SessionId,
};

/// The version that the daemon reports on the wire and stores in sessions.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

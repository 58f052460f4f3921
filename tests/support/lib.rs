//! What the whole-program tests stand on: a daemon in a home of its own, a scripted model, repositories, event readers.
//!
//! It must never know the engine's inside: everything goes through the `kilo` program and its HTTP protocol. Start at
//! [`Daemon`] and [`Model`]; [`Project`] is a folder to work in, [`Follower`] a client that attaches and comes back,
//! [`Mirror`] what such a client believes.

#![allow(
    clippy::disallowed_methods,
    reason = "tests start programs and read the environment"
)]
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a failed expectation is a failed test"
)]

mod api;
mod daemon;
mod follower;
mod mirror;
mod model;
mod program;
mod project;
mod pty;
mod sse;
mod turn;
mod wait;

pub use api::{Answer, Api};
pub use daemon::{Daemon, Home, Refused, Start};
pub use follower::Follower;
pub use mirror::Mirror;
pub use model::{Asked, Model};
pub use program::{Ended, can_mount, is_root, kilo, number, run, sleeper, text_of};
pub use project::{Project, configuration};
pub use pty::Terminal;
pub use sse::{Events, Seen};
pub use turn::{Step, Turn};
pub use wait::{LONG, eventually, eventually_within, within};

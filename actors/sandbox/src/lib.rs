//! Child processes that can be ended whole: `bash` calls, servers, everything that the daemon starts for somebody.
//!
//! It must never know tools, sessions, permissions, HTTP, or the environment of the daemon: variables are an argument.
//! It is the only crate of the project that holds unsafe code, nearly all of it in `init`.
//!
//! Start at [`ProcessSandbox`], then `init.rs`: every run has a small process of its own between the daemon and the
//! command. That process is a subreaper, so whatever the command starts stays below it (`setsid`, double forks and
//! emptied environments included), and it ends all of it when the run is over or when the daemon is gone, however it
//! went. `tree.rs` is the daemon's hold on one such tree; `run.rs` follows a command to its end, `spawned.rs` a process
//! that is talked to, whose streams are in `streams.rs` and `pump.rs`; `detached.rs` starts what outlives the daemon. `table.rs` reads `/proc`.
//!
//! Linux only: subreapers, `signalfd` and `/proc` have no equal elsewhere.

mod conceal;
mod detached;
mod environment;
mod heap;
mod init;
mod launch;
mod list;
mod orphans;
mod pump;
mod run;
mod sandbox;
mod spawned;
mod streams;
mod table;
mod tree;

pub use conceal::{conceal_memory, conceal_variables};
pub use environment::{RUN_MARK, SECRETS};
pub use heap::give_back_large_blocks;
pub use orphans::{Orphans, become_subreaper};
pub use sandbox::{ProcessSandbox, Settings, owned_below};

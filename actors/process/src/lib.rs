//! Background processes: commands that go on beside a session, with readiness, output by position, restart and stop.
//!
//! It must never know HTTP, the machine of a session, permissions (who orders has asked) or configuration. A command runs
//! through the sandbox port and ends with its session or the daemon, unless it was ordered as persistent: then a keeper
//! keeps it (`kept/`), and the next daemon takes it up (`adopt.rs`).
//!
//! Start at [`Processes`], then `process.rs`, which holds one of them, and `life.rs`, which follows one run of it to its
//! end. `logs.rs` keeps its output, `listening.rs` finds its ports.

mod adopt;
mod kept;
mod life;
mod listening;
mod logs;
mod process;
mod processes;

pub use kept::keeper::keep;
pub use kept::keepers;
pub use logs::Logs;
pub use processes::{Announce, Happened, PROCESSES_MAX, Parent, Processes};

//! Terminals: programs on a terminal of their own that several clients see and type into.
//!
//! It must never know HTTP, sessions, permissions or configuration. A program is started through the sandbox port and
//! ends with the daemon; clients come and go.
//!
//! Start at [`Terminals`], then `terminal.rs`, which holds one program: a task reads what it writes into the
//! [`Output`], and each client has a [`View`] that reads from there at its own pace. `output/` is the memory: the newest
//! text as it came, and before that the screen that an emulator made of what was let go, so that a client that comes
//! late sees what one that saw all of it sees.

mod output;
mod shells;
mod terminal;
mod terminals;
mod ticket;
mod view;

pub use output::{Output, Restored, Room};
pub use shells::{Shell, preferred, shells};
pub use terminal::{Happened, Terminal};
pub use terminals::{Announce, CreateError, Program, TERMINALS_MAX, Terminals};
pub use ticket::{TICKET_SECONDS, Tickets};
pub use view::{Shown, View};

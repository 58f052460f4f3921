//! Persistent processes: each has a keeper, a program of ours that the daemon starts and that does not end with it.
//!
//! ```text
//!   daemon ---- socket in the process's folder ---- keeper ---- its own sandbox ---- command ---- whatever it starts
//! ```
//!
//! All that is known of one lies in a folder of its own (`files.rs`): what was ordered, how it is, the newest output, the
//! keeper's socket. The keeper (`keeper.rs`) holds the command, so the command ends when the keeper does; nobody ever
//! signals a number that was read from a file. Whoever connects to the socket and names the token of the folder
//! (`frames.rs`) holds it: the daemon that started it, later the next one (`link.rs`). A number that the system gave to
//! somebody else meanwhile has no such socket.

mod files;
mod frames;
pub mod keeper;
mod link;

use std::path::Path;

/// The keepers in `root` of what has not ended, as far as they say: number and tick of the start.
pub fn keepers(root: &Path) -> Vec<(u32, u64)> {
    let states = Folder::all(root).into_iter();
    let alive = states.filter_map(|folder| folder.state().ok().filter(|it| it.ended.is_none()));
    alive.map(|state| state.keeper).collect()
}

pub use files::{Ended, Folder, KeptOrder, State};
pub use link::{Held, Hold, Link, Piece, Program, attach, left, start};

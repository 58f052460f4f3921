//! Watching of folders that clients look at: changed files that git does not ignore, and the branch.
//!
//! It must never know HTTP, sessions or events on the wire. Start at [`Watches`]: a folder is watched as long as somebody
//! holds it. `watched.rs` is one folder's thread; `ignored.rs` knows what does not count; `branch.rs` finds the branch.

mod branch;
mod ignored;
mod watched;
mod watches;

pub use watched::{FOLDERS_MAX, How, Seen, Wanted};
pub use watches::{Held, Tell, Watches};

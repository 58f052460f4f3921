//! The log and its index: [`LogStore`] keeps sessions on the disk, [`MemoryStore`] keeps them for tests.
//!
//! The segments under `log/` are the truth. Everything in `index/` (sled) can be made again from them, so a fault of the
//! index costs seconds and never history. The store must never know what a record's JSON means, and never HTTP, actors
//! or models. Start at `log_store.rs` (the whole), then `record.rs` (the bytes), `state.rs` (what an append changes),
//! `open.rs` (what happens at a start), `keeper.rs` (what happens in the background).
//!
//! ```text
//! folder/
//!   lock                      held while a daemon runs: its pid and its address
//!   state                     epoch, and how far the log was known to reach
//!   log/00000001-0000.seg     append-only segments: number, generation (rises with each rewriting)
//!   index/                    sled: session -> places in the log, small values, segment figures
//!   blobs/ab/ab12…            large values by their BLAKE3 hash
//!   damaged/                  bytes that could not be read, and reports.json
//! ```

mod append;
mod blobs;
mod checkpoint;
mod damage;
mod disk;
mod examine;
mod files;
mod fold;
mod folder;
mod head_list;
mod index;
mod keeper;
mod keeper_signal;
mod known_end;
mod listing;
mod lock;
mod log_store;
mod memory;
mod meta;
mod missing;
mod open;
mod options;
mod read;
mod record;
mod replay;
mod report;
mod rewrite;
mod segment;
mod shared;
mod state;
mod sync_queue;
mod syncer;
mod verify;

#[cfg(test)]
mod tests;

pub use disk::{Disk, SystemDisk};
pub use lock::holder;
pub use log_store::LogStore;
pub use memory::MemoryStore;
pub use options::Options;

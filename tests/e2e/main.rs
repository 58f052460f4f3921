//! The whole program from outside: the `kilo` binary, its HTTP protocol, a scripted model.
//!
//! One binary, because each one more links the whole harness again. Run a part by its module: `nextest run -p kilo-tests
//! crash::`.

mod backpressure;
mod badinput;
mod checkpoints;
mod crash;
mod door;
mod fleet;
mod folder;
mod kept;
mod keys;
mod languages;
mod login;
mod mcp;
mod old_folder;
mod parent;
mod permissions;
mod ps;
mod real_model;
mod resume;
mod run;
mod run_json;
mod socket;
mod terminal;
mod touched;
mod watching;
mod worktree;

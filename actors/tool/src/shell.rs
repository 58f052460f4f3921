//! What a shell text would do: its commands, the files it names, and the permissions to ask for before it runs.
//!
//! It must never run anything or decide anything: it reads the text (and the disk, for links and wildcards) and makes
//! requests; rules and people answer them. Where a text keeps a secret until it runs, it says so instead of guessing.
//!
//! Start at [`requests`]. The way of a text: [`plan`] parses it into simple commands ([`walk`](plan) follows `cd`,
//! `unwrap` looks into `sudo`, `xargs`, `bash -c` and the like), `word` and `expand` know what a word becomes, `files`
//! knows which programs read and write their arguments, `disk` where a path really leads, and `ask` puts it together.

mod ask;
mod disk;
mod expand;
mod files;
mod judge;
mod plan;
mod prefix;
mod unwrap;
mod walk;
mod word;

#[cfg(test)]
mod corpus;

pub use ask::{Surroundings, requests};
pub use plan::{Cwd, Move, Redirect, ShellPlan, SimpleCommand, parse};
pub use word::{Piece, Word};

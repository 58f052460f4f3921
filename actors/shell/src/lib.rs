//! What a shell text would do: its commands, the files it names, and the permissions to ask for before it runs.
//!
//! It must never run anything or decide anything: it reads the text (and the disk, for links and wildcards) and makes
//! requests; rules and people answer them. Where a text keeps a secret until it runs, it says so instead of guessing.
//!
//! Start at [`requests`]. The way of a text: `tree` parses it, `walk` makes a `plan` of its simple commands and follows
//! `cd`, `unwrap` looks into `sudo`, `xargs`, `bash -c` and the like, `word` and `expand` know what a word becomes,
//! `files` knows which programs read and write their arguments, `risk` which options do more than their program,
//! `resolve` and `disk` where a path really leads, `weigh` what rules say of what is not known, and `ask` puts it together.
//! `doubt` looks at the text once more for what the tree does not account for. The cases are in `tests/corpus.txt`.

mod arithmetic;
mod ask;
mod budget;
mod context;
mod disk;
mod doubt;
mod expand;
mod files;
mod plan;
mod prefix;
mod resolve;
mod risk;
mod tree;
mod unwrap;
mod walk;
mod weigh;
mod word;

pub use ask::{Judgement, judge, requests};
pub use context::Context;
pub use plan::{
    Cwd, Evaluated, FolderChange, Move, Redirect, ShellPlan, SimpleCommand, Variable, Via, Why,
};
pub use walk::parse;
pub use word::{Piece, Word};

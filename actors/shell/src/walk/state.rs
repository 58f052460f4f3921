//! What the walk knows so far.

use crate::plan::{Cwd, ShellPlan};
use std::collections::HashSet;

/// Commands of one text; a person must look at a text with more.
pub const COMMANDS_MAX: usize = 2_000;
/// Levels of the syntax tree.
pub const DEPTH_MAX: usize = 300;
/// Texts inside texts (`bash -c "bash -c ..."`).
pub const TEXTS_MAX: usize = 6;
/// Folders in which a command may run, before "anywhere" is said.
pub const CWDS_MAX: usize = 8;

/// Programs that cannot make a folder appear or vanish: a `cd` after them finds what is there now.
pub const LEAVES_FOLDERS_ALONE: [&str; 24] = [
    "cd", "pwd", "echo", "printf", "ls", "cat", "head", "tail", "grep", "rg", "wc", "which",
    "type", "date", "whoami", "uname", "env", "true", "false", ":", "test", "set", "stat", "file",
];

/// The folders after a command, by how it ended.
#[derive(Clone, Debug)]
pub struct Flow {
    pub ok: Vec<Cwd>,
    pub failed: Vec<Cwd>,
}

impl Flow {
    pub fn same(cwds: &[Cwd]) -> Self {
        Self {
            ok: cwds.to_vec(),
            failed: cwds.to_vec(),
        }
    }

    pub fn either(self) -> Vec<Cwd> {
        union(self.ok, self.failed)
    }
}

/// Both lists, each folder once.
pub fn union(mut a: Vec<Cwd>, b: Vec<Cwd>) -> Vec<Cwd> {
    for cwd in b {
        if !a.contains(&cwd) {
            a.push(cwd);
        }
    }
    if a.len() > CWDS_MAX {
        vec![Cwd::unknown()]
    } else {
        a
    }
}

/// What came with a command besides its words.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    pub redirections: String,
    pub settings: Vec<String>,
    /// A here-document or here-string whose text is known.
    pub stdin: Option<String>,
    /// A variable that decides what runs is set for it alone.
    pub weighty: bool,
    /// Further words come to it when it runs (`xargs`).
    pub open_ended: bool,
    /// It stands in the text itself.
    pub direct: bool,
    /// Words in which this text is replaced when it runs (`{}` of `find` and `xargs`).
    pub placeholder: Option<String>,
}

/// Makes a [`ShellPlan`].
#[derive(Default)]
pub struct Walker {
    pub plan: ShellPlan,
    pub counter: usize,
    pub depth: usize,
    pub texts: usize,
    /// A command ran that may have changed folders on the disk.
    pub stirred: bool,
    /// Functions whose bodies change the folder.
    pub movers: HashSet<String>,
}

impl Walker {
    /// The next place in the order of the text.
    pub fn tick(&mut self) -> usize {
        self.counter += 1;
        self.counter
    }
}

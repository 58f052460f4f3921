//! The plan of a shell text: every simple command in it, wherever it hides, and every file that it redirects to.

use crate::word::Word;
use std::collections::{BTreeMap, BTreeSet};

/// What a text would do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShellPlan {
    /// Its simple commands, in the order of the text. Commands inside commands (`sudo`, `bash -c`) follow them.
    pub commands: Vec<SimpleCommand>,
    /// Its redirections to and from files.
    pub redirects: Vec<Redirect>,
    /// Folders that it changes to.
    pub visits: Vec<FolderChange>,
    /// What it gives its variables.
    pub variables: BTreeMap<String, Variable>,
    /// Variables that it declares as maps from text to text.
    pub maps: BTreeSet<String>,
    /// What it evaluates without a command.
    pub evaluated: Vec<Evaluated>,
    /// The text, or a text inside it, could not be read for certain.
    pub parse_error: bool,
    /// There is more in it than what is known to run nothing (comments, `cd`, plain assignments).
    pub acts: bool,
}

/// A command with its words.
#[derive(Clone, Debug, PartialEq)]
pub struct SimpleCommand {
    /// The command as a permission pattern: words with one space between, quotes that change nothing left out, followed
    /// by its redirections to files.
    pub text: String,
    /// Its program, if the text alone tells.
    pub program: Option<String>,
    /// All its words, the program first.
    pub words: Vec<Word>,
    /// Redirections to files as they stand in `text`.
    pub redirections: String,
    /// Variables set for it alone that could change what it does.
    pub settings: Vec<String>,
    /// One of those decides what the command runs.
    pub weighty: bool,
    /// Further words come to it when it runs (`xargs`).
    pub open_ended: bool,
    /// It stands in the text itself, not behind another program or in a text for another shell.
    pub direct: bool,
    /// How it runs.
    pub via: Via,
    /// Where it may run.
    pub cwds: Vec<Cwd>,
    /// Its place in the order of the text.
    pub at: usize,
}

/// What stands around a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// Nothing.
    Itself,
    /// It runs another command and has no effect of its own (`timeout 5`, `nohup`): the inner one is what counts.
    Wrapper,
    /// It only changes the shell's folder.
    Cd,
}

/// A redirection to or from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Redirect {
    /// The file.
    pub target: Word,
    /// Whether it is written.
    pub writes: bool,
    /// As it stands in the text, where it belongs to no command.
    pub alone: Option<String>,
    /// Where relative names may start.
    pub cwds: Vec<Cwd>,
    /// Its place in the order of the text.
    pub at: usize,
}

/// Something that bash evaluates: it may run anything, though no command is to be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluated {
    /// As it stands in the text.
    pub text: String,
    /// What is the matter with it.
    pub why: Why,
    /// Variables: if all of them are numbers, nothing is.
    pub numbers: Option<Vec<String>>,
    /// Its place in the order of the text.
    pub at: usize,
}

/// Why a part of a text must be looked at, whatever rules say of the programs in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The text, or a text inside it, could not be read for certain.
    Unread,
    /// Bash evaluates what is known only when it runs.
    Evaluates,
    /// A program or a text to run that is known only when it runs.
    Unknown,
    /// A variable that decides what later commands are or do.
    Redirects,
    /// A word that is known only when it runs, where rules make a difference by such words.
    UnknownWord,
    /// More files are read than can be looked at before.
    TooMuch,
    /// A file is written that is known only when it runs.
    UnknownFile,
}

impl Why {
    /// The sentence for people.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Unread => "the text could not be read for certain",
            Self::Evaluates => "bash evaluates what only the running shell knows",
            Self::Unknown => "it runs what only the running shell knows",
            Self::Redirects => "it sets a variable that decides what later commands run",
            Self::UnknownWord => "a word of it is known only to the running shell",
            Self::TooMuch => "it reads more files than could be looked at before",
            Self::UnknownFile => "it writes to a file that only the running shell knows",
        }
    }
}

/// A folder that the text changes to.
#[derive(Clone, Debug, PartialEq)]
pub struct FolderChange {
    /// The folder; `None` for home.
    pub target: Option<Word>,
    /// Where it may start.
    pub cwds: Vec<Cwd>,
    /// Its place in the order of the text.
    pub at: usize,
}

/// A variable of the text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Variable {
    /// The place of its first value; before it, the environment's value is seen.
    pub from: usize,
    /// Everything it may be set to.
    pub values: Vec<Word>,
    /// Something sets it in a way that the text does not tell (`read`).
    pub unknown: bool,
}

/// A folder in which a command may run: the start, and how the shell got on from there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cwd {
    /// The changes so far; `None` when the text does not tell.
    pub moves: Option<Vec<Move>>,
}

/// A change of the shell's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// To this folder, or home.
    To(Option<Word>, usize),
    /// None, for this folder was missing: possible only if it is.
    Missing(Option<Word>, usize),
}

impl Cwd {
    /// Where the text starts.
    pub fn start() -> Self {
        Self {
            moves: Some(Vec::new()),
        }
    }

    /// Anywhere.
    pub fn unknown() -> Self {
        Self { moves: None }
    }

    /// One change later.
    pub fn then(&self, change: Move) -> Self {
        let moves = self
            .moves
            .as_ref()
            .map(|moves| moves.iter().cloned().chain([change]).collect());
        Self { moves }
    }
}

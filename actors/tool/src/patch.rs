//! Patches as models write them: sections of files, hunks of lines.

mod apply;
mod find;
mod parse;

pub use apply::apply;
pub use parse::parse;

/// One section of a patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Section {
    /// A new file.
    Add {
        /// Its path.
        path: String,
        /// Its whole content.
        content: String,
    },
    /// A file to remove.
    Delete {
        /// Its path.
        path: String,
    },
    /// A file to change, and perhaps to move.
    Update {
        /// Its path.
        path: String,
        /// Its new path.
        move_to: Option<String>,
        /// Its changes, from top to bottom.
        hunks: Vec<Hunk>,
    },
}

/// A change of some lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hunk {
    /// Lines somewhere above the change, to find it by: each below the one before, as a method is below its class.
    pub contexts: Vec<String>,
    /// The lines, from top to bottom.
    pub lines: Vec<Step>,
    /// The change is at the file's end.
    pub at_end: bool,
}

/// A line of a hunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is there and stays.
    Keep(String),
    /// It is there and goes.
    Remove(String),
    /// It comes.
    Add(String),
}

impl Hunk {
    /// The lines as they are before the change.
    pub fn old(&self) -> Vec<String> {
        let old = |step: &Step| match step {
            Step::Keep(line) | Step::Remove(line) => Some(line.clone()),
            Step::Add(_) => None,
        };
        self.lines.iter().filter_map(old).collect()
    }
}

/// Why a patch does not work; a sentence for the model.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatchError(pub String);

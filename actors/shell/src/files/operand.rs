//! A word that names a file, and what happens to it.

use crate::word::Word;

/// What a command does with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Its content is read.
    Read,
    /// It is looked at from outside: its name, its size, what a folder holds.
    List,
    /// It is made, moved, removed or replaced.
    Write,
    /// Text of the command's making goes into it, as by a redirection.
    Edit,
}

/// A word that names a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operand {
    /// The word, without the option that it was glued to.
    pub word: Word,
    /// What happens to the file.
    pub role: Role,
    /// All files below it too.
    pub recursive: bool,
}

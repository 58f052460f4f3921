//! What a risky option does.

/// What an option does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It runs a program, or may.
    Runs,
    /// It writes files besides those that the command names.
    Writes,
    /// It reads files besides those that the command names.
    Reads,
    /// It talks to another machine.
    Connects,
}

impl Kind {
    /// The sentence for people.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Runs => "this may run another program",
            Self::Writes => "this writes or removes files",
            Self::Reads => "this reads further files",
            Self::Connects => "this talks to another machine",
        }
    }
}

/// An option, or another word, that needs more than a rule for the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Risk {
    /// As it stands in the command, without its value.
    pub name: String,
    /// What it does.
    pub kind: Kind,
}

impl Risk {
    /// A risk under its name.
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self {
            name: name.into(),
            kind,
        }
    }
}

//! How the program ends.

use std::process::ExitCode;

/// An exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(u8);

impl Exit {
    /// It worked.
    pub const OK: Self = Self(0);
    /// It failed, or something was refused.
    pub const FAILED: Self = Self(1);
    /// The command line was not understood.
    pub const USAGE: Self = Self(2);
    /// Ctrl-C.
    pub const INTERRUPTED: Self = Self(130);
    /// SIGTERM.
    pub const TERMINATED: Self = Self(143);

    /// The status as a number.
    pub fn code(self) -> u8 {
        self.0
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

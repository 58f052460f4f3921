//! `kilo completion`: a script that completes commands and options in a shell.

use crate::exit::Exit;
use clap::{Args, ValueEnum};
use clap_complete::{Shell, generate};
use std::io::Write;

/// What `kilo completion` takes.
#[derive(Args, Clone, Debug)]
pub struct CompletionArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: CompletionShell,
}

/// The shells there are scripts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CompletionShell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

/// Prints the script for `program`.
pub fn execute(args: &CompletionArgs, mut program: clap::Command) -> Exit {
    let shell = match args.shell {
        CompletionShell::Bash => Shell::Bash,
        CompletionShell::Zsh => Shell::Zsh,
        CompletionShell::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    generate(shell, &mut program, "kilo", &mut script);
    let _ = std::io::stdout().write_all(&script);
    Exit::OK
}

//! What this machine and the project have of a formatter.

use crate::formatter::{Command, Formatter};
use crate::rustfmt;
use crate::table::{BuiltIn, Text};
use kilo_config::programs::Programs;
use std::path::{Path, PathBuf};

/// A formatter that can be run on one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Its name.
    pub name: String,
    /// The program.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Where it runs.
    pub directory: PathBuf,
    /// Variables set on top of the daemon's.
    pub env: Vec<(String, String)>,
    /// How the text goes in and out.
    pub text: Text,
    /// Something in the project says that it wants this one.
    pub is_asked_for: bool,
}

/// Whether a formatter would be run on files of the folder `from`.
pub fn is_enabled(formatter: &Formatter, programs: &Programs, from: &Path) -> bool {
    match &formatter.command {
        Command::Own(command) => programs.find(&command[0], from).is_some(),
        Command::BuiltIn(known) => {
            (known.unasked || is_asked_for(known, programs, from))
                && program(known, programs, from).is_some()
        }
    }
}

/// The formatter for `file`; `None` where the program is missing or the project does not want it. A program that the
/// configuration names and nobody finds is run all the same: its failure is what the user has to see.
pub fn ready(
    formatter: &Formatter,
    programs: &Programs,
    directory: &Path,
    file: &Path,
) -> Option<Ready> {
    let from = file.parent()?;
    let shown = file.to_str()?;
    let filled = |part: &str| part.replace("$FILE", shown);
    let ready = Ready {
        name: formatter.name.clone(),
        program: String::new(),
        args: Vec::new(),
        directory: directory.to_owned(),
        env: formatter.environment.clone(),
        text: Text::InPlace,
        is_asked_for: true,
    };
    let known = match &formatter.command {
        Command::Own(command) => {
            return Some(Ready {
                program: command[0].clone(),
                args: command[1..].iter().map(|part| filled(part)).collect(),
                ..ready
            });
        }
        Command::BuiltIn(known) => known,
    };
    let is_asked_for = is_asked_for(known, programs, from);
    if !is_asked_for && !known.unasked {
        return None;
    }
    let program = program(known, programs, from)?;
    let mut args: Vec<String> = known.command[1..].iter().map(|part| filled(part)).collect();
    let mut home = programs.nearest(from, known.home);
    if known.text == Text::Rustfmt {
        args.extend(rustfmt::args(programs, from));
        home = Some(from);
    }
    Some(Ready {
        program: program.to_str()?.to_owned(),
        args,
        directory: home.unwrap_or(directory).to_owned(),
        text: known.text,
        is_asked_for,
        ..ready
    })
}

fn program(known: &BuiltIn, programs: &Programs, from: &Path) -> Option<PathBuf> {
    programs.own_or_found(from, known.own, known.command[0])
}

fn is_asked_for(known: &BuiltIn, programs: &Programs, from: &Path) -> bool {
    programs.signed(from, known.signs).is_some()
}

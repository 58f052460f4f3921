//! One formatter, as configuration and list say.

use crate::table::BuiltIn;
use kilo_config::programs::texts;
use serde_json::Value;
use std::collections::BTreeMap;

/// A formatter.
#[derive(Debug)]
pub struct Formatter {
    /// Its name.
    pub name: String,
    /// Ends of the names of its files.
    pub extensions: Vec<String>,
    /// What it runs.
    pub command: Command,
    /// Variables set on top of the daemon's.
    pub environment: Vec<(String, String)>,
}

/// What a formatter runs.
pub enum Command {
    /// As the built-in list says.
    BuiltIn(&'static BuiltIn),
    /// As the configuration says: program and arguments, `$FILE` stands for the file.
    Own(Vec<String>),
}

impl std::fmt::Debug for Command {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BuiltIn(known) => write!(out, "built-in {}", known.name),
            Self::Own(command) => write!(out, "{command:?}"),
        }
    }
}

impl Formatter {
    /// Reads an entry of the key `formatter`; `None` where it is off or runs nothing.
    pub fn read(name: &str, entry: &Value, known: Option<&'static BuiltIn>) -> Option<Self> {
        if entry.get("disabled") == Some(&Value::Bool(true)) {
            return None;
        }
        let command = texts(entry.get("command")).filter(|command| !command.is_empty());
        let command = match (command, known) {
            (Some(command), _) => Command::Own(command),
            (None, Some(known)) => Command::BuiltIn(known),
            (None, None) => return None,
        };
        let built_in = known.map(|known| known.extensions).unwrap_or_default();
        let built_in = || built_in.iter().map(|text| (*text).to_owned()).collect();
        let extensions = texts(entry.get("extensions")).unwrap_or_else(built_in);
        let environment: BTreeMap<String, String> = entry
            .get("environment")
            .and_then(|value| serde_json::from_value(value.clone()).ok())
            .unwrap_or_default();
        Some(Self {
            name: name.to_owned(),
            extensions,
            command,
            environment: environment.into_iter().collect(),
        })
    }
}

//! What a folder's configuration switches on.

use crate::formatter::{Command, Formatter};
use crate::found::{self, Ready};
use crate::table::BUILT_IN;
use kilo_config::programs::{self, Programs};
use serde_json::{Map, Value};
use std::path::Path;

/// The formatters of one folder.
///
/// `formatter: true` and an object switch the built-in list on; an object changes entries of it (`disabled`, `command`,
/// `environment`, `extensions`) and adds others. Without the key, or with `false`, there are none.
#[derive(Debug)]
pub struct Formatters {
    list: Vec<Formatter>,
}

/// A line of `GET /formatter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// Ends of the names of its files.
    pub extensions: Vec<String>,
    /// Its program is there and, for a built-in one, the project wants it.
    pub enabled: bool,
}

impl Formatters {
    /// Reads the value of the key `formatter`; `None` where there are none.
    pub fn from_config(value: Option<&Value>) -> Option<Self> {
        let none = Map::new();
        let entries = match value? {
            Value::Bool(true) => &none,
            Value::Object(entries) => entries,
            _ => return None,
        };
        let mut list: Vec<Formatter> = Vec::new();
        for known in BUILT_IN {
            let entry = entries.get(known.name).unwrap_or(&Value::Null);
            list.extend(Formatter::read(known.name, entry, Some(known)));
        }
        let is_known = |name: &str| BUILT_IN.iter().any(|known| known.name == name);
        for (name, entry) in entries.iter().filter(|(name, _)| !is_known(name)) {
            list.extend(Formatter::read(name, entry, None));
        }
        Some(Self { list })
    }

    /// All that are on, as they are for the folder `from`. Blocks on the disk.
    pub fn status(&self, programs: &Programs, from: &Path) -> Vec<Status> {
        let status = |formatter: &Formatter| Status {
            name: formatter.name.clone(),
            extensions: formatter.extensions.clone(),
            enabled: found::is_enabled(formatter, programs, from),
        };
        self.list.iter().map(status).collect()
    }

    /// What is to be run on a file of the session's folder `directory`, in this order. All of the user's own that fit;
    /// without one, of the built-in list the first that the project asks for, else the first that is there. Blocks on the
    /// disk.
    pub(crate) fn chosen(&self, programs: &Programs, directory: &Path, file: &Path) -> Vec<Ready> {
        let fits = |formatter: &&Formatter| programs::fits(file, &formatter.extensions);
        let (own, known): (Vec<_>, Vec<_>) = self
            .list
            .iter()
            .filter(fits)
            .partition(|formatter| matches!(formatter.command, Command::Own(_)));
        let ready = |formatter: &Formatter| found::ready(formatter, programs, directory, file);
        if !own.is_empty() {
            return own.into_iter().filter_map(ready).collect();
        }
        let mut ready: Vec<Ready> = known.into_iter().filter_map(ready).collect();
        let asked = ready.iter().position(|ready| ready.is_asked_for);
        if ready.is_empty() {
            return ready;
        }
        vec![ready.swap_remove(asked.unwrap_or(0))]
    }
}

//! The shapes of parameters and bodies as they lie in the folder `shapes/`: one file for each table, `bodies.json` with
//! what request bodies are made of, `shared.json` with what several tables' answers are made of.
//!
//! Each is `{operations: {ID: {parameters, requestBody?, responses, …}}, schemas: {NAME: schema}}`, without any prose.
//! Only the document asks for them; it reads them one level deep. What requests are checked against is cut out of them
//! when the program is built (`build.rs`).

use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// One file, read one level deep. What is in it stays text.
#[derive(Default, Deserialize)]
pub(crate) struct File {
    /// The shapes of each operation.
    #[serde(borrow)]
    pub operations: BTreeMap<&'static str, &'static RawValue>,
    /// What they are made of.
    #[serde(borrow)]
    pub schemas: BTreeMap<&'static str, &'static RawValue>,
}

/// A file, not read yet or read.
pub(crate) type Source = LazyLock<Result<File, serde_json::Error>>;

macro_rules! sources {
    ($($name:literal),* $(,)?) => {
        [$(($name, LazyLock::new(|| serde_json::from_str(include_str!(concat!(env!("OUT_DIR"), "/", $name, ".json")))))),*]
    };
}

/// All files, by name.
static SOURCES: [(&str, Source); 18] = sources![
    "session",
    "server",
    "answers",
    "config",
    "catalog",
    "workspace",
    "pty",
    "mcp",
    "experimental",
    "kilocode",
    "kilo",
    "memory",
    "tui",
    "trees",
    "api_session",
    "api",
    "bodies",
    "shared",
];

/// All files.
pub(crate) fn all() -> impl Iterator<Item = &'static Source> {
    SOURCES.iter().map(|(_, source)| source)
}

/// The file of a table, or one of the two others.
#[cfg(test)]
pub(crate) fn of(name: &str) -> Option<&'static File> {
    let (_, source) = SOURCES.iter().find(|(known, _)| *known == name)?;
    source.as_ref().ok()
}

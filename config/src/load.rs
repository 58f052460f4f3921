//! Which files make the configuration, and in which order.
//!
//! Low to high: built-in values; the user's folders; the file of `KILO_CONFIG`; the project's files from the worktree's
//! root down to the directory; the project's `.kilocode` and `.kilo` folders; the folder of `KILO_CONFIG_DIR`;
//! `KILO_CONFIG_CONTENT`; the administrator's folder. A folder brings its files, then its markdown agents and commands.

mod loader;

use crate::env::Environment;
use crate::files::Stamp;
use crate::folders;
use crate::guard::Guard;
use crate::paths::{Paths, absolute};
use crate::source::Source;
use crate::trust::ProjectKey;
use crate::view::Config;
use loader::Loader;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const FILE_BYTES_MAX: u64 = 1024 * 1024;
const KILO: [&str; 2] = ["kilo.json", "kilo.jsonc"];
const OPENCODE: [&str; 2] = ["opencode.json", "opencode.jsonc"];
/// All names of a folder, lowest precedence first.
pub(crate) const ALL_NAMES: [&str; 5] = ["config.json", OPENCODE[0], OPENCODE[1], KILO[0], KILO[1]];

/// Something that was left out of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The file, or the variable's name.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
    /// The values in question, where there are some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A directory's configuration at one moment. Never changes; load again when [`Loaded::is_stale`].
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The directory it is for.
    pub directory: PathBuf,
    /// The root of the worktree around it; the directory itself outside a repository.
    pub worktree: PathBuf,
    /// All sources merged: the answer of `GET /config`. An object.
    pub merged: Value,
    /// The same with types and defaults.
    pub config: Config,
    /// The user's own folders only: the answer of `GET /global/config`.
    pub global: Value,
    /// The project's files only.
    pub project: Value,
    /// Everything but the project's files: what holds before the user trusts the project.
    pub trusted: Value,
    /// What in the project's files needs the user's consent.
    pub project_keys: Vec<ProjectKey>,
    /// The entries of `instructions` that the user named, so that they may point anywhere.
    pub user_instructions: BTreeSet<String>,
    /// The places, lowest precedence first: those that exist, and those that a client may create.
    pub sources: Vec<Source>,
    /// What was left out, and why.
    pub warnings: Vec<Warning>,
    /// What that could have forbidden: it asks, whatever the rules allow.
    pub guards: Vec<Guard>,
    /// Keys that mean nothing and are no slip of a known one. They change nothing, so only `kilo config check` tells.
    pub unknown: Vec<Warning>,
    stamps: Vec<(PathBuf, Option<Stamp>)>,
}

impl Loaded {
    /// Whether a file that counts, or could have counted, has changed since. Costs one `stat` for each.
    pub fn is_stale(&self) -> bool {
        self.stamps
            .iter()
            .any(|(path, stamp)| Stamp::of(path) != *stamp)
    }
}

/// The answer of `GET /config/sources`: `{sources: [...]}`, lowest precedence first.
pub fn sources_json(loaded: &Loaded) -> Value {
    json!({"sources": loaded.sources})
}

/// Loads the configuration of `directory` inside `worktree` (the directory itself outside a repository).
///
/// Never fails: a source that cannot be read or parsed, and a value of the wrong type, become a [`Warning`] each and are
/// left out. Nothing is allowed by that: see [`Loaded::guards`].
pub fn load(env: &Environment, paths: &Paths, directory: &Path, worktree: &Path) -> Loaded {
    // A worktree at the file system's root is no worktree: everything above the directory would belong to the project.
    let is_real = worktree.parent().is_some() && directory.starts_with(worktree);
    let root = if is_real { worktree } else { directory };
    let mut loader = Loader::new(env, paths, directory, root);
    loader.builtin();
    for folder in folders::user(paths) {
        loader.folder(&folder, true);
    }
    if let Some(path) = env.get("KILO_CONFIG") {
        loader.named_file("KILO_CONFIG", &absolute(path, env));
    }
    loader.project_files();
    for folder in folders::project(paths, directory, root) {
        loader.folder(&folder, false);
    }
    if let Some(folder) = folders::extra(paths) {
        loader.folder(&folder, false);
    }
    loader.content();
    loader.managed();
    loader.finish()
}

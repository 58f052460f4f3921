//! The folders that hold configuration files, agents, commands, skills and rules.

use crate::env::Environment;
use crate::paths::Paths;
use crate::project::folders_down;
use crate::source::Scope;
use std::path::{Path, PathBuf};

/// A configuration folder and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigFolder {
    pub path: PathBuf,
    pub scope: Scope,
}

/// The names of a configuration folder, lowest precedence first.
pub(crate) const NAMES: [&str; 2] = [".kilocode", ".kilo"];

/// The user's folders: `~/.config/kilo`, then `~/.kilocode` and `~/.kilo`.
pub(crate) fn user(paths: &Paths) -> Vec<ConfigFolder> {
    let mut folders = vec![paths.config.clone()];
    folders.extend(NAMES.map(|name| paths.home.join(name)));
    folders
        .into_iter()
        .map(|path| ConfigFolder {
            path,
            scope: Scope::Global,
        })
        .collect()
}

/// The project's folders, from the worktree's root down, without those that are the user's own.
pub(crate) fn project(paths: &Paths, directory: &Path, worktree: &Path) -> Vec<ConfigFolder> {
    let own = user(paths);
    let mut folders = Vec::new();
    for parent in folders_down(directory, worktree) {
        for path in NAMES.map(|name| parent.join(name)) {
            if !own.iter().any(|folder| folder.path == path) {
                folders.push(ConfigFolder {
                    path,
                    scope: Scope::Project,
                });
            }
        }
    }
    folders
}

/// The folder of `KILO_CONFIG_DIR`, after the project's.
pub(crate) fn extra(paths: &Paths) -> Option<ConfigFolder> {
    paths.extra_config.clone().map(|path| ConfigFolder {
        path,
        scope: Scope::Global,
    })
}

/// All of them, lowest precedence first.
pub(crate) fn all(paths: &Paths, directory: &Path, worktree: &Path) -> Vec<ConfigFolder> {
    let mut folders = user(paths);
    folders.extend(project(paths, directory, worktree));
    folders.extend(extra(paths));
    folders
}

/// Whether files of other agents (`~/.claude`, `CLAUDE.md`) are to be left alone.
pub(crate) fn without_claude(env: &Environment) -> bool {
    env.is_on("KILO_DISABLE_CLAUDE_CODE")
}

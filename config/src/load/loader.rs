//! Goes through the places one by one and puts each on top.

use super::{ALL_NAMES, FILE_BYTES_MAX, KILO, Loaded, OPENCODE, Warning};
use crate::check;
use crate::documents;
use crate::doubled::doubled;
use crate::env::Environment;
use crate::files::{Stamp, is_inside, read_text};
use crate::folders::ConfigFolder;
use crate::guard::{ASKS, Guard};
use crate::jsonc;
use crate::merge::merge;
use crate::paths::Paths;
use crate::project::folders_down;
use crate::source::{Scope, Source};
use crate::substitute::{References, substitute};
use crate::trust::{self, ProjectKey};
use crate::view::Config;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A configuration in the making.
pub(super) struct Loader<'a> {
    env: &'a Environment,
    paths: &'a Paths,
    directory: &'a Path,
    root: &'a Path,
    merged: Map<String, Value>,
    global: Map<String, Value>,
    project: Map<String, Value>,
    trusted: Map<String, Value>,
    project_keys: Vec<ProjectKey>,
    user_instructions: BTreeSet<String>,
    sources: Vec<Source>,
    warnings: Vec<Warning>,
    guards: Vec<Guard>,
    unknown: Vec<Warning>,
    stamps: Vec<(PathBuf, Option<Stamp>)>,
    read: BTreeSet<PathBuf>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(
        env: &'a Environment,
        paths: &'a Paths,
        directory: &'a Path,
        root: &'a Path,
    ) -> Self {
        Self {
            env,
            paths,
            directory,
            root,
            merged: Map::new(),
            global: Map::new(),
            project: Map::new(),
            trusted: Map::new(),
            project_keys: Vec::new(),
            user_instructions: BTreeSet::new(),
            sources: Vec::new(),
            warnings: Vec::new(),
            guards: Vec::new(),
            unknown: Vec::new(),
            stamps: Vec::new(),
            read: BTreeSet::new(),
        }
    }

    pub(super) fn builtin(&mut self) {
        let username = ["USER", "LOGNAME", "USERNAME"]
            .iter()
            .find_map(|name| self.env.get(name))
            .unwrap_or("unknown");
        let value =
            json!({"command": {}, "plugin": [], "username": username, "mode": {}, "agent": {}});
        self.source(
            "builtin",
            Scope::System,
            "Built-in values",
            "builtin",
            None,
            true,
            Some("part of the program"),
        );
        if let Value::Object(value) = value {
            merge(&mut self.trusted, value.clone());
            merge(&mut self.merged, value);
        }
    }

    /// The project's own files; `opencode` names count only where there is no `kilo` name at all.
    pub(super) fn project_files(&mut self) {
        let folders = folders_down(self.directory, self.root);
        let paths = |names: [&str; 2]| -> Vec<PathBuf> {
            folders
                .iter()
                .flat_map(|folder| names.map(|name| folder.join(name)))
                .collect()
        };
        let kilo = paths(KILO);
        let is_kilo = kilo.iter().any(|path| path.exists());
        for path in &kilo {
            let is_offered = *path == self.directory.join(KILO[0]);
            self.file(path, Scope::Project, false, is_offered);
        }
        if !is_kilo {
            for path in paths(OPENCODE) {
                self.file(&path, Scope::Project, false, false);
            }
        }
    }

    pub(super) fn folder(&mut self, folder: &ConfigFolder, is_user_folder: bool) {
        let is_config = folder.path == self.paths.config;
        if !self.stamp(&folder.path) {
            self.hidden(&folder.path);
            if is_config {
                self.file(&folder.path.join(KILO[1]), Scope::Global, true, true);
            }
            return;
        }
        if is_config {
            for name in ALL_NAMES {
                self.file(
                    &folder.path.join(name),
                    Scope::Global,
                    true,
                    name == KILO[1],
                );
            }
        } else {
            let is_kilo = KILO.iter().any(|name| folder.path.join(name).exists());
            let others = if is_kilo {
                [].as_slice()
            } else {
                OPENCODE.as_slice()
            };
            for name in KILO.iter().chain(others) {
                self.file(&folder.path.join(name), folder.scope, is_user_folder, false);
            }
        }
        self.documents(folder, is_user_folder);
    }

    fn documents(&mut self, folder: &ConfigFolder, is_user_folder: bool) {
        let confined_to = (folder.scope == Scope::Project).then_some(self.root);
        let found = documents::pieces(&folder.path, confined_to, &mut self.stamps);
        for (path, reason) in found.unread {
            self.fault(&path.to_string_lossy(), reason, None, Guard::everything());
        }
        let pieces = found.pieces;
        if pieces.is_empty() {
            return;
        }
        let label = "Agents and commands".to_owned();
        self.source(
            "folder",
            folder.scope,
            &label,
            &folder.path.to_string_lossy(),
            Some(&folder.path),
            true,
            None,
        );
        for piece in pieces {
            match piece.value {
                Ok(value) => self.layer(
                    value,
                    folder.scope,
                    is_user_folder,
                    &piece.path.to_string_lossy(),
                ),
                Err(message) => {
                    let shown = piece.path.to_string_lossy();
                    match piece.agent {
                        Some(name) => {
                            let guard = Guard::of_agent(&name);
                            self.fault(&shown, message, None, guard);
                        }
                        None => self.warn(&shown, message, None),
                    }
                }
            }
        }
    }

    /// One file; a missing one is only listed if `is_offered`.
    pub(super) fn file(
        &mut self,
        path: &Path,
        scope: Scope,
        is_user_folder: bool,
        is_offered: bool,
    ) {
        let exists = self.stamp(path);
        if !exists {
            self.hidden(path);
        }
        if !exists && !is_offered || !self.read.insert(path.to_owned()) {
            return;
        }
        let shown = path.to_string_lossy().into_owned();
        let (kind, reason) = match scope {
            Scope::System => ("managed", Some("set by the administrator")),
            _ => ("file", None),
        };
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        self.source(kind, scope, &name, &shown, Some(path), exists, reason);
        if !exists {
            return;
        }
        if scope == Scope::Project && !is_inside(path, self.root) {
            let reason = "file leaves the project through a symbolic link".into();
            return self.fault(&shown, reason, None, Guard::everything());
        }
        match read_text(path, FILE_BYTES_MAX) {
            Ok(text) => self.text(
                &text,
                scope,
                is_user_folder,
                &shown,
                path.parent().unwrap_or(path),
            ),
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) => self.unread(&shown, &error),
        }
    }

    /// A file that the user names in a variable must be there: its rules are counted on.
    pub(super) fn named_file(&mut self, variable: &str, path: &Path) {
        if path
            .symlink_metadata()
            .is_err_and(|error| error.kind() == ErrorKind::NotFound)
        {
            let reason = format!("does not exist, but {variable} names it");
            self.fault(&path.to_string_lossy(), reason, None, Guard::everything());
        }
        self.file(path, Scope::Global, false, true);
    }

    /// Tells of a place that is not simply missing: a folder that may not be entered, a link to nothing.
    fn hidden(&mut self, path: &Path) {
        let is_missing = |error: &std::io::Error| {
            matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        };
        let shown = path.to_string_lossy();
        match path.symlink_metadata() {
            Ok(_) => {
                let error = path.metadata().err().filter(|error| !is_missing(error));
                let reason = error.map_or_else(
                    || "is a symbolic link to nothing".to_owned(),
                    |error| format!("cannot be read: {error}"),
                );
                self.fault(&shown, reason, None, Guard::everything());
            }
            Err(error) if !is_missing(&error) => self.unread(&shown, &error),
            Err(_) => {}
        }
    }

    fn unread(&mut self, shown: &str, error: &std::io::Error) {
        self.fault(
            shown,
            format!("cannot be read: {error}"),
            None,
            Guard::everything(),
        );
    }

    pub(super) fn content(&mut self) {
        const NAME: &str = "KILO_CONFIG_CONTENT";
        let Some(text) = self.env.get(NAME) else {
            return;
        };
        self.source(
            "environment",
            Scope::Global,
            NAME,
            NAME,
            None,
            true,
            Some("set in the environment"),
        );
        let folder = self.directory;
        self.text(text, Scope::Global, false, NAME, folder);
    }

    pub(super) fn managed(&mut self) {
        let folder = self.paths.managed.clone();
        if self.stamp(&folder) {
            for name in ALL_NAMES {
                self.file(&folder.join(name), Scope::System, false, false);
            }
        }
    }

    fn text(&mut self, text: &str, scope: Scope, is_user_folder: bool, shown: &str, folder: &Path) {
        let mut value = match jsonc::parse(text) {
            // An empty file is an empty configuration.
            Ok(Value::Null) => Value::Object(Map::new()),
            Ok(value) => value,
            Err(message) => {
                let reason = format!("is not valid JSON: {message}");
                return self.fault(shown, reason, None, Guard::everything());
            }
        };
        for doubled in doubled(text) {
            let field = doubled.field.join(".");
            let message = format!("{field}: stands more than once, and only the last one counts");
            match doubled.guard {
                Some(guard) => self.fault(shown, message, Some(field), guard),
                None => self.warn(shown, message, Some(field)),
            }
        }
        let reach = References {
            env: self.env,
            folder,
            confined_to: (scope == Scope::Project).then_some(self.root),
        };
        if let Err(message) = substitute(&mut value, &reach, &mut self.stamps) {
            return self.fault(shown, message, None, Guard::everything());
        }
        self.layer(value, scope, is_user_folder, shown);
    }

    /// Checks one source's value and puts it on top.
    fn layer(&mut self, mut value: Value, scope: Scope, is_user_folder: bool, shown: &str) {
        self.names(&mut value, shown);
        let problems = check::prune(&mut value);
        for problem in problems.iter().filter(|problem| problem.is_asked) {
            if said(&self.merged, &problem.field) == Some("deny") {
                // Asking would be laxer than what is said below.
                remove(&mut value, &problem.field);
            }
        }
        self.wrong(&problems, shown);
        let Value::Object(fields) = value else { return };
        if scope == Scope::Project {
            self.project_keys
                .extend(trust::scan(&fields, Path::new(shown)));
            merge(&mut self.project, fields.clone());
        } else {
            let named = fields
                .get("instructions")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            self.user_instructions
                .extend(named.filter_map(|item| item.as_str().map(str::to_owned)));
            merge(&mut self.trusted, fields.clone());
        }
        if is_user_folder {
            merge(&mut self.global, fields.clone());
        }
        merge(&mut self.merged, fields);
    }

    /// Tells of wrong values; those that could have been a denial are guarded.
    fn wrong(&mut self, problems: &[check::Problem], shown: &str) {
        if problems.is_empty() {
            return;
        }
        let fields: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let message = format!("{} left out: {}", count(problems.len()), fields.join("; "));
        let names: Vec<String> = problems
            .iter()
            .map(|problem| problem.field.join("."))
            .collect();
        let guards: Vec<Guard> = problems
            .iter()
            .filter_map(|problem| Guard::of_field(&problem.field))
            .collect();
        let detail = Some(names.join(", "));
        if guards.is_empty() && !problems.iter().any(|problem| problem.is_asked) {
            return self.warn(shown, message, detail);
        }
        self.guards.extend(guards);
        self.warn(shown, format!("{message}; {ASKS}"), detail);
    }

    /// Tells of keys that mean nothing. A misspelt one is a warning; a misspelt rule is guarded, and kept from becoming an
    /// option of the provider.
    fn names(&mut self, value: &mut Value, shown: &str) {
        for unknown in check::unknown(value) {
            let name = unknown.field.join(".");
            let message = unknown.to_string();
            let Some(nearest) = unknown.nearest else {
                self.unknown.push(Warning {
                    path: shown.to_owned(),
                    message,
                    detail: Some(name),
                });
                continue;
            };
            let meant = at(value, &unknown.field).unwrap_or(&Value::Null);
            match Guard::of_misspelt(&unknown.field, nearest, meant) {
                Some(guard) => {
                    self.fault(shown, message, Some(name), guard);
                    // A permission stays where it is: a tool of an MCP server may bear that very name.
                    if unknown
                        .field
                        .iter()
                        .rev()
                        .nth(1)
                        .is_none_or(|key| key != "permission")
                    {
                        remove(value, &unknown.field);
                    }
                }
                None => self.warn(shown, message, Some(name)),
            }
        }
    }

    /// Remembers what is at `path`, before it is read; says whether anything is.
    fn stamp(&mut self, path: &Path) -> bool {
        let stamp = Stamp::of(path);
        self.stamps.push((path.to_owned(), stamp));
        stamp.is_some()
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "one row of a table, written in one place"
    )]
    fn source(
        &mut self,
        kind: &'static str,
        scope: Scope,
        label: &str,
        source: &str,
        path: Option<&Path>,
        exists: bool,
        reason: Option<&'static str>,
    ) {
        self.sources.push(Source {
            order: self.sources.len(),
            kind,
            scope,
            label: label.to_owned(),
            source: source.to_owned(),
            path: path.map(Path::to_owned),
            exists,
            editable: reason.is_none(),
            reason,
        });
    }

    /// Tells of something left out that could have forbidden the calls of `guard`.
    fn fault(&mut self, path: &str, message: String, detail: Option<String>, guard: Guard) {
        self.guards.push(guard);
        self.warn(path, format!("{message}; {ASKS}"), detail);
    }

    fn warn(&mut self, path: &str, message: String, detail: Option<String>) {
        tracing::warn!(path, message, "configuration left out");
        self.warnings.push(Warning {
            path: path.to_owned(),
            message,
            detail,
        });
    }

    pub(super) fn finish(self) -> Loaded {
        let merged = Value::Object(self.merged);
        Loaded {
            directory: self.directory.to_owned(),
            worktree: self.root.to_owned(),
            config: Config::view(&merged, &self.paths.home),
            merged,
            global: Value::Object(self.global),
            project: Value::Object(self.project),
            trusted: Value::Object(self.trusted),
            project_keys: self.project_keys,
            user_instructions: self.user_instructions,
            sources: self.sources,
            warnings: self.warnings,
            guards: self.guards,
            unknown: self.unknown,
            stamps: self.stamps,
        }
    }
}

fn count(values: usize) -> String {
    if values == 1 {
        "1 value is".into()
    } else {
        format!("{values} values are")
    }
}

/// The word that `config` has at `field`.
fn said<'a>(config: &'a Map<String, Value>, field: &[String]) -> Option<&'a str> {
    let (first, rest) = field.split_first()?;
    at(config.get(first)?, rest)?.as_str()
}

/// What stands at the end of `field`.
fn at<'a>(value: &'a Value, field: &[String]) -> Option<&'a Value> {
    field.iter().try_fold(value, |value, key| value.get(key))
}

/// Takes out what stands at the end of `field`.
fn remove(value: &mut Value, field: &[String]) {
    let Some((last, parents)) = field.split_last() else {
        return;
    };
    let parent = parents
        .iter()
        .try_fold(value, |value, key| value.get_mut(key));
    if let Some(Value::Object(parent)) = parent {
        parent.shift_remove(last);
    }
}

//! The language servers of one folder: after a write, and when somebody asks.

use crate::changed;
use crate::choose::{Choice, Ready, Servers};
use crate::languages::{Languages, NoServer};
use crate::look::{Looked, Patience};
use crate::report::{Report, report};
use crate::server::LanguageServer;
use futures_util::future::join_all;
use kilo_config::programs::Programs;
use kilo_runtime::pool::{Lease, Stage};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long an edit waits for diagnostics: of a server that is ready, and of one that starts or indexes.
pub const READY_TIME: Duration = Duration::from_secs(2);
pub const BUSY_TIME: Duration = Duration::from_secs(10);
/// How long `/find/symbol` waits for one server.
const SYMBOL_TIME: Duration = Duration::from_secs(2);
/// Symbols of one answer.
pub const SYMBOLS_MAX: usize = 10;
/// Class, method, enum, interface, function, variable, constant, struct.
const SYMBOL_KINDS: [u64; 8] = [5, 6, 10, 11, 12, 13, 14, 23];
/// Files of one server that are looked at behind a command.
const BEHIND_MAX: usize = 8;
/// Notes of which it is remembered that they were said.
const SAID_MAX: usize = 1_000;

/// One folder's servers.
pub struct Folder {
    languages: Languages,
    servers: Servers,
    programs: Programs,
    directory: PathBuf,
    said: Mutex<BTreeSet<String>>,
}

/// A line of `GET /lsp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The server's name.
    pub id: String,
    /// Its root relative to the folder; empty for the folder itself.
    pub root: String,
    /// It runs; else it crashed.
    pub is_connected: bool,
}

impl Folder {
    /// The session's folder `directory`, with `servers` found by `programs`.
    pub fn new(
        languages: Languages,
        servers: Servers,
        programs: Programs,
        directory: PathBuf,
    ) -> Self {
        Self {
            languages,
            servers,
            programs,
            directory,
            said: Mutex::default(),
        }
    }

    /// The folder.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What the servers of these files (absolute) find after they were written.
    pub async fn after_write(
        self: &Arc<Self>,
        files: Vec<PathBuf>,
        cancel: &CancellationToken,
    ) -> Report {
        let work = self.look(files);
        tokio::select! {
            report = work => report,
            () = cancel.cancelled() => Report::default(),
        }
    }

    /// What the servers that run find in the files that a command changed at `since_ms` (of the system's clock) or later.
    /// None is started for it.
    pub async fn after_command(
        self: &Arc<Self>,
        since_ms: u64,
        cancel: &CancellationToken,
    ) -> Report {
        let work = self.look_behind(since_ms);
        tokio::select! {
            report = work => report,
            () = cancel.cancelled() => Report::default(),
        }
    }

    async fn look_behind(self: &Arc<Self>, since_ms: u64) -> Report {
        let listed = self.languages.of_folder(&self.directory.to_string_lossy());
        let servers: Vec<_> = listed.into_iter().filter_map(|(_, lease)| lease).collect();
        if servers.is_empty() {
            return Report::default();
        }
        let stale = join_all(servers.iter().map(|server| server.stale())).await;
        let mut files: Vec<PathBuf> = Vec::new();
        for path in stale
            .into_iter()
            .flatten()
            .chain(self.changed(since_ms).await)
        {
            if !files.contains(&path) {
                files.push(path);
            }
        }
        let (mut ready, _) = self.choose(&files).await;
        ready.retain(|(ready, _)| self.languages.runs(ready));
        let mut notes = Vec::new();
        for (ready, files) in &mut ready {
            let left = files.len().saturating_sub(BEHIND_MAX);
            files.truncate(BEHIND_MAX);
            if left > 0 {
                let id = &ready.id;
                notes.push(format!(
                    "The command changed {left} more files of {id}, which were not looked at."
                ));
            }
        }
        match ready.is_empty() {
            true => Report::default(),
            false => self.look_with_all(ready, notes).await,
        }
    }

    async fn changed(self: &Arc<Self>, since_ms: u64) -> Vec<PathBuf> {
        let this = Arc::clone(self);
        let walking = tokio::task::spawn_blocking(move || {
            changed::since(&this.directory, since_ms, |path| this.servers.fits(path))
        });
        walking.await.unwrap_or_default()
    }

    async fn look(self: &Arc<Self>, files: Vec<PathBuf>) -> Report {
        let (ready, notes) = self.choose(&files).await;
        self.look_with_all(ready, notes).await
    }

    async fn look_with_all(
        &self,
        ready: Vec<(Arc<Ready>, Vec<PathBuf>)>,
        mut notes: Vec<String>,
    ) -> Report {
        let begun = Instant::now();
        let looks = ready
            .iter()
            .map(|(ready, files)| self.look_with(ready, files, begun));
        let looks = join_all(looks).await;
        let mut looked = Vec::new();
        for ((ready, _), look) in ready.iter().zip(looks) {
            match look {
                Ok(look) => {
                    notes.extend(self.shortfall(&ready.id, &look));
                    looked.push(look);
                }
                Err(note) => notes.extend(note),
            }
        }
        report(&self.directory, &looked, notes)
    }

    /// The servers of these files, with their files; and what is missing, each said once.
    async fn choose(
        self: &Arc<Self>,
        files: &[PathBuf],
    ) -> (Vec<(Arc<Ready>, Vec<PathBuf>)>, Vec<String>) {
        let (this, named) = (Arc::clone(self), files.to_vec());
        let choosing = tokio::task::spawn_blocking(move || {
            let each = named.into_iter().map(|file| {
                let chosen = this.servers.choose(&this.programs, &this.directory, &file);
                (file, chosen)
            });
            each.collect::<Vec<_>>()
        });
        let mut ready: BTreeMap<(String, PathBuf), (Arc<Ready>, Vec<PathBuf>)> = BTreeMap::new();
        let mut notes = Vec::new();
        for (file, choices) in choosing.await.unwrap_or_default() {
            for choice in choices {
                match choice {
                    Choice::Ready(one) => {
                        let key = (one.id.clone(), one.root.clone());
                        let entry = ready.entry(key);
                        let entry = entry.or_insert_with(|| (Arc::new(one), Vec::new()));
                        entry.1.push(file.clone());
                    }
                    Choice::Missing {
                        id,
                        program,
                        install,
                    } => {
                        let how = install.map(|how| format!("; `{how}` would install it"));
                        let how = how.unwrap_or_default();
                        let note = format!(
                            "The language server {id} is not there: no program {program} was found{how}."
                        );
                        notes.extend(self.once(note));
                    }
                }
            }
        }
        (ready.into_values().collect(), notes)
    }

    async fn look_with(
        &self,
        ready: &Arc<Ready>,
        files: &[PathBuf],
        begun: Instant,
    ) -> Result<Looked, Option<String>> {
        let id = &ready.id;
        let end = begun + BUSY_TIME;
        let Ok(leased) = tokio::time::timeout_at(end, self.lease(ready)).await else {
            let seconds = BUSY_TIME.as_secs();
            let note = format!("The language server {id} was not ready after {seconds} s.");
            return Err(self.once(note));
        };
        let server = leased?;
        let patience = Patience {
            ready: READY_TIME,
            busy: end
                .saturating_duration_since(Instant::now())
                .max(READY_TIME),
        };
        match server.during(server.look(files, patience)).await {
            Ok(Ok(looked)) => Ok(looked),
            Ok(Err(_)) | Err(_) => {
                drop(server);
                // The pool tells of the crash right behind the failure of what was in flight.
                tokio::time::sleep(Duration::from_millis(20)).await;
                Err(self.languages.take_news(ready))
            }
        }
    }

    /// The server; else what is to be said, if it was not said before.
    pub(crate) async fn lease(
        &self,
        ready: &Arc<Ready>,
    ) -> Result<Lease<LanguageServer>, Option<String>> {
        let folder = self.directory.to_string_lossy();
        match self.languages.lease(ready, &folder).await {
            Ok(lease) => Ok(lease),
            Err(NoServer::Left) => Err(self.languages.take_news(ready)),
            Err(NoServer::Failed(why)) => {
                let id = &ready.id;
                Err(self.once(format!(
                    "The language server {id} cannot be started: {why}."
                )))
            }
        }
    }

    /// What a look could not see.
    fn shortfall(&self, id: &str, looked: &Looked) -> Option<String> {
        match &looked.busy {
            Some(busy) => Some(format!(
                "{id} is still loading the project ({busy}): problems may be missing."
            )),
            None if !looked.is_complete => {
                self.once(format!("{id} said nothing about the edit in time."))
            }
            None => None,
        }
    }

    fn once(&self, note: String) -> Option<String> {
        let mut said = self.said.lock();
        let is_new = said.len() < SAID_MAX && said.insert(note.clone());
        is_new.then_some(note)
    }

    /// The servers that can be started for a file.
    pub(crate) async fn ready_for(self: &Arc<Self>, file: &Path) -> (Vec<Arc<Ready>>, Vec<String>) {
        let (ready, notes) = self.choose(&[file.to_owned()]).await;
        (ready.into_iter().map(|(ready, _)| ready).collect(), notes)
    }

    /// The servers that ran for this folder.
    pub fn status(&self) -> Vec<Status> {
        let listed = self.languages.of_folder(&self.directory.to_string_lossy());
        let shown = listed.into_iter().filter_map(|(line, _)| {
            let root = &line.key.0.root;
            let root = root.strip_prefix(&self.directory).unwrap_or(root);
            Some(Status {
                id: line.key.0.id.clone(),
                root: root.display().to_string(),
                is_connected: match line.stage {
                    Stage::Running => true,
                    Stage::Down => false,
                    Stage::Starting => return None,
                },
            })
        });
        shown.collect()
    }

    /// Symbols of that name, `{name, kind, location: {uri, range}}`, from the servers that run for this folder; at most 10.
    pub async fn symbols(&self, query: &str) -> Vec<Value> {
        let listed = self.languages.of_folder(&self.directory.to_string_lossy());
        let servers = listed.into_iter().filter_map(|(_, lease)| lease);
        let asked = servers.map(async |server| {
            if !server.can("workspaceSymbolProvider", "workspace/symbol") {
                return Value::Null;
            }
            let params = json!({"query": query});
            let asking = server.request("workspace/symbol", params, SYMBOL_TIME);
            let answer = server.during(asking).await;
            answer.ok().and_then(Result::ok).unwrap_or_default()
        });
        let answers = join_all(asked)
            .await
            .into_iter()
            .flat_map(|answer| match answer {
                Value::Array(symbols) => symbols,
                _ => Vec::new(),
            });
        answers
            .filter_map(|symbol| shown_symbol(&symbol))
            .take(SYMBOLS_MAX)
            .collect()
    }
}

/// A symbol as clients know it; `None` for a kind that nobody looks for, or without a place.
fn shown_symbol(symbol: &Value) -> Option<Value> {
    let kind = symbol.get("kind")?.as_u64()?;
    let location = symbol.get("location")?;
    let (uri, range) = (location.get("uri")?.as_str()?, location.get("range")?);
    let name = symbol.get("name")?.as_str()?;
    let range: lsp_types::Range = serde_json::from_value(range.clone()).ok()?;
    SYMBOL_KINDS
        .contains(&kind)
        .then(|| json!({"name": name, "kind": kind, "location": {"uri": uri, "range": range}}))
}

//! One running language server: its start, its documents, its end.

use crate::docs::{self, Docs, Telling};
use crate::handshake;
use crate::language::language_of;
use crate::problems::uri_of;
use crate::rpc::{CallError, Connection};
use crate::state::{OnPublish, State};
use kilo_ports::BoxFuture;
use kilo_ports::sandbox::{ByteReader, Exit, Process, Sandbox, SpawnSpec, Streams};
use kilo_runtime::pool::Server;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

/// How long the whole start may take.
pub const START_TIME: Duration = Duration::from_secs(45);
/// How long a server may take to answer `shutdown`.
const SHUTDOWN_TIME: Duration = Duration::from_secs(2);
/// How long it may take to go then, before it is killed.
const GRACE: Duration = Duration::from_secs(1);
/// How often its memory is looked at.
const MEMORY_EVERY: Duration = Duration::from_secs(4);
/// How it begins why a server was ended for its memory.
pub const MEMORY_VERDICT: &str = "it used too much memory";
/// Bytes of what it printed about itself that are kept.
const WORDS_BYTES: usize = 4 << 10;

/// What to start.
#[derive(Clone)]
pub struct Launch {
    /// The server's name.
    pub id: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Variables set on top of the daemon's.
    pub env: Vec<(String, String)>,
    /// The workspace's root.
    pub root: PathBuf,
    /// `initializationOptions`, and what it gets when it asks for settings. An object, or null.
    pub initialization: Value,
    /// Bytes of memory that it and what it started may use.
    pub memory_max: u64,
    /// Told of each file whose problems were published.
    pub on_publish: OnPublish,
}

/// A running server. Clones are the same one.
#[derive(Clone)]
pub struct LanguageServer {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    process: Arc<dyn Process>,
    connection: Connection,
    state: Arc<State>,
    capabilities: Value,
    docs: tokio::sync::Mutex<Docs>,
    words: Arc<Mutex<Vec<u8>>>,
    /// Why it was ended, where that is known.
    verdict: Arc<Mutex<Option<String>>>,
    born: Instant,
}

/// A file that the server knows as it is on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// Which.
    pub path: PathBuf,
    /// Its version there.
    pub version: i64,
    /// What had been heard when it was told.
    pub heard: u64,
    /// It was told just now.
    pub is_news: bool,
}

impl LanguageServer {
    /// Starts one. The error is for people.
    pub async fn start(sandbox: Arc<dyn Sandbox>, launch: Launch) -> Result<Self, String> {
        let begun = tokio::time::timeout(START_TIME, Self::begin(&*sandbox, launch));
        let started = begun.await;
        started
            .unwrap_or_else(|_| Err(format!("it was not ready after {} s", START_TIME.as_secs())))
    }

    async fn begin(sandbox: &dyn Sandbox, launch: Launch) -> Result<Self, String> {
        let (program, args) = launch.command.split_first().ok_or("it has no command")?;
        let name = launch
            .root
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let spec = SpawnSpec {
            title: format!("lsp {} {name}", launch.id),
            program: program.clone(),
            args: args.to_vec(),
            directory: launch.root.clone(),
            env: launch.env.clone(),
            streams: Streams::Separate,
        };
        let spawned = sandbox.spawn(spec).await.map_err(|error| {
            let source = std::error::Error::source(&error);
            source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
        })?;
        let uri = uri_of(&launch.root);
        let settings = launch.initialization.clone();
        let state = State::new(settings, &uri, &name, Arc::clone(&launch.on_publish));
        let state = Arc::new(state);
        let words: Arc<Mutex<Vec<u8>>> = Arc::default();
        if let Some(stderr) = spawned.stderr {
            tokio::spawn(keep_words(stderr, Arc::clone(&words)));
        }
        let incoming = Arc::clone(&state);
        let connection = Connection::open(spawned.stdin, spawned.stdout, incoming);
        let mut inner = Inner {
            root: launch.root.clone(),
            process: Arc::from(spawned.process),
            connection,
            state,
            capabilities: Value::Null,
            docs: tokio::sync::Mutex::default(),
            words,
            verdict: Arc::default(),
            born: Instant::now(),
        };
        let greeted = handshake::greet(&inner.connection, &uri, &name, &launch.initialization);
        match greeted.await {
            Ok(capabilities) => inner.capabilities = capabilities,
            Err(CallError::Gone) => return Err(inner.why_gone().await),
            Err(error) => return Err(error.to_string()),
        }
        let (process, verdict) = (Arc::clone(&inner.process), Arc::clone(&inner.verdict));
        tokio::spawn(watch_memory(process, launch.memory_max, verdict));
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The workspace's root.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// What it said of its own accord.
    pub fn state(&self) -> &State {
        &self.inner.state
    }

    /// How long it runs.
    pub fn age(&self) -> Duration {
        self.inner.born.elapsed()
    }

    /// Whether it can do what goes by this name among its capabilities (`hoverProvider`), or registered the method later.
    pub fn can(&self, capability: &str, method: &str) -> bool {
        let named = self.inner.capabilities.get(capability);
        named.is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)))
            || self.inner.state.has_registered(method)
    }

    /// What it said of a capability, by its place (`/diagnosticProvider/interFileDependencies`).
    pub fn capability(&self, pointer: &str) -> Option<&Value> {
        self.inner.capabilities.pointer(pointer)
    }

    /// Asks.
    pub async fn request(
        &self,
        method: &'static str,
        params: Value,
        limit: Duration,
    ) -> Result<Value, CallError> {
        self.inner.connection.request(method, params, limit).await
    }

    /// Tells it what these files are on the disk now, and what of the other open ones changed behind its back. Files that
    /// cannot be read are left out.
    pub async fn sync(&self, files: &[PathBuf]) -> Result<Vec<Synced>, CallError> {
        // A task of its own: given up half-way it would leave the server with less than is remembered as told.
        let (server, files) = (self.clone(), files.to_vec());
        let told = tokio::spawn(async move { server.sync_all(files).await });
        told.await.unwrap_or(Err(CallError::Gone))
    }

    async fn sync_all(&self, named: Vec<PathBuf>) -> Result<Vec<Synced>, CallError> {
        // Held while it is told, so that versions arrive in their order.
        let mut docs = self.inner.docs.lock().await;
        let open = docs.stamps();
        let looking = tokio::task::spawn_blocking(move || look(open, named));
        let Ok(news) = looking.await else {
            return Ok(Vec::new());
        };
        for gone in news.gone {
            if docs.close(&gone) {
                self.tell_gone(&gone).await?;
            }
        }
        let mut synced = Vec::new();
        for (path, text, is_named) in news.texts {
            let heard = self.inner.state.problems.lock().heard();
            let (telling, closed) = docs.take(&path, &text);
            if let Some(closed) = closed {
                let params = json!({"textDocument": {"uri": uri_of(&closed)}});
                self.notify("textDocument/didClose", params).await?;
            }
            let version = self.tell(&path, &text.text, telling).await?;
            if is_named {
                synced.push(Synced {
                    path,
                    version,
                    heard,
                    is_news: !matches!(telling, Telling::Nothing(_)),
                });
            }
        }
        Ok(synced)
    }

    /// The open documents that are others on the disk now, or gone.
    pub async fn stale(&self) -> Vec<PathBuf> {
        let open = self.inner.docs.lock().await.stamps();
        let looking = tokio::task::spawn_blocking(move || {
            let is_stale = |(path, stamp): (PathBuf, docs::Stamp)| {
                let now = docs::stamp(&path);
                now.map_or(true, |now| now != stamp).then_some(path)
            };
            open.into_iter().filter_map(is_stale).collect()
        });
        looking.await.unwrap_or_default()
    }

    /// The documents that are open, the one that was used last first.
    pub async fn open_documents(&self) -> Vec<PathBuf> {
        let docs = self.inner.docs.lock().await;
        docs.stamps().into_iter().map(|(path, _)| path).collect()
    }

    async fn tell(&self, path: &Path, text: &str, telling: Telling) -> Result<i64, CallError> {
        let uri = uri_of(path);
        let (version, kind) = match telling {
            Telling::Nothing(version) => return Ok(version),
            Telling::Open(version) => {
                let document = json!({
                    "uri": uri, "languageId": language_of(path), "version": version, "text": text,
                });
                let params = json!({"textDocument": document});
                self.notify("textDocument/didOpen", params).await?;
                (version, 1)
            }
            Telling::Change(version) => {
                let document = json!({"uri": uri, "version": version});
                let params = json!({"textDocument": document, "contentChanges": [{"text": text}]});
                self.notify("textDocument/didChange", params).await?;
                (version, 2)
            }
        };
        let changes = json!({"changes": [{"uri": uri, "type": kind}]});
        self.notify("workspace/didChangeWatchedFiles", changes)
            .await?;
        if self.wants_saves() {
            let params = json!({"textDocument": {"uri": uri}, "text": text});
            self.notify("textDocument/didSave", params).await?;
        }
        Ok(version)
    }

    async fn tell_gone(&self, path: &Path) -> Result<(), CallError> {
        let uri = uri_of(path);
        self.inner.state.problems.lock().forget(path);
        self.notify(
            "textDocument/didClose",
            json!({"textDocument": {"uri": uri}}),
        )
        .await?;
        let changes = json!({"changes": [{"uri": uri, "type": 3}]});
        self.notify("workspace/didChangeWatchedFiles", changes)
            .await
    }

    fn wants_saves(&self) -> bool {
        let save = self.inner.capabilities.pointer("/textDocumentSync/save");
        save.is_some_and(|save| !matches!(save, Value::Null | Value::Bool(false)))
    }

    async fn notify(&self, method: &str, params: Value) -> Result<(), CallError> {
        self.inner.connection.notify(method, params).await
    }
}

struct News {
    gone: Vec<PathBuf>,
    texts: Vec<(PathBuf, docs::Text, bool)>,
}

/// What is to be told: open documents that changed or went, then the named files. Blocks on the disk.
fn look(open: Vec<(PathBuf, docs::Stamp)>, named: Vec<PathBuf>) -> News {
    let mut news = News {
        gone: Vec::new(),
        texts: Vec::new(),
    };
    for (path, stamp) in open {
        if named.contains(&path) {
            continue;
        }
        match docs::stamp(&path) {
            Ok(now) if now == stamp => {}
            Ok(_) => {
                if let Ok(text) = docs::read(&path) {
                    news.texts.push((path, text, false));
                }
            }
            Err(_) => news.gone.push(path),
        }
    }
    for path in named {
        match docs::read(&path) {
            Ok(text) => news.texts.push((path, text, true)),
            Err(_) => news.gone.push(path),
        }
    }
    news
}

impl Inner {
    /// Waits until it is gone; says why. One that only stopped talking is ended.
    fn why_gone(&self) -> BoxFuture<'static, String> {
        let (process, closed) = (Arc::clone(&self.process), self.connection.closed());
        let (words, verdict) = (Arc::clone(&self.words), Arc::clone(&self.verdict));
        Box::pin(async move {
            let why = tokio::select! {
                exit = process.wait() => exit_text(exit),
                why = closed => match tokio::time::timeout(GRACE / 2, process.wait()).await {
                    Ok(exit) => exit_text(exit),
                    Err(_) => {
                        process.end(GRACE).await;
                        why
                    }
                },
            };
            let verdict = verdict.lock().clone();
            let said = last_line(&words.lock());
            match verdict {
                Some(verdict) => verdict,
                None if said.is_empty() => why,
                None => format!("{why}: {said}"),
            }
        })
    }
}

impl Server for LanguageServer {
    fn gone(&self) -> BoxFuture<'static, String> {
        self.inner.why_gone()
    }

    fn end(&self) -> BoxFuture<'static, ()> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let connection = &inner.connection;
            let asked = connection
                .request("shutdown", Value::Null, SHUTDOWN_TIME)
                .await;
            if asked.is_ok() {
                let bye = connection.notify("exit", Value::Null);
                let _ = tokio::time::timeout(GRACE, bye).await;
                let _ = tokio::time::timeout(GRACE, inner.process.wait()).await;
            }
            inner.process.end(GRACE).await;
        })
    }

    fn pid(&self) -> Option<u32> {
        Some(self.inner.process.pid())
    }
}

fn exit_text(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("it exited with status {code}"),
        Exit::Signal(signal) => format!("it was ended by signal {signal}"),
        Exit::TimedOut | Exit::Cancelled => "it was ended".into(),
    }
}

async fn keep_words(mut stderr: ByteReader, words: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = vec![0; WORDS_BYTES];
    while let Ok(count) = stderr.read(&mut buffer).await
        && count > 0
    {
        let mut words = words.lock();
        words.extend_from_slice(&buffer[..count]);
        let over = words.len().saturating_sub(WORDS_BYTES);
        words.drain(..over);
    }
}

/// The last line that says something, cut.
fn last_line(words: &[u8]) -> String {
    let text = String::from_utf8_lossy(words);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let plain = |char: &char| !char.is_control();
    lines
        .next_back()
        .unwrap_or_default()
        .chars()
        .filter(plain)
        .take(200)
        .collect()
}

/// Ends a process that uses more memory than it may.
async fn watch_memory(process: Arc<dyn Process>, max: u64, verdict: Arc<Mutex<Option<String>>>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(MEMORY_EVERY) => {}
            _ = process.wait() => return,
        }
        let used = process.usage().await.memory_bytes;
        if used > max {
            let (used, max) = (used >> 20, max >> 20);
            *verdict.lock() = Some(format!(
                "{MEMORY_VERDICT} ({used} MiB, {max} MiB are allowed)"
            ));
            process.end(GRACE).await;
            return;
        }
    }
}

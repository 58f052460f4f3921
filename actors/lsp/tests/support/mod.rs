//! A folder whose language server the test plays.

use kilo_config::Environment;
use kilo_config::programs::Programs;
use kilo_lsp::{Folder, Languages, Notice, Options, Report, Servers};
use kilo_ports::fakes::{FakeProcess, FakeSandbox};
use kilo_ports::sandbox::{Exit, Sandbox};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// What a played server does when it gets a message.
pub enum Act {
    /// Answers the request with a result.
    Answer(Value),
    /// Answers the request with an error.
    Refuse(i64),
    /// Sends a message.
    Send(Value),
    /// Prints bytes.
    Print(Vec<u8>),
    /// Uses so many bytes of memory from now on.
    Use(u64),
    /// Ends.
    Exit(i32),
}

/// Decides what to do about a message: its method and parameters.
pub trait Play: Fn(&str, &Value) -> Vec<Act> + Send + Sync + 'static {}
impl<F: Fn(&str, &Value) -> Vec<Act> + Send + Sync + 'static> Play for F {}

type Player = Arc<dyn Fn(&str, &Value) -> Vec<Act> + Send + Sync>;

pub struct Stage {
    _home: tempfile::TempDir,
    pub folder: Arc<Folder>,
    pub notices: Arc<Mutex<Vec<String>>>,
    /// Every message that servers got, in order.
    pub heard: Arc<Mutex<Vec<(String, Value)>>>,
    /// How many servers were started.
    pub starts: Arc<Mutex<usize>>,
}

impl Stage {
    pub fn new(play: impl Play) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let sandbox = Arc::new(FakeSandbox::default());
        let notices: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = Arc::clone(&notices);
        let known: Arc<OnceLock<Languages>> = Arc::default();
        let all = Arc::clone(&known);
        // With what a client that is told would find.
        let on_notice = Arc::new(move |folder: &str, notice: Notice<'_>| {
            let listed = all.get().map(|all| all.of_folder(folder)).into_iter();
            let running = listed.flatten().filter(|(_, lease)| lease.is_some());
            let running = running.count();
            let mut told = told.lock().expect("no panic");
            told.push(format!("{notice:?}, {running} running"));
        });
        let languages = Languages::new(
            Handle::current(),
            Arc::clone(&sandbox) as Arc<dyn Sandbox>,
            Options::default(),
            1 << 30,
            on_notice,
        );
        assert!(known.set(languages.clone()).is_ok());
        let lsp = json!({"fake": {"command": ["/bin/sh"], "extensions": [".txt"], "initialization": {"a": {"b": 1}}}});
        let servers = Servers::from_config(Some(&lsp)).expect("one");
        let top = home.path().canonicalize().expect("a path");
        let programs = Programs::new(&Environment::default(), &top);
        let folder = Folder::new(languages, servers, programs, top);
        let (heard, starts) = (Arc::default(), Arc::default());
        tokio::spawn(serve(
            sandbox,
            Arc::new(play),
            Arc::clone(&heard),
            Arc::clone(&starts),
        ));
        Self {
            _home: home,
            folder: Arc::new(folder),
            notices,
            heard,
            starts,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.directory().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    /// Writes a file as a tool would and looks at it.
    pub async fn edit(&self, name: &str, text: &str) -> Report {
        let path = self.write(name, text);
        let cancel = CancellationToken::new();
        self.folder.after_write(vec![path], &cancel).await
    }

    /// Looks as behind a command.
    pub async fn after_command(&self, since_ms: u64) -> Report {
        let cancel = CancellationToken::new();
        self.folder.after_command(since_ms, &cancel).await
    }

    /// The methods that servers got.
    pub fn methods(&self) -> Vec<String> {
        let heard = self.heard.lock().expect("no panic");
        heard.iter().map(|(method, _)| method.clone()).collect()
    }
}

async fn serve(
    sandbox: Arc<FakeSandbox>,
    play: Player,
    heard: Arc<Mutex<Vec<(String, Value)>>>,
    starts: Arc<Mutex<usize>>,
) {
    loop {
        let process = sandbox.spawned.lock().pop();
        match process {
            Some(process) => {
                *starts.lock().expect("no panic") += 1;
                tokio::spawn(be(process, Arc::clone(&play), Arc::clone(&heard)));
            }
            None => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
        }
    }
}

async fn be(mut process: FakeProcess, play: Player, heard: Arc<Mutex<Vec<(String, Value)>>>) {
    let (read, _write) = tokio::io::split(std::mem::replace(
        &mut process.stdin,
        tokio::io::duplex(1).0,
    ));
    let mut reader = BufReader::new(read);
    while let Some(message) = next(&mut reader).await {
        let method = message["method"].as_str().unwrap_or("answer").to_owned();
        let entry = (method.clone(), message.clone());
        heard.lock().expect("no panic").push(entry);
        for act in play(&method, &message["params"]) {
            let id = &message["id"];
            let bytes = match act {
                Act::Answer(result) => {
                    framed(&json!({"jsonrpc": "2.0", "id": id, "result": result}))
                }
                Act::Refuse(code) => framed(
                    &json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": "no"}}),
                ),
                Act::Send(message) => framed(&message),
                Act::Print(bytes) => bytes,
                Act::Use(bytes) => {
                    process.state.usage.lock().memory_bytes = bytes;
                    Vec::new()
                }
                Act::Exit(code) => return process.exit(Exit::Code(code)),
            };
            if process.stdout.write_all(&bytes).await.is_err() {
                return;
            }
        }
    }
}

async fn next(reader: &mut (impl AsyncBufReadExt + Unpin)) -> Option<Value> {
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim().strip_prefix("Content-Length: ") {
            Some(number) => length = number.parse().ok()?,
            None if line.trim().is_empty() => break,
            None => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.ok()?;
    serde_json::from_slice(&body).ok()
}

pub fn framed(message: &Value) -> Vec<u8> {
    let body = message.to_string();
    format!("Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The answer to `initialize`.
pub fn ready(capabilities: Value) -> Vec<Act> {
    vec![Act::Answer(json!({"capabilities": capabilities}))]
}

/// A diagnostic for each line with BUG.
pub fn bugs(text: &str) -> Vec<Value> {
    let lines = text.lines().enumerate();
    let with = lines.filter(|(_, line)| line.contains("BUG"));
    with.map(|(at, line)| {
        let range =
            json!({"start": {"line": at, "character": 0}, "end": {"line": at, "character": 3}});
        json!({"range": range, "severity": 1, "source": "fake", "message": line})
    })
    .collect()
}

/// What a server publishes that was told of a document: by its version if it has one.
pub fn publish(params: &Value) -> Act {
    let document = &params["textDocument"];
    let text = document["text"]
        .as_str()
        .or(params["contentChanges"][0]["text"].as_str());
    let params = json!({
        "uri": document["uri"], "version": document["version"], "diagnostics": bugs(text.unwrap_or_default()),
    });
    Act::Send(
        json!({"jsonrpc": "2.0", "method": "textDocument/publishDiagnostics", "params": params}),
    )
}

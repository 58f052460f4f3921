//! With real processes and the real clock.

use kilo_config::Environment;
use kilo_config::programs::Programs;
use kilo_lsp::{Folder, Languages, MEMORY_MAX, Options, Report, Servers};
use kilo_sandbox::{ProcessSandbox, Settings};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Finds BUG in what it is told, and then takes more and more memory.
const GLUTTON: &str = r#"
import json, sys, time
read, write = sys.stdin.buffer, sys.stdout.buffer
def send(message):
    body = json.dumps(dict(message, jsonrpc="2.0")).encode()
    write.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
    write.flush()
held = []
while True:
    length = 0
    while True:
        line = read.readline()
        if not line: sys.exit()
        if line == b"\r\n": break
        if line.lower().startswith(b"content-length:"): length = int(line.split(b":")[1])
    message = json.loads(read.read(length))
    method = message.get("method")
    if method == "initialize":
        send({"id": message["id"], "result": {"capabilities": {"textDocumentSync": 1}}})
    elif method in ("textDocument/didOpen", "textDocument/didChange"):
        document = message["params"]["textDocument"]
        text = document.get("text") or message["params"]["contentChanges"][0]["text"]
        at = {"line": 0, "character": 0}
        found = [{"range": {"start": at, "end": at}, "severity": 1, "message": text.strip()}]
        params = {"uri": document["uri"], "version": document["version"], "diagnostics": found}
        send({"method": "textDocument/publishDiagnostics", "params": params})
        held.append(bytearray(b"x") * (150 << 20))
    elif method == "shutdown":
        send({"id": message["id"], "result": None})
"#;

struct Stage {
    _home: tempfile::TempDir,
    top: PathBuf,
    folder: Arc<Folder>,
}

impl Stage {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let top = home.path().canonicalize().expect("a path");
        std::fs::write(top.join("server.py"), GLUTTON).expect("written");
        let sandbox = ProcessSandbox::new(Settings::new(std::env::vars_os())).expect("a sandbox");
        let languages = Languages::new(
            Handle::current(),
            Arc::new(sandbox),
            Options::default(),
            MEMORY_MAX,
            Arc::new(|_, _| {}),
        );
        let command = ["/usr/bin/env", "python3", "server.py"];
        let lsp =
            json!({"glutton": {"command": command, "extensions": [".txt"], "memory_mb": 100}});
        let servers = Servers::from_config(Some(&lsp)).expect("one");
        let programs = Programs::new(&Environment::default(), &top);
        let folder = Folder::new(languages, servers, programs, top.clone());
        let folder = Arc::new(folder);
        Self {
            _home: home,
            top,
            folder,
        }
    }

    async fn edit(&self, text: &str) -> Report {
        let path = self.top.join("a.txt");
        std::fs::write(&path, text).expect("written");
        let cancel = CancellationToken::new();
        self.folder.after_write(vec![path], &cancel).await
    }

    /// Waits until the server is gone.
    async fn ended(&self) {
        let wait = async {
            while self.folder.status().iter().any(|line| line.is_connected) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(60), wait).await;
        assert!(in_time.is_ok(), "it still runs");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_eats_memory_is_started_anew_once_and_then_left_off() {
    let stage = Stage::new();
    for text in ["BUG one", "BUG two"] {
        let report = stage.edit(text).await;
        let note = report.note.unwrap_or_default();
        assert!(note.contains(text), "{note}");
        stage.ended().await;
    }
    let note = stage.edit("BUG three").await.note.unwrap_or_default();
    assert!(
        note.contains("glutton is off now: it used too much memory")
            && note.contains("100 MiB are allowed"),
        "{note}"
    );
    assert_eq!(stage.edit("BUG four").await, Report::default());
}

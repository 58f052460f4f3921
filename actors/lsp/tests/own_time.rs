//! How long an edit waits beyond the server's own time, with real servers: a program between the two notes when a change
//! went in and when its problems came out. Prints the figures; servers that are not on `PATH` are named and left out:
//!
//! ```sh
//! cargo nextest run -p kilo-lsp --release --run-ignored only --no-capture own_time
//! ```

use kilo_config::Environment;
use kilo_config::programs::Programs;
use kilo_lsp::{Folder, Languages, MEMORY_MAX, Options, Servers};
use kilo_sandbox::{ProcessSandbox, Settings};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Copies messages both ways and notes those about changes and problems: `[nanoseconds, "in" | "out"]`, a line each.
const BETWEEN: &str = r#"
import json, subprocess, sys, threading, time
log = open(sys.argv[1], "a", buffering=1)
server = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
asked = set()
def note(way): log.write(json.dumps([time.monotonic_ns(), way]) + "\n")
def copy(read, write, is_in):
    while True:
        length, head = 0, b""
        while not head.endswith(b"\r\n\r\n"):
            line = read.readline()
            if not line: write.close(); return
            head += line
            if line.lower().startswith(b"content-length:"): length = int(line.split(b":")[1])
        body = b""
        while len(body) < length: body += read.read(length - len(body))
        message = json.loads(body)
        method, id = message.get("method"), message.get("id")
        if is_in and method in ("textDocument/didOpen", "textDocument/didChange"): note("in")
        if is_in and method == "textDocument/diagnostic": asked.add(id)
        if not is_in and (method == "textDocument/publishDiagnostics" or (method is None and id in asked)): note("out")
        write.write(head + body); write.flush()
threading.Thread(target=copy, args=(sys.stdin.buffer, server.stdin, True), daemon=True).start()
copy(server.stdout, sys.stdout.buffer, False)
"#;

struct Kind {
    id: &'static str,
    command: &'static [&'static str],
    file: &'static str,
    /// With a mistake; `#` becomes a number.
    text: &'static str,
    /// Other files of the project.
    others: &'static [(&'static str, &'static str)],
}

const KINDS: [Kind; 5] = [
    Kind {
        id: "typescript",
        command: &["typescript-language-server", "--stdio"],
        file: "a.ts",
        text: "const a#: number = \"x\";\n",
        others: &[
            ("package.json", "{}"),
            ("tsconfig.json", "{\"compilerOptions\": {\"strict\": true}}"),
        ],
    },
    Kind {
        id: "pyright",
        command: &["pyright-langserver", "--stdio"],
        file: "a.py",
        text: "a#: int = \"x\"\n",
        others: &[("pyproject.toml", "")],
    },
    Kind {
        id: "clangd",
        command: &["clangd"],
        file: "a.c",
        text: "int f(void) { return unknown#; }\n",
        others: &[],
    },
    Kind {
        id: "bash",
        command: &["bash-language-server", "start"],
        file: "a.sh",
        text: "#!/bin/bash\nunused#=1\n",
        others: &[],
    },
    Kind {
        id: "rust-analyzer",
        command: &["rust-analyzer"],
        file: "src/main.rs",
        text: "fn main() { let _a#: u32 = \"x\"; }\n",
        others: &[(
            "Cargo.toml",
            "[package]\nname = \"a\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
        )],
    },
];

const EDITS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures; needs real servers on PATH"]
async fn own_time() {
    for kind in KINDS {
        let home = tempfile::tempdir().expect("a folder");
        let top = home.path().canonicalize().expect("a path");
        let environment = Environment::from_process();
        let programs = Programs::new(&environment, &top);
        if programs.find(kind.command[0], &top).is_none() {
            println!("{}: left out, {} is not on PATH", kind.id, kind.command[0]);
            continue;
        }
        measure(&kind, programs, &top).await;
    }
}

async fn measure(kind: &Kind, programs: Programs, top: &Path) {
    let (between, log) = (top.join(".between.py"), top.join(".log"));
    std::fs::write(&between, BETWEEN).expect("written");
    for (name, text) in kind.others {
        std::fs::write(top.join(name), text).expect("written");
    }
    let path = top.join(kind.file);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    let shown = |path: &Path| path.display().to_string();
    let mut command = vec!["python3".to_owned(), shown(&between), shown(&log)];
    command.extend(kind.command.iter().map(|word| (*word).to_owned()));
    let mut lsp = serde_json::Map::new();
    lsp.insert(kind.id.into(), json!({"command": command}));
    let sandbox = ProcessSandbox::new(Settings::new(std::env::vars_os())).expect("a sandbox");
    let (handle, sandbox) = (Handle::current(), Arc::new(sandbox));
    let languages = Languages::new(
        handle,
        sandbox,
        Options::default(),
        MEMORY_MAX,
        Arc::new(|_, _| {}),
    );
    let servers = Servers::from_config(Some(&Value::Object(lsp))).expect("one");
    let folder = Folder::new(languages.clone(), servers, programs, top.to_owned());
    let folder = Arc::new(folder);

    let (mut waited, mut beyond, mut first) = (Vec::new(), Vec::new(), None);
    for number in 0..EDITS {
        std::fs::write(&path, kind.text.replace('#', &number.to_string())).expect("written");
        let (seen, begun) = (noted(&log).len(), Instant::now());
        let cancel = CancellationToken::new();
        let report = folder.after_write(vec![path.clone()], &cancel).await;
        let whole = begun.elapsed();
        let is_found = !report.diagnostics.is_empty();
        if first.is_none() {
            let note = report.note.unwrap_or_default();
            first = Some(format!(
                "{:.0} ms{}",
                ms(whole),
                if is_found { "" } else { " without a finding" }
            ));
            if !is_found {
                println!("{}: {note}", kind.id);
            }
            continue;
        }
        let notes = noted(&log);
        let way = |wanted: &str| {
            notes[seen..]
                .iter()
                .filter(|(_, way)| way == wanted)
                .map(|(at, _)| *at)
                .collect::<Vec<_>>()
        };
        if let (Some(inward), Some(outward)) = (way("in").first(), way("out").last())
            && is_found
        {
            waited.push(whole);
            beyond
                .push(whole.saturating_sub(Duration::from_nanos(outward.saturating_sub(*inward))));
        }
    }
    println!(
        "{}: first edit {}; of {} later ones {} with findings: p50 {:.1} ms, beyond the server's own time p50 {:.1} ms, most {:.1} ms",
        kind.id,
        first.unwrap_or_default(),
        EDITS - 1,
        waited.len(),
        ms(middle(&mut waited)),
        ms(middle(&mut beyond)),
        ms(beyond.last().copied().unwrap_or_default()),
    );
    languages.shut_down().await;
}

fn noted(log: &Path) -> Vec<(u64, String)> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

fn middle(all: &mut [Duration]) -> Duration {
    all.sort();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

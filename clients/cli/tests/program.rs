//! The program itself: started as a user starts it, in a home of its own.

#![allow(
    clippy::disallowed_methods,
    reason = "these tests start the program as a user does"
)]

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn kilo(home: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kilo"));
    command
        .args(words)
        .current_dir(home)
        .stdin(Stdio::null())
        .env_clear();
    command
        .env("HOME", home)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("KILO_DISABLE_MODELS_FETCH", "1");
    command
}

fn home() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn all(output: &Output) -> String {
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

fn terminate(child: &mut Child) -> (Option<i32>, Duration) {
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .expect("a process");
    let asked = Instant::now();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
    let status = child.wait().expect("an end");
    (status.code(), asked.elapsed())
}

#[test]
fn the_demo_happens_and_leaves_nothing_behind() {
    let home = home();
    let temp = home.path().join("tmp");
    std::fs::create_dir(&temp).expect("a folder");
    let output = kilo(home.path(), &["demo", "--fast"])
        .env("TMPDIR", &temp)
        .output()
        .expect("the demo");
    assert!(output.status.success(), "{}", all(&output));
    let shown = text(&output.stdout);
    for scene in 1..=6 {
        assert!(shown.contains(&format!("── {scene}/6 ")), "{shown}");
    }
    assert!(
        shown.contains("SCRIPTED") && !shown.contains('\u{1b}'),
        "{shown}"
    );
    let left: Vec<_> = std::fs::read_dir(&temp)
        .expect("a folder")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert!(
        left.iter()
            .all(|name| !name.to_string_lossy().starts_with("kilo-demo-")),
        "{left:?}"
    );
    assert!(
        !home.path().join(".local/share").exists(),
        "the demo wrote into the user's data folder"
    );
}

#[test]
fn serve_says_where_it_listens_and_ends_within_a_second() {
    let home = home();
    let mut child = kilo(home.path(), &["serve"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a server");
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("its output"))
        .read_line(&mut first)
        .expect("a line");
    let address = first
        .trim()
        .strip_prefix("kilo server listening on http://")
        .map(str::to_owned);
    let address = address.unwrap_or_else(|| panic!("an address, not {first:?}"));
    let mut stream = std::net::TcpStream::connect(&address).expect("a connection");
    let request = format!("GET /global/event HTTP/1.1\r\nhost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    stream.read_exact(&mut [0; 12]).expect("the stream is open");
    let (code, took) = terminate(&mut child);
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(1), "{took:?}");
    let mut warning = String::new();
    child
        .stderr
        .take()
        .expect("its errors")
        .read_to_string(&mut warning)
        .expect("text");
    assert!(warning.contains("KILO_SERVER_PASSWORD"), "{warning}");
}

#[test]
fn without_a_model_run_says_what_to_do() {
    let home = home();
    let output = kilo(home.path(), &["run", "hi"]).output().expect("a run");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    let said = text(&output.stderr);
    for way in ["kilo demo", "kilo auth login", "local server", "kilo.json"] {
        assert!(said.contains(way), "{said}");
    }
}

#[test]
fn the_daemon_starts_once_is_used_and_stops() {
    let home = home();
    let json = |words: &[&str]| -> Value {
        let output = kilo(home.path(), words).output().expect("an answer");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", all(&output)))
    };
    assert_eq!(json(&["daemon", "status", "--json"])["running"], false);
    let first = json(&["daemon", "start", "--json"]);
    let second = json(&["daemon", "--json"]);
    assert_eq!(first["running"], true);
    assert_eq!(first["state"]["pid"], second["state"]["pid"]);
    let listed = kilo(home.path(), &["session", "list"])
        .output()
        .expect("a list");
    assert_eq!(
        text(&listed.stdout),
        "No sessions here yet.\n",
        "{}",
        all(&listed)
    );
    assert_eq!(json(&["daemon", "stop", "--json"])["running"], false);
    assert_eq!(
        kilo(home.path(), &["daemon", "status"])
            .status()
            .expect("an answer")
            .code(),
        Some(1)
    );
}

#[test]
fn a_key_is_stored_from_a_pipe_and_never_shown() {
    let home = home();
    let mut login = kilo(home.path(), &["auth", "login", "anthropic"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a login");
    login
        .stdin
        .take()
        .expect("its input")
        .write_all(b"sk-s3cret\n")
        .expect("a key");
    let login = login.wait_with_output().expect("an end");
    assert!(
        login.status.success() && !all(&login).contains("s3cret"),
        "{}",
        all(&login)
    );
    let list = kilo(home.path(), &["auth", "list"])
        .output()
        .expect("a list");
    assert!(
        text(&list.stdout).contains("anthropic  api") && !all(&list).contains("s3cret"),
        "{}",
        all(&list)
    );
}

#[test]
fn a_newcomer_is_told_what_to_type() {
    let home = home();
    let ended = |words: &[&str]| {
        let output = kilo(home.path(), words).output().expect("an end");
        (output.status.code(), all(&output))
    };
    let (code, said) = ended(&[]);
    assert!(
        code == Some(0) && said.contains("kilo run \"explain"),
        "{said}"
    );
    let (code, said) = ended(&["explain this", "--auto"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("kilo run \"explain this\" --auto"), "{said}");
    let (code, said) = ended(&["sesion", "list"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("kilo session list"), "{said}");
    let (code, said) = ended(&["auth", "login", "antropic"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("Did you mean \"anthropic\"?"), "{said}");
    let (code, said) = ended(&["undo"]);
    assert!(code == Some(1) && said.contains("no session"), "{said}");
}

/// Writes a file below `home`, folders and all.
fn write(home: &Path, name: &str, content: &str) {
    let path = home.join(name);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
    std::fs::write(path, content).expect("a file");
}

#[test]
fn a_broken_configuration_is_named_and_stops_an_unattended_run() {
    let home = home();
    write(
        home.path(),
        ".config/kilo/kilo.json",
        r#"{"model": "a/b", "permission": {"edit": "deny"}"#,
    );
    let run = kilo(home.path(), &["run", "hi"]).output().expect("a run");
    let said = text(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(
        said.contains(".config/kilo/kilo.json: is not valid JSON"),
        "{said}"
    );
    assert!(!said.contains("No model is configured"), "{said}");
    for broken in [
        r#"{"permission": {"edit": "deny"}"#,
        r#"{"permission": {"edit": "denied"}}"#,
        r#"{"permissions": {"edit": "deny"}}"#,
    ] {
        write(home.path(), "kilo.json", broken);
        std::fs::remove_file(home.path().join(".config/kilo/kilo.json")).unwrap_or_default();
        let run = kilo(home.path(), &["run", "--auto", "hi"])
            .output()
            .expect("a run");
        let said = text(&run.stderr);
        assert_eq!(run.status.code(), Some(1), "{said}");
        assert!(
            said.contains("kilo.json: ") && said.contains("--auto"),
            "{broken}: {said}"
        );
        let check = kilo(home.path(), &["config", "check"])
            .output()
            .expect("a look");
        assert_eq!(check.status.code(), Some(1), "{}", all(&check));
    }
    let check = kilo(home.path(), &["config", "check"])
        .output()
        .expect("a look");
    assert!(
        text(&check.stdout).contains("permissions: unknown key, did you mean \"permission\"?"),
        "{}",
        all(&check)
    );
}

/// Two silent processes: the background daemon of the state file, and the one that holds the data folder. Their waits do not
/// add up.
#[test]
fn silent_processes_hold_a_command_for_five_seconds_in_all() {
    let home = home();
    // Connections are taken by the system, and nobody answers them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let pid = std::process::id();
    let state =
        serde_json::json!({"pid": pid, "url": url, "version": "0", "started": 0, "log": "/x"});
    write(
        home.path(),
        ".local/state/kilo/daemon.json",
        &state.to_string(),
    );
    let lock = ".local/share/kilo/engine/lock";
    write(home.path(), lock, &format!("{pid}\n{url}\nused\n"));
    let held = std::fs::File::open(home.path().join(lock)).expect("the lock");
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).expect("a lock");
    let begun = Instant::now();
    let run = kilo(home.path(), &["run", "hi"]).output().expect("a run");
    let took = begun.elapsed();
    let said = text(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(said.contains("holds the data folder"), "{said}");
    let most = Duration::from_millis(5_900);
    assert!(took >= Duration::from_secs(4) && took < most, "{took:?}");
}

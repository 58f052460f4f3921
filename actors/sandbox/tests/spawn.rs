//! Processes that run beside their owner: streams, terminals, signals, ends.

#![allow(
    clippy::disallowed_methods,
    reason = "the owner that is killed must be a process of its own"
)]

mod support;

use kilo_ports::sandbox::{
    ByteReader, Exit, Sandbox, SandboxError, SpawnSpec, Spawned, Streams, TerminalSize,
};
use kilo_sandbox::{ProcessSandbox, Settings};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{escape_artists, left_after, processes_with, sandbox, unique_seconds};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SOON: Duration = Duration::from_secs(20);
const SIZE: TerminalSize = TerminalSize {
    rows: 30,
    columns: 100,
};

fn spec(command: &str, streams: Streams) -> SpawnSpec {
    SpawnSpec {
        title: "a test".into(),
        program: "/bin/bash".into(),
        args: vec!["--norc".into(), "-c".into(), command.into()],
        directory: "/tmp".into(),
        env: Vec::new(),
        streams,
    }
}

async fn spawn(sandbox: &ProcessSandbox, command: &str, streams: Streams) -> Spawned {
    sandbox
        .spawn(spec(command, streams))
        .await
        .expect("started")
}

/// Reads until `wanted` has come.
async fn read_until(reader: &mut ByteReader, wanted: &str) -> String {
    read_until_all(reader, &[wanted]).await
}

/// Reads until these have come, one after the other. What comes with the last of them is read too.
async fn read_until_all(reader: &mut ByteReader, wanted: &[&str]) -> String {
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&seen);
        let rest = wanted
            .iter()
            .try_fold(&*text, |rest, wanted| Some(rest.split_once(wanted)?.1));
        if rest.is_some() {
            return text.into_owned();
        }
        let reading = tokio::time::timeout(SOON, reader.read(&mut buffer)).await;
        let read = reading
            .unwrap_or_else(|_| panic!("only {text:?}, no {wanted:?}"))
            .expect("read");
        assert!(read > 0, "it ended after {text:?}");
        seen.extend_from_slice(&buffer[..read]);
    }
}

async fn read_all(reader: &mut ByteReader) -> Vec<u8> {
    let mut bytes = Vec::new();
    let reading = tokio::time::timeout(SOON, reader.read_to_end(&mut bytes));
    reading.await.expect("an end").expect("read");
    bytes
}

#[tokio::test]
async fn the_three_streams_are_apart_and_stdin_ends() {
    let sandbox = sandbox(100);
    let command = "echo started >&2; cat; echo no more >&2; exit 3";
    let mut child = spawn(&sandbox, command, Streams::Separate).await;
    let mut stderr = child.stderr.take().expect("of its own");
    read_until(&mut stderr, "started\n").await;
    for line in ["one\n", "zwei ☃\n"] {
        child.stdin.write_all(line.as_bytes()).await.expect("taken");
        assert_eq!(read_until(&mut child.stdout, line).await, line);
    }
    child.stdin.shutdown().await.expect("closed");
    assert_eq!(read_all(&mut child.stdout).await, b"");
    assert_eq!(read_all(&mut stderr).await, b"no more\n");
    assert_eq!(child.process.wait().await, Exit::Code(3));
    assert_eq!(
        child.process.wait().await,
        Exit::Code(3),
        "as often as asked"
    );
    let late = child.stdin.write_all(b"x").await;
    assert!(late.is_err(), "nobody reads it");
}

#[tokio::test]
async fn merged_streams_keep_their_order() {
    let command = "for i in 1 2 3; do echo out$i; echo err$i >&2; done";
    let mut child = spawn(&sandbox(100), command, Streams::Merged).await;
    assert!(child.stderr.is_none());
    assert_eq!(
        read_all(&mut child.stdout).await,
        b"out1\nerr1\nout2\nerr2\nout3\nerr3\n"
    );
}

#[tokio::test]
async fn what_cannot_start_says_so() {
    let sandbox = sandbox(100);
    let mut missing = spec("", Streams::Terminal(SIZE));
    missing.program = "no-such-program-here".into();
    assert!(matches!(
        sandbox.spawn(missing).await,
        Err(SandboxError::Spawn { .. })
    ));
    let mut nowhere = spec("true", Streams::Separate);
    nowhere.directory = "/no/such/folder".into();
    assert!(sandbox.spawn(nowhere).await.is_err());
    assert_eq!(sandbox.live(), 0);
}

#[tokio::test]
async fn a_terminal_has_its_size_and_hears_of_changes() {
    let command = "trap 'stty size' WINCH; tty; stty size; echo $TERM; echo ready; \
                   while :; do sleep 0.02; done";
    let mut child = spawn(&sandbox(100), command, Streams::Terminal(SIZE)).await;
    let said = read_until(&mut child.stdout, "ready").await;
    assert!(said.contains("/dev/pts/"), "{said}");
    assert!(said.contains("30 100\r\nxterm-256color\r\n"), "{said}");
    child.process.resize(TerminalSize {
        rows: 50,
        columns: 80,
    });
    read_until(&mut child.stdout, "50 80\r\n").await;
}

#[tokio::test]
async fn a_terminal_does_not_name_the_one_that_the_daemon_was_started_in() {
    let base = [
        ("TMUX", "/tmp/tmux-0/default,1,0"),
        ("TMUX_PANE", "%0"),
        ("STY", "1.screen"),
        ("VSCODE_IPC_HOOK_CLI", "/run/vscode.sock"),
        ("VSCODE_GIT_ASKPASS_MAIN", "/ext/askpass.js"),
        ("GIT_ASKPASS", "/ext/askpass.sh"),
        ("TERM_PROGRAM", "vscode"),
        ("COLUMNS", "7"),
        ("TERM", "screen"),
        ("TERMS_OF_USE", "kept"),
        ("EDITOR", "vi"),
        ("PATH", "/usr/bin:/bin"),
    ]
    .map(|(name, value)| (name.into(), value.into()));
    let sandbox = ProcessSandbox::new(Settings::new(base)).expect("a sandbox");
    let mut spec = spec("", Streams::Terminal(SIZE));
    (spec.program, spec.args) = ("/usr/bin/env".into(), Vec::new());
    spec.env = vec![("TERM_PROGRAM".into(), "mine".into())];
    let mut process = sandbox.spawn(spec.clone()).await.expect("started");
    let output = read_all(&mut process.stdout).await;
    let output = String::from_utf8_lossy(&output);
    let mut names: Vec<&str> = output
        .lines()
        .filter(|line| !line.starts_with("KILO_RUN_ID"))
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "EDITOR=vi",
            "PATH=/usr/bin:/bin",
            "TERM=xterm-256color",
            "TERMS_OF_USE=kept",
            "TERM_PROGRAM=mine"
        ]
    );
    // Elsewhere they may be of use, for example to a program that opens a file in the editor.
    spec.streams = Streams::Merged;
    let mut process = sandbox.spawn(spec).await.expect("started");
    let output = read_all(&mut process.stdout).await;
    let output = String::from_utf8_lossy(&output);
    assert!(
        output.contains("TMUX=") && output.contains("GIT_ASKPASS="),
        "{output}"
    );
}

#[tokio::test]
async fn a_shell_in_a_terminal_controls_its_jobs() {
    let mut shell = spec("", Streams::Terminal(SIZE));
    shell.args = vec!["--norc".into(), "--noprofile".into(), "-i".into()];
    shell.env = vec![("PS1".into(), "$ ".into())];
    let mut child = sandbox(100).spawn(shell).await.expect("started");
    let (stdin, stdout) = (&mut child.stdin, &mut child.stdout);
    let said = read_until(stdout, "$ ").await;
    assert!(!said.contains("no job control"), "{said}");
    // ^C goes to the job in front, not to the shell; ^Z stops it.
    let seconds = unique_seconds(20);
    let sleep = format!("sleep {seconds}\n");
    stdin.write_all(sleep.as_bytes()).await.expect("typed");
    runs_in_front(&seconds).await;
    stdin.write_all(b"\x1a").await.expect("typed");
    read_until_all(stdout, &["Stopped", "$ "]).await;
    stdin.write_all(b"fg\n").await.expect("typed");
    runs_in_front(&seconds).await;
    stdin.write_all(b"\x03").await.expect("typed");
    read_until(stdout, "$ ").await;
    stdin
        .write_all("echo \"after $? \u{2603}\"\n".as_bytes())
        .await
        .expect("typed");
    // A ^D that comes before the prompt is the terminal's and not the shell's, and may be lost.
    read_until_all(stdout, &["after 130 ☃\r\n", "$ "]).await;
    stdin.write_all(b"\x04").await.expect("typed");
    assert_eq!(child.process.wait().await, Exit::Code(0));
}

/// Waits until the process with these seconds runs and its group is the one that the terminal's keys go to.
async fn runs_in_front(seconds: &str) {
    loop {
        for pid in processes_with(seconds) {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let fields: Vec<&str> = stat.split_ascii_whitespace().collect();
            if let [_, _, state, _, group, _, _, front, ..] = fields[..]
                && state != "T"
                && group == front
            {
                return;
            }
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn bytes_go_through_a_terminal_as_they_are() {
    let command = "stty raw -echo; echo ready; head -c 262144 | cat";
    let mut child = spawn(&sandbox(100), command, Streams::Terminal(SIZE)).await;
    read_until(&mut child.stdout, "ready\n").await;
    let bytes: Vec<u8> = (0..262_144_u32).map(|at| (at * 7 % 256) as u8).collect();
    let (mut stdin, sent) = (child.stdin, bytes.clone());
    let writing = tokio::spawn(async move { stdin.write_all(&sent).await });
    assert!(read_all(&mut child.stdout).await == bytes);
    writing.await.expect("no panic").expect("all taken");
    assert_eq!(child.process.wait().await, Exit::Code(0));
}

#[tokio::test]
async fn a_signal_reaches_the_process_and_nobody_after_its_end() {
    let command = "trap 'echo got it; exit 7' USR1; echo ready; while :; do sleep 0.01; done";
    let mut child = spawn(&sandbox(100), command, Streams::Merged).await;
    read_until(&mut child.stdout, "ready").await;
    child.process.signal(10);
    read_until(&mut child.stdout, "got it").await;
    assert_eq!(child.process.wait().await, Exit::Code(7));
    child.process.signal(9);
    child.process.signal(-5);
    child.process.signal(100_000);
    assert_eq!(child.process.wait().await, Exit::Code(7));
    let child = spawn(&sandbox(100), "sleep 100", Streams::Separate).await;
    child.process.signal(15);
    assert_eq!(child.process.wait().await, Exit::Signal(15));
}

#[tokio::test]
async fn an_end_is_asked_for_then_forced() {
    let command = "trap 'echo tidy; exit 4' TERM; echo ready; while :; do sleep 0.01; done";
    let mut tidy = spawn(&sandbox(0), command, Streams::Merged).await;
    read_until(&mut tidy.stdout, "ready").await;
    assert_eq!(tidy.process.end(SOON).await, Exit::Code(4));
    // Its `sleep` got the signal, too, of which bash may tell.
    assert!(read_all(&mut tidy.stdout).await.ends_with(b"tidy\n"));

    let command = "trap '' TERM HUP INT; echo ready; while :; do sleep 0.01; done";
    let mut stubborn = spawn(&sandbox(0), command, Streams::Terminal(SIZE)).await;
    read_until(&mut stubborn.stdout, "ready").await;
    let (started, grace) = (Instant::now(), Duration::from_millis(150));
    let ends = tokio::join!(stubborn.process.end(SOON), stubborn.process.end(grace));
    assert_eq!(ends, (Exit::Signal(9), Exit::Signal(9)));
    assert!(started.elapsed() >= grace);
    assert!(started.elapsed() < SOON);
}

#[tokio::test]
async fn a_dropped_process_takes_everything_along() {
    for (salt, streams) in [(21, Streams::Separate), (22, Streams::Terminal(SIZE))] {
        let seconds = unique_seconds(salt);
        let sandbox = sandbox(100);
        let command = escape_artists(&seconds) + "wait";
        let mut child = spawn(&sandbox, &command, streams).await;
        read_until(&mut child.stdout, "ready").await;
        drop(child.process);
        assert_eq!(left_after(&seconds, SOON), [0; 0]);
        // The streams that were kept end, and hold nothing.
        read_all(&mut child.stdout).await;
    }
}

#[tokio::test]
async fn its_own_end_takes_everything_along() {
    let seconds = unique_seconds(23);
    let command = escape_artists(&seconds) + "exit 0";
    let mut child = spawn(&sandbox(100), &command, Streams::Separate).await;
    read_until(&mut child.stdout, "ready").await;
    assert_eq!(child.process.wait().await, Exit::Code(0));
    assert_eq!(processes_with(&seconds), [0; 0]);
}

#[tokio::test]
async fn a_process_that_does_not_read_stops_its_writer() {
    let command = "read -r line; echo \"$line\"; cat >/dev/null; echo all";
    let mut child = spawn(&sandbox(100), command, Streams::Separate).await;
    child.stdin.write_all(b"go\n").await.expect("taken");
    read_until(&mut child.stdout, "go").await;
    child.process.signal(19);
    let chunk = vec![b'x'; 1 << 20];
    let mut writing = Box::pin(async { child.stdin.write_all(&chunk).await });
    let patience = Duration::from_millis(200);
    assert!(
        tokio::time::timeout(patience, &mut writing).await.is_err(),
        "a stopped process takes a pipe's worth at most"
    );
    child.process.signal(18);
    writing.await.expect("taken");
    child.stdin.shutdown().await.expect("closed");
    read_until(&mut child.stdout, "all").await;
}

#[tokio::test]
async fn output_that_nobody_reads_stops_the_process_not_the_memory() {
    const BYTES: usize = 200_000_000;
    for (streams, command) in [
        (Streams::Separate, "head -c 200000000 /dev/zero"),
        (
            Streams::Terminal(SIZE),
            "stty raw; head -c 200000000 /dev/zero",
        ),
    ] {
        let mut child = spawn(&sandbox(100), command, streams).await;
        tokio::time::timeout(Duration::from_millis(100), child.process.wait())
            .await
            .expect_err("it waits for its reader");
        let before = resident_kib();
        let (mut total, mut most, mut buffer) = (0, 0, vec![0; 65_536]);
        loop {
            let read = child.stdout.read(&mut buffer).await.expect("read");
            if read == 0 {
                break;
            }
            total += read;
            most = most.max(resident_kib());
        }
        assert_eq!(total, BYTES);
        assert!(most < before + 20 * 1024, "{before} -> {most} KiB");
        assert_eq!(child.process.wait().await, Exit::Code(0));
    }
}

#[tokio::test]
async fn a_stranger_that_holds_a_stream_does_not_hold_its_reader() {
    let mut child = spawn(
        &sandbox(100),
        "echo $$; read -r; echo last",
        Streams::Separate,
    )
    .await;
    let pid = read_until(&mut child.stdout, "\n").await;
    let held = std::fs::OpenOptions::new()
        .write(true)
        .open(format!("/proc/{}/fd/1", pid.trim()))
        .expect("opened");
    child.stdin.write_all(b"\n").await.expect("taken");
    assert_eq!(read_all(&mut child.stdout).await, b"last\n");
    drop(held);
}

#[tokio::test]
async fn what_runs_is_listed_with_what_it_uses() {
    let sandbox = sandbox(100);
    // 64 MiB held by a grandchild, some processor time by one that has ended.
    let command = "(i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done); \
                   head -c 67108864 /dev/zero | tail | (echo ready; sleep 100)";
    let mut child = spawn(&sandbox, command, Streams::Merged).await;
    read_until(&mut child.stdout, "ready").await;
    let started = Instant::now();
    let usage = loop {
        let usage = child.process.usage().await;
        if usage.memory_bytes > 64 << 20 || started.elapsed() > SOON {
            break usage;
        }
    };
    assert!(usage.memory_bytes > 64 << 20, "{usage:?}");
    assert!(
        usage.memory_bytes < 512 << 20,
        "the owner's is not its: {usage:?}"
    );
    assert!(usage.cpu_ms > 50, "{usage:?}");
    assert!(usage.processes >= 3, "{usage:?}");
    let running = sandbox.running().await;
    assert_eq!(running.len(), 1, "{running:?}");
    let listed = &running[0];
    assert_eq!(
        (listed.title.as_str(), listed.pid, listed.has_terminal),
        ("a test", child.process.pid(), false)
    );
    assert_eq!(listed.directory.as_os_str(), "/tmp");
    assert!(
        listed.age_ms < 60_000 && listed.usage.memory_bytes > 0,
        "{listed:?}"
    );
    child.process.end(Duration::ZERO).await;
    assert_eq!(sandbox.running().await, []);
    assert_eq!(child.process.usage().await, Default::default());
}

#[tokio::test]
async fn many_processes_leave_no_descriptor_and_no_zombie() {
    let sandbox = sandbox(100);
    let open = || std::fs::read_dir("/proc/self/fd").expect("fds").count();
    spawn(&sandbox, "true", Streams::Terminal(SIZE))
        .await
        .process
        .wait()
        .await;
    let before = open();
    for round in 0..300 {
        let streams = match round % 3 {
            0 => Streams::Separate,
            1 => Streams::Merged,
            _ => Streams::Terminal(SIZE),
        };
        let mut child = spawn(&sandbox, "echo hello", streams).await;
        match round % 4 {
            0 => drop(child),
            1 => assert_eq!(child.process.wait().await, Exit::Code(0)),
            2 => assert!(read_all(&mut child.stdout).await.starts_with(b"hello")),
            _ => drop((child.stdin, child.stdout, child.process.wait().await)),
        }
    }
    let started = Instant::now();
    while (open() > before || !children().is_empty()) && started.elapsed() < SOON {
        tokio::task::yield_now().await;
    }
    assert!(open() <= before, "{before} -> {} descriptors", open());
    assert_eq!(children(), "");
    assert_eq!(sandbox.live(), 0);
}

/// The owner of the next test: starts the escape artists and waits to be killed.
#[tokio::test]
#[ignore = "it is run as a child by the test below"]
async fn owner_process() {
    let Ok(seconds) = std::env::var("KILO_TEST_SECONDS") else {
        return;
    };
    let command = escape_artists(&seconds) + "wait";
    let mut child = spawn(&sandbox(100), &command, Streams::Terminal(SIZE)).await;
    read_until(&mut child.stdout, "ready").await;
    eprintln!("owner ready");
    std::future::pending::<()>().await;
}

#[test]
fn a_killed_owner_leaves_no_orphan() {
    let seconds = unique_seconds(24);
    let mut owner = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "owner_process", "--ignored", "--nocapture"])
        .env("KILO_TEST_SECONDS", &seconds)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("an owner");
    let mut lines = BufReader::new(owner.stderr.take().expect("a pipe")).lines();
    assert!(lines.any(|line| line.is_ok_and(|line| line.contains("owner ready"))));
    assert!(processes_with(&seconds).len() >= 8);
    owner.kill().expect("killed");
    owner.wait().expect("gone");
    assert_eq!(left_after(&seconds, SOON), [0; 0]);
}

fn children() -> String {
    std::fs::read_dir("/proc/self/task")
        .expect("tasks")
        .flatten()
        .map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default())
        .collect::<String>()
        .trim()
        .into()
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .expect("VmRSS");
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .expect("a number")
}

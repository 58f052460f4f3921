//! Persistent processes with keepers that run in this test, in place of programs of their own.

#![allow(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use kilo_ports::BoxFuture;
use kilo_ports::background::{Background as _, StartOrder};
use kilo_ports::clock::SystemClock;
use kilo_ports::sandbox::{Exit, ProcessSpec, Running, Sandbox, SandboxError, SpawnSpec, Spawned};
use kilo_process::Processes;
use kilo_protocol::SessionId;
use kilo_protocol::process::{Lifetime, ProcessStatus};
use kilo_sandbox::{ProcessSandbox, Settings};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

fn sandbox() -> ProcessSandbox {
    let path = ("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into());
    ProcessSandbox::new(Settings::new([path])).unwrap()
}

/// Lets a keeper run as a task.
struct InTask(ProcessSandbox);

impl Sandbox for InTask {
    fn run(
        &self,
        spec: ProcessSpec,
        output: mpsc::Sender<Bytes>,
        cancel: CancellationToken,
    ) -> BoxFuture<'static, Result<Exit, SandboxError>> {
        self.0.run(spec, output, cancel)
    }

    fn spawn(&self, spec: SpawnSpec) -> BoxFuture<'static, Result<Spawned, SandboxError>> {
        self.0.spawn(spec)
    }

    fn detach(&self, spec: ProcessSpec) -> BoxFuture<'static, Result<(), SandboxError>> {
        Box::pin(async move {
            let folder = PathBuf::from(spec.args.last().unwrap());
            tokio::spawn(async move {
                kilo_process::keep(&folder, Arc::new(sandbox()), Arc::new(SystemClock)).await
            });
            Ok(())
        })
    }

    fn running(&self) -> BoxFuture<'static, Vec<Running>> {
        self.0.running()
    }
}

/// A folder whose path is longer than that of a socket may be.
fn root(temp: &TempDir) -> PathBuf {
    temp.path().join("x".repeat(120)).join("kept")
}

fn processes(root: &Path) -> Processes {
    let words = vec!["keeper".into()];
    let sandbox = Arc::new(InTask(sandbox()));
    let clock = Arc::new(SystemClock);
    Processes::keeping(sandbox, clock, Handle::current(), root.into(), words)
}

fn session() -> SessionId {
    SessionId::from_wire("ses_1")
}

fn order(command: &str) -> StartOrder {
    StartOrder {
        session: session(),
        directory: "/tmp".into(),
        command: command.into(),
        cwd: "/tmp".into(),
        description: None,
        ready: None,
        lifetime: Lifetime::Persistent,
    }
}

async fn says(all: &Processes, id: &str, text: &str) {
    let until = async {
        while !all
            .logs(&session(), id, 100)
            .await
            .unwrap()
            .text
            .contains(text)
        {
            tokio::task::yield_now().await;
        }
    };
    let bound = std::time::Duration::from_secs(60);
    tokio::time::timeout(bound, until).await.expect(text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_know_the_token_is_told_nothing_and_hinders_nobody() {
    let temp = TempDir::new().unwrap();
    let all = processes(&root(&temp));
    let info = all
        .start(order("echo secret; exec sleep 600"))
        .await
        .unwrap();
    says(&all, &info.id, "secret").await;
    let folder = std::fs::File::open(root(&temp).join(&info.id)).unwrap();
    let socket = format!(
        "/proc/self/fd/{}/socket",
        std::os::fd::AsRawFd::as_raw_fd(&folder)
    );
    let hold = br#"{"Hold":{"token":"guessed","from":0}}"#;
    let named = [&[b'w'][..], &(hold.len() as u32).to_le_bytes(), hold].concat();
    for said in [
        &named[..],
        b"w\xff\xff\xff\xff",
        b"GET / HTTP/1.1\r\n\r\n",
        b"",
    ] {
        let mut stream = UnixStream::connect(&socket).await.unwrap();
        stream.write_all(said).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard).await;
        assert_eq!(heard, b"");
    }
    let stopped = all.stop(&session(), &info.id).await.unwrap();
    assert_eq!(stopped.status, ProcessStatus::Stopped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_output_is_kept_in_bounds_and_positions_go_on_over_daemons() {
    let temp = TempDir::new().unwrap();
    let root = root(&temp);
    let first = processes(&root);
    let flood = "head -c 20000000 /dev/zero | tr '\\0' x; echo; echo end; exec sleep 600";
    let info = first.start(order(flood)).await.unwrap();
    says(&first, &info.id, "end").await;
    let piece = first.logs(&session(), &info.id, 1).await.unwrap();
    assert_eq!((&*piece.text, piece.to), ("end\n", 20_000_005));
    let stored = std::fs::metadata(root.join(&info.id).join("log")).unwrap();
    assert!(stored.len() <= 600 << 10, "{}", stored.len());

    // a second daemon, while the first one still holds it, sees the same
    let second = processes(&root);
    let listed = second.in_directory("/tmp").await;
    assert_eq!((listed.len(), listed[0].pid), (1, info.pid));
    let again = second.logs(&session(), &info.id, 1).await.unwrap();
    assert_eq!((again.text, again.to), (piece.text, piece.to));
    let running = second.kept().await;
    assert_eq!(Some(running[0].pid), info.pid);
    let stopped = second.stop(&session(), &info.id).await.unwrap();
    assert_eq!(stopped.status, ProcessStatus::Stopped);
    let anew = second.restart(&session(), &info.id).await.unwrap();
    assert_eq!(anew.status, ProcessStatus::Running);
    let until = || async { second.logs(&session(), &info.id, 1).await.unwrap().to };
    while until().await < 2 * 20_000_005 {
        tokio::task::yield_now().await;
    }
    assert_eq!(until().await, 2 * 20_000_005);
    second.stop(&session(), &info.id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_over_at_once_is_listed_as_it_ended() {
    let temp = TempDir::new().unwrap();
    let all = processes(&root(&temp));
    for round in 0..16 {
        let command = format!("echo {round}; exit {round}");
        let started = all.start(order(&command)).await.unwrap();
        let ended = loop {
            let now = all.get(&session(), &started.id).await.unwrap();
            if !now.is_alive() {
                break now;
            }
            tokio::task::yield_now().await;
        };
        let said = format!("{round}\n");
        assert_eq!((ended.exit_code, &*ended.output), (Some(round), &*said));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_kept_says_why() {
    let temp = TempDir::new().unwrap();
    let all = processes(&root(&temp));
    let mut nowhere = order("true");
    nowhere.cwd = temp.path().join("nowhere");
    let refused = all.start(nowhere).await.unwrap_err().to_string();
    assert!(refused.contains("cannot start bash"), "{refused}");
    let plain = Processes::new(
        Arc::new(sandbox()),
        Arc::new(SystemClock),
        Handle::current(),
    );
    let refused = plain.start(order("true")).await.unwrap_err().to_string();
    assert!(refused.contains("nothing can outlive"), "{refused}");
}

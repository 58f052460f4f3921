//! Background processes with real commands.

#![allow(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use kilo_ports::BoxFuture;
use kilo_ports::background::{Background, BackgroundError, Ready, StartOrder};
use kilo_ports::clock::SystemClock;
use kilo_ports::sandbox::{Exit, ProcessSpec, Running, Sandbox, SandboxError, SpawnSpec, Spawned};
use kilo_process::Processes;
use kilo_protocol::SessionId;
use kilo_protocol::process::{Lifetime, ProcessStatus};
use kilo_sandbox::{ProcessSandbox, Settings};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

fn processes() -> (Processes, Arc<ProcessSandbox>) {
    let path = ("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into());
    let sandbox = Arc::new(ProcessSandbox::new(Settings::new([path])).unwrap());
    let clock = Arc::new(SystemClock);
    let all = Processes::new(sandbox.clone(), clock, Handle::current());
    (all, sandbox)
}

fn session() -> SessionId {
    SessionId::from_wire("ses_1")
}

fn order(command: &str, ready: Option<Ready>) -> StartOrder {
    StartOrder {
        session: session(),
        directory: "/tmp".into(),
        command: command.into(),
        cwd: "/tmp".into(),
        description: None,
        ready,
        lifetime: Lifetime::Session,
    }
}

fn pattern(pattern: &str) -> Option<Ready> {
    Some(Ready {
        pattern: Some(pattern.into()),
        port: None,
        timeout: Duration::from_secs(20),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_is_ready_when_its_output_says_so() {
    let (all, sandbox) = processes();
    let command = "echo warming up; sleep 0.1; echo listening on 80; exec sleep 100";
    let info = all
        .start(order(command, pattern("^listening on \\d+$")))
        .await
        .unwrap();
    assert_eq!((info.status, info.ready), (ProcessStatus::Ready, true));
    assert_eq!(info.output, "warming up\nlistening on 80\n");
    assert_eq!(sandbox.live(), 1);

    let logs = all.logs(&session(), &info.id, 1).await.unwrap();
    assert_eq!(
        (logs.text.as_str(), logs.from, logs.to),
        ("listening on 80\n", 11, 27)
    );

    let stopped = all.stop(&session(), &info.id).await.unwrap();
    assert_eq!(stopped.status, ProcessStatus::Stopped);
    assert_eq!(stopped.signal.as_deref(), Some("SIGTERM"));
    assert_eq!(sandbox.live(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_ends_before_it_is_ready_says_how() {
    let (all, _) = processes();
    let info = all
        .start(order("echo no; exit 3", pattern("yes")))
        .await
        .unwrap();
    assert_eq!((info.status, info.ready), (ProcessStatus::Failed, false));
    assert_eq!((info.exit_code, info.output.as_str()), (Some(3), "no\n"));
    let wrong = all.start(order("true", pattern("(unclosed"))).await;
    assert!(
        matches!(wrong, Err(BackgroundError::Pattern(_))),
        "{wrong:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_id_and_output_and_waits_for_readiness_anew() {
    let (all, sandbox) = processes();
    let info = all
        .start(order("echo ready $$; exec sleep 100", pattern("ready")))
        .await
        .unwrap();
    let again = all.restart(&session(), &info.id).await.unwrap();
    assert_eq!(
        (again.id.as_str(), again.status),
        (info.id.as_str(), ProcessStatus::Ready)
    );
    assert_ne!(again.pid, info.pid);
    assert!(again.output.starts_with(&info.output) && again.output != info.output);
    assert_eq!(sandbox.live(), 1);
    all.session_ended(&session()).await;
    assert_eq!(sandbox.live(), 0);
    assert!(all.list(&session()).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_takes_connections_is_ready_and_shown() {
    let python = std::path::Path::new("/usr/bin/python3");
    if !python.exists() {
        eprintln!("left out: there is no python3 to listen with");
        return;
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let (all, _) = processes();
    let ready = Ready {
        pattern: None,
        port: Some(port),
        timeout: Duration::from_secs(60),
    };
    // In a child of a child, as dev servers do.
    let command = format!("(exec python3 -m http.server {port} --bind 127.0.0.1) & wait");
    let info = all.start(order(&command, Some(ready))).await.unwrap();
    assert_eq!(info.status, ProcessStatus::Ready, "{}", info.output);
    let info = all.get(&session(), &info.id).await.unwrap();
    assert_eq!(info.ports, [port]);
    all.stop_session(&session()).await;
    let info = all.get(&session(), &info.id).await.unwrap();
    assert_eq!((info.status, info.ports.len()), (ProcessStatus::Stopped, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_session_sees_and_stops_nothing() {
    let (all, sandbox) = processes();
    let info = all.start(order("exec sleep 100", None)).await.unwrap();
    let pid = info.pid.unwrap();
    assert_eq!((all.owner(pid), all.owner(1)), (Some(session()), None));
    let other = SessionId::from_wire("ses_2");
    assert!(all.list(&other).await.is_empty());
    let unknown = BackgroundError::Unknown(info.id.clone());
    assert_eq!(all.stop(&other, &info.id).await, Err(unknown));
    all.stop_session(&other).await;
    assert_eq!(sandbox.live(), 1);
    all.stop_session(&session()).await;
    assert_eq!((sandbox.live(), all.owner(pid)), (0, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_costs_bounded_memory_and_is_followed_to_its_end() {
    let (all, _) = processes();
    let command = "head -c 30000000 /dev/zero | tr '\\0' x; echo; echo done";
    let info = all.start(order(command, pattern("^done$"))).await.unwrap();
    let info = all
        .monitor(&session(), &info.id, None, Duration::from_secs(30))
        .await
        .unwrap();
    assert!(matches!(
        info.status,
        ProcessStatus::Ready | ProcessStatus::Exited
    ));
    let logs = all.logs(&session(), &info.id, 1).await.unwrap();
    assert_eq!((logs.text.as_str(), logs.to), ("done\n", 30_000_006));
}

/// Starts nothing before it may.
struct Slow(Arc<ProcessSandbox>, Arc<tokio::sync::Semaphore>);

impl Sandbox for Slow {
    fn run(
        &self,
        spec: ProcessSpec,
        output: mpsc::Sender<Bytes>,
        cancel: CancellationToken,
    ) -> BoxFuture<'static, Result<Exit, SandboxError>> {
        self.0.run(spec, output, cancel)
    }

    fn spawn(&self, spec: SpawnSpec) -> BoxFuture<'static, Result<Spawned, SandboxError>> {
        let (inner, gate) = (Arc::clone(&self.0), Arc::clone(&self.1));
        Box::pin(async move {
            gate.acquire().await.unwrap().forget();
            inner.spawn(spec).await
        })
    }

    fn running(&self) -> BoxFuture<'static, Vec<Running>> {
        self.0.running()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_stopped_or_loses_its_session_while_it_is_started_ends() {
    for by_session in [false, true] {
        let (_, sandbox) = processes();
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let slow = Arc::new(Slow(Arc::clone(&sandbox), Arc::clone(&gate)));
        let all = Processes::new(slow, Arc::new(SystemClock), Handle::current());
        let starting = tokio::spawn(all.start(order("exec sleep 600", None)));
        let id = loop {
            match all.list(&session()).await.pop() {
                Some(info) => break info.id,
                None => tokio::task::yield_now().await,
            }
        };
        let ending = match by_session {
            true => {
                let all = all.clone();
                tokio::spawn(async move { all.session_ended(&session()).await })
            }
            false => {
                let stop = Background::stop(&all, &session(), &id);
                tokio::spawn(async move { drop(stop.await) })
            }
        };
        tokio::task::yield_now().await;
        gate.add_permits(1);
        ending.await.unwrap();
        starting.await.unwrap().unwrap();
        let left: Vec<_> = all
            .list(&session())
            .await
            .into_iter()
            .map(|info| info.status)
            .collect();
        match by_session {
            true => assert_eq!(left, []),
            false => assert_eq!(left, [ProcessStatus::Stopped]),
        }
        assert_eq!(sandbox.live(), 0);
    }
}

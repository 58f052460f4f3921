//! What a call costs through our pool against a client that speaks to the same program without anything between. Not run
//! by itself: it measures, and a busy machine would fail it.
//!
//! `cargo build -p kilo-tests --bin kilo-test-mcp && cargo test --release -p kilo-mcp --test overhead -- --ignored --nocapture`;
//! `KILO_MCP_SERVER` names another program with its words, `KILO_MCP_CALLS` how many calls.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "it starts a program, reads the environment and prints what it found"
)]

use kilo_mcp::config::{Origin, server};
use kilo_mcp::{Place, Servers, Settings};
use kilo_ports::BoxFuture;
use kilo_ports::sandbox::{
    Exit, Process, ProcessSpec, Running, Sandbox, SandboxError, SpawnSpec, Spawned, TerminalSize,
    Usage,
};
use rmcp::model::{
    CallToolRequestParams, ClientConfig, ClientJsonRpcMessage, ServerJsonRpcMessage,
};
use rmcp::{RoleClient, ServiceExt as _};
use serde_json::{Map, Value, json};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

/// Programs without a sandbox around them: what that adds is not ours to measure here.
struct Plain;

struct Held(Child);

impl Process for Held {
    fn pid(&self) -> u32 {
        self.0.id().unwrap_or_default()
    }
    fn signal(&self, _: i32) {}
    fn resize(&self, _: TerminalSize) {}
    fn usage(&self) -> BoxFuture<'static, Usage> {
        Box::pin(std::future::ready(Usage::default()))
    }
    fn wait(&self) -> BoxFuture<'static, Exit> {
        Box::pin(std::future::pending())
    }
    fn end(&self, _: Duration) -> BoxFuture<'static, Exit> {
        Box::pin(std::future::ready(Exit::Cancelled))
    }
}

fn start(program: &str, args: &[String]) -> Child {
    let mut command = Command::new(program);
    command.args(args).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts")
}

impl Sandbox for Plain {
    fn run(
        &self,
        _: ProcessSpec,
        _: mpsc::Sender<bytes::Bytes>,
        _: CancellationToken,
    ) -> BoxFuture<'static, Result<Exit, SandboxError>> {
        Box::pin(std::future::ready(Ok(Exit::Cancelled)))
    }

    fn spawn(&self, spec: SpawnSpec) -> BoxFuture<'static, Result<Spawned, SandboxError>> {
        let mut child = start(&spec.program, &spec.args);
        let spawned = Spawned {
            stdin: Box::pin(child.stdin.take().expect("a pipe")),
            stdout: Box::pin(child.stdout.take().expect("a pipe")),
            stderr: None,
            process: Box::new(Held(child)),
        };
        Box::pin(std::future::ready(Ok(spawned)))
    }

    fn running(&self) -> BoxFuture<'static, Vec<Running>> {
        Box::pin(std::future::ready(Vec::new()))
    }
}

/// The least that `rmcp` needs to talk to a program.
struct Direct {
    stdin: Arc<Mutex<ChildStdin>>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl rmcp::transport::Transport<RoleClient> for Direct {
    type Error = std::io::Error;

    fn send(
        &mut self,
        message: ClientJsonRpcMessage,
    ) -> impl Future<Output = std::io::Result<()>> + Send + 'static {
        let stdin = Arc::clone(&self.stdin);
        async move {
            let mut text = serde_json::to_vec(&message)?;
            text.push(b'\n');
            stdin.lock().await.write_all(&text).await
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        let line = self.lines.next_line().await.ok()??;
        serde_json::from_str(&line).ok()
    }

    async fn close(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn micros(mut times: Vec<Duration>) -> (u128, u128) {
    times.sort();
    let at = |part: usize| times[times.len() * part / 100].as_micros();
    (at(50), at(99))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures; see the head of this file"]
async fn a_call_through_the_pool_costs_little_more_than_a_direct_one() {
    let built = || {
        let me = std::env::current_exe().ok()?;
        let debug = me.parent()?.parent()?.join("kilo-test-mcp");
        Some(debug.to_string_lossy().into_owned())
    };
    let program = std::env::var("KILO_MCP_SERVER").ok().or_else(built);
    let words = program.expect("a program");
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    let calls = std::env::var("KILO_MCP_CALLS").ok();
    let calls: usize = calls.and_then(|calls| calls.parse().ok()).unwrap_or(2_000);
    let mut arguments = Map::new();
    for key in ["text", "message"] {
        arguments.insert(key.into(), Value::from("hello"));
    }

    let settings = Settings {
        idle: Duration::from_secs(300),
        schema_bytes: 24 << 10,
        version: "0".into(),
        reserved: Default::default(),
        auth: "/nonexistent".into(),
        browser: None,
    };
    let servers = Servers::new(Handle::current(), Arc::new(Plain), settings);
    let place = Place {
        directory: "/tmp".into(),
        worktree: "/tmp".into(),
        main: "/tmp".into(),
    };
    let folder = servers.folder(place);
    let entry = json!({"type": "local", "command": words});
    folder
        .add("s", server(&entry, Origin::Client).expect("a server"))
        .await;

    let mut child = start(&words[0], &words[1..]);
    let direct = Direct {
        stdin: Arc::new(Mutex::new(child.stdin.take().expect("a pipe"))),
        lines: BufReader::new(child.stdout.take().expect("a pipe")).lines(),
    };
    let direct = ClientConfig::default()
        .serve(direct)
        .await
        .expect("hands are shaken");

    // In turns, so that both see the same machine.
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..calls {
        let begun = Instant::now();
        folder
            .call("s", "echo", arguments.clone())
            .await
            .expect("an answer");
        ours.push(begun.elapsed());
        let begun = Instant::now();
        let mut params = CallToolRequestParams::new("echo");
        params.arguments = Some(arguments.clone());
        direct.peer().call_tool(params).await.expect("an answer");
        theirs.push(begun.elapsed());
    }
    let ((p50, p99), (direct_p50, direct_p99)) = (micros(ours), micros(theirs));
    println!(
        "{calls} calls: through the pool p50 {p50} us, p99 {p99} us; direct p50 {direct_p50} us, p99 {direct_p99} us"
    );
    println!(
        "a call costs {} us more (p50)",
        p50.saturating_sub(direct_p50)
    );
    drop(direct);
    servers.shut_down().await;
}

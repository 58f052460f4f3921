//! `kilo daemon`: an engine in the background that runs, clients and editors share.

use crate::command::{logs, serve};
use crate::connect;
use crate::context::Context;
use crate::exit::Exit;
use crate::host::Engine;
use crate::logging;
use crate::options::Network;
use crate::signals::Signals;
use crate::state::{self, DaemonState};
use crate::terminal::{line, note};
use crate::time::{ago, now};
use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use kilo_client::Health;
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const READY_MAX: Duration = Duration::from_secs(20);
const HEALTH_MAX: Duration = Duration::from_secs(2);
const STOP_MAX: Duration = Duration::from_secs(5);
const STOP_STEP: Duration = Duration::from_millis(20);
const READY: &str = "kilo server listening on ";
const LOG: &str = "daemon.log";

/// What `kilo daemon` takes.
#[derive(Args, Clone, Debug)]
pub struct DaemonArgs {
    /// What to do with it.
    #[arg(value_enum, default_value_t)]
    pub action: Action,
    /// Print the state as JSON.
    #[arg(long)]
    pub json: bool,
    /// Stay in the foreground until interrupted.
    #[arg(short, long)]
    pub foreground: bool,
    /// With `logs`: this many lines from the end.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub lines: usize,
    /// With `logs`: go on with what is written until interrupted.
    #[arg(long)]
    pub follow: bool,
    /// Leave the terminal's session; what `start` runs in the background.
    #[arg(long, hide = true)]
    pub detached: bool,
    /// Where to listen.
    #[command(flatten)]
    pub network: Network,
}

/// What can be done with the daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Action {
    /// Start it, or find it running.
    #[default]
    Start,
    /// Say whether it runs.
    Status,
    /// Stop it.
    Stop,
    /// Stop it and start it again.
    Restart,
    /// Print the end of its log.
    Logs,
}

impl DaemonArgs {
    /// This process becomes the daemon.
    pub fn is_server(&self) -> bool {
        self.foreground && matches!(self.action, Action::Start | Action::Restart)
    }
}

/// Runs the command.
pub async fn execute(args: DaemonArgs, cx: &Context) -> anyhow::Result<Exit> {
    match args.action {
        Action::Start => start(args, cx).await,
        Action::Status => status(&args, cx).await,
        Action::Stop => stop(&args, cx).await,
        Action::Restart => {
            end(cx).await?;
            start(args, cx).await
        }
        Action::Logs => logs::print(&logging::file(&cx.env, LOG), args.lines, args.follow).await,
    }
}

async fn start(args: DaemonArgs, cx: &Context) -> anyhow::Result<Exit> {
    if args.detached {
        let _ = rustix::process::setsid(); // refused only for a leader, which has no terminal to leave
    }
    if args.is_server() {
        return serve(args, cx).await;
    }
    let lock = state::lock(&cx.env).context("cannot lock the state folder")?;
    if let Some((state, health)) = running(cx).await {
        print(
            &args,
            cx,
            Some(&state),
            Some(&health),
            "kilo daemon running already",
        );
        return Ok(Exit::OK);
    }
    launch(&args.network, cx).await?;
    let Some((state, health)) = running(cx).await else {
        bail!(
            "the daemon started but does not answer; see {}",
            logging::file(&cx.env, LOG).display()
        );
    };
    drop(lock);
    print(
        &args,
        cx,
        Some(&state),
        Some(&health),
        "kilo daemon started",
    );
    Ok(Exit::OK)
}

/// Is the daemon: serves until a signal, with a state file that says where.
async fn serve(args: DaemonArgs, cx: &Context) -> anyhow::Result<Exit> {
    let mut signals = Signals::listen()?;
    if let Some((state, _)) = running(cx).await {
        bail!(
            "a daemon runs already: process {}, {}",
            state.pid,
            state.url
        );
    }
    let engine = Engine::start(serve::start(args.network, cx)).await?;
    let pid = std::process::id();
    let state = DaemonState {
        pid,
        url: engine.url().to_owned(),
        token_file: engine.token().map(|_| state::token_path(&cx.env)),
        version: kilo_protocol::VERSION.to_owned(),
        started: now(),
        log: logging::file(&cx.env, LOG),
    };
    state::write(&cx.env, &state).context("cannot write the state file")?;
    tracing::info!(pid, url = state.url, "daemon ready");
    line(&format!("{READY}{}", state.url));
    let exit = engine.serve(&mut signals).await;
    tracing::info!(pid, "daemon stopped");
    state::remove(&cx.env, pid);
    Ok(exit)
}

/// Starts this program again as a daemon and waits until it is ready.
async fn launch(network: &Network, cx: &Context) -> anyhow::Result<()> {
    let mut child = spawn(network, cx)?;
    let stdout = child.stdout.take().context("the daemon has no output")?;
    let ready = tokio::task::spawn_blocking(move || {
        let mut first = String::new();
        BufReader::new(stdout.take(4_096))
            .read_line(&mut first)
            .map(|_| first)
    });
    let first = tokio::time::timeout(READY_MAX, ready).await;
    match first {
        Ok(Ok(Ok(text))) if text.starts_with(READY) => Ok(()),
        Ok(_) => {
            let _ = child.wait(); // its output ended, so it is gone or going
            bail!(
                "the daemon did not start; see {}",
                logging::file(&cx.env, LOG).display()
            )
        }
        Err(_) => {
            let _ = child.kill();
            let _ = child.wait();
            bail!(
                "the daemon was not ready within {} s; see {}",
                READY_MAX.as_secs(),
                logging::file(&cx.env, LOG).display()
            )
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the daemon is this program itself, not a child of the engine"
)]
fn spawn(network: &Network, cx: &Context) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let log = logging::for_child(&cx.env, LOG).context("cannot open the daemon's log")?;
    let mut command = std::process::Command::new(program);
    command.args(["daemon", "start", "--foreground", "--detached"]);
    command.args([
        "--hostname",
        &network.hostname,
        "--port",
        &network.port.to_string(),
    ]);
    for origin in &network.cors {
        command.args(["--cors", origin]);
    }
    command
        .current_dir(&cx.env.home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log);
    command.spawn().context("cannot start the daemon")
}

/// The daemon of the state file, if it is healthy.
async fn running(cx: &Context) -> Option<(DaemonState, Health)> {
    let state = state::read(&cx.env)?;
    let health = connect::of_state(&cx.env, &state)?
        .health(HEALTH_MAX)
        .await
        .ok()?;
    Some((state, health))
}

async fn status(args: &DaemonArgs, cx: &Context) -> anyhow::Result<Exit> {
    match running(cx).await {
        Some((state, health)) => {
            print(args, cx, Some(&state), Some(&health), "kilo daemon running");
            Ok(Exit::OK)
        }
        None => {
            let stale = state::read(&cx.env);
            print(args, cx, stale.as_ref(), None, "kilo daemon not running");
            Ok(Exit::FAILED)
        }
    }
}

async fn stop(args: &DaemonArgs, cx: &Context) -> anyhow::Result<Exit> {
    let stopped = end(cx).await?;
    let words = if stopped {
        "kilo daemon stopped"
    } else {
        "kilo daemon not running"
    };
    print(args, cx, None, None, words);
    Ok(Exit::OK)
}

/// Ends the daemon of the state file; says whether there was one.
async fn end(cx: &Context) -> anyhow::Result<bool> {
    let Some(state) = state::read(&cx.env) else {
        return Ok(false);
    };
    let pid = i32::try_from(state.pid).ok().and_then(Pid::from_raw);
    let Some(pid) = pid.filter(|pid| is_ours(*pid)) else {
        state::remove(&cx.env, state.pid); // the process is gone, or its number belongs to another one now
        return Ok(false);
    };
    rustix::process::kill_process(pid, Signal::TERM).context("cannot stop the daemon")?;
    let deadline = Instant::now() + STOP_MAX;
    while is_ours(pid) {
        if Instant::now() >= deadline {
            note("the daemon did not end by itself; killing it");
            rustix::process::kill_process(pid, Signal::KILL).context("cannot kill the daemon")?;
            break;
        }
        sleep(STOP_STEP).await;
    }
    state::remove(&cx.env, state.pid);
    Ok(true)
}

/// Whether the process is a daemon of ours that still runs: process numbers are used again.
fn is_ours(pid: Pid) -> bool {
    let number = pid.as_raw_nonzero();
    let Ok(words) = std::fs::read(format!("/proc/{number}/cmdline")) else {
        // Without /proc the number alone must do.
        return !std::path::Path::new("/proc/self").exists()
            && rustix::process::test_kill_process(pid).is_ok();
    };
    words.split(|byte| *byte == 0).any(|word| word == b"daemon") // a zombie has no words
}

fn print(
    args: &DaemonArgs,
    cx: &Context,
    state: Option<&DaemonState>,
    health: Option<&Health>,
    words: &str,
) {
    if args.json {
        line(&as_json(cx, state, health).to_string());
        return;
    }
    line(words);
    if let (Some(state), Some(health)) = (state, health) {
        line(&format!("  address   {}", state.url));
        line(&format!(
            "  process   {}, started {}",
            state.pid,
            ago(state.started, now())
        ));
        line(&format!("  version   {}", health.version));
        line(&format!("  log       {}", state.log.display()));
    }
    line(&format!("  state     {}", state::path(&cx.env).display()));
}

fn as_json(cx: &Context, state: Option<&DaemonState>, health: Option<&Health>) -> Value {
    let mut value = json!({
        "running": health.is_some(),
        "stale": state.is_some() && health.is_none(),
        "file": state::path(&cx.env),
    });
    if let Some(state) = state {
        value["state"] = json!(state);
    }
    if let Some(health) = health {
        value["health"] = json!(health);
    }
    value
}

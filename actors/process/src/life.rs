//! One run of a process: its start, its output, its readiness, its end.

use crate::kept::{self, Folder, Held, Hold, KeptOrder, Piece, Program};
use crate::listening;
use crate::process::{End, Process};
use kilo_ports::background::Ready;
use kilo_ports::clock::Clock;
use kilo_ports::sandbox::{ByteReader, Exit, Process as Child, Sandbox, SpawnSpec, Streams};
use kilo_protocol::process::Lifetime;
use regex::Regex;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// From the request to end to the kill.
pub const GRACE: Duration = Duration::from_secs(3);
/// Pause between two tries whether a port takes connections, and the longest try.
const PROBE_EVERY: Duration = Duration::from_millis(250);
/// When it is looked which ports the process listens on, each time after the one before; every output asks for it too.
const PORTS_AFTER: [u64; 6] = [300, 700, 2_000, 5_000, 15_000, 60_000];

/// What a run needs, and whom it tells.
#[derive(Clone)]
pub struct Surroundings {
    pub sandbox: Arc<dyn Sandbox>,
    pub clock: Arc<dyn Clock>,
    pub changed: Arc<dyn Fn(&Process) + Send + Sync>,
    /// Where and by what processes are kept that outlive the daemon; none: none can.
    pub keep: Option<Arc<Keep>>,
}

/// Where and by what processes are kept that outlive the daemon.
#[derive(Debug)]
pub struct Keep {
    pub root: PathBuf,
    pub program: Program,
}

impl Keep {
    /// The folder of a process.
    pub fn folder(&self, id: &str) -> Folder {
        Folder(self.root.join(id))
    }
}

impl Surroundings {
    fn tell(&self, process: &Process) {
        (self.changed)(process);
    }
}

/// Starts a run. Errors: it does not start. To be called inside a tokio runtime.
pub async fn begin(process: &Arc<Process>, around: &Surroundings) -> Result<(), String> {
    process.begins(around.clock.now());
    // from now on it can be told to end, also before it is there
    let (stop, stopped) = mpsc::channel(1);
    *process.run.lock() = Some(stop);
    let started = match process.lifetime() {
        Lifetime::Persistent => kept(process, around).await,
        _ => held(process, around).await,
    };
    let run = match started {
        Ok(run) => run,
        Err(why) => {
            *process.run.lock() = None;
            process.failed(&why, around.clock.now());
            around.tell(process);
            return Err(why);
        }
    };
    process.runs(run.child.pid(), around.clock.now());
    around.tell(process);
    tokio::spawn(follow(Arc::clone(process), around.clone(), run, stopped));
    Ok(())
}

/// A started run.
struct Run {
    child: Box<dyn Child>,
    output: Output,
}

enum Output {
    Pipe(ByteReader),
    Kept(mpsc::Receiver<Piece>),
}

/// Starts a run that ends with the daemon.
async fn held(process: &Process, around: &Surroundings) -> Result<Run, String> {
    let order = &process.order;
    let spec = SpawnSpec {
        title: title(process),
        program: "bash".into(),
        args: vec!["-c".into(), order.command.clone()],
        directory: order.cwd.clone(),
        env: vec![("KILO_PROCESS_ID".into(), process.id.clone())],
        streams: Streams::Merged,
    };
    let spawned = around.sandbox.spawn(spec).await.map_err(|error| {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error}: {}", source.unwrap_or_default())
    })?;
    // It reads nothing.
    drop(spawned.stdin);
    Ok(Run {
        child: spawned.process,
        output: Output::Pipe(spawned.stdout),
    })
}

/// Starts a run that outlives the daemon.
async fn kept(process: &Process, around: &Surroundings) -> Result<Run, String> {
    let Some(keep) = &around.keep else {
        return Err("nothing can outlive this program here".into());
    };
    let order = &process.order;
    let ready = order.ready.as_ref();
    let kept = KeptOrder {
        token: token().map_err(|error| format!("no random number is to be had: {error}"))?,
        id: process.id.clone(),
        owner: process.session(),
        session: order.session.clone(),
        directory: order.directory.clone(),
        command: order.command.clone(),
        cwd: order.cwd.clone(),
        description: order.description.clone(),
        pattern: ready.and_then(|ready| ready.pattern.clone()),
        port: ready.and_then(|ready| ready.port),
        ready_ms: ready.map(|ready| ready.timeout.as_millis() as u64),
        title: title(process),
        from: process.head(),
    };
    let folder = keep.folder(&process.id);
    let held = kept::start(&folder, &kept, &around.sandbox, &keep.program).await?;
    Ok(run_of(process, held))
}

fn run_of(process: &Process, held: Held) -> Run {
    *process.kept.lock() = Some(Arc::clone(&held.link));
    Run {
        child: Box::new(Hold(held.link)),
        output: Output::Kept(held.output),
    }
}

/// Follows a process again that an earlier daemon started and that lives. To be called inside a tokio runtime.
pub fn follow_again(process: &Arc<Process>, around: &Surroundings, held: Held) {
    let (stop, stopped) = mpsc::channel(1);
    *process.run.lock() = Some(stop);
    let run = run_of(process, held);
    tokio::spawn(follow(Arc::clone(process), around.clone(), run, stopped));
}

/// A word that nobody guesses.
fn token() -> std::io::Result<String> {
    let uuid = || std::fs::read_to_string("/proc/sys/kernel/random/uuid");
    Ok(format!("{}{}", uuid()?.trim(), uuid()?.trim()))
}

/// What lists call it.
pub fn title(process: &Process) -> String {
    let words = process.order.description.as_deref();
    let words = words.unwrap_or(&process.order.command);
    let first = words.lines().next().unwrap_or_default();
    let first: String = first.chars().take(80).collect();
    format!("background {first}")
}

async fn follow(
    process: Arc<Process>,
    around: Surroundings,
    run: Run,
    mut stopped: mpsc::Receiver<()>,
) {
    let Run { child, output } = run;
    let watching = tokio::spawn(watch_ports(Arc::clone(&process), around.clone()));
    let ready = process.ready().cloned();
    let readiness = ready.map(|ready| {
        let (process, around) = (Arc::clone(&process), around.clone());
        tokio::spawn(async move {
            if until_ready(&process, &ready).await && process.is_ready_now(around.clock.now()) {
                if let Some(link) = &*process.kept.lock() {
                    link.is_ready();
                }
                look_at_ports(&process, &around).await;
                around.tell(&process);
            }
        })
    });
    let reading = read(Arc::clone(&process), output);
    tokio::pin!(reading);
    let mut ending = child.wait();
    let mut is_read = false;
    let exit = loop {
        tokio::select! {
            biased;
            Some(()) = stopped.recv() => {
                process.stops(around.clock.now());
                around.tell(&process);
                ending = child.end(GRACE);
            }
            () = &mut reading, if !is_read => is_read = true,
            exit = &mut ending, if is_read => break exit,
        }
    };
    watching.abort();
    if let Some(readiness) = readiness {
        readiness.abort();
    }
    let end = match exit {
        Exit::Code(code) => End::Code(code),
        Exit::Signal(signal) => End::Signal(signal),
        Exit::TimedOut | Exit::Cancelled => End::Signal(9),
    };
    *process.run.lock() = None;
    let link = process.kept.lock().take();
    match link.and_then(|link| link.ended()?.why) {
        Some(why) => process.failed(&why, around.clock.now()),
        None => process.ended(end, around.clock.now()),
    }
    around.tell(&process);
}

/// Reads to the end, which comes with the end of the tree.
async fn read(process: Arc<Process>, output: Output) {
    match output {
        Output::Pipe(mut stdout) => {
            let mut buffer = vec![0; 8 << 10];
            while let Ok(bytes @ 1..) = stdout.read(&mut buffer).await {
                process.wrote(&buffer[..bytes]);
            }
        }
        Output::Kept(mut pieces) => {
            while let Some(piece) = pieces.recv().await {
                process.wrote_at(piece.position, &piece.bytes);
            }
        }
    }
}

async fn watch_ports(process: Arc<Process>, around: Surroundings) {
    for pause in PORTS_AFTER {
        sleep(Duration::from_millis(pause)).await;
        if look_at_ports(&process, &around).await {
            around.tell(&process);
        }
    }
}

/// Looks at the ports of a process. True: they have changed.
pub async fn look_at_ports(process: &Arc<Process>, around: &Surroundings) -> bool {
    let Some(pid) = process.pid().filter(|_| process.is_alive()) else {
        return false;
    };
    let ports = tokio::task::spawn_blocking(move || listening::ports(pid)).await;
    ports.is_ok_and(|ports| process.is_alive() && process.listens(ports, around.clock.now()))
}

/// Waits for readiness; true: it came within its time.
pub async fn until_ready(process: &Arc<Process>, ready: &Ready) -> bool {
    let pattern = ready.pattern.as_deref().map(Regex::new);
    let pattern = match pattern.transpose() {
        Ok(pattern) => pattern,
        Err(_) => return false,
    };
    let wrote = async {
        let Some(pattern) = pattern else { return };
        let mut changes = process.changes();
        while process.is_alive() && !process.has_written(&pattern) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    let answers = async {
        if let Some(port) = ready.port {
            while process.is_alive() && !takes_connections(port).await {
                sleep(PROBE_EVERY).await;
            }
        }
    };
    let both = async { tokio::join!(wrote, answers) };
    timeout(ready.timeout, both).await.is_ok() && process.is_alive()
}

async fn takes_connections(port: u16) -> bool {
    let local: [SocketAddr; 2] = [
        ([127, 0, 0, 1], port).into(),
        ([0, 0, 0, 0, 0, 0, 0, 1], port).into(),
    ];
    for address in local {
        if let Ok(Ok(_)) = timeout(PROBE_EVERY, TcpStream::connect(address)).await {
            return true;
        }
    }
    false
}

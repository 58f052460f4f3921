//! One run of a process: its start, its output, its readiness, its end.

use crate::listening;
use crate::process::{End, Process};
use kilo_ports::background::Ready;
use kilo_ports::clock::Clock;
use kilo_ports::sandbox::{ByteReader, Exit, Sandbox, SpawnSpec, Spawned, Streams};
use regex::Regex;
use std::net::SocketAddr;
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
}

impl Surroundings {
    fn tell(&self, process: &Process) {
        (self.changed)(process);
    }
}

/// Starts a run. Gives what tells it to end; errors: it does not start. To be called inside a tokio runtime.
pub async fn begin(process: &Arc<Process>, around: &Surroundings) -> Result<(), String> {
    let order = &process.order;
    process.begins(around.clock.now());
    let spec = SpawnSpec {
        title: format!("background {}", title(process)),
        program: "bash".into(),
        args: vec!["-c".into(), order.command.clone()],
        directory: order.cwd.clone(),
        env: vec![("KILO_PROCESS_ID".into(), process.id.clone())],
        streams: Streams::Merged,
    };
    let spawned = match around.sandbox.spawn(spec).await {
        Ok(spawned) => spawned,
        Err(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            let why = format!("{error}: {}", source.unwrap_or_default());
            process.failed(&why, around.clock.now());
            around.tell(process);
            return Err(why);
        }
    };
    let (stop, stopped) = mpsc::channel(1);
    *process.run.lock() = Some(stop);
    process.runs(spawned.process.pid(), around.clock.now());
    around.tell(process);
    tokio::spawn(follow(
        Arc::clone(process),
        around.clone(),
        spawned,
        stopped,
    ));
    Ok(())
}

fn title(process: &Process) -> String {
    let words = process.order.description.as_deref();
    let words = words.unwrap_or(&process.order.command);
    words
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(80)
        .collect()
}

async fn follow(
    process: Arc<Process>,
    around: Surroundings,
    spawned: Spawned,
    mut stopped: mpsc::Receiver<()>,
) {
    let Spawned {
        stdin,
        stdout,
        process: child,
        ..
    } = spawned;
    // It reads nothing.
    drop(stdin);
    let watching = tokio::spawn(watch_ports(Arc::clone(&process), around.clone()));
    let ready = process.ready().cloned();
    let readiness = ready.map(|ready| {
        let (process, around) = (Arc::clone(&process), around.clone());
        tokio::spawn(async move {
            if until_ready(&process, &ready).await && process.is_ready_now(around.clock.now()) {
                look_at_ports(&process, &around).await;
                around.tell(&process);
            }
        })
    });
    let reading = read(Arc::clone(&process), stdout);
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
    process.ended(end, around.clock.now());
    around.tell(&process);
}

/// Reads to the end, which comes with the end of the tree.
async fn read(process: Arc<Process>, mut stdout: ByteReader) {
    let mut buffer = vec![0; 8 << 10];
    while let Ok(bytes @ 1..) = stdout.read(&mut buffer).await {
        process.wrote(&buffer[..bytes]);
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

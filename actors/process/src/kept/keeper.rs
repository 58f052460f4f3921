//! The keeper: a program that runs one command, holds its newest output and serves whoever names the token.

use super::files::{Ended, Folder, KeptOrder, State};
use super::frames::{self, Order, Report};
use crate::logs::{KEPT_BYTES_MAX, Logs};
use kilo_ports::clock::Clock;
use kilo_ports::sandbox::{ByteReader, Exit, Process, Sandbox, SpawnSpec, Streams};
use parking_lot::Mutex;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a caller may take to say who it is.
const HELLO_MAX: Duration = Duration::from_secs(5);
/// How long those who listen may take to hear the rest when the command has ended.
const REST_MAX: Duration = Duration::from_secs(5);
/// Pause between two looks whether the folder is still there, and the grace of the end if it is not.
const LOOK_EVERY: Duration = Duration::from_secs(20);
const GRACE: Duration = Duration::from_secs(3);
/// Bytes of output in one report.
const PIECE_BYTES: usize = 64 << 10;
/// What the stored output may grow to before it is written anew with what is kept.
const STORED_BYTES_MAX: u64 = 2 * KEPT_BYTES_MAX as u64;

struct Keeper {
    folder: Folder,
    order: KeptOrder,
    sandbox: Arc<dyn Sandbox>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    logs: Mutex<Logs>,
    child: OnceLock<Box<dyn Process>>,
    /// Rises with each change and each output.
    changes: watch::Sender<u64>,
}

/// Runs what is ordered in `folder` to its end.
///
/// # Errors
/// The folder cannot be read, or another keeper holds it.
pub async fn keep(
    folder: &Path,
    sandbox: Arc<dyn Sandbox>,
    clock: Arc<dyn Clock>,
) -> io::Result<()> {
    let folder = Folder(folder.to_path_buf());
    let order = folder.order()?;
    let listener = folder.by_short_path(UnixListener::bind)?;
    let state = State {
        keeper: own_number(),
        started: clock.now(),
        ..State::default()
    };
    // a daemon that found nobody here has said so, and must be right
    folder.claim(&state)?;
    let keeper = Arc::new(Keeper {
        logs: Mutex::new(earlier_output(&folder, order.from)),
        folder,
        order,
        sandbox,
        clock,
        state: Mutex::new(state),
        child: OnceLock::new(),
        changes: watch::Sender::new(0),
    });
    let mut callers = JoinSet::new();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let mut life = tokio::spawn(Arc::clone(&keeper).live());
    loop {
        tokio::select! {
            _ = &mut life => break,
            caller = listener.accept() => match caller {
                Ok((stream, _)) => drop(callers.spawn(serve(Arc::clone(&keeper), stream))),
                Err(error) => {
                    tracing::warn!(%error, "a caller was not let in");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = callers.join_next() => {}
            _ = looks.tick() => if !keeper.folder.is_there() {
                // nobody could ever end it
                keeper.end(GRACE);
            },
        }
    }
    // its file stays: the next keeper of this folder may have its own there already
    drop(listener);
    let heard = async { while callers.join_next().await.is_some() {} };
    let _ = timeout(REST_MAX, heard).await;
    Ok(())
}

/// The output of earlier runs, where this one goes on behind it.
fn earlier_output(folder: &Folder, from: u64) -> Logs {
    let mut logs = Logs::default();
    match folder.log() {
        Some((position, bytes)) if position + bytes.len() as u64 == from => {
            logs.goes_on_at(position);
            logs.push(&bytes);
        }
        _ => logs.goes_on_at(from),
    }
    logs
}

/// This process's number and the tick of its start.
fn own_number() -> (u32, u64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // the name in parentheses may hold anything; the start is the 22nd field, the 20th behind it
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let started = rest.split_ascii_whitespace().nth(19);
    let started = started.and_then(|field| field.parse().ok());
    (std::process::id(), started.unwrap_or_default())
}

impl Keeper {
    fn change(&self, change: impl FnOnce(&mut State)) {
        {
            let mut state = self.state.lock();
            change(&mut state);
            if let Err(error) = self.folder.put_state(&state) {
                tracing::warn!(%error, "the state of a process is not stored");
            }
        }
        self.changes.send_modify(|count| *count += 1);
    }

    fn now(&self) -> State {
        self.state.lock().clone()
    }

    /// The command's life.
    async fn live(self: Arc<Self>) {
        let order = &self.order;
        let spec = SpawnSpec {
            title: order.title.clone(),
            program: "bash".into(),
            args: vec!["-c".into(), order.command.clone()],
            directory: order.cwd.clone(),
            env: vec![("KILO_PROCESS_ID".into(), order.id.clone())],
            streams: Streams::Merged,
        };
        let spawned = match self.sandbox.spawn(spec).await {
            Ok(spawned) => spawned,
            Err(error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                let why = format!("{error}: {}", source.unwrap_or_default());
                return self.ended(None, None, Some(why));
            }
        };
        drop(spawned.stdin);
        let child = self.child.get_or_init(|| spawned.process);
        self.change(|state| state.pid = Some(child.pid()));
        self.read(spawned.stdout).await;
        match child.wait().await {
            Exit::Code(code) => self.ended(Some(code), None, None),
            Exit::Signal(signal) => self.ended(None, Some(signal), None),
            Exit::TimedOut | Exit::Cancelled => self.ended(None, Some(9), None),
        }
    }

    fn ended(&self, code: Option<i32>, signal: Option<i32>, why: Option<String>) {
        let at = self.clock.now();
        self.change(|state| {
            state.ended = Some(Ended {
                at,
                code,
                signal,
                why,
            });
        });
    }

    /// Reads the output to its end, which comes with the end of the tree, and stores the newest of it.
    async fn read(&self, mut stdout: ByteReader) {
        let mut stored = Stored::new(self);
        let mut buffer = vec![0; 8 << 10];
        while let Ok(count @ 1..) = stdout.read(&mut buffer).await {
            self.logs.lock().push(&buffer[..count]);
            stored.add(self, &buffer[..count]);
            self.changes.send_modify(|count| *count += 1);
        }
    }

    fn end(&self, grace: Duration) {
        if let Some(child) = self.child.get() {
            self.change(|state| state.stopping = true);
            drop(child.end(grace));
        }
    }

    async fn obey(&self, order: Order, answers: &mpsc::Sender<Report>) {
        let Some(child) = self.child.get() else {
            return;
        };
        match order {
            Order::End { grace_ms } => self.end(Duration::from_millis(grace_ms)),
            Order::Signal(signal) => child.signal(signal),
            Order::Ready => self.change(|state| state.ready = true),
            Order::Usage => {
                let running = self.sandbox.running().await.into_iter().next();
                if let Some(one) = running {
                    let (age_ms, usage) = (one.age_ms, one.usage);
                    let _ = answers.try_send(Report::Usage { age_ms, usage });
                }
            }
            Order::Hold { .. } => {}
        }
    }
}

/// The output on the disk. A full disk loses it, not the process.
struct Stored {
    file: Option<File>,
    bytes: u64,
}

impl Stored {
    fn new(keeper: &Keeper) -> Self {
        let (position, bytes) = keeper.logs.lock().bytes_since(0, usize::MAX);
        let file = keeper.folder.put_log(position, &bytes);
        Self {
            file: file
                .inspect_err(|error| tracing::warn!(%error, "an output is not stored"))
                .ok(),
            bytes: bytes.len() as u64,
        }
    }

    fn add(&mut self, keeper: &Keeper, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let is_written = match &mut self.file {
            Some(file) => file.write_all(bytes).is_ok(),
            None => false,
        };
        // also after a failure, but not at each output
        if self.bytes > STORED_BYTES_MAX || (!is_written && self.file.take().is_some()) {
            *self = Self::new(keeper);
        }
    }
}

/// Tells a caller all that happens, if it knows the token, and does what it says.
async fn serve(keeper: Arc<Keeper>, stream: UnixStream) {
    let (mut reader, mut writer) = stream.into_split();
    let hello = timeout(HELLO_MAX, frames::next_order(&mut reader)).await;
    let Ok(Ok(Order::Hold { token, from })) = hello else {
        return;
    };
    if token != keeper.order.token {
        return;
    }
    let (answer, mut answers) = mpsc::channel(4);
    let obeying = Arc::clone(&keeper);
    let mut reading = tokio::spawn(async move {
        while let Ok(order) = frames::next_order(&mut reader).await {
            obeying.obey(order, &answer).await;
        }
    });
    let telling = tell(&keeper, &mut writer, &mut answers, from);
    tokio::select! {
        told = telling => {
            if let Err(error) = told {
                tracing::debug!(%error, "a caller is gone");
            }
        }
        _ = &mut reading => {}
    }
    reading.abort();
}

async fn tell(
    keeper: &Keeper,
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
    answers: &mut mpsc::Receiver<Report>,
    mut at: u64,
) -> io::Result<()> {
    let mut changes = keeper.changes.subscribe();
    let mut told = None;
    loop {
        // the end is told behind the last output, which is there when the end is
        let state = keeper.now();
        let alive = State {
            ended: None,
            ..state.clone()
        };
        if told.as_ref() != Some(&alive) {
            frames::report(to, &Report::State(alive.clone())).await?;
            told = Some(alive);
        }
        loop {
            let (position, bytes) = keeper.logs.lock().bytes_since(at, PIECE_BYTES);
            if bytes.is_empty() {
                break;
            }
            at = position + bytes.len() as u64;
            frames::report(to, &Report::Output(position, bytes)).await?;
        }
        if state.ended.is_some() {
            return frames::report(to, &Report::State(state)).await;
        }
        tokio::select! {
            _ = changes.changed() => {}
            Some(answer) = answers.recv() => frames::report(to, &answer).await?,
        }
    }
}

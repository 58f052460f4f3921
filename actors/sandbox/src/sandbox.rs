//! [`ProcessSandbox`]: runs commands as plain processes of the daemon's user.

use crate::environment::Environment;
use crate::init::{self, Control, Init, Inits};
use crate::launch::Launch;
use crate::run::{Limits, Run, SharedControl};
use crate::tree::{self, Mark};
use bytes::Bytes;
use kilo_ports::BoxFuture;
use kilo_ports::sandbox::{Exit, ProcessSpec, Sandbox, SandboxError};
use parking_lot::Mutex;
use rustix::pipe::PipeFlags;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Inits that may wait to be reaped before a run's end has to wait for the reaper.
const REAPER_QUEUE_MAX: usize = 1_024;
/// Time that [`ProcessSandbox::kill_all`] gives the trees to die in.
const KILL_ALL_MAX: Duration = Duration::from_secs(1);

/// What a sandbox is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The variables that children inherit; [`crate::SECRETS`] are always taken out.
    pub base_env: Vec<(OsString, OsString)>,
    /// Names of further variables to take out, for example API keys of providers.
    pub denied_env: Vec<String>,
    /// Time between SIGTERM and SIGKILL.
    pub grace: Duration,
}

impl Settings {
    /// Settings with three seconds of grace and nothing denied but [`crate::SECRETS`].
    pub fn new(base_env: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self {
            base_env: base_env.into_iter().collect(),
            denied_env: Vec::new(),
            grace: Duration::from_secs(3),
        }
    }
}

/// Runs commands as plain processes: no isolation of files or network, but each with its whole tree in hand.
///
/// Cloning is cheap; clones share the list of runs.
#[derive(Clone)]
pub struct ProcessSandbox {
    shared: Arc<Shared>,
}

struct Shared {
    environment: Environment,
    grace: Duration,
    /// First half of every run's mark.
    owner: String,
    next: AtomicU64,
    live: Mutex<HashMap<u64, Weak<Control>>>,
    inits: Arc<Inits>,
    reaper: SyncSender<Init>,
}

impl ProcessSandbox {
    /// Makes a sandbox and its reaper thread, which lives as long as the sandbox or a run of it.
    ///
    /// Errors: no thread to be had.
    pub fn new(settings: Settings) -> io::Result<Self> {
        let (reaper, ended) = std::sync::mpsc::sync_channel::<Init>(REAPER_QUEUE_MAX);
        std::thread::Builder::new()
            .name("kilo-reaper".into())
            .stack_size(64 * 1024)
            .spawn(move || {
                for init in ended {
                    init.reap();
                }
            })?;
        Ok(Self {
            shared: Arc::new(Shared {
                environment: Environment::new(settings.base_env, &settings.denied_env),
                grace: settings.grace,
                owner: owner_mark(),
                next: AtomicU64::new(1),
                live: Mutex::default(),
                inits: Arc::default(),
                reaper,
            }),
        })
    }

    /// Kills every run's tree at once and waits up to a second for their end. Runs answer as killed by a signal. For the
    /// daemon's end; blocks.
    pub fn kill_all(&self) {
        let live: Vec<SharedControl> = self
            .shared
            .live
            .lock()
            .values()
            .filter_map(Weak::upgrade)
            .collect();
        for control in &live {
            control.tell(init::KILL);
        }
        let until = Instant::now() + KILL_ALL_MAX;
        for control in &live {
            control.wait_for_end(until.saturating_duration_since(Instant::now()));
        }
        tree::kill_marked(Mark::OfOwner(&self.shared.owner));
    }

    /// The number of runs that are alive.
    pub fn live(&self) -> usize {
        self.shared
            .live
            .lock()
            .values()
            .filter(|control| control.strong_count() > 0)
            .count()
    }

    /// Whether a living process below the daemon holds the socket with this inode (`/proc/net/tcp` names inodes), or
    /// may, since it hides its descriptors. The front door asks this to refuse the daemon's own tools. One system call
    /// while the daemon has no child; else it reads `/proc`, some milliseconds: not for an async thread.
    ///
    /// A process of another user (`sudo`) counts as one that does not hold it.
    pub fn owned_by_child(&self, socket_inode: u64) -> bool {
        tree::descendant_may_hold_socket(socket_inode, |pid| self.shared.inits.contains(pid))
    }
}

impl Shared {
    /// Starts one run; blocks until its command's `exec`. To be called inside a tokio runtime.
    fn start(self: &Arc<Self>, spec: &ProcessSpec) -> io::Result<(Run, Listed)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}.{number}", self.owner);
        let launch = Launch::new(spec, &self.environment, &mark)?;
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let pipe = pipe::Receiver::from_owned_fd(read)?;
        let (init, control) = init::start(&launch, &write, &self.inits)?;
        drop(write);
        let control = Arc::new(control);
        let listed = Listed {
            shared: Arc::clone(self),
            number,
        };
        self.live.lock().insert(number, Arc::downgrade(&control));
        let run = Run::new(init, control, pipe, self.reaper.clone(), mark)?;
        Ok((run, listed))
    }
}

/// A run's place in the list of live runs; dropped, it is off the list.
struct Listed {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.shared.live.lock().remove(&self.number);
    }
}

impl Sandbox for ProcessSandbox {
    fn run(
        &self,
        spec: ProcessSpec,
        output: mpsc::Sender<Bytes>,
        cancel: CancellationToken,
    ) -> BoxFuture<'static, Result<Exit, SandboxError>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            if cancel.is_cancelled() {
                return Ok(Exit::Cancelled);
            }
            let program = spec.program.clone();
            let limits = Limits {
                timeout: spec.timeout_ms.map(Duration::from_millis),
                grace: shared.grace,
                cancel,
            };
            // A run that starts while this future is dropped is dropped as the task's unused answer, which kills it.
            let started = tokio::task::spawn_blocking(move || shared.start(&spec)).await;
            let (run, _listed) = match started.unwrap_or_else(|error| Err(io::Error::other(error)))
            {
                Ok(started) => started,
                Err(source) => return Err(SandboxError::Spawn { program, source }),
            };
            run.drive(output, limits)
                .await
                .map_err(|source| SandboxError::Wait { program, source })
        })
    }
}

/// A name for this life of this process that no other process of the machine has or had.
fn owner_mark() -> String {
    let pid = std::process::id();
    match std::fs::read_to_string("/proc/sys/kernel/random/uuid") {
        Ok(uuid) => format!("{pid}-{}", uuid.trim()),
        Err(_) => format!("{pid}-{}", tree::start_of(pid).unwrap_or_default()),
    }
}

//! [`ProcessSandbox`]: runs commands as plain processes of the daemon's user.

use crate::detached;
use crate::environment::Environment;
use crate::init::{self, Control, Init, Inits, Numbers};
use crate::launch::{Launch, Program};
use crate::list::{About, List, Listed};
use crate::run::{Bounds, Run};
use crate::spawned;
use crate::streams::{self, ChildEnds};
use crate::table::{self, Mark};
use crate::tree::Tree;
use bytes::Bytes;
use kilo_ports::BoxFuture;
use kilo_ports::sandbox::{
    Exit, ProcessSpec, Running, Sandbox, SandboxError, SpawnSpec, Spawned, Streams,
};
use std::ffi::OsString;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What a list calls a command without a title of its own, at most.
const TITLE_CHARS_MAX: usize = 100;
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
    list: Arc<List>,
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
                list: Arc::default(),
                inits: Arc::default(),
                reaper,
            }),
        })
    }

    /// Kills every run's tree at once and waits up to a second for their end. Runs answer as killed by a signal. For the
    /// daemon's end; blocks.
    pub fn kill_all(&self) {
        let live = self.shared.list.controls();
        for control in &live {
            control.tell(&[init::KILL]);
        }
        let until = Instant::now() + KILL_ALL_MAX;
        for control in &live {
            control.wait_for_end(until.saturating_duration_since(Instant::now()));
        }
        // Reads the variables of every process of the system.
        if self.shared.list.was_used() {
            table::kill_marked(Mark::OfOwner(&self.shared.owner));
        }
    }

    /// The number of runs that are alive.
    pub fn live(&self) -> usize {
        self.shared.list.controls().len()
    }

    /// Whether a living process below the daemon holds the socket with this inode (`/proc/net/tcp` names inodes), or
    /// may, since it hides its descriptors. The front door asks this to refuse the daemon's own tools. One system call
    /// while the daemon has no child; else it reads `/proc`, some milliseconds: not for an async thread.
    ///
    /// A process of another user (`sudo`) counts as one that does not hold it.
    pub fn owned_by_child(&self, socket_inode: u64) -> bool {
        table::descendant_may_hold_socket(socket_inode, |pid| self.shared.inits.contains(pid))
    }
}

/// Whether a living process below one of `roots` holds the socket with this inode, or may. Each root is the number of a
/// process and the tick of its start since the boot: one that has the number but began at another time is somebody else.
/// Reads `/proc`: not for an async thread.
pub fn owned_below(socket_inode: u64, roots: &[(u32, u64)]) -> bool {
    let is_root = |(pid, started): &&(u32, u64)| table::start_of(*pid) == Some(*started);
    let mut roots = roots.iter().filter(is_root);
    roots.any(|(pid, _)| table::tree_may_hold_socket(*pid, socket_inode))
}

/// A started tree.
struct Started {
    tree: Tree,
    numbers: Numbers,
    control: Arc<Control>,
    listed: Listed,
}

impl Shared {
    /// Starts a tree; blocks until its command's `exec`. To be called inside a tokio runtime.
    fn start(&self, program: Program<'_>, ends: ChildEnds, title: String) -> io::Result<Started> {
        let number = self.list.number();
        let mark = format!("{}.{number}", self.owner);
        let launch = Launch::new(program, &self.environment, &mark)?;
        let (init, control) = init::start(&launch, &ends, &self.inits)?;
        let (numbers, control) = (init.numbers(), Arc::new(control));
        let about = About {
            title,
            directory: program.directory.to_path_buf(),
            has_terminal: ends.is_terminal,
            numbers,
            control: Arc::downgrade(&control),
        };
        let listed = self.list.add(number, about);
        let tree = Tree::new(init, Arc::clone(&control), self.reaper.clone(), mark)?;
        tracing::debug!(command = numbers.command, "started a process");
        Ok(Started {
            tree,
            numbers,
            control,
            listed,
        })
    }

    fn run(&self, spec: &ProcessSpec) -> io::Result<(Run, Listed)> {
        let (ends, pipe) = streams::of_command(spec.stdin.as_deref())?;
        let pipe = pipe::Receiver::from_owned_fd(pipe)?;
        let program = Program {
            name: &spec.program,
            args: &spec.args,
            directory: &spec.directory,
            env: &spec.env,
            has_terminal: false,
        };
        let Started { tree, listed, .. } = self.start(program, ends, title(spec))?;
        Ok((Run { tree, pipe }, listed))
    }

    fn spawn(&self, mut spec: SpawnSpec) -> io::Result<Spawned> {
        let (ends, ours) = streams::open(spec.streams)?;
        let is_terminal = matches!(spec.streams, Streams::Terminal(_));
        if is_terminal && spec.env.iter().all(|(name, _)| name != "TERM") {
            // The daemon's own says nothing about the terminal at the other end.
            spec.env.push(("TERM".into(), "xterm-256color".into()));
        }
        let program = Program {
            name: &spec.program,
            args: &spec.args,
            directory: &spec.directory,
            env: &spec.env,
            has_terminal: is_terminal,
        };
        let started = self.start(program, ends, spec.title)?;
        let Started {
            tree,
            numbers,
            control,
            listed,
        } = started;
        spawned::attend(tree, numbers, control, ours, listed)
    }
}

/// The program with its arguments, cut.
fn title(spec: &ProcessSpec) -> String {
    let words = std::iter::once(&spec.program).chain(&spec.args);
    let mut title = String::new();
    for word in words {
        if !title.is_empty() {
            title.push(' ');
        }
        title.extend(word.chars().take(TITLE_CHARS_MAX));
        if title.len() > TITLE_CHARS_MAX {
            break;
        }
    }
    title.chars().take(TITLE_CHARS_MAX).collect()
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
            let bounds = Bounds {
                timeout: spec.timeout_ms.map(Duration::from_millis),
                grace: shared.grace,
                cancel,
            };
            // A run that starts while this future is dropped is dropped as the task's unused answer, which kills it.
            let started = tokio::task::spawn_blocking(move || shared.run(&spec)).await;
            let (run, _listed) = match started.unwrap_or_else(|error| Err(io::Error::other(error)))
            {
                Ok(started) => started,
                Err(source) => return Err(SandboxError::Spawn { program, source }),
            };
            run.drive(output, bounds)
                .await
                .map_err(|source| SandboxError::Wait { program, source })
        })
    }

    fn spawn(&self, spec: SpawnSpec) -> BoxFuture<'static, Result<Spawned, SandboxError>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let program = spec.program.clone();
            // Dropped meanwhile, the task's unused answer kills what it started.
            let started = tokio::task::spawn_blocking(move || shared.spawn(spec)).await;
            started
                .unwrap_or_else(|error| Err(io::Error::other(error)))
                .map_err(|source| SandboxError::Spawn { program, source })
        })
    }

    fn detach(&self, spec: ProcessSpec) -> BoxFuture<'static, Result<(), SandboxError>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let program = spec.program.clone();
            let started = tokio::task::spawn_blocking(move || {
                detached::start(&spec, &shared.environment, &shared.inits)
            });
            started
                .await
                .unwrap_or_else(|error| Err(io::Error::other(error)))
                .map_err(|source| SandboxError::Spawn { program, source })
        })
    }

    fn running(&self) -> BoxFuture<'static, Vec<Running>> {
        let list = Arc::clone(&self.shared.list);
        Box::pin(async move {
            let looked = tokio::task::spawn_blocking(move || list.running()).await;
            looked.unwrap_or_default()
        })
    }
}

/// A name for this life of this process that no other process of the machine has or had.
fn owner_mark() -> String {
    let pid = std::process::id();
    match std::fs::read_to_string("/proc/sys/kernel/random/uuid") {
        Ok(uuid) => format!("{pid}-{}", uuid.trim()),
        Err(_) => format!("{pid}-{}", table::start_of(pid).unwrap_or_default()),
    }
}

//! Child processes: each in its own group, with one owner, ended with its whole tree.
//!
//! [`Sandbox::run`] is for commands: to the end, output on a channel. [`Sandbox::spawn`] is for what lives beside its
//! owner and is talked to: servers of protocols, terminals, background commands. Nothing else starts a process.

use crate::BoxFuture;
use bytes::Bytes;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A child process to run.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessSpec {
    /// The program.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its folder (absolute, existing).
    pub directory: PathBuf,
    /// Variables set on top of the daemon's environment; the daemon's own secrets (`KILO_SERVER_PASSWORD`, tokens) are
    /// always taken out.
    pub env: Vec<(String, String)>,
    /// Milliseconds until it is ended; `None` for no bound.
    pub timeout_ms: Option<u64>,
    /// What it reads; `None` closes its stdin.
    pub stdin: Option<Bytes>,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself.
    Code(i32),
    /// By a signal from elsewhere.
    Signal(i32),
    /// By its bound.
    TimedOut,
    /// By the owner.
    Cancelled,
}

/// Why a child could not run.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// It could not be started.
    #[error("cannot start {program}")]
    Spawn {
        /// The program.
        program: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// Its end could not be seen.
    #[error("cannot wait for {program}")]
    Wait {
        /// The program.
        program: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
}

/// A process that runs beside its owner.
#[derive(Clone, Debug, PartialEq)]
pub struct SpawnSpec {
    /// What lists call it: `mcp github`, `terminal 2`.
    pub title: String,
    /// The program.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its folder (absolute, existing).
    pub directory: PathBuf,
    /// Variables set on top of the daemon's environment, whose own secrets are always taken out. A process on a terminal
    /// gets `TERM=xterm-256color` unless this says otherwise, and nothing that names the terminal which the daemon was
    /// started in (`TMUX`, `VSCODE_*`, `TERM_PROGRAM`, …).
    pub env: Vec<(String, String)>,
    /// What its streams are.
    pub streams: Streams,
}

/// What stdin, stdout and stderr of a process are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// A pipe each.
    Separate,
    /// Stdout and stderr share a pipe, so their order is kept.
    Merged,
    /// A terminal: the process leads a session of its own, has it as its controlling terminal, and gets SIGWINCH at each
    /// change of size. The bytes go through as they are; what the line discipline makes of them (echo, `\r\n`, ^C as
    /// SIGINT to whoever is in front) is the program's to set.
    Terminal(TerminalSize),
}

/// A terminal's size in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub columns: u16,
}

/// What a process writes. A reader that does not read stops the process, not the memory: the kernel holds at most 64 KiB.
/// Ends when the tree is gone, even if a stranger still holds the other end.
pub type ByteReader = Pin<Box<dyn AsyncRead + Send>>;
/// What a process reads; a write waits while the process does not read. Dropped or shut down, the process sees the end
/// (a terminal has none: write ^D).
pub type ByteWriter = Pin<Box<dyn AsyncWrite + Send>>;

/// A started process and its streams.
pub struct Spawned {
    /// What it reads.
    pub stdin: ByteWriter,
    /// What it writes.
    pub stdout: ByteReader,
    /// What it writes about itself; only with [`Streams::Separate`].
    pub stderr: Option<ByteReader>,
    /// The process itself. Dropped, it is killed at once with everything that it started.
    pub process: Box<dyn Process>,
}

/// The owner's hold on a process. The process's own end takes what it started along, as does the daemon's.
pub trait Process: Send + Sync + 'static {
    /// Its number.
    fn pid(&self) -> u32;

    /// Sends a signal (by its number) to the process and its process group. One that has ended gets none; nobody else
    /// does, even if the number was given again.
    fn signal(&self, signal: i32);

    /// Changes the terminal's size. Without a terminal nothing happens.
    fn resize(&self, size: TerminalSize);

    /// What it and all that it started use now.
    fn usage(&self) -> BoxFuture<'static, Usage>;

    /// Waits until it and all that it started are gone; tells how it ended. Any number of callers may wait.
    fn wait(&self) -> BoxFuture<'static, Exit>;

    /// Ends the whole tree: SIGTERM now, SIGKILL to what is left after `grace`. Waits as [`Process::wait`].
    fn end(&self, grace: Duration) -> BoxFuture<'static, Exit>;
}

/// What a tree of processes uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processes that live.
    pub processes: u32,
    /// Bytes of memory that they hold; pages that several share count for each.
    pub memory_bytes: u64,
    /// Processor time so far, of those that have ended too.
    pub cpu_ms: u64,
}

/// A line of the list of processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its title; of a [`Sandbox::run`] the program with its arguments.
    pub title: String,
    /// Its number.
    pub pid: u32,
    /// The folder it was started in.
    pub directory: PathBuf,
    /// It has a terminal.
    pub has_terminal: bool,
    /// How long it runs.
    pub age_ms: u64,
    /// What its tree uses.
    pub usage: Usage,
}

/// Runs child processes.
pub trait Sandbox: Send + Sync + 'static {
    /// Runs a child to its end. Its stdout and stderr arrive merged and in order on `output` (bounded: a full channel
    /// stops the reading, not the memory). On timeout and cancel the whole tree gets SIGTERM, then SIGKILL after 3 s.
    /// When the future is dropped, the tree is killed. Returns after the last output was sent, but does not wait for
    /// strangers that keep the pipe open after the child ended: they are killed with its group.
    fn run(
        &self,
        spec: ProcessSpec,
        output: mpsc::Sender<Bytes>,
        cancel: CancellationToken,
    ) -> BoxFuture<'static, Result<Exit, SandboxError>>;

    /// Starts a process that runs beside its owner. Returns when its program was loaded, or why it was not.
    ///
    /// To be awaited inside a tokio runtime, which then serves the streams. When the future is dropped, nothing is left
    /// running.
    fn spawn(&self, spec: SpawnSpec) -> BoxFuture<'static, Result<Spawned, SandboxError>>;

    /// Starts a program that outlives the daemon and that nobody here holds: it has the environment of any child, and
    /// no streams. `timeout_ms` and `stdin` say nothing here. For programs that leave the daemon's session by themselves and
    /// see to their own end.
    ///
    /// # Errors
    /// It could not be started, or this sandbox lets nothing outlive it.
    fn detach(&self, spec: ProcessSpec) -> BoxFuture<'static, Result<(), SandboxError>> {
        Box::pin(async move {
            Err(SandboxError::Spawn {
                program: spec.program,
                source: std::io::ErrorKind::Unsupported.into(),
            })
        })
    }

    /// Everything that runs now, by [`Sandbox::run`] and [`Sandbox::spawn`], oldest first.
    fn running(&self) -> BoxFuture<'static, Vec<Running>>;
}

//! Child processes: each in its own group, with one owner, ended with its whole tree.

use crate::BoxFuture;
use bytes::Bytes;
use std::path::PathBuf;
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
}

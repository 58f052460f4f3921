//! Processes that go on beside a session: servers, watchers, long builds.

use crate::BoxFuture;
use kilo_protocol::SessionId;
use kilo_protocol::process::{Lifetime, ProcessInfo};
use std::path::PathBuf;
use std::time::Duration;

/// When a process counts as ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// A regular expression that a line of its output matches.
    pub pattern: Option<String>,
    /// A TCP port of this machine that takes connections.
    pub port: Option<u16>,
    /// How long that is waited for.
    pub timeout: Duration,
}

/// What is to be started.
#[derive(Clone, Debug, PartialEq)]
pub struct StartOrder {
    /// The session that starts it.
    pub session: SessionId,
    /// That session's folder, whose clients hear of it.
    pub directory: PathBuf,
    /// The command, for bash.
    pub command: String,
    /// The folder to run in (absolute, existing).
    pub cwd: PathBuf,
    /// What it is for.
    pub description: Option<String>,
    /// When it counts as ready; none: nobody waits.
    pub ready: Option<Ready>,
    /// How long it may live.
    pub lifetime: Lifetime,
}

/// A piece of output with its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPiece {
    /// The text.
    pub text: String,
    /// Bytes written before it since the first start.
    pub from: u64,
    /// The same behind it.
    pub to: u64,
}

/// Why an order was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackgroundError {
    /// There is none of this id in the session.
    #[error("background process not found: {0}")]
    Unknown(String),
    /// Too many run.
    #[error("{0} background processes of this session run already: stop one first")]
    TooMany(usize),
    /// The pattern is no regular expression.
    #[error("the pattern cannot be read: {0}")]
    Pattern(String),
    /// It does not start.
    #[error("the process could not be started: {0}")]
    Start(String),
}

/// The outcome of an order that may have waited: how the process is now.
pub type Outcome = Result<ProcessInfo, BackgroundError>;

/// What tools may order. Everything is about one session's processes.
pub trait Background: Send + Sync + 'static {
    /// Starts a process, and waits until it is ready, over, or its time for that is over.
    fn start(&self, order: StartOrder) -> BoxFuture<'static, Outcome>;

    /// Waits until it is ready (as it was ordered, or as given), over, or the time is over.
    fn monitor(
        &self,
        session: &SessionId,
        id: &str,
        ready: Option<Ready>,
        timeout: Duration,
    ) -> BoxFuture<'static, Outcome>;

    /// The session's processes, oldest first.
    fn list(&self, session: &SessionId) -> BoxFuture<'static, Vec<ProcessInfo>>;

    /// How one is.
    fn get(&self, session: &SessionId, id: &str) -> BoxFuture<'static, Outcome>;

    /// Its last lines.
    fn logs(
        &self,
        session: &SessionId,
        id: &str,
        lines: usize,
    ) -> BoxFuture<'static, Result<LogPiece, BackgroundError>>;

    /// Ends it with all that it started. One that is over stays so.
    fn stop(&self, session: &SessionId, id: &str) -> BoxFuture<'static, Outcome>;

    /// Ends it, then starts it again.
    fn restart(&self, session: &SessionId, id: &str) -> BoxFuture<'static, Outcome>;
}

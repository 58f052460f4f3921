//! The engine in this process. The only file that names `kilo_daemon`.

use crate::exit::Exit;
use crate::signals::Signals;
use kilo_client::{Auth, Client};
use kilo_config::Environment;
use kilo_daemon::StartError;
use std::time::Duration;

const STOP_MAX: Duration = Duration::from_millis(900);

/// Keeps a process that outlives the daemon, until it ends.
///
/// # Errors
/// Its folder cannot be read, or another keeper holds it.
pub async fn keep(folder: &std::path::Path, env: &Environment) -> std::io::Result<()> {
    kilo_daemon::keep(folder, env).await
}

/// What an engine is started with.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Its environment.
    pub env: Environment,
    /// The address to listen on; loopback when empty.
    pub hostname: String,
    /// The port; 0 takes any free one.
    pub port: u16,
    /// Origins that browsers may call from.
    pub cors: Vec<String>,
    /// It serves this process alone and ends with it.
    pub embedded: bool,
}

/// Why an engine did not start.
#[derive(Debug)]
pub enum NotStarted {
    /// Another process holds the data folder.
    Held {
        /// That process.
        pid: u32,
        /// Where it listens; empty while it starts.
        address: String,
    },
    /// Anything else.
    Failed(StartError),
}

impl From<StartError> for NotStarted {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Locked { pid, address } => Self::Held { pid, address },
            other => Self::Failed(other),
        }
    }
}

impl std::fmt::Display for NotStarted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Held { pid, address } => {
                write!(f, "process {pid} at {address} uses the data folder already")
            }
            Self::Failed(_) => f.write_str("the engine did not start"),
        }
    }
}

impl std::error::Error for NotStarted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Held { .. } => None,
            Self::Failed(error) => Some(error),
        }
    }
}

/// Where the engine of another process listens that holds the data folder.
pub fn elsewhere(env: &Environment) -> Option<String> {
    kilo_daemon::holder(env)
}

/// An engine that runs in this process.
pub struct Engine {
    running: kilo_daemon::Running,
    env: Environment,
}

impl Engine {
    /// Starts one and returns once it is ready to serve.
    ///
    /// # Errors
    /// [`NotStarted::Held`] when another process holds the data folder.
    pub async fn start(start: Start) -> Result<Self, NotStarted> {
        let env = start.env.clone();
        let hostname = if start.hostname.is_empty() {
            "127.0.0.1".to_owned()
        } else {
            start.hostname
        };
        let running = kilo_daemon::start(kilo_daemon::Options {
            environment: start.env,
            hostname,
            port: start.port,
            cors: start.cors,
            embedded: start.embedded,
        })
        .await?;
        Ok(Self { running, env })
    }

    /// Where it listens: `http://HOST:PORT`.
    pub fn url(&self) -> &str {
        &self.running.url
    }

    /// The token that opens it, if it has one.
    pub fn token(&self) -> Option<&str> {
        self.running.token.as_deref()
    }

    /// A client for it.
    pub fn client(&self) -> anyhow::Result<Client> {
        let auth = match self.token() {
            Some(token) => Auth::Token(token.to_owned()),
            None => Auth::basic(
                self.env.get("KILO_SERVER_USERNAME"),
                self.env.get("KILO_SERVER_PASSWORD"),
            ),
        };
        Ok(Client::new(self.url(), auth)?)
    }

    /// Serves until a signal, the end of the process that `KILO_PARENT_PID` names, or until the engine ends by itself, and
    /// stops it; the status says which it was.
    pub async fn serve(mut self, signals: &mut Signals) -> Exit {
        let exit = tokio::select! {
            _ = signals.next() => Exit::OK,
            () = kilo_daemon::parent::ended(&self.env) => Exit::OK,
            () = self.running.ended() => {
                tracing::error!("the engine ended by itself");
                Exit::FAILED
            }
        };
        self.stop().await;
        exit
    }

    /// Whether any session runs a turn.
    pub fn is_busy(&self) -> bool {
        self.running.is_busy()
    }

    /// Whether a turn that is over still has something to store, such as the session's title.
    pub fn is_finishing(&self) -> bool {
        self.running.is_finishing()
    }

    /// Stops it, within 0.9 s.
    pub async fn stop(self) {
        if tokio::time::timeout(STOP_MAX, self.running.stop())
            .await
            .is_err()
        {
            tracing::warn!("the engine took too long to stop");
        }
    }
}

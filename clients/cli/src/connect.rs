//! Finds an engine for a command: the one named, the background daemon, or one in this process.

use crate::context::Context;
use crate::host::{self, Engine, NotStarted, Start};
use crate::options::Remote;
use crate::signals::Signals;
use crate::state;
use crate::terminal::note;
use kilo_client::{Auth, Client};
use kilo_config::Environment;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

const HEALTH_MAX: Duration = Duration::from_secs(1);
/// How long an engine is looked for while another process starts or ends one.
const LOOK_MAX: Duration = Duration::from_secs(5);
const LOOK_STEP: Duration = Duration::from_millis(20);
const BUSY_STEP: Duration = Duration::from_millis(100);
/// How long a title or a diff may take once the turn is over.
const FINISH_MAX: Duration = Duration::from_secs(10);
const FINISH_STEP: Duration = Duration::from_millis(5);

/// A client, and the engine behind it when that runs in this process.
pub struct Link {
    /// The client, working in the command's directory.
    pub client: Client,
    engine: Option<Engine>,
}

impl Link {
    /// Stops the engine if it runs in this process, once no other process has a turn running in it and what turns left
    /// behind (a title, a diff) is stored; Ctrl-C stops it at once.
    pub async fn close(self) {
        let Some(engine) = self.engine else { return };
        if let Ok(mut signals) = Signals::listen() {
            tokio::select! {
                () = done(&engine) => {}
                _ = signals.next() => {}
            }
        }
        engine.stop().await;
    }
}

/// Finds an engine: `--attach`, else the background daemon if it is healthy, else one in this process, else the one of
/// another process that holds the data folder.
///
/// `KILO_NO_DAEMON=1` leaves the background daemon alone.
pub async fn open(cx: &Context, remote: &Remote, directory: &str) -> anyhow::Result<Link> {
    if let Some(url) = &remote.attach {
        let client = Client::new(url, credentials(&cx.env, remote))?;
        return Ok(Link {
            client: client.in_directory(directory),
            engine: None,
        });
    }
    // One for everything that is waited for below: silent processes would add up otherwise.
    let deadline = Instant::now() + LOOK_MAX;
    let left = || deadline.saturating_duration_since(Instant::now());
    if let Some(client) = background(&cx.env).await {
        return Ok(Link {
            client: client.in_directory(directory),
            engine: None,
        });
    }
    loop {
        let start = Start {
            env: cx.env.clone(),
            embedded: true,
            ..Start::default()
        };
        let (pid, address) = match Engine::start(start).await {
            Ok(engine) => {
                let client = engine.client()?.in_directory(directory);
                return Ok(Link {
                    client,
                    engine: Some(engine),
                });
            }
            Err(NotStarted::Held { pid, address }) => (pid, address),
            Err(error) => return Err(error.into()),
        };
        // Whoever holds the data folder serves everybody of this user; it may just be starting or ending.
        if let Ok(client) = Client::new(&address, credentials(&cx.env, remote))
            && client.health(HEALTH_MAX.min(left())).await.is_ok()
        {
            tracing::debug!(address, "using the engine of another process");
            return Ok(Link {
                client: client.in_directory(directory),
                engine: None,
            });
        }
        if left().is_zero() {
            anyhow::bail!(
                "process {pid} holds the data folder and does not answer; end it, or wait until it is done starting"
            );
        }
        tokio::time::sleep(LOOK_STEP.min(left())).await;
    }
}

/// Waits until nothing runs in the engine of this process and nothing is left to store.
async fn done(engine: &Engine) {
    if engine.is_busy() {
        note(
            "another program uses this process's engine; waiting until it is done (Ctrl-C stops both)",
        );
    }
    while engine.is_busy() {
        tokio::time::sleep(BUSY_STEP).await;
    }
    // A model that never gives the title must not hold a person for long.
    let stored = async {
        while engine.is_finishing() {
            tokio::time::sleep(FINISH_STEP).await;
        }
    };
    let _ = tokio::time::timeout(FINISH_MAX, stored).await;
}

/// A client for the background daemon, if it is there and healthy.
pub async fn background(env: &Environment) -> Option<Client> {
    if env.is_on("KILO_NO_DAEMON") {
        return None;
    }
    let state = state::read(env)?;
    let client = of_state(env, &state)?;
    let health = client.health(HEALTH_MAX).await.ok()?;
    tracing::debug!(
        pid = state.pid,
        version = health.version,
        "using the background daemon"
    );
    Some(client)
}

/// A client for an engine that runs already: the background daemon, else the one of whatever process holds the data
/// folder (`kilo serve`, an editor's). Starts nothing.
pub async fn running(env: &Environment) -> Option<Client> {
    if let Some(client) = background(env).await {
        return Some(client);
    }
    let address = host::elsewhere(env)?;
    let client = Client::new(&address, credentials(env, &Remote::default())).ok()?;
    client.health(HEALTH_MAX).await.ok()?;
    Some(client)
}

/// A client for the daemon of a state file.
pub fn of_state(env: &Environment, state: &state::DaemonState) -> Option<Client> {
    let auth = match state::token(state).ok()? {
        Some(token) => Auth::Token(token),
        None => credentials(env, &Remote::default()),
    };
    Client::new(&state.url, auth).ok()
}

fn credentials(env: &Environment, remote: &Remote) -> Auth {
    let password = remote
        .password
        .as_deref()
        .or_else(|| env.get("KILO_SERVER_PASSWORD"));
    let username = remote
        .username
        .as_deref()
        .or_else(|| env.get("KILO_SERVER_USERNAME"));
    Auth::basic(username, password)
}

/// The directory that a command works in: `--dir` against the current one. With `--attach` it is taken as it is, for it
/// need not exist here.
///
/// # Errors
/// When a local one is not a folder.
pub fn directory(env: &Environment, dir: Option<&Path>, remote: &Remote) -> anyhow::Result<String> {
    let Some(dir) = dir else {
        return Ok(text(&env.cwd));
    };
    if remote.attach.is_some() {
        return Ok(text(dir));
    }
    let path = env.cwd.join(env.expand_home(&dir.to_string_lossy()));
    match path.canonicalize() {
        Ok(path) if path.is_dir() => Ok(text(&path)),
        _ => anyhow::bail!("{} is not a folder", path.display()),
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

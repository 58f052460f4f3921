//! One running server: its process or address, the protocol on it, and what it offers.

use crate::channel::{Channel, SendError};
use crate::config::{ServerConfig, Transport};
use crate::desk::Desk;
use crate::http::{self, Address, Clients, Signer};
use crate::model::{CallAnswer, Offer};
use crate::stdio::{self, Remarks};
use crate::wire::{self, CallError, ConnectError};
use kilo_ports::BoxFuture;
use kilo_ports::sandbox::{Exit, Process, Sandbox, SpawnSpec, Streams};
use kilo_runtime::pool::Server;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Time that a program has to go by itself once its stdin is closed, and then after SIGTERM.
const LEAVE: Duration = Duration::from_millis(500);
const GRACE: Duration = Duration::from_secs(2);
/// Lists are read again at most this often.
const REFRESH_EVERY: Duration = Duration::from_secs(1);

/// What a start needs.
pub struct Order {
    /// What lists of processes call it.
    pub title: String,
    /// The server.
    pub config: ServerConfig,
    /// The folder that a program is started in.
    pub directory: PathBuf,
    /// Our version, for the server.
    pub version: String,
    /// For servers at an address.
    pub http: Arc<Clients>,
    /// Signs requests to them.
    pub signer: Option<Arc<dyn Signer>>,
}

/// Why a start failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    /// Somebody must sign in: the header `WWW-Authenticate`.
    Unauthorized(String),
    /// All else, for people.
    Failed(String),
}

impl StartError {
    /// In words.
    pub fn text(&self) -> String {
        match self {
            Self::Unauthorized(_) => "the server wants a sign-in".into(),
            Self::Failed(why) => why.clone(),
        }
    }
}

/// A running server.
pub struct Connection {
    client: Arc<wire::Client>,
    process: Option<Box<dyn Process>>,
    closed: CancellationToken,
    remarks: Remarks,
    timeout: Duration,
    /// Who may be asked.
    pub desk: Arc<Desk>,
    offer: watch::Sender<Arc<Offer>>,
}

/// Starts a server and reads its lists, all within its time limit.
pub async fn start(
    order: Order,
    handle: Handle,
    sandbox: Arc<dyn Sandbox>,
    desk: Arc<Desk>,
) -> Result<Connection, StartError> {
    let timeout = order.config.timeout;
    let remarks = Remarks::default();
    let begun = begin(&order, &handle, &sandbox, &desk, &remarks);
    match tokio::time::timeout(timeout, begun).await {
        Ok(Ok(connection)) => {
            connection.refresh_on_change(&handle);
            Ok(connection)
        }
        Ok(Err(StartError::Failed(why))) => Err(StartError::Failed(with_last_words(why, &remarks))),
        Ok(Err(other)) => Err(other),
        Err(_) => {
            let why = format!("it was not ready within {} s", timeout.as_secs_f64());
            Err(StartError::Failed(with_last_words(why, &remarks)))
        }
    }
}

fn with_last_words(why: String, remarks: &Remarks) -> String {
    match remarks.last_words() {
        Some(words) => format!("{why} ({words})"),
        None => why,
    }
}

async fn begin(
    order: &Order,
    handle: &Handle,
    sandbox: &Arc<dyn Sandbox>,
    desk: &Arc<Desk>,
    remarks: &Remarks,
) -> Result<Connection, StartError> {
    let Shaken {
        client,
        process,
        closed,
    } = shake(order, handle, sandbox, desk, remarks).await?;
    let client = Arc::new(client);
    let offer = list(&client, order.config.timeout)
        .await
        .map_err(|error| match error {
            // Hands may be shaken with anybody.
            CallError::Unauthorized(challenge) => StartError::Unauthorized(challenge),
            other => StartError::Failed(format!("its tools cannot be listed: {other}")),
        })?;
    if client.facts.logging {
        // Servers that log without being asked do so all the same; one that refuses is no worse for it.
        let (asked, timeout) = (Arc::clone(&client), order.config.timeout);
        handle.spawn(async move {
            let _ = asked.set_log_level(timeout).await;
        });
    }
    Ok(Connection {
        client,
        process,
        closed,
        remarks: remarks.clone(),
        timeout: order.config.timeout,
        desk: Arc::clone(desk),
        offer: watch::Sender::new(Arc::new(offer)),
    })
}

/// A server that shook hands.
struct Shaken {
    client: wire::Client,
    process: Option<Box<dyn Process>>,
    closed: CancellationToken,
}

async fn shake(
    order: &Order,
    handle: &Handle,
    sandbox: &Arc<dyn Sandbox>,
    desk: &Arc<Desk>,
    remarks: &Remarks,
) -> Result<Shaken, StartError> {
    let connect = async |channel| {
        let closed = CancellationToken::new();
        let hooks: Arc<dyn wire::Hooks> = Arc::clone(desk) as _;
        let version = &order.version;
        let client = wire::connect(channel, hooks, remarks.clone(), version, closed.clone());
        Ok::<_, ConnectError>((client.await?, closed))
    };
    match &order.config.transport {
        Transport::Local {
            command,
            environment,
            ..
        } => {
            let (channel, process) =
                spawn(order, command, environment, handle, sandbox, remarks).await?;
            let (client, closed) = connect(channel).await.map_err(not_shaken)?;
            Ok(Shaken {
                client,
                process: Some(process),
                closed,
            })
        }
        Transport::Remote { url, headers, .. } => {
            let address = Address::new(&order.http, url, headers, order.signer.clone());
            let address = address.map_err(StartError::Failed)?;
            let connected = match connect(http::stream(handle, Arc::clone(&address))).await {
                // It may speak the older way only. If not, the newer way's refusal says more.
                Err(ConnectError::Refused(status)) if (400..500).contains(&status) => {
                    match http::sse(handle, address).await {
                        Ok(channel) => connect(channel).await,
                        Err(SendError::Unauthorized { challenge }) => {
                            Err(ConnectError::Unauthorized(challenge))
                        }
                        Err(_) => Err(ConnectError::Refused(status)),
                    }
                }
                connected => connected,
            };
            let (client, closed) = connected.map_err(not_shaken)?;
            Ok(Shaken {
                client,
                process: None,
                closed,
            })
        }
    }
}

fn not_shaken(error: ConnectError) -> StartError {
    match error {
        ConnectError::Unauthorized(challenge) => StartError::Unauthorized(challenge),
        other => StartError::Failed(other.to_string()),
    }
}

async fn spawn(
    order: &Order,
    command: &[String],
    environment: &BTreeMap<String, String>,
    handle: &Handle,
    sandbox: &Arc<dyn Sandbox>,
    remarks: &Remarks,
) -> Result<(Channel, Box<dyn Process>), StartError> {
    let nothing = || StartError::Failed("it has no command".into());
    let (program, args) = command.split_first().ok_or_else(nothing)?;
    let spawned = sandbox.spawn(SpawnSpec {
        title: order.title.clone(),
        program: program.clone(),
        args: args.to_vec(),
        directory: order.directory.clone(),
        env: environment.clone().into_iter().collect(),
        streams: Streams::Separate,
    });
    let spawned = spawned.await.map_err(|error| {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        StartError::Failed(match source {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        })
    })?;
    let (stdin, stdout) = (spawned.stdin, spawned.stdout);
    let channel = stdio::carry(handle, stdin, stdout, spawned.stderr, remarks);
    Ok((channel, spawned.process))
}

/// Everything that the server says it has. A server that cannot list what is no tool is still of use.
async fn list(client: &wire::Client, timeout: Duration) -> Result<Offer, CallError> {
    let facts = client.facts.clone();
    let tools = async {
        if facts.tools {
            client.tools(timeout).await
        } else {
            Ok(Vec::new())
        }
    };
    let prompts = async {
        if facts.prompts {
            client.prompts(timeout).await.unwrap_or_default()
        } else {
            Vec::new()
        }
    };
    let resources = async {
        if facts.resources {
            client.resources(timeout).await.unwrap_or_default()
        } else {
            Vec::new()
        }
    };
    let templates = async {
        if facts.resources {
            client.templates(timeout).await.unwrap_or_default()
        } else {
            Vec::new()
        }
    };
    let (tools, prompts, resources, templates) = tokio::join!(tools, prompts, resources, templates);
    Ok(Offer {
        tools: tools?,
        prompts,
        resources,
        templates,
        facts,
    })
}

impl Connection {
    /// What the server offers; the receiver tells of changes.
    pub fn offer(&self) -> watch::Receiver<Arc<Offer>> {
        self.offer.subscribe()
    }

    /// The protocol.
    pub fn client(&self) -> &Arc<wire::Client> {
        &self.client
    }

    /// Time for each silence.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Calls a tool.
    pub async fn call(
        &self,
        name: &str,
        arguments: Option<crate::model::Arguments>,
        cancel: &CancellationToken,
        progress: impl Fn(crate::model::Progress) + Send,
    ) -> Result<CallAnswer, CallError> {
        self.client
            .call_tool(name, arguments, self.timeout, cancel, progress)
            .await
    }

    /// Reads the lists again when the server says that they changed, as long as the connection lives.
    fn refresh_on_change(&self, handle: &Handle) {
        let mut changes = self.desk.changes();
        let (client, closed) = (Arc::downgrade(&self.client), self.closed.clone());
        let (offer, timeout) = (self.offer.clone(), self.timeout);
        handle.spawn(async move {
            loop {
                tokio::select! {
                    () = closed.cancelled() => return,
                    changed = changes.changed() => if changed.is_err() { return },
                }
                let Some(client) = Weak::upgrade(&client) else {
                    return;
                };
                if let Ok(new) = list(&client, timeout).await {
                    offer.send_if_modified(|old| {
                        let is_new = **old != new;
                        if is_new {
                            *old = Arc::new(new);
                        }
                        is_new
                    });
                }
                drop(client);
                tokio::select! {
                    () = closed.cancelled() => return,
                    () = tokio::time::sleep(REFRESH_EVERY) => {}
                }
            }
        });
    }
}

impl Server for Connection {
    fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.pid())
    }

    fn gone(&self) -> BoxFuture<'static, String> {
        let closed = self.closed.clone();
        let remarks = self.remarks.clone();
        let ended = self.process.as_ref().map(|process| process.wait());
        Box::pin(async move {
            let why = match ended {
                Some(ended) => {
                    tokio::pin!(ended);
                    tokio::select! {
                        exit = &mut ended => how(exit),
                        // Programs close their stdout a moment before they are gone.
                        () = closed.cancelled() => match tokio::time::timeout(LEAVE, ended).await {
                            Ok(exit) => how(exit),
                            Err(_) => "it closed its output".into(),
                        },
                    }
                }
                None => {
                    closed.cancelled().await;
                    "the connection was lost".into()
                }
            };
            with_last_words(why, &remarks)
        })
    }

    fn end(&self) -> BoxFuture<'static, ()> {
        self.client.close();
        let Some(process) = &self.process else {
            return Box::pin(std::future::ready(()));
        };
        let (left, end) = (process.wait(), process.end(GRACE));
        Box::pin(async move {
            // With the connection its stdin is closed, which asks it to go.
            if tokio::time::timeout(LEAVE, left).await.is_err() {
                end.await;
            }
        })
    }
}

fn how(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("it exited with status {code}"),
        Exit::Signal(signal) => format!("it was ended by signal {signal}"),
        Exit::TimedOut | Exit::Cancelled => "it was ended".into(),
    }
}

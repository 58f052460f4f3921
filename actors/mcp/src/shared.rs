//! What all folders share: the pool of running servers, and what is known of each also while it does not run.

use crate::browser::Browser;
use crate::config::{ServerConfig, Transport};
use crate::connection::{self, Connection, Order, StartError};
use crate::desk::Desk;
use crate::http::Clients;
use crate::http::Signer;
use crate::model::Offer;
use crate::oauth::{Flows, Kept, Vault};
use crate::watched::Watched;
use kilo_ports::sandbox::{Process, Sandbox};
use kilo_protocol::event::{Event, ServerToolsChanged};
use kilo_runtime::pool::{Lease, Listed, Options, Pool, PoolError, Stage};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::runtime::Handle;

/// Browsers that are kept.
const BROWSERS_MAX: usize = 4;

/// Sends an event to the clients of a folder.
pub type Publish = Arc<dyn Fn(&str, &Event<'_>) + Send + Sync>;

/// What the daemon decides about servers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A server that nobody has called for so long is ended.
    pub idle: Duration,
    /// Bytes of schemas and descriptions that models get with each request; above that tools are offered by a search.
    pub schema_bytes: usize,
    /// Our version, for servers.
    pub version: String,
    /// Names that no server's tool may have.
    pub reserved: HashSet<String>,
    /// Where sign-ins are kept.
    pub auth: PathBuf,
    /// What opens addresses for people, where there is a screen.
    pub browser: Option<Browser>,
}

/// What makes two servers the same: everything that decides about the process or the connection. The name is for people.
#[derive(Clone, Debug)]
pub struct ServerKey {
    id: Arc<str>,
    name: Arc<str>,
}

impl PartialEq for ServerKey {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for ServerKey {}

impl Hash for ServerKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl fmt::Display for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "mcp {}", self.name)
    }
}

/// How one folder reaches a server.
#[derive(Clone, Debug)]
pub struct Reach {
    /// The server's name in that folder.
    pub name: Arc<str>,
    /// The folder in use, as events name it.
    pub folder: Arc<str>,
    /// The server.
    pub config: ServerConfig,
    /// Where a program starts.
    pub directory: PathBuf,
    /// Where the server may work.
    pub root: PathBuf,
    key: ServerKey,
}

impl Reach {
    /// `directory` is the folder in use, `worktree` the root around it, `main` the root of the project's main worktree.
    ///
    /// A program starts in `main`, so that worktrees of one project share it, unless its configuration names a folder or
    /// its command a file of this one.
    pub fn new(
        name: &str,
        config: &ServerConfig,
        directory: &Path,
        worktree: &Path,
        main: &Path,
    ) -> Self {
        let start = match &config.transport {
            Transport::Local { cwd: Some(cwd), .. } => directory.join(cwd),
            Transport::Local { command, .. } if names_a_file(command, directory) => {
                directory.to_owned()
            }
            _ => main.to_owned(),
        };
        let place = match &config.transport {
            Transport::Local { .. } => start.to_string_lossy().into_owned(),
            Transport::Remote { .. } => String::new(),
        };
        let identity = json!([
            transport_json(&config.transport),
            place,
            config.origin.is_trusted(),
            u64::try_from(config.timeout.as_millis()).unwrap_or(u64::MAX),
        ]);
        let hash = blake3::hash(identity.to_string().as_bytes());
        Self {
            name: name.into(),
            folder: directory.to_string_lossy().into(),
            config: config.clone(),
            directory: start,
            root: worktree.to_owned(),
            key: ServerKey {
                id: hash.to_hex().as_str().into(),
                name: name.into(),
            },
        }
    }
}

impl Reach {
    /// Changes with everything that decides about the process or the connection.
    pub fn identity(&self) -> &str {
        &self.key.id
    }
}

/// Whether a command names a file or folder by a path that only holds in `directory`.
fn names_a_file(command: &[String], directory: &Path) -> bool {
    command.iter().any(|word| {
        let is_path = word == "." || word.contains('/') || Path::new(word).extension().is_some();
        is_path
            && !word.starts_with('-')
            && Path::new(word).is_relative()
            && directory.join(word).exists()
    })
}

fn transport_json(transport: &Transport) -> Value {
    match transport {
        Transport::Local {
            command,
            environment,
            cwd,
        } => json!(["local", command, environment, cwd]),
        Transport::Remote {
            url,
            headers,
            oauth,
        } => json!(["remote", url, headers, format!("{oauth:?}")]),
    }
}

/// What is known of a server.
#[derive(Default)]
struct Known {
    /// What it offered when it ran last.
    offer: Option<Arc<Offer>>,
    /// Why it could not be started last.
    failure: Option<StartError>,
    /// Why it ended by itself last, until it runs again.
    crash: Option<Arc<str>>,
    /// It asks for folders: this is the one of its first instance; others get instances of their own.
    first_root: Option<PathBuf>,
    /// Its resources that sessions watch.
    watched: Arc<Watched>,
    /// The folders that use it, with its name there.
    users: BTreeMap<Arc<str>, Arc<str>>,
}

/// What all folders share.
pub struct Shared {
    pub handle: Handle,
    pub settings: Settings,
    sandbox: Arc<dyn Sandbox>,
    pub http: Arc<Clients>,
    pub pool: Pool<ServerKey, Connection>,
    known: Mutex<HashMap<ServerKey, Known>>,
    /// Counts changes of what servers offer.
    changes: AtomicU64,
    pub publish: OnceLock<Publish>,
    pub vault: Vault,
    pub flows: Flows,
    /// Browsers that were opened, newest last.
    browsers: Mutex<VecDeque<Box<dyn Process>>>,
}

impl Shared {
    pub fn new(handle: Handle, sandbox: Arc<dyn Sandbox>, settings: Settings) -> Arc<Self> {
        Arc::new_cyclic(|shared: &Weak<Self>| {
            let on_crash = {
                let shared = Weak::clone(shared);
                move |key: &ServerKey, why: &str| {
                    if let Some(shared) = shared.upgrade() {
                        shared.with(key, |known| known.crash = Some(why.into()));
                    }
                }
            };
            let vault = Vault::new(&settings.auth);
            let options = Options {
                idle: settings.idle,
                ..Options::default()
            };
            Self {
                pool: Pool::new(handle.clone(), options, Arc::new(on_crash)),
                handle,
                settings,
                sandbox,
                http: Arc::default(),
                known: Mutex::default(),
                changes: AtomicU64::new(0),
                publish: OnceLock::new(),
                vault,
                flows: Flows::default(),
                browsers: Mutex::default(),
            }
        })
    }

    fn with<T>(&self, key: &ServerKey, work: impl FnOnce(&mut Known) -> T) -> T {
        work(self.known.lock().entry(key.clone()).or_default())
    }

    /// Rises with each change of what servers offer.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Something that folders show is different now.
    pub fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// The running server, started if it does not run.
    pub async fn lease(
        self: &Arc<Self>,
        reach: &Arc<Reach>,
    ) -> Result<Lease<Connection>, StartError> {
        let key = self.key_of(reach);
        let lease = self.lease_as(&key, reach).await?;
        let desk = &lease.desk;
        if !desk.depends_on_roots() || desk.root() == reach.root {
            return Ok(lease);
        }
        // It works in another folder: this one gets an instance of its own.
        let first = desk.root().to_owned();
        self.with(&reach.key, |known| {
            known.first_root.get_or_insert(first);
        });
        drop(lease);
        self.lease_as(&self.key_of(reach), reach).await
    }

    fn key_of(&self, reach: &Reach) -> ServerKey {
        let first_root = self.with(&reach.key, |known| known.first_root.clone());
        match first_root {
            Some(first) if first != reach.root => ServerKey {
                id: format!("{}@{}", reach.key.id, reach.root.display()).into(),
                name: Arc::clone(&reach.key.name),
            },
            _ => reach.key.clone(),
        }
    }

    async fn lease_as(
        self: &Arc<Self>,
        key: &ServerKey,
        reach: &Arc<Reach>,
    ) -> Result<Lease<Connection>, StartError> {
        self.with(key, |known| {
            let (folder, name) = (Arc::clone(&reach.folder), Arc::clone(&reach.name));
            known.users.insert(folder, name);
        });
        let start = || {
            let (shared, key, reach) = (Arc::clone(self), key.clone(), Arc::clone(reach));
            let started = async move { shared.start(key, &reach).await };
            Box::pin(started) as kilo_runtime::pool::Start<Connection>
        };
        let leased = self.pool.lease(key, &reach.folder, start).await;
        leased.map_err(|error| match error {
            PoolError::Start(why) => self
                .with(key, |known| known.failure.clone())
                .unwrap_or_else(|| StartError::Failed(why.to_string())),
            other => StartError::Failed(other.to_string()),
        })
    }

    async fn start(self: Arc<Self>, key: ServerKey, reach: &Reach) -> Result<Connection, String> {
        let watched = self.with(&key, |known| {
            known.failure = None;
            Arc::clone(&known.watched)
        });
        let order = Order {
            title: key.to_string(),
            config: reach.config.clone(),
            directory: reach.directory.clone(),
            version: self.settings.version.clone(),
            http: Arc::clone(&self.http),
            signer: self.signer(reach),
        };
        let desk = Desk::new(&reach.name, &reach.root, Arc::clone(&watched));
        let sandbox = Arc::clone(&self.sandbox);
        match connection::start(order, self.handle.clone(), sandbox, desk).await {
            Ok(connection) => {
                self.started(&key, &connection);
                self.watch_again(&watched, &connection);
                Ok(connection)
            }
            Err(error) => {
                let text = error.text();
                self.with(&key, |known| known.failure = Some(error));
                Err(text)
            }
        }
    }

    /// Signs requests to a server at an address, unless signing in is switched off.
    fn signer(&self, reach: &Reach) -> Option<Arc<dyn Signer>> {
        let Transport::Remote {
            url,
            oauth: Some(_),
            ..
        } = &reach.config.transport
        else {
            return None;
        };
        let client = self.http.of(&url::Url::parse(url).ok()?).ok()?;
        Some(Arc::new(Kept::new(
            self.vault.clone(),
            client,
            &reach.name,
            url,
        )))
    }

    /// Opens an address in the user's browser. False where that is not possible.
    pub async fn open_browser(&self, url: &str, directory: &Path) -> bool {
        let Some(browser) = &self.settings.browser else {
            return false;
        };
        let Some(process) = browser.open(url, directory, &self.sandbox).await else {
            return false;
        };
        let mut browsers = self.browsers.lock();
        browsers.push_back(process);
        if browsers.len() > BROWSERS_MAX {
            browsers.pop_front();
        }
        true
    }

    /// A running server refuses to go on as we are signed in, or are not.
    pub fn wants_sign_in(&self, reach: &Reach, challenge: &str) {
        let failure = StartError::Unauthorized(challenge.to_owned());
        self.with(&self.key_of(reach), |known| known.failure = Some(failure));
    }

    /// What the server wanted of a sign-in when it refused us last.
    pub fn challenge(&self, reach: &Reach) -> Option<String> {
        let key = self.key_of(reach);
        match self.with(&key, |known| known.failure.clone()) {
            Some(StartError::Unauthorized(challenge)) => Some(challenge),
            _ => None,
        }
    }

    fn started(self: &Arc<Self>, key: &ServerKey, connection: &Connection) {
        let mut offer = connection.offer();
        self.take_over(key, &offer.borrow_and_update());
        let (shared, key) = (Arc::downgrade(self), key.clone());
        self.handle.spawn(async move {
            while offer.changed().await.is_ok() {
                let Some(shared) = shared.upgrade() else {
                    return;
                };
                shared.take_over(&key, &offer.borrow_and_update());
                shared.announce(&key);
            }
        });
    }

    /// A server that was started anew knows nothing of what is watched.
    fn watch_again(&self, watched: &Watched, connection: &Connection) {
        let uris = watched.all_anew();
        if uris.is_empty() {
            return;
        }
        let (client, timeout) = (Arc::clone(connection.client()), connection.timeout());
        self.handle.spawn(async move {
            for uri in uris {
                if let Err(error) = client.subscribe(&uri, timeout).await {
                    tracing::debug!(%error, "a resource is not watched any more");
                }
            }
        });
    }

    /// A session wants to hear of changes of a resource.
    pub fn watch(&self, reach: &Reach, uri: &str, session: &str) {
        let key = self.key_of(reach);
        self.with(&key, |known| known.watched.add(uri, session))
    }

    /// The watched resources of a server that have changed since a session heard of it.
    pub fn news(&self, reach: &Reach, session: &str) -> Vec<String> {
        let key = self.key_of(reach);
        self.with(&key, |known| known.watched.news(session))
    }

    fn take_over(&self, key: &ServerKey, offer: &Arc<Offer>) {
        let is_new = self.with(key, |known| {
            known.crash = None;
            let is_new = known.offer.as_ref() != Some(offer);
            known.offer = Some(Arc::clone(offer));
            is_new
        });
        if is_new {
            self.changed();
        }
    }

    /// Tells the clients of all folders that use a server of other tools.
    fn announce(&self, key: &ServerKey) {
        let users = self.with(key, |known| known.users.clone());
        if let Some(publish) = self.publish.get() {
            for (folder, name) in users {
                let server = Cow::Borrowed(&*name);
                let event = Event::ServerToolsChanged(ServerToolsChanged { server });
                publish(&folder, &event);
            }
        }
    }

    /// What a server offered when it ran last.
    pub fn offer(&self, reach: &Reach) -> Option<Arc<Offer>> {
        let key = self.key_of(reach);
        self.with(&key, |known| known.offer.clone())
    }

    /// The running server of a folder, without starting it.
    pub fn listed(&self, reach: &Reach) -> Option<Listed<ServerKey>> {
        let key = self.key_of(reach);
        let mut listed = self.pool.list().into_iter();
        listed.find(|line| line.key == key && line.stage == Stage::Running)
    }

    /// Why a server that ran ended by itself, if it was not started again since.
    pub fn crash(&self, reach: &Reach) -> Option<Arc<str>> {
        let key = self.key_of(reach);
        self.with(&key, |known| known.crash.clone())
    }

    /// The user wants it now: no pause after crashes.
    pub fn forgive(&self, reach: &Reach) {
        self.pool.forgive(&self.key_of(reach));
    }

    /// Ends the server, whoever uses it: the next use starts it anew.
    pub async fn stop(&self, reach: &Reach) {
        let key = self.key_of(reach);
        self.with(&key, |known| known.failure = None);
        self.pool.stop(&key).await;
    }

    /// The folder uses the server no more. With its last user it is ended.
    pub async fn leave(&self, reach: &Reach) {
        let key = self.key_of(reach);
        let is_last = {
            let mut known = self.known.lock();
            let Some(entry) = known.get_mut(&key) else {
                return;
            };
            entry.users.remove(&reach.folder);
            let is_last = entry.users.is_empty();
            if is_last && entry.first_root.is_none() {
                known.remove(&key);
            }
            is_last
        };
        if is_last {
            self.pool.stop(&key).await;
        }
    }
}

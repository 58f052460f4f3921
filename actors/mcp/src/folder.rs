//! The servers of one folder: what its configuration names and what clients add, their state, and the tools that come of
//! them.

use crate::config::{OAuthConfig, ServerConfig, Transport};
use crate::connection::{Connection, StartError};
use crate::model::{Arguments, Offer, PromptInfo, ResourceInfo};
use crate::names;
use crate::oauth::{AuthError, Begun, Flow, PATIENCE};
use crate::resources::{self, Sources};
use crate::search;
use crate::search::{Taken, ToolSearch};
use crate::shared::{Reach, ServerKey, Shared};
use crate::tool::McpTool;
use crate::wire::CallError;
use kilo_ports::tool::Tool;
use kilo_protocol::event::{Event, ServerSignIn};
use kilo_runtime::pool::{Gone, Lease, Listed};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A server's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nobody has needed it yet.
    New,
    /// It is being started.
    Connecting,
    /// It runs, or did and is started again when it is called.
    Connected,
    /// It is switched off.
    Disabled,
    /// It cannot be used: why.
    Failed(String),
    /// Somebody must sign in.
    NeedsAuth,
    /// The server takes no clients by itself: one must be registered there by hand.
    NeedsClientRegistration(String),
}

impl Status {
    /// As `GET /mcp` has it. States on the way to another have no name there.
    pub fn wire(&self) -> Value {
        match self {
            Self::Connected => json!({"status": "connected"}),
            Self::Disabled => json!({"status": "disabled"}),
            Self::NeedsAuth => json!({"status": "needs_auth"}),
            Self::Failed(error) => json!({"status": "failed", "error": error}),
            Self::NeedsClientRegistration(error) => {
                json!({"status": "needs_client_registration", "error": error})
            }
            Self::New | Self::Connecting => {
                json!({"status": "failed", "error": "it is being started"})
            }
        }
    }
}

/// A server that the folder knows.
#[derive(Clone)]
struct Entry {
    config: Result<ServerConfig, String>,
    reach: Option<Arc<Reach>>,
    status: Arc<watch::Sender<Status>>,
    /// A client added it: the configuration does not take it away.
    is_added: bool,
}

/// Why a server did not do what was asked for by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerError {
    /// There is no such server, tool or prompt in use.
    Unknown,
    /// All else, for people.
    Failed(String),
}

/// Why nobody is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignInError {
    /// There is no server of that name.
    Unknown,
    /// It is no server that one signs in to: why.
    Unsupported(String),
    /// All else, for people.
    Failed(String),
}

fn unsupported(name: &str) -> SignInError {
    SignInError::Unsupported(format!(
        "MCP server {name} does not support OAuth authentication"
    ))
}

/// What a sign-in needs.
struct Signing {
    client: reqwest::Client,
    url: String,
    oauth: OAuthConfig,
    entry: Entry,
}

/// What is known of a server.
pub(crate) struct Described {
    pub config: Result<ServerConfig, String>,
    pub status: Status,
    pub offer: Option<Arc<Offer>>,
    pub running: Option<Listed<ServerKey>>,
}

/// Where a folder lies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The folder in use.
    pub directory: PathBuf,
    /// The root of the worktree around it.
    pub worktree: PathBuf,
    /// The root of the project's main worktree.
    pub main: PathBuf,
}

/// The servers of a folder.
pub struct FolderServers {
    shared: Arc<Shared>,
    place: Place,
    entries: Mutex<BTreeMap<String, Entry>>,
    offered: Mutex<Option<(u64, Arc<Offered>)>>,
    /// What the configuration says in the place of [`Settings::schema_bytes`](crate::Settings).
    schema_bytes: Mutex<Option<usize>>,
    taken: Arc<Taken>,
}

/// The tools of a folder's servers at one moment.
#[derive(Default)]
pub struct Offered {
    /// The tools, by server and in the server's order.
    pub tools: Vec<Arc<dyn Tool>>,
    /// Their names.
    names: HashSet<Arc<str>>,
    /// Bytes of their descriptions and schemas.
    pub bytes: usize,
    /// Finds them, where they are too many to be offered at once.
    pub search: Option<Arc<dyn Tool>>,
    /// List and read resources, where a server has some.
    pub resources: Vec<Arc<dyn Tool>>,
}

impl Offered {
    /// Every tool that can be called.
    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn Tool>> {
        let tools = self.tools.iter().chain(&self.search);
        tools.chain(&self.resources)
    }
}

impl FolderServers {
    /// No server yet.
    pub fn new(shared: Arc<Shared>, place: Place) -> Arc<Self> {
        Arc::new(Self {
            shared,
            place,
            entries: Mutex::default(),
            offered: Mutex::default(),
            schema_bytes: Mutex::default(),
            taken: Arc::default(),
        })
    }

    /// The folder.
    pub fn directory(&self) -> &Path {
        &self.place.directory
    }

    fn entry(&self, name: &str, config: Result<ServerConfig, String>, is_added: bool) -> Entry {
        let status = match &config {
            Ok(config) if config.enabled => Status::New,
            Ok(_) => Status::Disabled,
            Err(why) => Status::Failed(why.clone()),
        };
        let Place {
            directory,
            worktree,
            main,
        } = &self.place;
        let reach = config.as_ref().ok();
        let reach = reach.map(|config| Reach::new(name, config, directory, worktree, main));
        Entry {
            reach: reach.map(Arc::new),
            config,
            status: Arc::new(watch::Sender::new(status)),
            is_added,
        }
    }

    /// Takes the configuration over: what is new or different begins anew, what is gone ends.
    pub fn configure(&self, mut configs: BTreeMap<String, Result<ServerConfig, String>>) {
        let mut left = Vec::new();
        let mut entries = self.entries.lock();
        entries.retain(|name, entry| {
            let stays = entry.is_added || configs.get(name) == Some(&entry.config);
            if stays {
                configs.remove(name);
            } else {
                left.extend(entry.reach.clone());
            }
            stays
        });
        for (name, config) in configs {
            let entry = self.entry(&name, config, false);
            entries.insert(name, entry);
        }
        drop(entries);
        self.shared.changed();
        self.leave(left);
    }

    /// Bytes of schemas above which tools are offered by a search; `None`: as everywhere.
    pub fn set_schema_budget(&self, bytes: Option<usize>) {
        let before = std::mem::replace(&mut *self.schema_bytes.lock(), bytes);
        if before != bytes {
            self.offered.lock().take();
        }
    }

    /// The same, as it is in force.
    pub fn schema_budget(&self) -> usize {
        let own = *self.schema_bytes.lock();
        own.unwrap_or(self.shared.settings.schema_bytes)
    }

    fn leave(&self, left: Vec<Arc<Reach>>) {
        if left.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        self.shared.handle.spawn(async move {
            for reach in left {
                shared.leave(&reach).await;
            }
        });
    }

    /// The folder is not used any more: its servers end, unless others use them.
    pub fn close(&self) {
        let entries = std::mem::take(&mut *self.entries.lock());
        let left = entries.into_values().filter_map(|entry| entry.reach);
        self.leave(left.collect());
    }

    /// Adds a server, or puts it in the place of the one of that name, and connects it.
    pub async fn add(self: &Arc<Self>, name: &str, config: ServerConfig) {
        let entry = self.entry(name, Ok(config), true);
        let is_wanted = *entry.status.borrow() == Status::New;
        let old = self.entries.lock().insert(name.to_owned(), entry);
        self.shared.changed();
        self.leave(old.into_iter().filter_map(|old| old.reach).collect());
        if is_wanted {
            self.connect(name).await;
        }
    }

    fn get(&self, name: &str) -> Option<Entry> {
        self.entries.lock().get(name).cloned()
    }

    /// Whether there is a server of that name.
    pub fn has(&self, name: &str) -> bool {
        self.entries.lock().contains_key(name)
    }

    /// Connects a server and waits for the outcome, which is its status then. False if there is none of that name.
    pub async fn connect(self: &Arc<Self>, name: &str) -> bool {
        let Some(entry) = self.get(name) else {
            return false;
        };
        if let Some(reach) = &entry.reach {
            self.shared.forgive(reach);
            self.begin(&entry);
            let mut status = entry.status.subscribe();
            let _ = status
                .wait_for(|status| *status != Status::Connecting)
                .await;
        }
        true
    }

    /// Starts to connect, unless that is under way.
    fn begin(self: &Arc<Self>, entry: &Entry) {
        let Some(reach) = entry.reach.clone() else {
            return;
        };
        let is_first = entry.status.send_if_modified(|status| {
            let is_first = *status != Status::Connecting;
            *status = Status::Connecting;
            is_first
        });
        if !is_first {
            return;
        }
        let (shared, status) = (Arc::clone(&self.shared), Arc::clone(&entry.status));
        self.shared.handle.spawn(async move {
            let outcome = match shared.lease(&reach).await {
                Ok(_) => Status::Connected,
                Err(StartError::Unauthorized(_)) => Status::NeedsAuth,
                Err(StartError::Failed(why)) => Status::Failed(why),
            };
            if let Status::Failed(error) = &outcome {
                tracing::warn!(server = %reach.name, %error, "an MCP server cannot be used");
            }
            // Whoever switched it off meanwhile is right.
            status.send_if_modified(|status| {
                let is_ours = *status == Status::Connecting;
                if is_ours {
                    *status = outcome;
                }
                is_ours
            });
            shared.changed();
        });
    }

    /// Switches a server off. False if there is none of that name.
    pub async fn disconnect(&self, name: &str) -> bool {
        let Some(entry) = self.get(name) else {
            return false;
        };
        entry.status.send_replace(Status::Disabled);
        self.shared.changed();
        if let Some(reach) = &entry.reach {
            self.shared.leave(reach).await;
        }
        true
    }

    /// Connects what is to be used and was not yet, and waits until that is settled, `limit` at most.
    pub async fn ready(self: &Arc<Self>, limit: Duration) {
        let entries: Vec<Entry> = self.entries.lock().values().cloned().collect();
        for entry in &entries {
            if *entry.status.borrow() == Status::New {
                self.begin(entry);
            }
        }
        let settled = async {
            for entry in &entries {
                let mut status = entry.status.subscribe();
                let _ = status
                    .wait_for(|status| *status != Status::Connecting)
                    .await;
            }
        };
        let _ = tokio::time::timeout(limit, settled).await;
    }

    fn status_of(&self, entry: &Entry) -> Status {
        let status = entry.status.borrow().clone();
        let crash = entry.reach.as_ref();
        let crash = crash.and_then(|reach| self.shared.crash(reach));
        let reach = entry.reach.as_ref();
        if status == Status::Connected
            && reach.is_some_and(|reach| self.shared.challenge(reach).is_some())
        {
            return Status::NeedsAuth;
        }
        match (status, crash) {
            (Status::Connected, Some(why)) => {
                Status::Failed(format!("{why}; its next use starts it anew"))
            }
            (status, _) => status,
        }
    }

    /// What signing in to a server needs.
    fn signing(&self, name: &str) -> Result<Signing, SignInError> {
        let entry = self.get(name).ok_or(SignInError::Unknown)?;
        let reach = entry.reach.clone();
        let reach = reach.ok_or_else(|| unsupported(name))?;
        let Transport::Remote {
            url,
            oauth: Some(oauth),
            ..
        } = &reach.config.transport
        else {
            return Err(unsupported(name));
        };
        let address = url::Url::parse(url).map_err(|_| unsupported(name))?;
        let client = self.shared.http.of(&address);
        Ok(Signing {
            client: client.map_err(SignInError::Failed)?,
            url: url.clone(),
            oauth: oauth.clone(),
            entry,
        })
    }

    /// Begins a sign-in. Whoever comes back from the browser is awaited for five minutes; then the server is connected.
    pub async fn sign_in(self: &Arc<Self>, name: &str) -> Result<Begun, SignInError> {
        let signing = self.signing(name)?;
        let reach = signing.entry.reach.as_ref();
        let challenge = reach.and_then(|reach| self.shared.challenge(reach));
        let challenge = challenge.unwrap_or_default();
        let begun = Flow::begin(
            &signing.client,
            &self.shared.vault,
            name,
            &signing.url,
            &signing.oauth,
            &challenge,
        );
        let (flow, begun) = match begun.await {
            Ok(begun) => begun,
            Err(AuthError::NeedsRegistration(why)) => {
                let status = Status::NeedsClientRegistration(why.clone());
                signing.entry.status.send_replace(status);
                return Err(SignInError::Failed(why));
            }
            Err(error) => return Err(SignInError::Failed(error.text().to_owned())),
        };
        let flow = Arc::new(flow);
        self.shared.flows.add(Arc::clone(&flow));
        if flow.door.is_some() {
            let (folder, name) = (Arc::clone(self), name.to_owned());
            self.shared.handle.spawn(async move {
                let Some(door) = &flow.door else { return };
                let code = tokio::time::timeout(PATIENCE, door.wait(&flow.state)).await;
                if !folder.shared.flows.take_if(&flow) {
                    return;
                }
                let why = match code {
                    Ok(Ok(code)) => folder.finish(&name, &flow, &code).await.err(),
                    Ok(Err(why)) => Some(SignInError::Failed(why)),
                    Err(_) => None,
                };
                if let Some(SignInError::Failed(error)) = why {
                    tracing::warn!(server = %name, %error, "nobody is signed in");
                }
            });
        }
        Ok(begun)
    }

    async fn finish(
        self: &Arc<Self>,
        name: &str,
        flow: &Flow,
        code: &str,
    ) -> Result<(), SignInError> {
        let signing = self.signing(name)?;
        let finished = flow.finish(&signing.client, &self.shared.vault, code).await;
        finished.map_err(|error| SignInError::Failed(error.text().to_owned()))?;
        self.reconnect(&signing.entry).await;
        self.connect(name).await;
        Ok(())
    }

    /// What runs was signed another way, or not at all.
    async fn reconnect(&self, entry: &Entry) {
        if let Some(reach) = &entry.reach {
            self.shared.stop(reach).await;
        }
    }

    /// Finishes a sign-in with the code that a client brings.
    pub async fn sign_in_with(
        self: &Arc<Self>,
        name: &str,
        code: &str,
    ) -> Result<Status, SignInError> {
        let signing = self.signing(name)?;
        let flow = self.shared.flows.take(name, &signing.url);
        let none = || SignInError::Failed("no sign-in waits for a code".into());
        let flow = flow.ok_or_else(none)?;
        self.finish(name, &flow, code).await?;
        Ok(signing.entry.status.borrow().clone())
    }

    /// Opens an address in the user's browser. False where that is not possible.
    pub async fn open_browser(&self, url: &str) -> bool {
        self.shared.open_browser(url, &self.place.directory).await
    }

    /// Begins a sign-in, opens the browser or tells clients which address to open, and waits for its end.
    pub async fn authenticate(self: &Arc<Self>, name: &str) -> Result<Status, SignInError> {
        let begun = self.sign_in(name).await?;
        if !self.open_browser(&begun.url).await
            && let Some(publish) = self.shared.publish.get()
        {
            let event = Event::ServerSignIn(ServerSignIn {
                server: name.into(),
                url: begun.url.as_str().into(),
            });
            publish(&self.place.directory.to_string_lossy(), &event);
        }
        let entry = self.get(name).ok_or(SignInError::Unknown)?;
        let mut status = entry.status.subscribe();
        let settled = status.wait_for(|status| *status == Status::Connected);
        let _ = tokio::time::timeout(PATIENCE, settled).await;
        Ok(entry.status.borrow().clone())
    }

    /// Forgets the sign-in of a server, and ends it.
    pub async fn sign_out(&self, name: &str) -> Result<(), SignInError> {
        let entry = self.get(name).ok_or(SignInError::Unknown)?;
        if let Some(reach) = &entry.reach
            && let Transport::Remote { url, .. } = &reach.config.transport
        {
            self.shared.flows.take(name, url);
            if self.shared.vault.remove(name, url).await {
                self.reconnect(&entry).await;
                entry.status.send_replace(Status::NeedsAuth);
                self.shared.changed();
            }
        }
        Ok(())
    }

    /// All servers with their states, by name.
    pub fn statuses(&self) -> Vec<(String, Status)> {
        let entries = self.entries.lock();
        let status = |(name, entry): (&String, &Entry)| (name.clone(), self.status_of(entry));
        entries.iter().map(status).collect()
    }

    /// All servers with what is known of each, by name.
    pub(crate) fn described(&self) -> Vec<(String, Described)> {
        let entries = self.entries.lock().clone();
        let described = entries.into_iter().map(|(name, entry)| {
            let reach = entry.reach.as_deref();
            let known = Described {
                status: self.status_of(&entry),
                offer: reach.and_then(|reach| self.shared.offer(reach)),
                running: reach.and_then(|reach| self.shared.listed(reach)),
                config: entry.config,
            };
            (name, known)
        });
        described.collect()
    }

    /// The servers that are in use, with what they offer.
    fn offers(&self) -> Vec<(Arc<Reach>, Arc<Offer>)> {
        let entries = self.entries.lock();
        let connected = entries
            .values()
            .filter(|entry| *entry.status.borrow() == Status::Connected);
        connected
            .filter_map(|entry| {
                let reach = entry.reach.clone()?;
                let offer = self.shared.offer(&reach)?;
                Some((reach, offer))
            })
            .collect()
    }

    /// The tools of the servers in use.
    pub fn offered(&self) -> Arc<Offered> {
        let changes = self.shared.changes();
        if let Some((at, offered)) = &*self.offered.lock()
            && *at == changes
        {
            return Arc::clone(offered);
        }
        let mut taken = self.shared.settings.reserved.clone();
        taken.extend([search::NAME, resources::LIST, resources::READ].map(str::to_owned));
        let mut offered = Offered::default();
        let offers = self.offers();
        if let Some(sources) = Sources::of(&offers, &self.shared) {
            offered.resources = sources.tools().into();
        }
        for (reach, offer) in offers {
            for info in &offer.tools {
                offered.bytes += info.weight();
                let tool = McpTool {
                    name: names::unique(&reach.name, &info.name, &mut taken).into(),
                    info: info.clone(),
                    reach: Arc::clone(&reach),
                    shared: Arc::clone(&self.shared),
                    version: OnceLock::new(),
                };
                offered.names.insert(Arc::clone(&tool.name));
                offered.tools.push(Arc::new(tool));
            }
        }
        if offered.bytes > self.schema_budget() {
            let specs = offered.tools.iter().map(|tool| tool.spec()).collect();
            let search = ToolSearch::new(specs, Arc::clone(&self.taken));
            offered.search = Some(Arc::new(search));
        }
        let offered = Arc::new(offered);
        *self.offered.lock() = Some((changes, Arc::clone(&offered)));
        offered
    }

    /// Whether a session's model gets a tool with each request: all, or the search and those that the session took.
    pub fn is_offered(&self, session: &str) -> impl Fn(&str) -> bool {
        let offered = self.offered();
        let taken = self.taken.of(session);
        move |name| {
            let is_hidden = offered.search.is_some() && offered.names.contains(name);
            !is_hidden || taken.iter().any(|taken| &**taken == name)
        }
    }

    /// How to use the servers, in their words: `(server, text)`.
    pub fn instructions(&self) -> Vec<(String, String)> {
        let offers = self.offers().into_iter();
        offers
            .filter_map(|(reach, offer)| {
                Some((reach.name.to_string(), offer.facts.instructions.clone()?))
            })
            .collect()
    }

    /// The resources of all servers: `(server, resource)`.
    pub fn resources(&self) -> Vec<(String, ResourceInfo)> {
        let mut all = Vec::new();
        for (reach, offer) in self.offers() {
            let named = offer.resources.iter().cloned();
            all.extend(named.map(|resource| (reach.name.to_string(), resource)));
        }
        all
    }

    /// The server of that name, if it is in use, started if it has to be.
    async fn lease(self: &Arc<Self>, name: &str) -> Result<Lease<Connection>, ServerError> {
        let entry = self.get(name).ok_or(ServerError::Unknown)?;
        if *entry.status.borrow() == Status::New {
            self.connect(name).await;
        }
        let is_connected = *entry.status.borrow() == Status::Connected;
        let reach = entry.reach.filter(|_| is_connected);
        let reach = reach.ok_or(ServerError::Unknown)?;
        let leased = self.shared.lease(&reach).await;
        leased.map_err(|error| ServerError::Failed(error.text()))
    }

    /// The contents of a resource: `{uri, mimeType, text}` or `{uri, mimeType, blob}` each.
    pub async fn read(self: &Arc<Self>, name: &str, uri: &str) -> Result<Vec<Value>, ServerError> {
        let lease = self.lease(name).await?;
        let reading = lease.client().read(uri, lease.timeout());
        settled(lease.during(reading).await)
    }

    /// Calls a tool by its name at the server: `{content, isError?, structuredContent?}`.
    pub async fn call(
        self: &Arc<Self>,
        name: &str,
        tool: &str,
        arguments: Arguments,
    ) -> Result<Value, ServerError> {
        let lease = self.lease(name).await?;
        let offer = lease.offer();
        if !offer.borrow().tools.iter().any(|info| info.name == tool) {
            return Err(ServerError::Unknown);
        }
        let cancel = CancellationToken::new();
        let calling = lease.call(tool, Some(arguments), &cancel, |_| {});
        let answer = settled(lease.during(calling).await)?;
        let mut shown = json!({"content": answer.content});
        if answer.is_error {
            shown["isError"] = true.into();
        }
        if let Some(data @ Value::Object(_)) = answer.structured {
            shown["structuredContent"] = data;
        }
        Ok(shown)
    }

    /// The messages of a prompt: `(role, content block)` each.
    pub async fn prompt(
        self: &Arc<Self>,
        name: &str,
        prompt: &str,
        arguments: Arguments,
    ) -> Result<Vec<(String, Value)>, ServerError> {
        let lease = self.lease(name).await?;
        let asking = lease.client().prompt(prompt, arguments, lease.timeout());
        settled(lease.during(asking).await)
    }

    /// The prompts of all servers: `(server, prompt)`.
    pub fn prompts(&self) -> Vec<(String, PromptInfo)> {
        let mut all = Vec::new();
        for (reach, offer) in self.offers() {
            let named = offer.prompts.iter().cloned();
            all.extend(named.map(|prompt| (reach.name.to_string(), prompt)));
        }
        all
    }
}

fn settled<T>(outcome: Result<Result<T, CallError>, Gone>) -> Result<T, ServerError> {
    match outcome {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(ServerError::Failed(error.to_string())),
        Err(gone) => Err(ServerError::Failed(format!("the server ended: {gone}"))),
    }
}

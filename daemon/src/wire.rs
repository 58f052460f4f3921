//! What starts, in which order: bind, open the log beside the first answers, build the engine, serve; and the way back.

#[cfg(test)]
mod tests;

use crate::announce;
use crate::daemon::{Daemon, Readiness};
use crate::folders::{EngineFolders, Instances, OnUse};
use crate::groups;
use crate::paths::private_folder;
use crate::trees::Ported;
use crate::watching::Watching;
use kilo_config::{Environment, Paths};
use kilo_edge::{
    BindError, Bound, Door, EdgeOptions, IsOwn, Pass, Secret, bind, is_own_socket, token_file,
};
use kilo_lsp::Notice;
use kilo_mcp::Servers;
use kilo_ports::clock::{Clock, SystemClock};
use kilo_ports::sandbox::Sandbox;
use kilo_ports::store::{Store, StoreError};
use kilo_process::Processes;
use kilo_protocol::event::{Event, Nothing, ProblemsPublished};
use kilo_runtime::{Bus, Journal, Placement};
use kilo_sandbox::{ProcessSandbox, Settings};
use kilo_session::{Engine, Ports};
use kilo_store::{LogStore, Options as StoreOptions};
use kilo_terminal::Tickets;
use kilo_tool::Registry;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// What keeps persistent processes: this program, also when its file was replaced meanwhile.
const KEEPER: [&str; 2] = ["/proc/self/exe", "keep"];
/// Pause between two looks for processes that lost their parent.
const ORPHANS_EVERY: Duration = Duration::from_secs(30);

/// How long language servers may take to go when the daemon ends.
const LANGUAGES_END: Duration = Duration::from_millis(300);

/// When checkpoints of worktrees that are gone are looked for.
const ORPHANED_CHECKPOINTS_AFTER_START: Duration = Duration::from_secs(60);
/// How long a worktree must have been gone.
const ORPHANED_CHECKPOINTS_AGE: Duration = Duration::from_secs(30 * 24 * 3_600);

/// An MCP server that nobody has called for so long is ended.
const SERVER_IDLE: Duration = Duration::from_secs(5 * 60);
/// Bytes of descriptions and schemas of MCP tools that go with each model call; more are offered by a search.
const SERVER_SCHEMA_BYTES: usize = 24 << 10;

/// The variables that send web requests through a proxy.
const PROXIES: [&str; 6] = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
];

/// How to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// The process's environment.
    pub environment: Environment,
    /// The host to listen on; anything but loopback needs a password.
    pub hostname: String,
    /// The port; 0 for a free one.
    pub port: u16,
    /// Origins that are allowed beside the built-in ones.
    pub cors: Vec<String>,
    /// For one command in this process only: the token is not written to a file.
    pub embedded: bool,
}

/// A daemon that runs.
pub struct Running {
    /// Where clients go.
    pub url: String,
    /// Opens everything; `None` when a password is set.
    pub token: Option<String>,
    /// The front door, for one-time links.
    pub door: Door,
    readiness: watch::Receiver<Readiness>,
    stop: Option<oneshot::Sender<()>>,
    ended: watch::Receiver<bool>,
    thread: Option<JoinHandle<()>>,
}

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be used.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The data folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another process holds the data folder.
    #[error("the data folder is in use by process {pid} at {address}")]
    Locked {
        /// That process.
        pid: u32,
        /// Where it listens; empty while it starts.
        address: String,
    },
    /// A thread, file or process facility is missing.
    #[error("cannot start: {what}")]
    System {
        /// What.
        what: &'static str,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The engine's thread ended before it was ready.
    #[error("the engine ended while it started: {0}")]
    Engine(String),
}

fn system(what: &'static str) -> impl FnOnce(std::io::Error) -> StartError {
    move |source| StartError::System { what, source }
}

/// Where the engine listens that holds the data folder of this environment; starts and opens nothing.
pub fn holder(environment: &Environment) -> Option<String> {
    kilo_store::holder(&Paths::of(environment).engine).map(|(_, address)| address)
}

/// Starts a daemon. Requests are answered from the first accept; this returns once the log is open.
pub async fn start(options: Options) -> Result<Running, StartError> {
    let environment = Arc::new(options.environment.clone());
    let paths = Arc::new(Paths::of(&environment));
    let password = environment
        .get("KILO_SERVER_PASSWORD")
        .filter(|text| !text.is_empty())
        .map(str::to_string);
    let token = match (&password, options.embedded) {
        (Some(_), _) => None,
        (None, true) => Some(Secret::random()),
        (None, false) => {
            private_folder(&paths.state).map_err(system("the state folder"))?;
            Some(token_file(&paths.state.join("token")).map_err(system("the token file"))?)
        }
    };
    let settings = sandbox_settings(&environment);
    kilo_sandbox::give_back_large_blocks();
    conceal(&environment, &settings);
    let sandbox = ProcessSandbox::new(settings).map_err(system("the process runner"))?;
    let _ = kilo_sandbox::become_subreaper();
    let guard = sandbox.clone();
    let kept = paths.kept.clone();
    let is_own: IsOwn = Arc::new(move |inode| {
        let is_kept = || kilo_sandbox::owned_below(inode, &kilo_process::keepers(&kept));
        is_own_socket(inode) || guard.owned_by_child(inode) || is_kept()
    });
    let tickets = Arc::new(Tickets::default());
    let known = Arc::clone(&tickets);
    let pass: Pass = Arc::new(move |path, ticket| {
        let path = path.strip_prefix("/api").unwrap_or(path);
        let terminal = path.strip_prefix("/pty/");
        let terminal = terminal.and_then(|rest| rest.strip_suffix("/connect"));
        terminal.is_some_and(|terminal| known.fits(terminal, ticket, Instant::now()))
    });
    let edge = EdgeOptions {
        host: options.hostname.clone(),
        port: options.port,
        password: password.as_deref().map(Secret::from),
        username: environment
            .get("KILO_SERVER_USERNAME")
            .unwrap_or("kilo")
            .to_string(),
        token: token.clone(),
        cors: options.cors.clone(),
        is_own: Some(is_own),
        pass: Some(pass),
        workers: workers(),
        ..EdgeOptions::default()
    };
    let bound = bind(&edge)?;
    let (url, address, door) = (bound.url(), bound.addr(), bound.door());
    let (ready, readiness) = watch::channel(Readiness::Opening);
    let (stop, stopped) = oneshot::channel();
    let (end, ended) = watch::channel(false);
    let context = Context {
        environment,
        paths,
        sandbox,
        password: password.is_some(),
        readiness: readiness.clone(),
        url: url.clone(),
        address,
        tickets: Arc::clone(&tickets),
        lock_wait: if options.embedded {
            EMBEDDED_LOCK_WAIT
        } else {
            LOCK_WAIT
        },
    };
    let thread = std::thread::Builder::new()
        .name("kilo-system".into())
        .spawn(move || {
            run_system(context, bound, edge, ready, stopped);
            let _ = end.send(true);
        })
        .map_err(system("the engine's thread"))?;
    let token = token.map(|token| token.reveal().to_string());
    let running = Running {
        url,
        token,
        door,
        readiness,
        stop: Some(stop),
        ended,
        thread: Some(thread),
    };
    running.until_ready().await
}

impl Running {
    async fn until_ready(mut self) -> Result<Self, StartError> {
        let reached = self
            .readiness
            .wait_for(|state| !matches!(state, Readiness::Opening))
            .await
            .map(|state| state.clone());
        match reached {
            Ok(Readiness::Ready(_)) => Ok(self),
            Ok(Readiness::Failed(why)) => Err(StartError::Engine(why)),
            Ok(Readiness::Locked { pid, address }) => Err(StartError::Locked { pid, address }),
            _ => Err(StartError::Engine("no word from it".into())),
        }
    }

    /// Tells whether any session runs a turn.
    pub fn is_busy(&self) -> bool {
        matches!(&*self.readiness.borrow(), Readiness::Ready(engine) if !engine.queries().statuses().is_empty())
    }

    /// Tells whether a turn that is over still has something to store, such as the session's title.
    pub fn is_finishing(&self) -> bool {
        self.engine()
            .is_some_and(|engine| engine.core().is_finishing())
    }

    /// The engine, for programs that hold the daemon in their own process.
    pub fn engine(&self) -> Option<Arc<Engine>> {
        match &*self.readiness.borrow() {
            Readiness::Ready(engine) => Some(Arc::clone(engine)),
            _ => None,
        }
    }

    /// Waits until it has ended.
    pub async fn wait(mut self) {
        let _ = self.ended.wait_for(|ended| *ended).await;
    }

    /// Waits until it has ended by itself, and leaves it to be stopped. Cancel safe.
    pub async fn ended(&mut self) {
        let _ = self.ended.wait_for(|ended| *ended).await;
    }

    /// Ends it: turns are stopped, children ended, the log synced.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = self.ended.wait_for(|ended| *ended).await;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Threads that serve HTTP: one on two cores, eight at most.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 8).clamp(1, 8))
}

/// Keeps this process's secrets from the commands that it will run, before any other thread of the engine starts.
///
/// `KILO_DEBUGGABLE` leaves memory and descriptors open to the same user: debuggers, profilers and core dumps need that.
fn conceal(environment: &Environment, settings: &Settings) {
    kilo_sandbox::conceal_variables(&settings.denied_env);
    if environment.is_on("KILO_DEBUGGABLE") {
        tracing::debug!("KILO_DEBUGGABLE: commands can read this process's memory");
    } else if let Err(error) = kilo_sandbox::conceal_memory() {
        tracing::warn!(%error, "commands can read this process's memory");
    }
}

fn sandbox_settings(environment: &Environment) -> Settings {
    let mut settings = Settings::new(
        environment
            .vars
            .iter()
            .map(|(name, value)| (name.clone().into(), value.clone().into())),
    );
    settings.denied_env = environment
        .vars
        .keys()
        .filter(|name| {
            name.starts_with("KILO_SERVER_")
                || *name == "KILO_AUTH_CONTENT"
                || *name == "KILO_CONFIG_CONTENT"
        })
        .cloned()
        .collect();
    settings
}

/// How long a daemon waits for the data folder: a killed one's lock can outlive it for a moment.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// The same for one command: whoever holds the folder can serve it too.
const EMBEDDED_LOCK_WAIT: Duration = Duration::from_millis(50);

/// What the engine's thread takes along.
struct Context {
    environment: Arc<Environment>,
    paths: Arc<Paths>,
    sandbox: ProcessSandbox,
    password: bool,
    readiness: watch::Receiver<Readiness>,
    url: String,
    address: SocketAddr,
    lock_wait: Duration,
    tickets: Arc<Tickets>,
}

/// The thread that the actix system lives on.
fn run_system(
    context: Context,
    bound: Bound,
    edge: EdgeOptions,
    ready: watch::Sender<Readiness>,
    stopped: oneshot::Receiver<()>,
) {
    let pool = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .thread_name("kilo-pool")
        .thread_stack_size(1 << 20)
        .enable_all()
        .build();
    let pool = match pool {
        Ok(pool) => pool,
        Err(error) => {
            let _ = ready.send(Readiness::Failed(error.to_string()));
            return;
        }
    };
    let handle = pool.handle().clone();
    let sandbox = context.sandbox.clone();
    let daemon = Arc::new(build_daemon(&context, handle.clone()));
    actix::System::new().block_on(async move {
        let placement = Placement::start(Placement::threads_for(
            std::thread::available_parallelism().map_or(2, |cores| cores.get()),
        ));
        let opening = Opening {
            context,
            daemon: Arc::clone(&daemon),
            handle: handle.clone(),
            placement,
        };
        let opened = handle.spawn_blocking(move || opening.open());
        let readier = async {
            match opened.await {
                Ok(Ok((engine, open))) => {
                    announce::of_processes(&daemon.processes, &engine, &handle);
                    let _ = ready.send(Readiness::Ready(Arc::clone(&engine)));
                    handle.spawn(async move { engine.sessions().recover(open).await });
                    handle.spawn(sweep_orphans());
                }
                Ok(Err(StoreError::Locked { pid, address, .. })) => {
                    let _ = ready.send(Readiness::Locked { pid, address });
                }
                Ok(Err(error)) => {
                    let _ = ready.send(Readiness::Failed(error.to_string()));
                }
                Err(error) => {
                    let _ = ready.send(Readiness::Failed(error.to_string()));
                }
            }
            let _ = stopped.await;
        };
        let serving = Arc::clone(&daemon);
        let served =
            kilo_edge::serve(bound, &edge, move || groups::router(&serving), readier).await;
        if let Err(error) = served {
            tracing::error!(%error, "serving ended");
        }
        if let Ok(engine) = daemon.engine().await {
            engine.sessions().shut_down().await;
        }
        daemon.servers.shut_down().await;
        // Those that go by themselves leave no caches half written; the rest is killed.
        let ending = daemon.folders.languages().clone();
        let ending = handle
            .spawn(async move { tokio::time::timeout(LANGUAGES_END, ending.shut_down()).await });
        let _ = ending.await;
        let _ = handle.spawn_blocking(move || sandbox.kill_all()).await;
    });
    pool.shutdown_timeout(std::time::Duration::from_millis(200));
}

/// Collects ended processes that lost their parent and came to the daemon.
async fn sweep_orphans() {
    let orphans = Arc::new(kilo_sandbox::Orphans::default());
    let mut pause = tokio::time::interval(ORPHANS_EVERY);
    loop {
        pause.tick().await;
        let orphans = Arc::clone(&orphans);
        if tokio::task::spawn_blocking(move || orphans.sweep())
            .await
            .is_err()
        {
            return;
        }
    }
}

fn build_daemon(context: &Context, handle: Handle) -> Daemon {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let tools = kilo_tool::Options {
        own_address: Some(context.address),
        proxied: PROXIES.iter().any(|name| {
            let value = context.environment.get(name);
            value.is_some_and(|value| !value.is_empty())
        }),
        ..kilo_tool::Options::default()
    };
    let sandbox: Arc<dyn Sandbox> = Arc::new(context.sandbox.clone());
    let trees = kilo_worktree::Trees::new(
        context.paths.worktrees.clone(),
        Arc::clone(&sandbox),
        Arc::clone(&clock),
    );
    let processes = Processes::keeping(
        Arc::new(Ported::new(Arc::clone(&sandbox), trees.clone())),
        Arc::clone(&clock),
        handle.clone(),
        context.paths.kept.clone(),
        KEEPER.map(Into::into).into(),
    );
    let tools = Registry::builtin(tools).with_background(Arc::new(processes.clone()));
    let servers = mcp_servers(context, &tools, handle.clone());
    let languages = kilo_lsp::Languages::new(
        handle.clone(),
        Arc::clone(&sandbox),
        kilo_lsp::Options::default(),
        kilo_lsp::MEMORY_MAX,
        notices(context.readiness.clone()),
    );
    let folders = Arc::new(Instances::new(
        Arc::clone(&context.environment),
        Arc::clone(&context.paths),
        Arc::clone(&clock),
        handle.clone(),
        tools,
        servers.clone(),
        languages,
    ));
    let watching = Watching::new(folders.told());
    Daemon {
        environment: Arc::clone(&context.environment),
        paths: Arc::clone(&context.paths),
        clock,
        folders,
        servers,
        handle,
        has_password: context.password,
        readiness: context.readiness.clone(),
        document: OnceLock::new(),
        terminals: OnceLock::new(),
        tickets: Arc::clone(&context.tickets),
        trees,
        fleets: crate::underway::Underway::default(),
        names: Arc::default(),
        processes,
        watching,
    }
}

/// The MCP servers: none runs until a folder needs it.
fn mcp_servers(context: &Context, tools: &Registry, handle: Handle) -> Servers {
    let sandbox: Arc<dyn Sandbox> = Arc::new(context.sandbox.clone());
    let servers = Servers::new(
        handle,
        sandbox,
        kilo_mcp::Settings {
            idle: SERVER_IDLE,
            schema_bytes: SERVER_SCHEMA_BYTES,
            version: kilo_protocol::VERSION.into(),
            reserved: tools.ids().into_iter().collect(),
            auth: context.paths.data.join("mcp-auth"),
            browser: kilo_mcp::Browser::of(&context.environment),
        },
    );
    let readiness = context.readiness.clone();
    servers.publish_with(Arc::new(move |directory, event| {
        if let Readiness::Ready(engine) = &*readiness.borrow() {
            engine.core().publish(Some(directory), event);
        }
    }));
    servers
}

/// Tells clients what language servers do.
fn notices(readiness: watch::Receiver<Readiness>) -> kilo_lsp::OnNotice {
    Arc::new(move |folder, notice| {
        let event = match notice {
            Notice::Updated => Event::LanguagesChanged(Nothing {}),
            Notice::Published { server, path } => Event::ProblemsPublished(ProblemsPublished {
                server_id: server.into(),
                path: path.to_string_lossy(),
            }),
        };
        if let Readiness::Ready(engine) = &*readiness.borrow() {
            engine.core().publish(Some(folder), &event);
        }
    })
}

/// Says that a session uses a folder, if clients want to know what happens there.
fn on_use(daemon: &Arc<Daemon>) -> OnUse {
    let daemon = Arc::downgrade(daemon);
    Arc::new(move |folder| {
        if let Some(daemon) = daemon.upgrade()
            && let Some(engine) = daemon.ready()
        {
            daemon.watching.used(&engine, folder);
        }
    })
}

/// Opens the log and builds the engine, beside the first answers.
struct Opening {
    context: Context,
    daemon: Arc<Daemon>,
    handle: Handle,
    placement: Placement,
}

impl Opening {
    fn open(self) -> Result<(Arc<Engine>, Vec<kilo_protocol::SessionId>), StoreError> {
        let Self {
            context,
            daemon,
            handle,
            placement,
        } = self;
        for folder in [&context.paths.data, &context.paths.tool_output] {
            if let Err(error) = private_folder(folder) {
                tracing::warn!(folder = %folder.display(), %error, "a folder is open to other users");
            }
        }
        let options = StoreOptions::new(&context.paths.engine, std::process::id());
        let store = LogStore::open(StoreOptions {
            lock_wait: context.lock_wait,
            ..options
        })?;
        store.set_address(&context.url);
        for damage in store.damage() {
            let (file, bytes) = (damage.file.display(), damage.bytes);
            tracing::error!(%file, bytes, what = damage.what, "part of the session log is damaged and was set aside");
        }
        let journal = Journal::new(Arc::new(store), Bus::default());
        let sandbox: Arc<dyn Sandbox> =
            Arc::new(Ported::new(Arc::new(context.sandbox), daemon.trees.clone()));
        let models = kilo_provider::Client::new(kilo_provider::ClientOptions {
            version: kilo_protocol::VERSION.into(),
        })
        .on(handle.clone());
        let checkpoints = kilo_worktree::GitCheckpoints::new(context.paths.snapshots.clone())
            .refusing([context.paths.home.clone()]);
        let checkpoints = Arc::new(checkpoints);
        let old = Arc::clone(&checkpoints);
        handle.spawn(async move {
            tokio::time::sleep(ORPHANED_CHECKPOINTS_AFTER_START).await;
            if let Err(error) = old.remove_orphans(ORPHANED_CHECKPOINTS_AGE).await {
                tracing::warn!(%error, "checkpoints of worktrees that are gone were not removed");
            }
        });
        let ports = Ports {
            models: Arc::new(models),
            sandbox,
            files: Arc::new(kilo_files::Disk::default()),
            checkpoints,
            clock: Arc::clone(&daemon.clock),
            folders: Arc::new(EngineFolders {
                folders: Arc::clone(&daemon.folders),
                on_use: on_use(&daemon),
            }),
            handle,
            output_dir: context.paths.tool_output.clone(),
            home: context.paths.home.clone(),
        };
        Engine::open(ports, journal, placement)
    }
}

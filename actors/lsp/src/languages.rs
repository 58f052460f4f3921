//! All language servers of the daemon: one process for each command, options and root, whoever needs it.

use crate::choose::Ready;
use crate::server::{LanguageServer, Launch, MEMORY_VERDICT};
use crate::state::OnPublish;
use kilo_ports::sandbox::Sandbox;
use kilo_runtime::pool::{Lease, Listed, OnCrash, Options, Pool, PoolError, Start};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt::{self, Display};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// Bytes of memory that a server and what it started may use, where the configuration does not say.
pub const MEMORY_MAX: u64 = 4 << 30;
/// How long a server that could not be started is left alone; twice as long after each further try.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
const AGAIN_MAX: Duration = Duration::from_secs(10 * 60);
/// Keys whose troubles are remembered.
const TROUBLES_MAX: usize = 512;
/// Folders of one server that are told of its news.
const FOLDERS_MAX: usize = 64;
/// Events about published files, of one server in a second.
const EVENTS_A_SECOND: usize = 20;

/// What makes two servers the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(pub Arc<Ready>);

impl Display for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "lsp {} {}", self.0.id, self.0.root.display())
    }
}

/// Something that clients are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice<'a> {
    /// A server of the folder started or went.
    Updated,
    /// A server published the problems of a file.
    Published {
        /// The server.
        server: &'a str,
        /// The file.
        path: &'a Path,
    },
}

/// Told with the folder that a notice is for.
pub type OnNotice = Arc<dyn Fn(&str, Notice<'_>) + Send + Sync>;

/// The servers. Clones are the same ones.
#[derive(Clone)]
pub struct Languages {
    pool: Pool<Key, LanguageServer>,
    handle: Handle,
    sandbox: Arc<dyn Sandbox>,
    memory_max: u64,
    shared: Arc<Shared>,
}

struct Shared {
    on_notice: OnNotice,
    folders: Mutex<HashMap<Key, Vec<Arc<str>>>>,
    troubles: Mutex<HashMap<Key, Trouble>>,
}

#[derive(Default)]
struct Trouble {
    /// Failed starts in a row.
    starts: u32,
    not_before: Option<Instant>,
    /// How often it was ended for its memory.
    memory: u32,
    /// To be said to the next who uses it.
    news: Option<String>,
}

/// Why a server cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoServer {
    /// It could not be started just now; for people.
    Failed(String),
    /// It is left alone for what it did before.
    Left,
}

impl Languages {
    /// Starts servers in `sandbox`, and watches them on `handle`. Nothing runs before the first use.
    pub fn new(
        handle: Handle,
        sandbox: Arc<dyn Sandbox>,
        options: Options,
        memory_max: u64,
        on_notice: OnNotice,
    ) -> Self {
        let shared = Arc::new(Shared {
            on_notice,
            folders: Mutex::default(),
            troubles: Mutex::default(),
        });
        let told = Arc::clone(&shared);
        let on_crash: OnCrash<Key> = Arc::new(move |key, why| told.crashed(key, why));
        Self {
            pool: Pool::new(handle.clone(), options, on_crash),
            handle,
            sandbox,
            memory_max,
            shared,
        }
    }

    /// Where servers are started.
    pub fn sandbox(&self) -> &Arc<dyn Sandbox> {
        &self.sandbox
    }

    /// The server, started if it does not run, for the session's folder `folder`.
    pub async fn lease(
        &self,
        ready: &Arc<Ready>,
        folder: &str,
    ) -> Result<Lease<LanguageServer>, NoServer> {
        let key = Key(Arc::clone(ready));
        if self.shared.is_left(&key) {
            return Err(NoServer::Left);
        }
        let is_new_here = self.shared.add_folder(&key, folder);
        let launch = Launch {
            id: ready.id.clone(),
            command: ready.command.clone(),
            env: ready.env.clone(),
            root: ready.root.clone(),
            initialization: serde_json::from_str(&ready.initialization).unwrap_or_default(),
            memory_max: ready
                .memory_mb
                .map_or(self.memory_max, |max| max.saturating_mul(1 << 20)),
            on_publish: self.shared.publisher(&key),
        };
        let (sandbox, shared, started) = (
            Arc::clone(&self.sandbox),
            Arc::clone(&self.shared),
            key.clone(),
        );
        let began = Arc::new(AtomicBool::new(false));
        let begins = Arc::clone(&began);
        let start = move || -> Start<LanguageServer> {
            begins.store(true, Ordering::Release);
            Box::pin(async move {
                let outcome = LanguageServer::start(sandbox, launch).await;
                shared.started(&started, outcome.as_ref().err());
                outcome
            })
        };
        // A task of its own: an edit that waits no longer for a slow server must not leave its clients without word of it.
        let (pool, shared, user) = (
            self.pool.clone(),
            Arc::clone(&self.shared),
            Arc::<str>::from(folder),
        );
        let leased = self.handle.spawn(async move {
            let leased = pool.lease(&key, &user, start).await;
            // Not before: whoever is told asks at once for the list.
            match leased.is_ok() {
                true if began.load(Ordering::Acquire) => shared.tell(&key, &Notice::Updated),
                true if is_new_here => (shared.on_notice)(&user, Notice::Updated),
                _ => {}
            }
            leased
        });
        let leased = leased.await.map_err(|_| NoServer::Left)?;
        leased.map_err(|error| match error {
            PoolError::Start(why) => NoServer::Failed(why.to_string()),
            PoolError::Stopped | PoolError::Closed => NoServer::Left,
        })
    }

    /// What is to be said once of a server: that it crashed, or is off.
    pub fn take_news(&self, ready: &Arc<Ready>) -> Option<String> {
        let key = Key(Arc::clone(ready));
        self.shared.troubles.lock().get_mut(&key)?.news.take()
    }

    /// The running servers that `folder` uses, and those that crashed.
    pub fn of_folder(&self, folder: &str) -> Vec<(Listed<Key>, Option<Lease<LanguageServer>>)> {
        let folders = self.shared.folders.lock();
        let uses = |key: &Key| {
            let users = folders.get(key);
            users.is_some_and(|users| users.iter().any(|user| &**user == folder))
        };
        let mut listed = self.pool.list();
        listed.retain(|line| uses(&line.key));
        drop(folders);
        let with_lease = |line: Listed<Key>| {
            let lease = self.pool.peek(&line.key);
            (line, lease)
        };
        listed.into_iter().map(with_lease).collect()
    }

    /// Whether the server runs.
    pub fn runs(&self, ready: &Arc<Ready>) -> bool {
        self.pool.peek(&Key(Arc::clone(ready))).is_some()
    }

    /// The processes that run, and the folders that use each.
    pub fn users(&self) -> Vec<(u32, Vec<Arc<str>>)> {
        let listed = self.pool.list().into_iter();
        let running = listed.filter_map(|line| Some((line.pid?, line.users)));
        running.collect()
    }

    /// Ends all.
    pub async fn shut_down(&self) {
        self.pool.shut_down().await;
    }
}

impl Shared {
    /// True: it is new to the folder.
    fn add_folder(&self, key: &Key, folder: &str) -> bool {
        let mut all = self.folders.lock();
        if all.len() >= TROUBLES_MAX && !all.contains_key(key) {
            all.clear();
        }
        let folders = all.entry(key.clone()).or_default();
        let is_known = folders.iter().any(|known| &**known == folder);
        let is_new = !is_known && folders.len() < FOLDERS_MAX;
        if is_new {
            folders.push(folder.into());
        }
        is_new
    }

    fn tell(&self, key: &Key, notice: &Notice<'_>) {
        let folders = self.folders.lock().get(key).cloned().unwrap_or_default();
        for folder in folders {
            match notice {
                Notice::Published { path, .. } if !path.starts_with(&*folder) => {}
                notice => (self.on_notice)(&folder, notice.clone()),
            }
        }
    }

    /// Tells of published files, no more often than clients can use.
    fn publisher(self: &Arc<Self>, key: &Key) -> OnPublish {
        let (this, key) = (Arc::clone(self), key.clone());
        let window = Mutex::new((Instant::now(), 0));
        Arc::new(move |path| {
            let mut window = window.lock();
            if window.0.elapsed() >= Duration::from_secs(1) {
                *window = (Instant::now(), 0);
            }
            window.1 += 1;
            let is_flood = window.1 > EVENTS_A_SECOND;
            drop(window);
            if !is_flood {
                let server = key.0.id.as_str();
                this.tell(&key, &Notice::Published { server, path });
            }
        })
    }

    fn trouble<T>(&self, key: &Key, change: impl FnOnce(&mut Trouble) -> T) -> T {
        let mut troubles = self.troubles.lock();
        if troubles.len() >= TROUBLES_MAX && !troubles.contains_key(key) {
            troubles.retain(|_, trouble| trouble.memory > 1);
        }
        change(troubles.entry(key.clone()).or_default())
    }

    fn is_left(&self, key: &Key) -> bool {
        let troubles = self.troubles.lock();
        troubles.get(key).is_some_and(|trouble| {
            trouble.memory > 1 || trouble.not_before.is_some_and(|at| at > Instant::now())
        })
    }

    fn started(&self, key: &Key, error: Option<&String>) {
        self.trouble(key, |trouble| match error {
            None => (trouble.starts, trouble.not_before) = (0, None),
            Some(_) => {
                let pause = AGAIN_AFTER * 2_u32.pow(trouble.starts.min(8));
                trouble.starts += 1;
                trouble.not_before = Some(Instant::now() + pause.min(AGAIN_MAX));
            }
        });
    }

    fn crashed(&self, key: &Key, why: &str) {
        let id = &key.0.id;
        self.trouble(key, |trouble| {
            let is_memory = why.starts_with(MEMORY_VERDICT);
            trouble.memory += u32::from(is_memory);
            trouble.news = Some(if trouble.memory > 1 {
                format!("The language server {id} is off now: {why}, and had been started anew for that before.")
            } else {
                format!("The language server {id} ended: {why}. The next edit starts it anew.")
            });
        });
        self.tell(key, &Notice::Updated);
    }
}

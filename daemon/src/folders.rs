//! Folders in use: their place, configuration, agents and models, read again when a file behind them changes.

use crate::after::{After, Hook};
use crate::toolbox::Tools;
use crate::watching::Told;
use kilo_config::{AuthFile, Environment, Paths};
use kilo_lsp::{Languages, LspTool};
use kilo_mcp::{FolderServers, Foreign, Place, Servers};
use kilo_ports::BoxFuture;
use kilo_ports::after_write::AfterWrite;
use kilo_ports::clock::Clock;
use kilo_ports::provider::ModelInfo;
use kilo_ports::tool::Tool;
use kilo_protocol::model::ModelRef;
use kilo_protocol::{Fault, Millis, ProjectId};
use kilo_provider::Catalog;
use kilo_provider::catalog::refresh;
use kilo_provider::local::{self, LocalServer, Ports};
use kilo_provider::resolve::{self, Sources};
use kilo_session::folder::{self, Folder, Models};
use kilo_tool::Registry;
use kilo_worktree::project::{ProjectFacts, Projects};
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Handle;

/// A folder's configuration is looked at again at most this often.
const FRESH_MS: Millis = 20;
/// Local servers are looked for at most this often.
const LOCAL_MS: Millis = 30_000;
/// Folders that are kept; the one that was not used for longest goes. Each has its configuration and agents in memory,
/// 170 KiB of them; one that is used again is read again, which takes a millisecond.
const FOLDERS_MAX: usize = 64;
/// The largest budget of schemas that a configuration can have.
const SCHEMA_BYTES_MAX: u64 = 4 << 20;
/// A folder that was not used for so long goes when another comes.
const UNUSED_MS: Millis = 10 * 60 * 1_000;

/// All folders in use.
pub struct Instances {
    environment: Arc<Environment>,
    paths: Arc<Paths>,
    auth: AuthFile,
    source: refresh::Source,
    catalog: RwLock<Option<Arc<Catalog>>>,
    clock: Arc<dyn Clock>,
    projects: Projects,
    handle: Handle,
    tools: Registry,
    servers: Servers,
    languages: Languages,
    told: Arc<Told>,
    known: Mutex<HashMap<String, Known>>,
    /// Those that came into use and were not announced yet.
    begun: Mutex<Vec<String>>,
    local: Arc<RwLock<Vec<LocalServer>>>,
    local_at: tokio::sync::Mutex<Option<Millis>>,
}

struct Known {
    folder: Arc<Folder>,
    facts: ProjectFacts,
    after: Option<Arc<After>>,
    servers: Arc<FolderServers>,
    foreign: Option<Arc<Foreign>>,
    /// How the `.mcp.json` looked, or that there was none.
    foreign_stamp: Stamp,
    checked: Millis,
}

impl Known {
    fn instance(&self) -> Instance {
        Instance {
            folder: Arc::clone(&self.folder),
            facts: self.facts.clone(),
            servers: Arc::clone(&self.servers),
            foreign: self.foreign.clone(),
            after: self.after.clone(),
        }
    }
}

/// A folder with what only the daemon needs of it.
#[derive(Clone)]
pub struct Instance {
    /// The folder.
    pub folder: Arc<Folder>,
    /// Its project.
    pub facts: ProjectFacts,
    /// Formatters and language servers, where the configuration has some.
    pub after: Option<Arc<After>>,
    /// Its MCP servers.
    pub servers: Arc<FolderServers>,
    /// The file with MCP servers for other agents.
    pub foreign: Option<Arc<Foreign>>,
}

impl Instances {
    /// No folder yet.
    pub fn new(
        environment: Arc<Environment>,
        paths: Arc<Paths>,
        clock: Arc<dyn Clock>,
        handle: Handle,
        tools: Registry,
        servers: Servers,
        languages: Languages,
    ) -> Self {
        let auth = AuthFile::new(&environment, &paths);
        let source = refresh::Source {
            path: environment.get("KILO_MODELS_PATH").map(PathBuf::from),
            url: environment.get("KILO_MODELS_URL").map(str::to_string),
            offline: environment.is_on("KILO_DISABLE_MODELS_FETCH"),
            cache: Some(paths.cache.clone()),
        };
        Self {
            projects: Projects::new(paths.data.join("project")),
            environment,
            paths,
            auth,
            source,
            catalog: RwLock::default(),
            clock,
            handle,
            tools,
            servers,
            languages,
            told: Arc::default(),
            known: Mutex::default(),
            begun: Mutex::default(),
            local: Arc::default(),
            local_at: tokio::sync::Mutex::default(),
        }
    }

    /// The project's own worktree for a folder, without reading its configuration; the folder itself where there is none.
    /// Blocks on the disk.
    pub fn main_worktree(&self, directory: &str) -> String {
        let path = Path::new(directory);
        match path.is_dir() {
            true => self
                .projects
                .identify(path)
                .main_worktree
                .display()
                .to_string(),
            false => directory.to_owned(),
        }
    }

    /// What tools wrote a moment ago.
    pub fn told(&self) -> Arc<Told> {
        Arc::clone(&self.told)
    }

    /// The language servers of all folders.
    pub fn languages(&self) -> &Languages {
        &self.languages
    }

    /// The stored credentials.
    pub fn auth(&self) -> &AuthFile {
        &self.auth
    }

    /// Forgets a folder. False when it was not in use.
    pub fn forget(&self, directory: &str) -> bool {
        let known = self.known.lock().remove(directory);
        if known.is_some() {
            self.servers
                .close(|place| place.directory.as_os_str() == directory);
        }
        known.is_some()
    }

    /// Forgets all folders and names them.
    pub fn forget_all(&self) -> Vec<String> {
        let known: Vec<String> = self.known.lock().drain().map(|(name, _)| name).collect();
        self.servers.close(|_| true);
        known
    }

    /// The folder as it is now.
    pub fn instance(
        self: &Arc<Self>,
        directory: &str,
    ) -> BoxFuture<'static, Result<Instance, Fault>> {
        let now = self.clock.now();
        if let Some(known) = self.known.lock().get(directory)
            && is_within(known.checked, FRESH_MS, now)
        {
            let instance = known.instance();
            return Box::pin(std::future::ready(Ok(instance)));
        }
        let (folders, directory) = (Arc::clone(self), directory.to_string());
        let handle = self.handle.clone();
        Box::pin(async move {
            let loading = Arc::clone(&folders);
            let loaded = handle
                .spawn_blocking(move || loading.load(&directory, now))
                .await;
            let instance =
                loaded.map_err(|_| Fault::unknown("reading the configuration failed"))?;
            if instance.folder.loaded.config.model.is_none() {
                folders.look_for_servers().await;
            }
            Ok(instance)
        })
    }

    fn load(&self, directory: &str, now: Millis) -> Instance {
        if let Some(known) = self.known.lock().get_mut(directory)
            && !known.folder.loaded.is_stale()
            && known.foreign_stamp == stamp(&known.folder.worktree)
        {
            known.checked = now;
            return known.instance();
        }
        let path = PathBuf::from(directory);
        let facts = self.projects.identify(&path);
        let is_git = facts.vcs.is_some();
        let worktree = if is_git {
            facts.worktree.clone()
        } else {
            path.clone()
        };
        let loaded = kilo_config::load(&self.environment, &self.paths, &path, &worktree);
        let agents = kilo_config::agents(&self.environment, &self.paths, &loaded);
        let models = FolderModels {
            merged: loaded.merged.clone(),
            auth: self.auth_map(),
            environment: Arc::clone(&self.environment),
            catalog: self.catalog(),
            local: Arc::clone(&self.local),
            resolved: Mutex::default(),
        };
        let after = After::of(
            &loaded.merged,
            &self.environment,
            &path,
            &worktree,
            &self.languages,
        );
        let languages = after.as_ref().and_then(|after| after.languages.clone());
        let lsp = languages.map(|folder| Arc::new(LspTool(folder)) as Arc<dyn Tool>);
        let hook: Arc<dyn AfterWrite> = Arc::new(Hook {
            after: after.clone().unwrap_or_default(),
            told: Arc::clone(&self.told),
        });
        let exists = path.is_dir();
        let place = Place {
            directory: path.clone(),
            worktree: worktree.clone(),
            main: if is_git {
                facts.main_worktree.clone()
            } else {
                path.clone()
            },
        };
        // Before it is read: a change in between is seen with the next look.
        let foreign_stamp = stamp(&worktree);
        let trust = &loaded.trusted["experimental"]["mcp_json"];
        let foreign = Foreign::read(&worktree, &place.main, trust, &self.environment);
        let mut configs = kilo_mcp::config::read(&loaded.merged, &loaded.trusted);
        for (name, server) in foreign.iter().flat_map(Foreign::trusted) {
            configs.entry(name).or_insert(server);
        }
        let budget = loaded.merged["experimental"]["mcp_schema_bytes"].as_u64();
        let budget = budget.and_then(|bytes| usize::try_from(bytes.min(SCHEMA_BYTES_MAX)).ok());
        let servers = if exists {
            self.servers.folder(place)
        } else {
            self.servers.unlisted(place)
        };
        servers.set_schema_budget(budget);
        servers.configure(configs);
        let foreign = foreign.map(Arc::new);
        let folder = Arc::new(Folder {
            directory: path,
            worktree,
            is_git,
            project: Arc::new(facts.project_id.clone()),
            loaded,
            agents,
            models: Arc::new(models),
            tools: Arc::new(Tools::new(self.tools.with(lsp), Arc::clone(&servers))),
            after_write: Some(hook),
            environment: Arc::clone(&self.environment),
            paths: Arc::clone(&self.paths),
        });
        // A name that anybody can make up is not remembered.
        if exists {
            let known = Known {
                folder: Arc::clone(&folder),
                facts: facts.clone(),
                after: after.clone(),
                servers: Arc::clone(&servers),
                foreign: foreign.clone(),
                foreign_stamp,
                checked: now,
            };
            self.keep(directory, known, now);
        }
        Instance {
            folder,
            facts,
            after,
            servers,
            foreign,
        }
    }

    fn keep(&self, directory: &str, entry: Known, now: Millis) {
        let mut gone: Vec<PathBuf> = Vec::new();
        let mut known = self.known.lock();
        let before = known.len();
        known.retain(|name, known| {
            let stays = known.checked + UNUSED_MS > now;
            if !stays {
                gone.push(name.into());
            }
            stays
        });
        if known.len() < before {
            known.shrink_to(FOLDERS_MAX);
        }
        if known.len() >= FOLDERS_MAX
            && let Some(oldest) = known
                .iter()
                .min_by_key(|(_, known)| known.checked)
                .map(|(name, _)| name.clone())
        {
            known.remove(&oldest);
            gone.push(oldest.into());
        }
        if known.insert(directory.to_string(), entry).is_none() {
            let mut begun = self.begun.lock();
            if begun.len() < FOLDERS_MAX {
                begun.push(directory.to_string());
            }
        }
        drop(known);
        if !gone.is_empty() {
            self.servers.close(|place| gone.contains(&place.directory));
        }
    }

    /// The folders that came into use since the last call.
    pub fn begun(&self) -> Vec<String> {
        std::mem::take(&mut self.begun.lock())
    }

    /// The folders that were used of late, the last one at the end.
    pub fn recent(&self) -> Vec<Arc<Folder>> {
        let known = self.known.lock();
        let mut all: Vec<_> = known.values().collect();
        all.sort_by_key(|known| known.checked);
        all.into_iter()
            .map(|known| Arc::clone(&known.folder))
            .collect()
    }

    /// The project of a folder that is kept.
    fn project(&self, directory: &str) -> Option<Arc<ProjectId>> {
        let known = self.known.lock();
        let kept = known.get(directory)?;
        Some(Arc::clone(&kept.folder.project))
    }

    /// How many folders are kept.
    #[cfg(test)]
    fn kept(&self) -> usize {
        self.known.lock().len()
    }

    fn auth_map(&self) -> BTreeMap<String, Value> {
        match self.auth.read() {
            Ok(entries) => entries.into_iter().collect(),
            Err(error) => {
                tracing::warn!(%error, "stored credentials cannot be read");
                BTreeMap::new()
            }
        }
    }

    /// The list of models: a file, the cached list, or the built-in one. Blocks on the disk the first time.
    fn catalog(&self) -> Arc<Catalog> {
        if let Some(catalog) = &*self.catalog.read() {
            return Arc::clone(catalog);
        }
        let loaded = Arc::new(self.source.load());
        Arc::clone(self.catalog.write().get_or_insert(loaded))
    }

    /// Fetches a newer list of models, unless that is switched off or the cached one is new. Folders read it anew.
    pub async fn refresh_catalog(&self) -> Result<(), Fault> {
        let (source, now) = (self.source.clone(), self.clock.now());
        let fetched = self
            .handle
            .spawn(async move { source.refresh(now).await })
            .await;
        let fetched = fetched.map_err(|error| Fault::unknown(error.to_string()))?;
        let newer = fetched.map_err(|error| {
            Fault::unavailable(format!("the list of models cannot be fetched: {error}"))
        })?;
        if let Some(catalog) = newer {
            *self.catalog.write() = Some(Arc::new(catalog));
            self.forget_all();
        }
        Ok(())
    }

    /// Looks for model servers on this machine, unless somebody just did.
    pub async fn look_for_servers(&self) {
        // Whoever comes while somebody looks waits for what is found.
        let mut looked_at = self.local_at.lock().await;
        let now = self.clock.now();
        if looked_at.is_some_and(|at| is_within(at, LOCAL_MS, now)) {
            return;
        }
        *looked_at = Some(now);
        if self.environment.is_on("KILO_DISABLE_LOCAL_DISCOVERY") {
            return;
        }
        let found = self
            .handle
            .spawn(async { local::discover(&Ports::default()).await })
            .await
            .unwrap_or_default();
        *self.local.write() = found;
    }

    /// Calls `read` with everything that decides about models in this folder.
    pub fn with_sources<T>(&self, folder: &Folder, read: impl FnOnce(&Sources) -> T) -> T {
        let auth = self.auth_map();
        let catalog = self.catalog();
        let local = self.local.read();
        read(&Sources {
            config: &folder.loaded.merged,
            auth: &auth,
            env: &self.environment.vars,
            catalog: &catalog,
            local: &local,
        })
    }
}

/// How a file looked; `None`: it was not there.
type Stamp = Option<(std::time::SystemTime, u64)>;

fn stamp(worktree: &Path) -> Stamp {
    let file = std::fs::metadata(worktree.join(kilo_mcp::foreign::NAME)).ok()?;
    Some((file.modified().ok()?, file.len()))
}

/// Whether `then` is less than `span` before `now`. A clock that was set back makes it long ago: a configuration that is
/// taken for fresh until the clock has caught up would keep rules that somebody has changed since.
fn is_within(then: Millis, span: Millis, now: Millis) -> bool {
    (then..then.saturating_add(span)).contains(&now)
}

/// Told of a folder that a session uses.
pub type OnUse = Arc<dyn Fn(&Folder) + Send + Sync>;

/// The daemon's folders as the engine sees them.
pub struct EngineFolders {
    /// The folders.
    pub folders: Arc<Instances>,
    /// Told that a session uses one. The engine is not to keep what keeps the engine.
    pub on_use: OnUse,
}

impl folder::Folders for EngineFolders {
    fn folder(&self, directory: &str) -> BoxFuture<'static, Result<Arc<Folder>, Fault>> {
        let (instance, on_use) = (self.folders.instance(directory), Arc::clone(&self.on_use));
        Box::pin(async move {
            let folder = instance.await?.folder;
            on_use(&folder);
            Ok(folder)
        })
    }

    fn project(&self, directory: &str) -> Option<Arc<ProjectId>> {
        self.folders.project(directory)
    }
}

/// The models of one folder.
struct FolderModels {
    merged: Value,
    auth: BTreeMap<String, Value>,
    environment: Arc<Environment>,
    catalog: Arc<Catalog>,
    local: Arc<RwLock<Vec<LocalServer>>>,
    resolved: Mutex<HashMap<(String, String), Arc<ModelInfo>>>,
}

impl FolderModels {
    fn with_sources<T>(&self, read: impl FnOnce(&Sources) -> T) -> T {
        let local = self.local.read();
        read(&Sources {
            config: &self.merged,
            auth: &self.auth,
            env: &self.environment.vars,
            catalog: &self.catalog,
            local: &local,
        })
    }
}

fn reference((provider_id, model_id): (String, String)) -> ModelRef {
    ModelRef {
        provider_id,
        model_id,
        variant: None,
    }
}

impl Models for FolderModels {
    fn resolve(&self, model: &ModelRef) -> Result<Arc<ModelInfo>, String> {
        let key = (model.provider_id.clone(), model.model_id.clone());
        if let Some(info) = self.resolved.lock().get(&key) {
            return Ok(Arc::clone(info));
        }
        let info = self
            .with_sources(|sources| {
                resolve::resolve_model(sources, &model.provider_id, &model.model_id)
            })
            .map_err(|error| error.to_string())?;
        let info = Arc::new(info);
        self.resolved.lock().insert(key, Arc::clone(&info));
        Ok(info)
    }

    fn default_model(&self) -> Option<ModelRef> {
        self.with_sources(resolve::default_model).map(reference)
    }

    fn small_model(&self, provider: &str) -> Option<ModelRef> {
        self.with_sources(|sources| resolve::small_model(sources, provider))
            .map(reference)
    }
}

#[cfg(test)]
mod tests {
    use super::is_within;
    use super::{FOLDERS_MAX, Instances, Languages, UNUSED_MS};
    use kilo_config::{Environment, Paths};
    use kilo_ports::fakes::FakeClock;
    use kilo_tool::Registry;
    use std::sync::Arc;
    use tokio::runtime::Handle;

    #[test]
    fn what_was_seen_in_a_future_that_is_gone_is_not_fresh() {
        assert!(is_within(100, 20, 100) && is_within(100, 20, 119));
        assert!(!is_within(100, 20, 120) && !is_within(100, 20, 99));
    }

    #[tokio::test]
    async fn folders_that_are_not_used_or_not_there_are_not_kept() {
        let home = kilo_tests::Home::new();
        let environment = Environment {
            home: home.path().into(),
            cwd: home.path().into(),
            temp: home.path().into(),
            ..Environment::default()
        };
        let paths = Paths::of(&environment);
        let clock = Arc::new(FakeClock::at(1));
        let settings = kilo_mcp::Settings {
            idle: std::time::Duration::from_secs(1),
            schema_bytes: 1,
            version: "0".into(),
            reserved: Default::default(),
            auth: home.path().into(),
            browser: None,
        };
        let fake = || Arc::new(kilo_ports::fakes::FakeSandbox::default());
        let servers = kilo_mcp::Servers::new(Handle::current(), fake(), settings);
        let languages = Languages::new(
            Handle::current(),
            fake(),
            Default::default(),
            kilo_lsp::MEMORY_MAX,
            Arc::new(|_, _| {}),
        );
        let folders = Arc::new(Instances::new(
            Arc::new(environment),
            Arc::new(paths),
            Arc::clone(&clock) as _,
            Handle::current(),
            Registry::builtin(Default::default()),
            servers,
            languages,
        ));
        let use_one = async |name: String| {
            let path = home.path().join(name).display().to_string();
            assert!(folders.instance(&path).await.is_ok());
        };
        for number in 0..20 {
            use_one(format!("missing{number}")).await;
        }
        assert_eq!(folders.kept(), 0);
        for number in 0..FOLDERS_MAX + 5 {
            std::fs::create_dir(home.path().join(format!("there{number}"))).expect("a folder");
            use_one(format!("there{number}")).await;
        }
        assert_eq!(folders.kept(), FOLDERS_MAX);
        assert_eq!(folders.begun().len(), FOLDERS_MAX);
        clock.advance(UNUSED_MS + 1);
        std::fs::create_dir(home.path().join("last")).expect("a folder");
        use_one("last".into()).await;
        assert_eq!((folders.kept(), folders.begun().len()), (1, 1));
    }
}

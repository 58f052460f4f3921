//! Worktrees, as far as they are the daemon's: whose project a folder is, what its configuration says, who works in one,
//! and the events that tell of them.

mod fault;
mod ported;

pub use fault::{of_wire, ours};
pub use ported::Ported;

use crate::daemon::Daemon;
use kilo_protocol::worktree::{WorktreeFailed, WorktreeNamed, WorktreeOutput};
use kilo_protocol::{Event, Fault};
use kilo_worktree::trees::{Copies, NewTree, Place, Script, Setup, Share, Tree, TreeError};
use serde_json::Value;
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How long set-up scripts may take unless the configuration says otherwise (5 minutes).
const SETUP_MS: u64 = 300_000;
/// Titles of servers that serve many folders, and go by themselves when nobody needs them.
const POOLED: [&str; 3] = ["mcp ", "lsp ", "language server"];

/// A worktree whose files are not written yet. Dropped, they never are: the next start finds it half-made.
pub struct Begun {
    /// Where it was asked for.
    pub place: Place,
    /// What is known of it already.
    pub tree: Tree,
    files: JoinHandle<Result<Filled, TreeError>>,
}

/// A worktree whose files are there.
pub struct Filled {
    /// How it is.
    pub tree: Tree,
    place: Place,
    scripts: Vec<Script>,
    setup_ms: u64,
}

impl Begun {
    /// Waits until its files are there, and lets its set-up run by itself.
    pub async fn filled(self, daemon: &Arc<Daemon>) -> Result<Tree, TreeError> {
        let filled = self.only_filled().await?;
        let tree = filled.tree.clone();
        let owned = Arc::clone(daemon);
        daemon
            .handle
            .spawn(async move { filled.set_up(&owned).await });
        Ok(tree)
    }

    /// Waits until its files are there. The set-up is the caller's to begin.
    pub async fn only_filled(self) -> Result<Filled, TreeError> {
        let filled = self.files.await;
        filled.map_err(|error| TreeError::Broken(error.to_string()))?
    }

    /// Lets all the rest come by itself.
    pub fn go_on(self, daemon: &Arc<Daemon>) -> Tree {
        let (tree, owned) = (self.tree.clone(), Arc::clone(daemon));
        let rest = async move {
            if let Ok(filled) = self.only_filled().await {
                let _ = filled.set_up(&owned).await;
            }
        };
        daemon.handle.spawn(rest);
        tree
    }
}

impl Filled {
    /// Runs its set-up scripts to their end.
    pub async fn set_up(self, daemon: &Arc<Daemon>) -> Result<Tree, TreeError> {
        let Self {
            tree,
            place,
            scripts,
            setup_ms,
        } = self;
        set_up(daemon, &place, tree, &scripts, setup_ms).await
    }
}

/// What of the configuration is about worktrees.
struct Settings {
    copies: Copies,
    setup_ms: u64,
}

/// The repository around a directory.
pub async fn place(daemon: &Arc<Daemon>, directory: &str) -> Result<Place, TreeError> {
    let project = match daemon.folders.instance(directory).await {
        Ok(instance) => instance.facts.project_id,
        Err(fault) => return Err(TreeError::Broken(fault.message)),
    };
    let (trees, directory) = (daemon.trees.clone(), directory.to_owned());
    on_pool(daemon, async move {
        trees.place(&project, Path::new(&directory)).await
    })
    .await
}

/// Runs what works on worktrees on the pool, to its end whoever waits for it.
pub async fn on_pool<T: Send + 'static>(
    daemon: &Daemon,
    work: impl Future<Output = Result<T, TreeError>> + Send + 'static,
) -> Result<T, TreeError> {
    let done = daemon.handle.spawn(work).await;
    done.map_err(|error| TreeError::Broken(error.to_string()))?
}

/// Begins a worktree: its name, branch and folder are there when this returns, its files come by themselves and are told of
/// by events. Its set-up is begun by who takes what this gives.
pub async fn begin(
    daemon: &Arc<Daemon>,
    directory: &str,
    new: NewTree,
    start_command: Option<String>,
) -> Result<Begun, TreeError> {
    let place = place(daemon, directory).await?;
    let (trees, here, wanted) = (daemon.trees.clone(), place.clone(), new.clone());
    let tree = on_pool(daemon, async move { trees.create(&here, wanted).await }).await?;
    let settings = settings(daemon, directory).await;
    let (owned, here, begun) = (Arc::clone(daemon), place.clone(), tree.clone());
    let files = daemon.handle.spawn(async move {
        let scripts = scripts(&owned, &here, start_command).await;
        let is_set_up = !scripts.is_empty();
        let tree = fill(&owned, &here, begun, &new, settings.copies, is_set_up).await?;
        Ok(Filled {
            tree,
            place: here,
            scripts,
            setup_ms: settings.setup_ms,
        })
    });
    Ok(Begun { place, tree, files })
}

/// Writes the files and tells how that went. Who hears that it is ready finds in the list that its set-up is still to end.
async fn fill(
    daemon: &Daemon,
    place: &Place,
    tree: Tree,
    new: &NewTree,
    copies: Copies,
    is_set_up: bool,
) -> Result<Tree, TreeError> {
    let filled = daemon.trees.fill(place, tree.clone(), new, copies).await;
    let filled = match filled {
        Ok(tree) if is_set_up => Ok(daemon.trees.expect_set_up(place, tree).await),
        filled => filled,
    };
    match &filled {
        Ok(tree) => {
            announce(daemon, tree, &Event::WorktreeReady(named(tree))).await;
        }
        Err(error) => {
            let message = error.to_string().into();
            let failed = Event::WorktreeFailed(WorktreeFailed { message });
            announce(daemon, &tree, &failed).await;
        }
    }
    filled
}

/// What sets a new worktree up: the project's script, the command that its clients stored with it, that of the request.
async fn scripts(
    daemon: &Arc<Daemon>,
    place: &Place,
    start_command: Option<String>,
) -> Vec<Script> {
    let mut scripts: Vec<Script> = daemon.trees.script(place).await.into_iter().collect();
    let stored = project_command(daemon, &place.project).await;
    let commands = stored.into_iter().chain(start_command);
    scripts.extend(
        commands
            .filter(|text| !text.trim().is_empty())
            .map(|text| Script::shell(&text)),
    );
    scripts
}

/// Runs the scripts and tells what they say, then that they have ended, then how.
async fn set_up(
    daemon: &Arc<Daemon>,
    place: &Place,
    tree: Tree,
    scripts: &[Script],
    timeout_ms: u64,
) -> Result<Tree, TreeError> {
    if scripts.is_empty() {
        return Ok(tree);
    }
    let told = Told::of(daemon, &tree);
    let output = |text: &str, ended| {
        told.tell(&Event::WorktreeOutput(WorktreeOutput {
            name: Cow::Borrowed(&told.name),
            text: Cow::Borrowed(text),
            ended,
        }));
    };
    let said = |text: &str| output(text, false);
    let tree = daemon
        .trees
        .set_up(place, tree, scripts, timeout_ms, &said)
        .await;
    output("", true);
    let tree = tree?;
    match &tree.setup {
        Setup::Failed { message } => {
            let name = &tree.name;
            let message =
                format!("the set-up script of {name} failed, the worktree is kept: {message}");
            let message = message.into();
            told.tell(&Event::WorktreeFailed(WorktreeFailed { message }));
        }
        _ => told.tell(&Event::WorktreeSetUp(named(&tree))),
    }
    Ok(tree)
}

fn named(tree: &Tree) -> WorktreeNamed<'_> {
    WorktreeNamed {
        name: Cow::Borrowed(&tree.name),
        branch: tree.branch.as_deref().map(Cow::Borrowed),
    }
}

/// Tells of a worktree on the streams of its folder.
struct Told {
    engine: Option<Arc<kilo_session::Engine>>,
    directory: String,
    name: String,
}

impl Told {
    fn of(daemon: &Daemon, tree: &Tree) -> Self {
        Self {
            engine: daemon.ready(),
            directory: tree.directory.display().to_string(),
            name: tree.name.clone(),
        }
    }

    fn tell(&self, event: &Event<'_>) {
        if let Some(engine) = &self.engine {
            engine.core().publish(Some(&self.directory), event);
        }
    }
}

async fn announce(daemon: &Daemon, tree: &Tree, event: &Event<'_>) {
    // the log is open when requests are answered, but for those that need no session
    let _ = daemon.engine().await;
    Told::of(daemon, tree).tell(event);
}

/// The command that clients stored with a project for new worktrees.
async fn project_command(daemon: &Daemon, project: &str) -> Option<String> {
    let engine = daemon.engine().await.ok()?;
    let stored = engine.core().ledger.store().get("project", project)?;
    let project: Value = serde_json::from_slice(&stored).ok()?;
    let start = project.pointer("/commands/start")?.as_str()?;
    Some(start.to_owned())
}

async fn settings(daemon: &Arc<Daemon>, directory: &str) -> Settings {
    let instance = daemon.folders.instance(directory).await.ok();
    let config = instance.map(|instance| instance.folder.loaded.config.worktree.clone());
    let config = config.unwrap_or_default();
    let default = Copies::default();
    Settings {
        copies: Copies {
            files: config.copy.unwrap_or(default.files),
            folders: config.folders,
            share: match config.hardlink {
                true => Share::Hardlink,
                false => Share::Reflink,
            },
        },
        setup_ms: config
            .setup_timeout_s
            .map_or(SETUP_MS, |seconds| seconds * 1_000),
    }
}

/// Who works in a folder now: sessions that run a turn, and processes of any session.
pub async fn users(daemon: &Daemon, directory: &Path) -> Vec<String> {
    let Ok(engine) = daemon.engine().await else {
        return Vec::new();
    };
    let mut users: Vec<String> = engine
        .queries()
        .statuses()
        .into_iter()
        .filter(|(_, at, _)| Path::new(&**at).starts_with(directory))
        .map(|(session, ..)| format!("session {session}"))
        .collect();
    for process in daemon.running().await.unwrap_or_default() {
        let is_pooled = POOLED.iter().any(|title| process.title.starts_with(title));
        if process.directory.starts_with(directory) && !is_pooled {
            let mut title = process.title;
            if let Some((end, _)) = title.char_indices().nth(80) {
                title.truncate(end);
            }
            users.push(format!("process {} ({title})", process.pid));
        }
    }
    users
}

/// How long what works in a worktree may take to end, and the pause between two looks.
const WORK_END: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Ends what works in a folder and below: turns of sessions, background processes, terminals. Returns when it is over.
pub async fn end_work(daemon: &Daemon, directory: &Path) -> Result<(), Fault> {
    let engine = daemon.engine().await?;
    let mut turns = engine.queries().statuses();
    turns.retain(|(_, at, _)| Path::new(&**at).starts_with(directory));
    for (session, ..) in &turns {
        engine.sessions().abort(session).await;
    }
    daemon.processes.stop_below(directory).await;
    daemon.end_terminals_below(directory);
    let over = async {
        while !users(daemon, directory).await.is_empty() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    // what cannot be stopped, or is somebody else's, must not hold the answer for ever
    let _ = tokio::time::timeout(WORK_END, over).await;
    Ok(())
}

/// Ends what the daemon holds for a folder.
pub async fn dispose(daemon: &Daemon, directory: &Path) -> Result<(), Fault> {
    daemon.dispose(&directory.display().to_string()).await
}

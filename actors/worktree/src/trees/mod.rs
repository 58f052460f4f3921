//! Worktrees that agents work in side by side: made, listed, compared, brought home, taken away and brought back.
//!
//! Each lies in a folder of ours (`ROOT/PROJECT/NAME`) on a branch of its own. Nothing of it is ever lost: what a removal or
//! a reset takes away stays in the repository as a ref for 30 days ([`Trees::restore`]), and what cannot be kept is named
//! and left alone unless the caller says that it may go. Every step is such that a process may end after it; [`Trees::sweep`]
//! finds what it left.
//!
//! Checkouts run in the git program, one process each, so they do not wait for one another.

mod bring;
mod compare;
mod copies;
mod create;
mod error;
mod expire;
mod git;
mod held;
mod home;
mod index_lock;
mod inspect;
mod kept;
mod list;
mod names;
mod place;
mod ports;
mod record;
mod remove;
mod reset;
mod restore;
mod setup;
mod snapshot;
mod sweep;

pub use bring::Brought;
pub use compare::{Detail, Item, compare};
pub use copies::{Copies, Share};
pub use create::NewTree;
pub use error::{Conflict, Losses, TreeError};
pub use home::{How, Landed, Order};
pub use kept::Kept;
pub use list::{Listed, State, Summary};
pub use place::Place;
pub use ports::PORTS;
pub use record::{Setup, Stage, Tree};
pub use remove::{Answer, Removed};
pub use setup::{Script, Spoken};

use git::Git;
use held::{Held, Hold};
use kilo_ports::clock::Clock;
use kilo_ports::sandbox::Sandbox;
use kilo_protocol::Millis;
use parking_lot::Mutex;
use record::Records;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How long the state of a removed worktree is kept (30 days).
pub const KEPT_MS: Millis = 30 * 24 * 3_600 * 1_000;

/// Worktrees. A clone is another hand on the same ones.
#[derive(Clone)]
pub struct Trees(Arc<Inner>);

/// Tells whether the process may go on after a step; for tests that end it there.
pub type GoesOn = Box<dyn Fn(&'static str) -> bool + Send + Sync>;

struct Inner {
    root: PathBuf,
    git: Git,
    clock: Arc<dyn Clock>,
    /// Names and ports are given out one at a time.
    naming: Mutex<()>,
    held: Held,
    /// Whether each repository was looked through.
    swept: Mutex<HashMap<PathBuf, Arc<Mutex<bool>>>>,
    /// The ports of each worktree, read when they are first asked for and after each change.
    ports: Mutex<Option<HashMap<PathBuf, u16>>>,
    seed: AtomicU64,
    goes_on: Option<GoesOn>,
    dead: AtomicBool,
}

impl Trees {
    /// Worktrees in folders below `root`. Touches nothing yet.
    pub fn new(root: PathBuf, sandbox: Arc<dyn Sandbox>, clock: Arc<dyn Clock>) -> Self {
        Self::ending(root, sandbox, clock, None)
    }

    /// The same for tests: the process is taken for ended at the first step for which `goes_on` says no.
    pub fn ending(
        root: PathBuf,
        sandbox: Arc<dyn Sandbox>,
        clock: Arc<dyn Clock>,
        goes_on: Option<GoesOn>,
    ) -> Self {
        Self(Arc::new(Inner {
            root,
            git: Git::new(sandbox),
            clock,
            naming: Mutex::default(),
            held: Held::default(),
            swept: Mutex::default(),
            ports: Mutex::default(),
            seed: AtomicU64::default(),
            goes_on,
            dead: AtomicBool::new(false),
        }))
    }

    /// Finds the repository around `directory`. `project` is the project's id; it names a folder.
    ///
    /// # Errors
    /// [`TreeError::NotGit`].
    pub async fn place(&self, project: &str, directory: &Path) -> Result<Place, TreeError> {
        let (project, directory) = (project.to_owned(), directory.to_path_buf());
        blocking(move || Place::find(&project, &directory)).await
    }

    /// The first port of the worktree around `directory`; 0: it is in none of ours. A look into memory; the first one, and
    /// each after a change, reads the records.
    pub fn port_base(&self, directory: &Path) -> u16 {
        let mut ports = self.0.ports.lock();
        let ports = ports.get_or_insert_with(|| {
            let trees = record::every(&self.0.root).into_iter();
            trees.map(|tree| (tree.directory, tree.port_base)).collect()
        });
        if ports.is_empty() {
            return 0;
        }
        let found = directory.ancestors().find_map(|above| ports.get(above));
        found.copied().unwrap_or_default()
    }

    /// The worktrees' root folder.
    pub fn root(&self) -> &Path {
        &self.0.root
    }
}

impl Inner {
    /// A step is done, and the disk is as it would be after a crash here.
    fn step(&self, name: &'static str) -> Result<(), TreeError> {
        if self.goes_on.as_ref().is_some_and(|goes_on| !goes_on(name)) {
            self.dead.store(true, Ordering::SeqCst);
        }
        match self.is_dead() {
            true => Err(TreeError::Broken(format!("the process ended at {name}"))),
            false => Ok(()),
        }
    }

    /// Whether a test ended the process: then nothing is cleaned up either.
    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    fn forget_ports(&self) {
        *self.ports.lock() = None;
    }

    fn folder(&self, place: &Place) -> PathBuf {
        self.root.join(&place.project)
    }

    fn records(&self, place: &Place) -> Records {
        Records::of(&self.folder(place))
    }

    /// The records of the place's repository; those of clones elsewhere share its folder.
    fn trees(&self, place: &Place) -> Vec<Tree> {
        let mut trees = self.records(place).all();
        trees.retain(|tree| tree.repository == place.common);
        trees
    }

    fn hold(&self, directory: &Path) -> Result<Hold, TreeError> {
        self.held.take(directory).ok_or(TreeError::Busy)
    }
}

/// Runs blocking work on the blocking pool.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TreeError> + Send + 'static,
) -> Result<T, TreeError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| TreeError::Broken(error.to_string()))?
}

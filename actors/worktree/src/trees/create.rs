//! Makes worktrees: a name and a branch at once, then the files.

use super::bring;
use super::copies::{self, Copies};
use super::error::TreeError;
use super::git::is_torn;
use super::names;
use super::place::{Place, commit_of};
use super::ports;
use super::record::{self, Records, Setup, Stage, Tree, private};
use super::remove::drop_half_made;
use super::{Inner, Trees, blocking};
use git2::{BranchType, Repository};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Names that are tried.
const TRIES: u64 = 64;
/// Attempts at a registration where another program writes its own at the same time.
const TORN_MAX: u32 = 8;
/// The wait after the first of them; each further one is longer by as much.
const TORN_WAIT: Duration = Duration::from_millis(5);

/// What a new worktree shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTree {
    /// What it is called; words are chosen without one.
    pub name: Option<String>,
    /// What it starts from: a branch, tag or hash; without one the last commit where it is asked for.
    pub base: Option<String>,
    /// An existing branch that it shall have, in place of one of its own.
    pub checkout: Option<String>,
    /// Take the uncommitted changes of the place along, untracked files included.
    pub changes: bool,
}

impl Trees {
    /// Makes a worktree's name, branch and registration, but none of its files yet: those are [`Trees::fill`]'s.
    ///
    /// # Errors
    /// Nothing is left of it then.
    pub async fn create(&self, place: &Place, new: NewTree) -> Result<Tree, TreeError> {
        self.sweep(place).await;
        let (inner, here) = (Arc::clone(&self.0), place.clone());
        let wanted = new.clone();
        let tree = blocking(move || reserve(&inner, &here, &wanted)).await?;
        self.0.step("reserved")?;
        if let Err(error) = self.register(place, &tree).await {
            self.abandon(place, &tree).await;
            return Err(error);
        }
        self.0.step("registered")?;
        Ok(tree)
    }

    /// Has git register the worktree, with an empty folder.
    pub(super) async fn register(&self, place: &Place, tree: &Tree) -> Result<(), TreeError> {
        let directory = tree.directory.to_string_lossy();
        let mut words = vec!["worktree", "add", "--no-checkout"];
        match (&tree.branch, tree.owns_branch) {
            (Some(branch), true) => words.extend(["-b", branch, &directory, &tree.commit]),
            (Some(branch), false) => words.extend([&*directory, branch]),
            (None, _) => words.extend(["--detach", &directory, &tree.commit]),
        }
        let git = &self.0.git;
        let mut tries = 0;
        loop {
            let added = git.run_in_turn(&place.common, &place.root, &words).await;
            tries += 1;
            match added {
                Err(error) if is_torn(&error) && tries < TORN_MAX => {
                    self.drop_branch(place, tree).await?;
                    tokio::time::sleep(TORN_WAIT * tries).await;
                }
                added => return added.map(drop),
            }
        }
    }

    /// The branch that a registration made before it failed; one that somebody moved since is not ours.
    async fn drop_branch(&self, place: &Place, tree: &Tree) -> Result<(), TreeError> {
        let Some(branch) = tree.branch.clone().filter(|_| tree.owns_branch) else {
            return Ok(());
        };
        let (place, commit) = (place.clone(), tree.commit.clone());
        blocking(move || {
            let repo = place.open()?;
            match repo.find_branch(&branch, BranchType::Local) {
                Ok(mut found)
                    if found
                        .get()
                        .target()
                        .is_some_and(|at| at.to_string() == commit) =>
                {
                    Ok(found.delete()?)
                }
                _ => Ok(()),
            }
        })
        .await
    }

    /// Writes a worktree's files and what is copied into it, then it is ready.
    ///
    /// # Errors
    /// Why it is not; nothing is left of it then.
    pub async fn fill(
        &self,
        place: &Place,
        tree: Tree,
        new: &NewTree,
        copies: Copies,
    ) -> Result<Tree, TreeError> {
        let hold = self.0.hold(&tree.directory);
        match self.write_files(place, &tree, new.changes, copies).await {
            Ok(tree) => Ok(tree),
            Err(error) => {
                drop(hold);
                self.abandon(place, &tree).await;
                Err(error)
            }
        }
    }

    async fn write_files(
        &self,
        place: &Place,
        tree: &Tree,
        changes: bool,
        copies: Copies,
    ) -> Result<Tree, TreeError> {
        let git = &self.0.git;
        let written = git.run(&tree.directory, &["reset", "--hard", "--quiet"]);
        written.await.map_err(|error| full_disk(tree, error))?;
        self.0.step("checked out")?;
        let (inner, place, mut tree) = (Arc::clone(&self.0), place.clone(), tree.clone());
        blocking(move || {
            copies::copy(&place, &tree.directory, &copies)?;
            if changes {
                bring::carry(&place.root, &tree.directory)?;
            }
            inner.step("copied")?;
            tree.stage = Stage::Ready;
            inner.records(&place).write(&tree)?;
            Ok(tree)
        })
        .await
    }

    /// Takes away what was begun; it was never ready, so nothing in it is anybody's.
    async fn abandon(&self, place: &Place, tree: &Tree) {
        let (inner, place, tree) = (Arc::clone(&self.0), place.clone(), tree.clone());
        let dropped = blocking(move || {
            if !inner.is_dead() {
                drop_half_made(&inner, &place, &tree, false)?;
            }
            Ok(())
        });
        if let Err(error) = dropped.await {
            tracing::warn!(%error, "a worktree that was not finished is left");
        }
    }
}

/// Git does not say of a file that it cannot write that the disk is full.
fn full_disk(tree: &Tree, error: TreeError) -> TreeError {
    const FULL_BYTES: u64 = 1024 * 1024;
    match rustix::fs::statvfs(&tree.directory) {
        Ok(disk) if disk.f_bavail * disk.f_frsize < FULL_BYTES => TreeError::Io {
            what: format!("no space is left for the worktree ({error})"),
            source: std::io::ErrorKind::StorageFull.into(),
        },
        _ => error,
    }
}

/// Finds a free name and takes it.
pub(super) fn reserve(inner: &Inner, place: &Place, new: &NewTree) -> Result<Tree, TreeError> {
    let repo = place.open()?;
    if let Some(branch) = &new.checkout
        && repo.find_branch(branch, BranchType::Local).is_err()
    {
        return Err(TreeError::UnknownBase(branch.clone()));
    }
    let from = new.checkout.as_deref().or(new.base.as_deref());
    let commit = commit_of(&repo, from)?.to_string();
    let head = repo.head().ok();
    let branch_here = head
        .filter(|head| head.is_branch())
        .and_then(|head| head.shorthand().ok().map(str::to_owned));
    let wanted = new.name.as_deref().or(new.checkout.as_deref());
    reserve_as(inner, place, &repo, wanted.unwrap_or_default(), |name| {
        Tree {
            branch: Some(match &new.checkout {
                Some(branch) => branch.clone(),
                None => format!("opencode/{name}"),
            }),
            owns_branch: new.checkout.is_none(),
            base: new.base.clone().or_else(|| branch_here.clone()),
            commit: commit.clone(),
            ..blank(inner, place)
        }
    })
}

/// What all new records share.
pub(super) fn blank(inner: &Inner, place: &Place) -> Tree {
    Tree {
        name: String::new(),
        branch: None,
        directory: PathBuf::new(),
        repository: place.common.clone(),
        origin: place.root.clone(),
        base: None,
        commit: String::new(),
        port_base: 0,
        created: inner.clock.now(),
        stage: Stage::Making,
        setup: Setup::None,
        owns_branch: false,
        adopted: false,
    }
}

/// Takes a name like `wanted`: that itself, else with a word pair behind it; a word pair where nothing is wanted.
pub(super) fn reserve_as(
    inner: &Inner,
    place: &Place,
    repo: &Repository,
    wanted: &str,
    make: impl Fn(&str) -> Tree,
) -> Result<Tree, TreeError> {
    let folder = inner.folder(place);
    let failed = |source| TreeError::io(format!("cannot make {}", folder.display()))(source);
    private(&folder).map_err(failed)?;
    let folder = fs::canonicalize(&folder).map_err(failed)?;
    let slug = names::slug(wanted);
    let _one_at_a_time = inner.naming.lock();
    let port_base = ports::free(&ports_taken(inner));
    for number in 0..TRIES {
        let name = match (slug.as_str(), number) {
            ("", _) => names::words(seed(inner)),
            (slug, 0) => slug.to_owned(),
            (slug, _) => format!("{slug}-{}", names::words(seed(inner))),
        };
        let tree = Tree {
            directory: folder.join(&name),
            port_base,
            name: name.clone(),
            ..make(&name)
        };
        if is_free(repo, &tree) && Records::of(&folder).reserve(&tree)? {
            inner.forget_ports();
            return Ok(tree);
        }
    }
    Err(TreeError::NoName)
}

fn is_free(repo: &Repository, tree: &Tree) -> bool {
    let branch = tree.branch.as_deref().filter(|_| tree.owns_branch);
    let branch_exists =
        branch.is_some_and(|name| repo.find_reference(&format!("refs/heads/{name}")).is_ok());
    tree.directory.symlink_metadata().is_err() && !branch_exists
}

fn seed(inner: &Inner) -> u64 {
    let count = inner.seed.fetch_add(1, Ordering::Relaxed);
    inner.clock.now().wrapping_mul(1_000).wrapping_add(count)
}

/// The blocks of all worktrees of all projects.
fn ports_taken(inner: &Inner) -> BTreeSet<u16> {
    let records = record::every(&inner.root).into_iter();
    records.map(|tree| tree.port_base).collect()
}

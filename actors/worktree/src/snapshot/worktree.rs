//! One worktree: who may walk it when, and what its checkpoints say.

use super::limits::Limits;
use super::store::{self, Store};
use super::total::{self, Totals};
use super::walk::Walk;
use super::workers::{Workers, failed};
use crate::checkout::Checkout;
use crate::patch;
use kilo_ports::checkpoint::{CheckpointError, FileChange, LeftAlone};
use kilo_protocol::model::FileDiff;
use parking_lot::Mutex;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// A worktree that checkpoints are made of.
pub(super) struct Worktree {
    pub checkout: Checkout,
    snapshots: PathBuf,
    store: OnceLock<Result<Store, CheckpointError>>,
    /// Callers of `track` so far.
    arrivals: AtomicU64,
    /// Held while the worktree is walked, undone or pruned; holds the last walk's result.
    pub turn: tokio::sync::Mutex<LastWalk>,
    pub walk: Mutex<Option<Walk>>,
    /// Answers that were given lately.
    pub totals: Totals,
}

/// A finished walk.
#[derive(Default)]
pub(super) struct LastWalk {
    /// It began after this many callers had arrived.
    covers: u64,
    result: Option<Result<String, CheckpointError>>,
    /// Walks so far.
    walks: u64,
}

impl Worktree {
    pub fn new(checkout: Checkout, snapshots: PathBuf) -> Self {
        Self {
            checkout,
            snapshots,
            store: OnceLock::new(),
            arrivals: AtomicU64::new(0),
            turn: tokio::sync::Mutex::default(),
            walk: Mutex::new(None),
            totals: Totals::default(),
        }
    }

    /// The shadow repository, opened (and made) by the first caller.
    pub fn store(&self) -> Result<&Store, CheckpointError> {
        self.store
            .get_or_init(|| Store::open(&self.snapshots, &self.checkout))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// Deletes the shadow repository and returns the bytes that were freed.
    pub fn remove(&self) -> Result<u64, CheckpointError> {
        *self.walk.lock() = None;
        let store = self.store()?;
        let bytes = store.recount();
        std::fs::remove_dir_all(&store.folder).map_err(failed)?;
        Ok(bytes)
    }

    /// Makes a checkpoint, sharing a walk with whoever waits too.
    ///
    /// Each caller takes a number, then waits its turn. A walk covers all numbers taken before it began; a caller whose
    /// number is covered by then takes that walk's result, so a crowd costs two walks and nobody gets a walk that began
    /// before it asked.
    pub async fn track(
        self: Arc<Self>,
        workers: &Workers,
        limits: &Limits,
    ) -> Result<String, CheckpointError> {
        let number = self.arrivals.fetch_add(1, Ordering::SeqCst) + 1;
        let mut last = self.turn.lock().await;
        if last.covers >= number
            && let Some(result) = &last.result
        {
            return result.clone();
        }
        let (target, limits) = (Arc::clone(&self), limits.clone());
        let walk = move || {
            let covers = target.arrivals.load(Ordering::SeqCst);
            Ok((covers, target.walk(&limits)))
        };
        let (covers, result) = workers.heavy(walk).await?;
        *last = LastWalk {
            covers,
            result: Some(result.clone()),
            walks: last.walks + 1,
        };
        result
    }

    fn walk(&self, limits: &Limits) -> Result<String, CheckpointError> {
        let store = self.store()?;
        let mut slot = self.walk.lock();
        let walk = match slot.take() {
            Some(walk) => slot.insert(walk),
            None => slot.insert(Walk::open(&self.checkout, store)?),
        };
        walk.run(&self.checkout, store, limits)
    }

    /// Names how what the last walk left out looked; 0 before the first.
    pub fn left_out(&self) -> u64 {
        self.walk.lock().as_ref().map_or(0, Walk::left_number)
    }

    /// What is left out and changed between two such looks.
    pub fn left_between(&self, before: u64, after: u64) -> Vec<LeftAlone> {
        let walk = self.walk.lock();
        let changed = walk.as_ref().map(|walk| walk.left_between(before, after));
        changed
            .into_iter()
            .flatten()
            .map(|(path, why)| LeftAlone {
                path: self.checkout.root.join(path),
                why,
            })
            .collect()
    }

    pub fn diff(&self, from: &str, to: &str) -> Result<Vec<FileDiff>, CheckpointError> {
        self.store()?.read(|repo| {
            let (old, new) = (store::tree(repo, from)?, store::tree(repo, to)?);
            let mut options = patch::options(3);
            let diff = repo
                .diff_tree_to_tree(Some(&old), Some(&new), Some(&mut options))
                .map_err(failed)?;
            patch::file_diffs(&diff).map_err(failed)
        })
    }

    pub fn diff_of(&self, changes: &[FileChange]) -> Result<Vec<FileDiff>, CheckpointError> {
        total::diff(self.store()?, &self.checkout.root, &self.totals, changes)
    }

    pub fn changed(&self, from: &str, to: &str) -> Result<Vec<FileChange>, CheckpointError> {
        self.store()?.read(|repo| {
            let (old, new) = (store::tree(repo, from)?, store::tree(repo, to)?);
            let mut options = patch::options(0);
            let diff = repo
                .diff_tree_to_tree(Some(&old), Some(&new), Some(&mut options))
                .map_err(failed)?;
            let paths = diff.deltas().filter_map(|delta| {
                delta
                    .new_file()
                    .path_bytes()
                    .or(delta.old_file().path_bytes())
            });
            Ok(paths
                .map(|path| {
                    FileChange::new(self.checkout.root.join(OsStr::from_bytes(path)), from, to)
                })
                .collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::GitCheckpoints;
    use futures_util::future::join_all;
    use kilo_ports::checkpoint::Checkpoints;

    #[tokio::test]
    async fn callers_that_wait_share_one_walk() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("project");
        git2::Repository::init(&root).unwrap();
        std::fs::write(root.join("a.txt"), "one\n").unwrap();
        let keeper = GitCheckpoints::new(scratch.path().join("snapshot"));
        keeper.track(root.clone()).await.unwrap();
        let worktree = keeper.shared.worktree(root.clone()).await.unwrap();
        let turn = worktree.turn.lock().await; // as if a walk were under way
        let callers: Vec<_> = (0..50)
            .map(|_| tokio::spawn(keeper.track(root.clone())))
            .collect();
        while worktree.arrivals.load(std::sync::atomic::Ordering::SeqCst) < 51 {
            tokio::task::yield_now().await;
        }
        drop(turn);
        let trees: Vec<_> = join_all(callers)
            .await
            .into_iter()
            .map(|tree| tree.unwrap().unwrap())
            .collect();
        assert!(trees.iter().all(|tree| *tree == trees[0]));
        assert_eq!(
            worktree.turn.lock().await.walks,
            2,
            "the first, and one for all fifty"
        );
    }
}

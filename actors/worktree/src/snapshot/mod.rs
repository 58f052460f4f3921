//! Checkpoints of a worktree, kept in a shadow git repository outside of it.
//!
//! Where to start: [`GitCheckpoints`] (this file) hands calls to blocking threads and lets callers share a walk;
//! `walk` is one walk (`scan` finds what changed, `seal` writes it); `undo` takes a session's lines out again.

mod glance;
mod ignores;
mod image;
mod limits;
mod merge;
mod omitted;
mod paths;
mod plan;
mod private;
mod prune;
mod scan;
mod seal;
mod store;
mod total;
mod tracked;
mod undo;
mod walk;
mod workers;
mod worktree;

use crate::checkout::Checkout;
use futures_util::FutureExt;
use kilo_ports::BoxFuture;
use kilo_ports::checkpoint::{CheckpointError, Checkpoints, FileChange, LeftAlone, Restored};
use kilo_protocol::model::FileDiff;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use undo::Direction;
use workers::Workers;
use worktree::Worktree;

pub use limits::Limits;
pub use prune::PruneReport;

/// Worktrees whose state stays in memory.
const WORKTREES_MAX: usize = 16;

/// Keeps checkpoints in shadow git repositories below one folder. Needs a tokio runtime with time.
///
/// A clone is the same keeper. State in memory: stamps and hashes of the files of at most 16 worktrees.
#[derive(Clone)]
pub struct GitCheckpoints {
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    refused: Vec<PathBuf>,
    limits: Limits,
    /// Last used last.
    worktrees: Mutex<Vec<Arc<Worktree>>>,
    workers: Workers,
}

impl GitCheckpoints {
    /// Keeps checkpoints below `snapshot_folder`, which need not exist yet. The filesystem's root is always refused as a
    /// worktree; name the user's home with [`Self::refusing`].
    pub fn new(snapshot_folder: PathBuf) -> Self {
        Self::build(snapshot_folder, Vec::new(), Limits::default())
    }

    /// The same, refusing these folders as worktrees too (they count as not in a repository).
    #[must_use]
    pub fn refusing(self, folders: impl IntoIterator<Item = PathBuf>) -> Self {
        let refused = folders
            .into_iter()
            .map(|folder| folder.canonicalize().unwrap_or(folder))
            .collect();
        Self::build(
            self.shared.folder.clone(),
            refused,
            self.shared.limits.clone(),
        )
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self::build(
            self.shared.folder.clone(),
            self.shared.refused.clone(),
            limits,
        )
    }

    fn build(folder: PathBuf, refused: Vec<PathBuf>, limits: Limits) -> Self {
        let worktrees = Mutex::new(Vec::new());
        Self {
            shared: Arc::new(Shared {
                folder,
                refused,
                limits,
                worktrees,
                workers: Workers::default(),
            }),
        }
    }

    /// Drops what neither `keep` nor a checkpoint younger than `age` needs from the store of the worktree around
    /// `directory`, and packs the rest. Checkpoints and images that are not in `keep` may be missing afterwards.
    ///
    /// Errors: as the port's.
    pub async fn prune(
        &self,
        directory: PathBuf,
        keep: Vec<String>,
        age: Duration,
    ) -> Result<PruneReport, CheckpointError> {
        let shared = Arc::clone(&self.shared);
        let work = async {
            let worktree = shared.worktree(directory).await?;
            let _turn = worktree.turn.lock().await;
            let target = Arc::clone(&worktree);
            shared
                .workers
                .heavy(move || prune::prune(&target, &keep, age))
                .await
        };
        self.shared.bounded(work).await
    }

    /// Deletes all checkpoints of the worktree around `directory`, and returns the bytes that were freed.
    pub async fn remove(&self, directory: PathBuf) -> Result<u64, CheckpointError> {
        let shared = Arc::clone(&self.shared);
        let work = async {
            let worktree = shared.worktree(directory).await?;
            let _turn = worktree.turn.lock().await;
            shared.forget(&worktree);
            let target = Arc::clone(&worktree);
            shared.workers.heavy(move || target.remove()).await
        };
        self.shared.bounded(work).await
    }

    /// Deletes the checkpoints of worktrees that are gone and were not used for `age`, and returns the bytes that were
    /// freed. Call it at the start: worktrees on a drive that is not there look gone, so choose days.
    pub async fn remove_orphans(&self, age: Duration) -> Result<u64, CheckpointError> {
        let folder = self.shared.folder.clone();
        let work = self
            .shared
            .workers
            .heavy(move || Ok(store::remove_orphans(&folder, age)));
        self.shared.bounded(work).await
    }
}

impl Checkpoints for GitCheckpoints {
    fn track(&self, directory: PathBuf) -> BoxFuture<'static, Result<String, CheckpointError>> {
        let shared = Arc::clone(&self.shared);
        async move {
            let work = async {
                shared
                    .worktree(directory)
                    .await?
                    .track(&shared.workers, &shared.limits)
                    .await
            };
            shared.bounded(work).await
        }
        .boxed()
    }

    fn diff(
        &self,
        directory: PathBuf,
        from: String,
        to: String,
    ) -> BoxFuture<'static, Result<Vec<FileDiff>, CheckpointError>> {
        self.reading(directory, move |worktree| worktree.diff(&from, &to))
    }

    fn diff_of(
        &self,
        directory: PathBuf,
        changes: Vec<FileChange>,
    ) -> BoxFuture<'static, Result<Vec<FileDiff>, CheckpointError>> {
        self.reading(directory, move |worktree| worktree.diff_of(&changes))
    }

    fn changed(
        &self,
        directory: PathBuf,
        from: String,
        to: String,
    ) -> BoxFuture<'static, Result<Vec<FileChange>, CheckpointError>> {
        self.reading(directory, move |worktree| worktree.changed(&from, &to))
    }

    fn left_out(&self, directory: PathBuf) -> BoxFuture<'static, Result<u64, CheckpointError>> {
        self.reading(directory, |worktree| Ok(worktree.left_out()))
    }

    fn left_between(
        &self,
        directory: PathBuf,
        before: u64,
        after: u64,
    ) -> BoxFuture<'static, Result<Vec<LeftAlone>, CheckpointError>> {
        self.reading(directory, move |worktree| {
            Ok(worktree.left_between(before, after))
        })
    }

    fn undo(
        &self,
        directory: PathBuf,
        changes: Vec<FileChange>,
    ) -> BoxFuture<'static, Result<Restored, CheckpointError>> {
        self.writing(directory, move |worktree| {
            undo::go(worktree, &changes, Direction::Undo)
        })
    }

    fn redo(
        &self,
        directory: PathBuf,
        changes: Vec<FileChange>,
    ) -> BoxFuture<'static, Result<Restored, CheckpointError>> {
        self.writing(directory, move |worktree| {
            undo::go(worktree, &changes, Direction::Redo)
        })
    }

    fn keep(
        &self,
        directory: PathBuf,
        file: PathBuf,
    ) -> BoxFuture<'static, Result<String, CheckpointError>> {
        let bytes_max = self.shared.limits.named_file_bytes_max;
        self.reading(directory, move |worktree| {
            image::keep(worktree, &file, bytes_max)
        })
    }
}

impl GitCheckpoints {
    /// Runs `work` on the worktree around `directory`, beside walks and undos.
    fn reading<T: Send + 'static>(
        &self,
        directory: PathBuf,
        work: impl FnOnce(&Worktree) -> Result<T, CheckpointError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, CheckpointError>> {
        let shared = Arc::clone(&self.shared);
        async move {
            let work = async {
                let worktree = shared.worktree(directory).await?;
                shared.workers.heavy(move || work(&worktree)).await
            };
            shared.bounded(work).await
        }
        .boxed()
    }

    /// Runs `work` on the worktree around `directory` while nothing else walks or changes it.
    fn writing<T: Send + 'static>(
        &self,
        directory: PathBuf,
        work: impl FnOnce(&Worktree) -> Result<T, CheckpointError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, CheckpointError>> {
        let shared = Arc::clone(&self.shared);
        async move {
            let work = async {
                let worktree = shared.worktree(directory).await?;
                let _turn = worktree.turn.lock().await;
                let target = Arc::clone(&worktree);
                shared.workers.heavy(move || work(&target)).await
            };
            shared.bounded(work).await
        }
        .boxed()
    }
}

impl Shared {
    /// Finds the worktree around `directory`, in memory or on disk.
    async fn worktree(
        self: &Arc<Self>,
        directory: PathBuf,
    ) -> Result<Arc<Worktree>, CheckpointError> {
        let shared = Arc::clone(self);
        let look = move || {
            let checkout =
                Checkout::find(&directory).filter(|checkout| !shared.refuses(&checkout.root));
            let checkout = checkout.ok_or(CheckpointError::NotARepository(directory))?;
            let worktree = shared.known(checkout);
            if let Err(error) = worktree.store() {
                shared.forget(&worktree); // the next caller tries again
                return Err(error);
            }
            Ok(worktree)
        };
        self.workers.light(look).await
    }

    fn refuses(&self, root: &Path) -> bool {
        root.parent().is_none() || self.refused.iter().any(|refused| refused == root)
    }

    /// The state of the worktree at `place`, new if need be. Touches no disk.
    fn known(&self, checkout: Checkout) -> Arc<Worktree> {
        let mut worktrees = self.worktrees.lock();
        if let Some(at) = worktrees
            .iter()
            .position(|known| known.checkout == checkout)
        {
            let worktree = worktrees.remove(at);
            worktrees.push(Arc::clone(&worktree));
            return worktree;
        }
        let worktree = Arc::new(Worktree::new(checkout, self.folder.clone()));
        worktrees.push(Arc::clone(&worktree));
        if worktrees.len() > WORKTREES_MAX {
            // one in use stays: two states of one worktree would not see each other
            if let Some(at) = worktrees
                .iter()
                .position(|known| Arc::strong_count(known) == 1)
            {
                worktrees.remove(at);
            }
        }
        worktree
    }

    fn forget(&self, worktree: &Arc<Worktree>) {
        self.worktrees
            .lock()
            .retain(|known| !Arc::ptr_eq(known, worktree));
    }

    /// Waits for `work`, but not for ever: a filesystem may hang.
    async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, CheckpointError>>,
    ) -> Result<T, CheckpointError> {
        match tokio::time::timeout(Duration::from_millis(self.limits.wait_ms_max), work).await {
            Ok(result) => result,
            Err(_) => Err(CheckpointError::Failed(format!(
                "no checkpoint within {} ms",
                self.limits.wait_ms_max
            ))),
        }
    }
}

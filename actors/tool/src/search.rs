//! Walks a tree the way ripgrep does: ignore files honoured, hidden files seen, `.git` left out, links not followed.

mod pattern;

pub use pattern::{PathPattern, split_base};

use crate::call;
use ignore::{DirEntry, WalkBuilder, WalkState};
use kilo_ports::tool::{ToolCx, ToolError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::UNIX_EPOCH;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Threads of one search.
const THREADS_MAX: usize = 4;
/// Files looked at by one search.
const FILES_MAX: usize = 2_000_000;

/// Permits for searches; all sessions share them.
#[derive(Clone)]
pub struct Searches(Arc<Semaphore>);

impl Searches {
    /// As many permits as searches may run at once.
    pub fn new(searches_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(searches_max.max(1))))
    }

    /// Runs a search on the blocking pool once there is a permit. A stopped call is left at once; its search ends with
    /// the next file it looks at.
    pub async fn run<T: Send + 'static>(
        &self,
        cx: &ToolCx,
        search: impl FnOnce() -> Result<T, ToolError> + Send + 'static,
    ) -> Result<T, ToolError> {
        let permit = call::or_stopped(cx, self.0.clone().acquire_owned()).await?;
        let permit = permit.map_err(|_| call::stopped())?;
        let work = call::blocking(move || {
            let _permit = permit;
            search()
        });
        call::or_stopped(cx, work).await?
    }
}

/// A walk over the files below a folder, on several threads.
pub struct Walk<'a> {
    /// Where it starts; a path without links.
    pub base: &'a Path,
    /// Stops it.
    pub cancel: &'a CancellationToken,
}

impl Walk<'_> {
    /// Calls `visit` for every file; `false` ends the walk. Tells whether it got through.
    ///
    /// Errors: [`ToolError::Aborted`] when the call was stopped.
    pub fn each(&self, visit: impl Fn(&DirEntry) -> bool + Sync) -> Result<bool, ToolError> {
        let seen = AtomicUsize::new(0);
        let ended = AtomicBool::new(false);
        let walker = WalkBuilder::new(self.base)
            .hidden(false)
            .follow_links(false)
            .threads(THREADS_MAX)
            .filter_entry(|entry| entry.depth() == 0 || entry.file_name() != ".git")
            .build_parallel();
        walker.run(|| {
            Box::new(|entry| {
                if self.cancel.is_cancelled() {
                    return WalkState::Quit;
                }
                // A folder that cannot be read is left out, as any search would.
                let Ok(entry) = entry else {
                    return WalkState::Continue;
                };
                if !entry.file_type().is_some_and(|kind| kind.is_file()) {
                    return WalkState::Continue;
                }
                if seen.fetch_add(1, Ordering::Relaxed) >= FILES_MAX || !visit(&entry) {
                    ended.store(true, Ordering::Relaxed);
                    return WalkState::Quit;
                }
                WalkState::Continue
            })
        });
        if self.cancel.is_cancelled() {
            return Err(call::stopped());
        }
        Ok(!ended.load(Ordering::Relaxed))
    }
}

/// A file and when it was changed, for lists that begin with the newest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dated {
    /// Milliseconds since 1970; 0 when unknown.
    pub changed: u128,
    /// Its path.
    pub path: PathBuf,
}

impl Dated {
    /// The file of an entry, under the name `path`.
    pub fn of(entry: &DirEntry, path: PathBuf) -> Self {
        let time = entry
            .metadata()
            .ok()
            .and_then(|facts| facts.modified().ok());
        let changed = time
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .map_or(0, |since| since.as_millis());
        Self { changed, path }
    }

    /// The order: newest first, then by path.
    pub fn order(&self, other: &Self) -> std::cmp::Ordering {
        other
            .changed
            .cmp(&self.changed)
            .then_with(|| self.path.cmp(&other.path))
    }
}

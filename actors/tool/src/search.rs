//! What searches share: permits, the walk, the order of what was found.

mod pattern;

pub use pattern::{PathPattern, split_base};

use crate::call;
use crate::place::Place;
use kilo_ports::files::Facts;
use kilo_ports::tool::{ToolCx, ToolError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

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

/// Calls `visit` for every file at or below `place`, with its path below it; `false` ends the walk. Tells whether it got
/// through.
///
/// Errors: [`ToolError::Aborted`] when the call was stopped.
pub fn walk(
    place: &Place,
    cancel: &CancellationToken,
    visit: impl Fn(&Path) -> bool + Sync,
) -> Result<bool, ToolError> {
    let whole = place.spot.walk(&|| !cancel.is_cancelled(), &visit);
    if cancel.is_cancelled() {
        return Err(call::stopped());
    }
    let shown = place.shown();
    whole.map_err(|error| ToolError::failed(format!("Cannot search {shown}: {error}")))
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
    /// A file with these facts, under the name `path`.
    pub fn of(facts: Facts, path: PathBuf) -> Self {
        let since = facts
            .changed
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let changed = since.map_or(0, |since| since.as_millis());
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

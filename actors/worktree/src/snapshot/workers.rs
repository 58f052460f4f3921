//! Blocking work, so much at a time.

use kilo_ports::checkpoint::CheckpointError;
use std::fmt::Display;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Walks, diffs and undos that run at one time.
const HEAVY_MAX: usize = 4;
/// Look-ups of worktrees that run at one time.
const LIGHT_MAX: usize = 16;

/// Bounds for work on blocking threads.
pub(super) struct Workers {
    heavy: Arc<Semaphore>,
    light: Arc<Semaphore>,
}

impl Default for Workers {
    fn default() -> Self {
        Self {
            heavy: Arc::new(Semaphore::new(HEAVY_MAX)),
            light: Arc::new(Semaphore::new(LIGHT_MAX)),
        }
    }
}

impl Workers {
    /// Runs what may take long.
    pub async fn heavy<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, CheckpointError> + Send + 'static,
    ) -> Result<T, CheckpointError> {
        blocking(&self.heavy, work).await
    }

    /// Runs a look-up.
    pub async fn light<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, CheckpointError> + Send + 'static,
    ) -> Result<T, CheckpointError> {
        blocking(&self.light, work).await
    }
}

/// Runs `work` on a blocking thread under a permit of `permits`, which it keeps even if the caller goes away.
async fn blocking<T: Send + 'static>(
    permits: &Arc<Semaphore>,
    work: impl FnOnce() -> Result<T, CheckpointError> + Send + 'static,
) -> Result<T, CheckpointError> {
    let permit = Arc::clone(permits).acquire_owned().await.map_err(failed)?;
    let task = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work()
    });
    task.await.map_err(failed)?
}

/// A failure of git or the disk, in words.
pub(super) fn failed(error: impl Display) -> CheckpointError {
    CheckpointError::Failed(error.to_string())
}

//! What comes after a tool wrote files: a formatter, a language server's diagnostics.

use crate::BoxFuture;
use kilo_protocol::Millis;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// Milliseconds that a tool waits for what comes after its write.
pub const AFTER_WRITE_MS_MAX: u64 = 20_000;

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Aftermath {
    /// Files (absolute, of those that were written) that were changed once more.
    pub changed: Vec<PathBuf>,
    /// What was found wrong, by file, in the shape that clients show; empty where nothing was.
    pub diagnostics: Map<String, Value>,
    /// What the model should know.
    pub note: Option<String>,
}

/// Looks at files that a tool has just written, and may change them.
pub trait AfterWrite: Send + Sync + 'static {
    /// A tool is about to change a file (absolute), or has just done so and says it itself.
    fn touches(&self, path: &Path) {
        let _ = path;
    }

    /// Looks at what a command changed in the session's folder `directory` at `since` or later; changes nothing. The tool
    /// waits as for [`AfterWrite::after_write`].
    fn after_command(
        &self,
        directory: PathBuf,
        since: Millis,
        cancel: CancellationToken,
    ) -> BoxFuture<'static, Aftermath> {
        let _ = (directory, since, cancel);
        Box::pin(std::future::ready(Aftermath::default()))
    }

    /// Looks at `files` (absolute) of the session's folder `directory`. The tool waits [`AFTER_WRITE_MS_MAX`] at most, then
    /// fires `cancel` and goes on without an answer.
    fn after_write(
        &self,
        directory: PathBuf,
        files: Vec<PathBuf>,
        cancel: CancellationToken,
    ) -> BoxFuture<'static, Aftermath>;
}

//! After a write: the formatters of the files that a tool wrote.

use crate::formatters::Formatters;
use crate::run::{Failure, run};
use futures_util::{StreamExt, stream};
use kilo_config::programs::Programs;
use kilo_ports::sandbox::Sandbox;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Files that are formatted side by side.
const AT_ONCE: usize = 4;
/// Failures of one formatter of which it is remembered that they were said.
const SAID_MAX: usize = 100;
/// How long all files of one call may take.
const TIME: Duration = Duration::from_secs(8);

/// Formats files of one folder.
pub struct Formatting {
    formatters: Formatters,
    programs: Programs,
    sandbox: Arc<dyn Sandbox>,
    /// By formatter, why it failed: each said once, until it works again.
    said: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Formatted {
    /// The files that are others now.
    pub changed: Vec<PathBuf>,
    /// What went wrong, a sentence each.
    pub warnings: Vec<String>,
}

impl Formatting {
    /// Formats with these, found by `programs`, started in `sandbox`.
    pub fn new(formatters: Formatters, programs: Programs, sandbox: Arc<dyn Sandbox>) -> Self {
        Self {
            formatters,
            programs,
            sandbox,
            said: Mutex::default(),
        }
    }

    /// Which there are, and what of them is here.
    pub fn formatters(&self) -> (&Formatters, &Programs) {
        (&self.formatters, &self.programs)
    }

    /// Formats `files` (absolute) of the session's folder `directory`. A file whose formatter fails, takes longer than 5 s
    /// or is stopped stays as it was.
    pub async fn format(
        self: &Arc<Self>,
        directory: &Path,
        files: Vec<PathBuf>,
        cancel: &CancellationToken,
    ) -> Formatted {
        let end = tokio::time::Instant::now() + TIME;
        let each = |file: PathBuf| {
            let (this, directory) = (Arc::clone(self), directory.to_owned());
            let stop = cancel.clone();
            // A task of its own: it puts the file back even if nobody waits for it any more.
            let work = tokio::spawn(async move {
                tokio::select! {
                    formatted = this.format_one(&directory, &file) => formatted,
                    () = stop.cancelled() => Formatted::default(),
                    () = tokio::time::sleep_until(end) => {
                        let shown = shown(&directory, &file);
                        Formatted::warning(format!("{shown} was not formatted: there was no time left."))
                    }
                }
            });
            async move { work.await.unwrap_or_default() }
        };
        let mut all = Formatted::default();
        let mut work = stream::iter(files).map(each).buffered(AT_ONCE);
        while let Some(one) = work.next().await {
            all.changed.extend(one.changed);
            all.warnings.extend(one.warnings);
        }
        all
    }

    async fn format_one(self: &Arc<Self>, directory: &Path, file: &Path) -> Formatted {
        let mut formatted = Formatted::default();
        let (this, folder, path) = (Arc::clone(self), directory.to_owned(), file.to_owned());
        let choosing = move || this.formatters.chosen(&this.programs, &folder, &path);
        let chosen = tokio::task::spawn_blocking(choosing).await;
        for ready in chosen.unwrap_or_default() {
            match run(&*self.sandbox, &ready, file).await {
                Ok(is_changed) => {
                    self.said().remove(&ready.name);
                    if is_changed && formatted.changed.is_empty() {
                        formatted.changed.push(file.to_owned());
                    }
                }
                Err(failure) if !self.is_new(&ready.name, &failure) => {}
                Err(failure) => formatted.warnings.push(format!(
                    "Formatter {} failed on {}, which stays as written: {failure}",
                    ready.name,
                    shown(directory, file)
                )),
            }
        }
        formatted
    }

    /// Whether this was not said before. What differs (a line, a file) is another failure.
    fn is_new(&self, name: &str, failure: &Failure) -> bool {
        let mut said = self.said();
        let reasons = said.entry(name.to_owned()).or_default();
        if reasons.len() >= SAID_MAX {
            reasons.clear();
        }
        reasons.insert(failure.to_string())
    }

    fn said(&self) -> MutexGuard<'_, BTreeMap<String, BTreeSet<String>>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Formatted {
    fn warning(text: String) -> Self {
        Self {
            warnings: vec![text],
            ..Self::default()
        }
    }
}

fn shown(directory: &Path, file: &Path) -> String {
    let below = file.strip_prefix(directory).unwrap_or(file);
    below.display().to_string()
}

//! One look at files after an edit: the server is told, then what it finds is waited for, no longer than it is worth.
//!
//! A server that can be asked is asked (`textDocument/diagnostic`). Of others the look is over as soon as each file's problems
//! were published for the version that was told; where the server names no version and found nothing, a moment later,
//! because such servers publish in several steps. One that is still loading the project gets more time.

use crate::problems::{List, list_of, path_of, uri_of};
use crate::rpc::CallError;
use crate::server::{LanguageServer, Synced};
use lsp_types::Diagnostic;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// After what was published for the told version nothing more is waited for than this.
const QUIET: Duration = Duration::from_millis(10);
/// The same where nothing was found and no version named.
const QUIET_UNSURE: Duration = Duration::from_millis(150);
/// A server of this age is loading whatever it does.
const YOUNG: Duration = Duration::from_secs(30);
/// Pause before a server that was not ready is asked again.
const AGAIN: Duration = Duration::from_millis(50);
/// How often it is asked within one look.
const ASKED_MAX: usize = 5;
/// Other open files that are asked about.
const OTHERS_MAX: usize = 8;

/// The protocol's codes for "ask again": content modified, server cancelled.
const ASK_AGAIN: [i64; 2] = [-32_801, -32_802];

/// How long a look may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A server that is ready.
    pub ready: Duration,
    /// One that still loads or indexes the project.
    pub busy: Duration,
}

/// What a look saw.
pub struct Looked {
    /// The files that were looked at.
    pub files: Vec<PathBuf>,
    /// The problems of all files before.
    pub before: HashMap<PathBuf, List>,
    /// And after.
    pub after: HashMap<PathBuf, List>,
    /// What the server still did when time was up.
    pub busy: Option<String>,
    /// It said something about each file.
    pub is_complete: bool,
}

/// A server that can be asked was.
struct Asked {
    /// It answered for each file.
    is_complete: bool,
    at: Instant,
    /// How often it had said by then that its answers are old.
    refreshes: u64,
    rounds: usize,
}

/// What is still to be waited for.
enum Wait {
    Over,
    Until(Instant),
}

impl LanguageServer {
    /// Looks at `files` (absolute).
    pub async fn look(&self, files: &[PathBuf], patience: Patience) -> Result<Looked, CallError> {
        let before = self.state().problems.lock().all();
        let begun = Instant::now();
        let synced = self.sync(files).await?;
        let files: Vec<PathBuf> = synced.iter().map(|file| file.path.clone()).collect();
        let mut asked: Option<Asked> = None;
        let mut changes = self.state().changes();
        let mut is_complete = true;
        let busy = loop {
            changes.mark_unchanged();
            let busy = self.loading(begun);
            // Many servers load the project at their first document without a word about it.
            let is_new = self.age() < YOUNG && self.state().heard().is_none();
            let limit = if busy.is_some() || is_new {
                patience.busy
            } else {
                patience.ready
            };
            let end = begun + limit;
            let now = Instant::now();
            if now >= end {
                is_complete = false;
                break busy;
            }
            // Some say that they can be asked only when they have read the project's settings.
            let is_pulled = self.can("diagnosticProvider", "textDocument/diagnostic");
            let refreshes = self.state().refreshes();
            let is_old = |asked: &Asked| asked.refreshes < refreshes && asked.rounds < ASKED_MAX;
            // What it said while it loaded it may see otherwise afterwards.
            if is_pulled && busy.is_none() && asked.as_ref().is_none_or(is_old) {
                let rounds = asked.map_or(0, |asked| asked.rounds) + 1;
                asked = Some(Asked {
                    is_complete: self.ask_all(&files, end).await?,
                    at: Instant::now(),
                    refreshes,
                    rounds,
                });
                continue;
            }
            let until = match self.wait(&synced, asked.as_ref(), begun) {
                _ if busy.is_some() => end,
                Wait::Over => break busy,
                Wait::Until(at) => at.min(end),
            };
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep_until(until) => {}
            }
        };
        let after = self.state().problems.lock().all();
        Ok(Looked {
            is_complete: is_complete && asked.is_none_or(|asked| asked.is_complete),
            files,
            before,
            after,
            busy,
        })
    }

    /// What it does that makes its answers early ones; checks that an edit sets off do not count.
    fn loading(&self, edited: Instant) -> Option<String> {
        let busy = self.state().busy()?;
        let is_old = busy.began.is_none_or(|began| began < edited);
        (is_old || self.age() < YOUNG).then_some(busy.text)
    }

    /// How long the published problems of these files are worth waiting for.
    fn wait(&self, synced: &[Synced], asked: Option<&Asked>, begun: Instant) -> Wait {
        let far = begun + Duration::from_secs(3_600);
        // A check that the edit set off.
        if self.state().busy().is_some() {
            return Wait::Until(far);
        }
        let problems = self.state().problems.lock();
        if let Some(asked) = asked {
            // A new one answers before it has read everything, and then says that this is old.
            let is_sure = self.age() > YOUNG
                || synced
                    .iter()
                    .any(|file| !problems.of(&file.path).is_empty());
            let over = asked.at + QUIET_UNSURE;
            return match is_sure || Instant::now() >= over {
                true => Wait::Over,
                false => Wait::Until(over),
            };
        }
        let (mut is_found, mut is_versioned) = (false, true);
        for file in synced {
            let Some(last) = problems.last(&file.path) else {
                return Wait::Until(far);
            };
            let is_fresh =
                last.at > file.heard && last.version.is_none_or(|version| version >= file.version);
            if file.is_news && !is_fresh {
                return Wait::Until(far);
            }
            is_found |= !problems.of(&file.path).is_empty();
            is_versioned &= last.version.is_some();
        }
        drop(problems);
        if synced.iter().all(|file| !file.is_news) {
            return Wait::Over;
        }
        let quiet = if is_found || is_versioned {
            QUIET
        } else {
            QUIET_UNSURE
        };
        let over = self.state().heard().unwrap_or(begun) + quiet;
        if Instant::now() >= over {
            Wait::Over
        } else {
            Wait::Until(over)
        }
    }

    /// Asks about the files and some others that are open. False when one was not answered.
    async fn ask_all(&self, files: &[PathBuf], end: Instant) -> Result<bool, CallError> {
        let mut is_complete = true;
        for file in files {
            is_complete &= self.ask(file, end).await?;
        }
        let links = "/diagnosticProvider/interFileDependencies";
        let is_linked = self.capability(links) == Some(&Value::Bool(true));
        if is_linked || self.state().has_registered_links() {
            let mut others = self.open_documents().await;
            others.retain(|other| !files.contains(other));
            for other in others.iter().take(OTHERS_MAX) {
                self.ask(other, end).await?;
            }
        }
        Ok(is_complete)
    }

    async fn ask(&self, file: &Path, end: Instant) -> Result<bool, CallError> {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let params = json!({"textDocument": {"uri": uri_of(file)}});
            let answer = self.request("textDocument/diagnostic", params, left).await;
            match answer {
                Ok(report) => {
                    self.take_report(file, report);
                    return Ok(true);
                }
                Err(CallError::Refused { code, .. }) if ASK_AGAIN.contains(&code) => {
                    tokio::time::sleep(AGAIN.min(left)).await;
                }
                Err(CallError::Gone) => return Err(CallError::Gone),
                Err(_) => return Ok(false),
            }
        }
    }

    fn take_report(&self, file: &Path, mut report: Value) {
        let related = report.get_mut("relatedDocuments").map(Value::take);
        let mut problems = self.state().problems.lock();
        if let Some(items) = report.get_mut("items").map(Value::take) {
            problems.set_asked(file.to_path_buf(), list_of(Some(items)));
        }
        for (uri, mut report) in related.into_iter().flat_map(entries).take(100) {
            if let (Some(path), Some(items)) =
                (path_of(&uri), report.get_mut("items").map(Value::take))
            {
                problems.set_asked(path, list_of(Some(items)));
            }
        }
        drop(problems);
        self.state().touch();
    }
}

fn entries(value: Value) -> serde_json::Map<String, Value> {
    match value {
        Value::Object(entries) => entries,
        _ => serde_json::Map::new(),
    }
}

/// Those of `now` that `before` did not have, wherever in the file they stood: an edit above moves them.
pub fn new_ones<'a>(before: &[Diagnostic], now: &'a [Diagnostic]) -> Vec<&'a Diagnostic> {
    let mut known: HashMap<String, usize> = HashMap::new();
    for diagnostic in before {
        *known.entry(sameness(diagnostic)).or_default() += 1;
    }
    let mut is_new = |diagnostic: &Diagnostic| match known.get_mut(&sameness(diagnostic)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    now.iter().filter(|diagnostic| is_new(diagnostic)).collect()
}

fn sameness(diagnostic: &Diagnostic) -> String {
    let Diagnostic {
        severity,
        code,
        source,
        message,
        ..
    } = diagnostic;
    format!("{severity:?} {code:?} {source:?} {message}")
}

//! The git program, run through the sandbox port: for the checkout of many files, where it is faster than libgit2 and knows
//! filters, sparse checkouts and extensions.

use super::error::TreeError;
use bytes::Bytes;
use kilo_ports::sandbox::{Exit, ProcessSpec, Sandbox};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long one call of git may take (10 minutes).
const TIMEOUT_MS: u64 = 600_000;
/// What is kept of an output: its end, where git says what went wrong.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// Keeps the repository's own programs from running: hooks, which references and the index have too, and the one that
/// watches its files.
const STILL: [&str; 4] = [
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
];

/// The git program.
pub(super) struct Git {
    pub sandbox: Arc<dyn Sandbox>,
    /// One for each repository where a command writes the list of worktrees now.
    turns: Mutex<HashMap<PathBuf, Weak<tokio::sync::Mutex<()>>>>,
}

/// Whether git ended because it read the registration of another worktree that was just being written. Nothing guards that
/// list: a person, an editor or another daemon may write it at any time.
pub(super) fn is_torn(error: &TreeError) -> bool {
    // the latter where somebody's last worktree goes, and the folder of all of them with it
    let torn = ["failed to read", "could not create directory of"];
    matches!(error, TreeError::Program(said)
        if said.contains("/worktrees/") && torn.iter().any(|torn| said.contains(torn)))
}

impl Git {
    pub fn new(sandbox: Arc<dyn Sandbox>) -> Self {
        Self {
            sandbox,
            turns: Mutex::default(),
        }
    }

    /// Runs a command that reads or writes the list of worktrees of the repository `common`, after those before it: git
    /// dies over an entry that another git is writing.
    ///
    /// # Errors
    /// [`TreeError::Program`] with what git said.
    pub async fn run_in_turn(
        &self,
        common: &Path,
        directory: &Path,
        words: &[&str],
    ) -> Result<String, TreeError> {
        let turn = self.turn(common);
        let _mine = turn.lock().await;
        self.run(directory, words).await
    }

    fn turn(&self, common: &Path) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock();
        if let Some(turn) = turns.get(common).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        turns.insert(common.to_path_buf(), Arc::downgrade(&turn));
        turn
    }

    /// Runs `git WORDS` in `directory` and gives its output.
    ///
    /// # Errors
    /// [`TreeError::Program`] with what git said.
    pub async fn run(&self, directory: &Path, words: &[&str]) -> Result<String, TreeError> {
        let spec = ProcessSpec {
            program: "git".into(),
            args: STILL
                .iter()
                .chain(words)
                .map(|word| (*word).to_owned())
                .collect(),
            directory: directory.to_path_buf(),
            env: [
                ("LC_ALL", "C"),
                ("GIT_TERMINAL_PROMPT", "0"),
                ("GIT_ADVICE", "0"),
            ]
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
            timeout_ms: Some(TIMEOUT_MS),
            stdin: None,
        };
        let (send, receive) = mpsc::channel(16);
        let running = self.sandbox.run(spec, send, CancellationToken::new());
        let (exit, output) = tokio::join!(running, collect(receive, |_| {}));
        let word = words.iter().find(|word| !word.starts_with('-'));
        let failed =
            |why: String| TreeError::Program(format!("git {}: {why}", word.unwrap_or(&"")));
        match exit {
            Ok(Exit::Code(0)) => Ok(output),
            Ok(Exit::Code(code)) if output.trim().is_empty() => {
                Err(failed(format!("it ended with {code}")))
            }
            Ok(Exit::Code(_)) => Err(failed(said(&output))),
            Ok(other) => Err(failed(format!("it was ended ({other:?})"))),
            Err(error) => Err(failed(format!("is git installed? {error}"))),
        }
    }
}

/// The lines in which git says what went wrong, without those that report progress.
fn said(output: &str) -> String {
    let is_telling = |line: &&str| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with("Preparing worktree") && !line.starts_with("hint:")
    };
    let lines: Vec<&str> = output.lines().filter(is_telling).collect();
    lines[lines.len().saturating_sub(6)..].join("; ")
}

/// Reads an output to its end; `each` sees every piece, cut between characters; the end of it is given back.
pub(super) async fn collect(
    mut pieces: mpsc::Receiver<Bytes>,
    mut each: impl FnMut(&str),
) -> String {
    let mut kept = Vec::new();
    let mut shown = 0;
    while let Some(piece) = pieces.recv().await {
        kept.extend_from_slice(&piece);
        let whole = kept.len() - begun(&kept[shown..]);
        if shown < whole {
            each(&String::from_utf8_lossy(&kept[shown..whole]));
        }
        shown = whole;
        if kept.len() > 2 * OUTPUT_BYTES_MAX {
            let gone = kept.len() - OUTPUT_BYTES_MAX;
            kept.drain(..gone);
            shown -= gone;
        }
    }
    if shown < kept.len() {
        each(&String::from_utf8_lossy(&kept[shown..]));
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// How many bytes at the end of a text are the beginning of a character whose rest is to come.
fn begun(text: &[u8]) -> usize {
    let last = text.utf8_chunks().last();
    let cut = last.map_or(&[][..], |chunk| chunk.invalid());
    let is_begun = std::str::from_utf8(cut).is_err_and(|error| error.error_len().is_none());
    if is_begun { cut.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_character_that_comes_in_two_pieces_is_seen_whole_and_what_never_ends_is_shown() {
        let (send, receive) = mpsc::channel(8);
        for piece in [
            &b"caf\xc3"[..],
            b"\xa9 \xff",
            b"\xf0\x9f",
            b"\x98\x80",
            b"\xe2\x82",
        ] {
            send.send(Bytes::from_static(piece)).await.ok();
        }
        drop(send);
        let mut seen = Vec::new();
        let whole = collect(receive, |text| seen.push(text.to_owned())).await;
        assert_eq!(seen, ["caf", "é \u{fffd}", "😀", "\u{fffd}"]);
        assert_eq!(whole, "café \u{fffd}😀\u{fffd}");
    }
}

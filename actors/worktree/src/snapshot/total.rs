//! What a session's changes came to in all.
//!
//! Checkpoints never change, so an answer holds for good: the last ones are kept, and nobody has to store them.

use super::paths::relative;
use super::store::{self, Store};
use super::workers::failed;
use crate::patch;
use kilo_ports::checkpoint::{CheckpointError, FileChange};
use kilo_protocol::model::FileDiff;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};

/// Answers that are kept of one worktree.
const KEPT_MAX: usize = 32;
/// Bytes of patches of one kept answer; a larger one is made anew each time.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// The answers given last, the newest last.
#[derive(Default)]
pub(super) struct Totals(Mutex<VecDeque<(blake3::Hash, Vec<FileDiff>)>>);

impl Totals {
    fn find(&self, question: &blake3::Hash) -> Option<Vec<FileDiff>> {
        let kept = self.0.lock();
        let found = kept.iter().find(|(known, _)| known == question)?;
        Some(found.1.clone())
    }

    fn keep(&self, question: blake3::Hash, files: &[FileDiff]) {
        if files.iter().map(|file| file.patch.len()).sum::<usize>() > KEPT_BYTES_MAX {
            return;
        }
        let mut kept = self.0.lock();
        kept.push_back((question, files.to_vec()));
        if kept.len() > KEPT_MAX {
            kept.pop_front();
        }
    }
}

/// A file's first and last checkpoint.
type Span<'a> = (&'a str, &'a str);

/// The differences of the files that `changes` (oldest first) name, by path.
pub(super) fn diff(
    store: &Store,
    root: &Path,
    totals: &Totals,
    changes: &[FileChange],
) -> Result<Vec<FileDiff>, CheckpointError> {
    let spans = spans(changes);
    let question = question(&spans);
    if let Some(known) = totals.find(&question) {
        return Ok(known);
    }
    let mut files: Vec<FileDiff> = Vec::new();
    for ((from, to), paths) in spans {
        files.extend(between(store, root, from, to, &paths)?);
    }
    files.sort_by(|a, b| a.file.cmp(&b.file));
    // A path that was a file and a folder matches as both.
    files.dedup_by(|a, b| a.file == b.file);
    totals.keep(question, &files);
    Ok(files)
}

/// The files of each span.
fn spans(changes: &[FileChange]) -> BTreeMap<Span<'_>, Vec<&Path>> {
    let mut files: HashMap<&Path, Span<'_>> = HashMap::new();
    for change in changes {
        if change.images.is_some() || change.left.is_some() {
            continue;
        }
        files
            .entry(&change.path)
            .and_modify(|span| span.1 = &change.after)
            .or_insert((&change.before, &change.after));
    }
    let mut spans: BTreeMap<Span<'_>, Vec<&Path>> = BTreeMap::new();
    for (path, span) in files {
        spans.entry(span).or_default().push(path);
    }
    for paths in spans.values_mut() {
        paths.sort();
    }
    spans
}

fn question(spans: &BTreeMap<Span<'_>, Vec<&Path>>) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    let mut add = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    for ((from, to), paths) in spans {
        add(from.as_bytes());
        add(to.as_bytes());
        add(&(paths.len() as u64).to_le_bytes());
        for path in paths {
            add(path.as_os_str().as_encoded_bytes());
        }
    }
    hasher.finalize()
}

fn between(
    store: &Store,
    root: &Path,
    from: &str,
    to: &str,
    paths: &[&Path],
) -> Result<Vec<FileDiff>, CheckpointError> {
    let paths: Vec<PathBuf> = paths
        .iter()
        .filter_map(|path| relative(root, path).ok())
        .collect();
    if paths.is_empty() {
        return Ok(Vec::new()); // git takes no path for all
    }
    store.read(|repo| {
        let (old, new) = (store::tree(repo, from)?, store::tree(repo, to)?);
        let mut options = patch::options(3);
        options.disable_pathspec_match(true); // names may hold `*`
        for path in &paths {
            options.pathspec(path);
        }
        let diff = repo
            .diff_tree_to_tree(Some(&old), Some(&new), Some(&mut options))
            .map_err(failed)?;
        patch::file_diffs(&diff).map_err(failed)
    })
}

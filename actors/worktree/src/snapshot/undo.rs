//! Takes a session's changes out of files again, and puts files back.

use super::omitted::{Lists, Omitted};
use super::worktree::Worktree;
use super::{failed, merge, store};
use crate::beneath::{Beneath, Content, Kind};
use git2::{Repository, Tree};
use kilo_ports::checkpoint::{CheckpointError, FileChange, Restored};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tracing::warn;

/// A file over this is left alone.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// The file cannot be put back without losing what somebody else did.
struct Conflict;

/// A checkpoint's tree and what it left out.
struct Checkpoint<'repo> {
    tree: Tree<'repo>,
    omitted: Omitted,
}

impl Checkpoint<'_> {
    /// The content of `path`; a conflict if the checkpoint cannot tell.
    fn content(&self, repo: &Repository, path: &Path) -> Result<Option<Content>, Conflict> {
        match store::content(repo, &self.tree, path) {
            Ok(None) if self.omitted.covers(path) => Err(Conflict),
            Ok(content) => Ok(content),
            Err(error) => {
                warn!(%error, "a checkpoint's file cannot be read");
                Err(Conflict)
            }
        }
    }
}

/// Undoes `changes`, newest first. A file with several changes is put back through all of them or left alone.
pub(super) fn undo(
    worktree: &Worktree,
    changes: &[FileChange],
) -> Result<Restored, CheckpointError> {
    let _still = worktree.walk.lock(); // a caller that gave up no longer holds its turn
    let beneath = Beneath::open(&worktree.place.root).map_err(failed)?;
    worktree.store()?.read(|repo| {
        let hashes = changes
            .iter()
            .flat_map(|change| [&change.before, &change.after]);
        let checkpoints = load(worktree, repo, hashes)?;
        let mut restored = Restored::default();
        for (path, changes) in by_file(changes) {
            match undo_file(worktree, repo, &beneath, &checkpoints, path, &changes) {
                Ok(true) => restored.restored.push(path.to_path_buf()),
                Ok(false) => {}
                Err(Conflict) => restored.conflicts.push(path.to_path_buf()),
            }
        }
        Ok(restored)
    })
}

/// Puts `files` back exactly as the checkpoint `hash` has them. Files that it left out stay as they are.
pub(super) fn restore(
    worktree: &Worktree,
    hash: &str,
    files: &[PathBuf],
) -> Result<(), CheckpointError> {
    let _still = worktree.walk.lock();
    let beneath = Beneath::open(&worktree.place.root).map_err(failed)?;
    worktree.store()?.read(|repo| {
        let checkpoints = load(worktree, repo, [&hash.to_owned()].into_iter())?;
        let checkpoint = checkpoints
            .get(hash)
            .ok_or_else(|| CheckpointError::Missing(hash.to_owned()))?;
        let mut first_failure = None;
        for file in files {
            if let Err(error) = restore_file(worktree, repo, &beneath, checkpoint, file) {
                first_failure.get_or_insert(error);
            }
        }
        first_failure.map_or(Ok(()), Err)
    })
}

fn restore_file(
    worktree: &Worktree,
    repo: &Repository,
    beneath: &Beneath,
    checkpoint: &Checkpoint<'_>,
    file: &Path,
) -> Result<(), CheckpointError> {
    let Some(path) = relative(&worktree.place.root, file) else {
        return Err(CheckpointError::Failed(format!(
            "{} is not in the worktree",
            file.display()
        )));
    };
    let wanted = store::content(repo, &checkpoint.tree, &path)?;
    if wanted.is_none() && checkpoint.omitted.covers(&path) {
        return Ok(());
    }
    let at_path =
        |error: std::io::Error| CheckpointError::Failed(format!("{}: {error}", file.display()));
    if beneath.read(&path, FILE_BYTES_MAX).map_err(at_path)? == wanted {
        return Ok(());
    }
    put(beneath, &path, wanted.as_ref(), &checkpoint.tree).map_err(at_path)
}

/// Undoes one file's changes; says whether there was anything to undo.
fn undo_file(
    worktree: &Worktree,
    repo: &Repository,
    beneath: &Beneath,
    checkpoints: &HashMap<String, Checkpoint<'_>>,
    path: &Path,
    changes: &[&FileChange],
) -> Result<bool, Conflict> {
    let path = relative(&worktree.place.root, path).ok_or(Conflict)?;
    let current = beneath.read(&path, FILE_BYTES_MAX).map_err(|_| Conflict)?;
    let mut wanted = current.clone();
    let mut oldest = None;
    for change in changes {
        let before = checkpoints.get(&change.before).ok_or(Conflict)?;
        let after = checkpoints.get(&change.after).ok_or(Conflict)?;
        let (old, new) = (before.content(repo, &path)?, after.content(repo, &path)?);
        if old != new {
            wanted = step(wanted, old, new)?;
            oldest = Some(before);
        }
    }
    let Some(oldest) = oldest else {
        return Ok(false);
    };
    if wanted != current {
        let still = beneath.read(&path, FILE_BYTES_MAX).map_err(|_| Conflict)?;
        if still != current {
            return Err(Conflict); // somebody wrote to it just now
        }
        put(beneath, &path, wanted.as_ref(), &oldest.tree).map_err(|error| {
            warn!(%error, "a file cannot be put back");
            Conflict
        })?;
    }
    Ok(true)
}

/// Takes the step from `before` to `after` out of `current`.
fn step(
    current: Option<Content>,
    before: Option<Content>,
    after: Option<Content>,
) -> Result<Option<Content>, Conflict> {
    if current == after || current == before {
        return Ok(before);
    }
    let (Some(current), Some(after)) = (current, after) else {
        return Err(Conflict);
    };
    let before_kind = before.as_ref().map_or(after.kind, |before| before.kind);
    if [current.kind, before_kind, after.kind].contains(&Kind::Link) {
        return Err(Conflict);
    }
    let kind = if current.kind == after.kind {
        before_kind
    } else {
        current.kind
    };
    let goes_away = before.is_none();
    let old = before.map(|before| before.bytes).unwrap_or_default();
    let bytes = if current.bytes == after.bytes {
        old
    } else {
        merge::merge(&after.bytes, &current.bytes, &old).ok_or(Conflict)?
    };
    Ok((!goes_away || !bytes.is_empty()).then_some(Content { kind, bytes }))
}

fn put(
    beneath: &Beneath,
    path: &Path,
    wanted: Option<&Content>,
    tree: &Tree<'_>,
) -> std::io::Result<()> {
    match wanted {
        Some(content) => beneath.replace(path, content),
        None => beneath.remove(path, |folder| tree.get_path(folder).is_ok()),
    }
}

fn load<'repo, 'a>(
    worktree: &Worktree,
    repo: &'repo Repository,
    hashes: impl Iterator<Item = &'a String>,
) -> Result<HashMap<String, Checkpoint<'repo>>, CheckpointError> {
    let mut checkpoints = HashMap::new();
    let lists = Lists::read(worktree.store()?);
    for hash in hashes {
        if !checkpoints.contains_key(hash) {
            let tree = store::tree(repo, hash)?;
            let omitted = lists.of(repo, hash);
            checkpoints.insert(hash.clone(), Checkpoint { tree, omitted });
        }
    }
    Ok(checkpoints)
}

/// The changes of each file, in the order given.
fn by_file(changes: &[FileChange]) -> Vec<(&Path, Vec<&FileChange>)> {
    let mut places = HashMap::new();
    let mut files: Vec<(&Path, Vec<&FileChange>)> = Vec::new();
    for change in changes {
        let at = *places.entry(change.path.as_path()).or_insert_with(|| {
            files.push((&change.path, Vec::new()));
            files.len() - 1
        });
        files[at].1.push(change);
    }
    files
}

/// `path` relative to `root`, also if it names `root` by way of a link; nothing if it is elsewhere or in `.git`.
fn relative(root: &Path, path: &Path) -> Option<PathBuf> {
    let found = match path.strip_prefix(root) {
        Ok(found) => found.to_path_buf(),
        Err(_) => path.ancestors().skip(1).find_map(|above| {
            let real = above.canonicalize().ok()?;
            let inside = real.strip_prefix(root).ok()?;
            Some(inside.join(path.strip_prefix(above).ok()?))
        })?,
    };
    (!found.starts_with(".git") && !found.as_os_str().is_empty()).then_some(found)
}

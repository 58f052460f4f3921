//! Takes a session's changes out of files again, or does them once more.
//!
//! First all files are looked at and a [`Plan`] is made; only then is anything changed. So a file that became a folder
//! (or the other way round) is one change: what has to go for the other to come back is known before either is touched.

use super::merge;
use super::omitted::{Lists, Omitted};
use super::paths::{relative, resolved};
use super::plan::{FILE_BYTES_MAX, Plan, Planned};
use super::workers::failed;
use super::worktree::Worktree;
use super::{image, store};
use crate::beneath::{Beneath, Content, Found, Kind};
use git2::{Repository, Tree};
use kilo_ports::checkpoint::{CheckpointError, FileChange, Restored, WhyLeft};
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use tracing::warn;

/// Which way changes are gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From `after` to `before`.
    Undo,
    /// From `before` to `after`.
    Redo,
}

/// Goes through `changes` in the order given. A file with several changes goes through all of them or is left alone.
#[tracing::instrument(level = "debug", skip(worktree, changes), fields(changes = changes.len()))]
pub(super) fn go(
    worktree: &Worktree,
    changes: &[FileChange],
    direction: Direction,
) -> Result<Restored, CheckpointError> {
    let _still = worktree.walk.lock(); // a caller that gave up no longer holds its turn
    let beneath = Beneath::open(&worktree.checkout.root).map_err(failed)?;
    worktree.store()?.read(|repo| {
        let mut past = Past::new(worktree, repo)?;
        let mut plan = Plan::default();
        for (file, changes) in by_file(changes) {
            match plan_file(worktree, &beneath, &mut past, file, &changes, direction) {
                Ok(Some(planned)) => plan.add(file, Ok(planned)),
                Ok(None) => {}
                Err(why) => plan.add(file, Err(why)),
            }
        }
        plan.settle(&beneath);
        Ok(plan.carry_out(&beneath))
    })
}

/// What one file is to become; `None` when its changes changed nothing.
fn plan_file<'repo>(
    worktree: &Worktree,
    beneath: &Beneath,
    past: &mut Past<'repo>,
    file: &Path,
    changes: &[&FileChange],
    direction: Direction,
) -> Result<Option<Planned<'repo>>, WhyLeft> {
    if let Some(why) = changes.iter().find_map(|change| change.left) {
        return Err(why);
    }
    let root = &worktree.checkout.root;
    let path = match changes.iter().any(|change| change.images.is_some()) {
        true => resolved(root, file)?,
        false => relative(root, file)?,
    };
    let found = beneath.look(&path, FILE_BYTES_MAX).map_err(|error| {
        warn!(%error, "a changed file cannot be looked at");
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => WhyLeft::Unreadable,
            _ => WhyLeft::ChangedByOthers,
        }
    })?;
    let mut wanted = match &found {
        Found::File(content) => Some(content.clone()),
        // For the file itself that is nothing; whether it can come back there is the plan's to say.
        Found::Nothing | Found::Folder | Found::Behind(_) => None,
    };
    let mut last = None;
    for change in changes {
        let (before, after) = past.states(change, &path)?;
        if before == after {
            continue;
        }
        (wanted, last) = match direction {
            Direction::Undo => (
                step(wanted, after, before, direction)?,
                Some(&change.before),
            ),
            Direction::Redo => (step(wanted, before, after, direction)?, Some(&change.after)),
        };
    }
    let Some(last) = last else { return Ok(None) };
    Ok(Some(Planned {
        path,
        found,
        wanted,
        tree: Rc::clone(&past.checkpoint(last)?.tree),
    }))
}

/// Takes the step from `from` to `to` in `current`, which others may have changed since it was `from`.
fn step(
    current: Option<Content>,
    from: Option<Content>,
    to: Option<Content>,
    direction: Direction,
) -> Result<Option<Content>, WhyLeft> {
    if current == from || current == to {
        return Ok(to);
    }
    let current = current.ok_or(WhyLeft::ChangedByOthers)?;
    let from = match from {
        Some(from) => from,
        // A new file is made again where an undo left others' lines under its name: they are an addition to nothing.
        None if direction == Direction::Redo => Content {
            kind: current.kind,
            bytes: Vec::new(),
        },
        None => return Err(WhyLeft::ChangedByOthers),
    };
    let to_kind = to.as_ref().map_or(from.kind, |to| to.kind);
    if [current.kind, from.kind, to_kind].contains(&Kind::Link) {
        return Err(WhyLeft::ChangedByOthers);
    }
    let kind = if current.kind == from.kind {
        to_kind
    } else {
        current.kind
    };
    let goes_away = to.is_none();
    let to = to.map(|to| to.bytes).unwrap_or_default();
    let bytes = if current.bytes == from.bytes {
        to
    } else {
        merge::merge(&from.bytes, &current.bytes, &to).ok_or(WhyLeft::ChangedByOthers)?
    };
    Ok((!goes_away || !bytes.is_empty()).then_some(Content { kind, bytes }))
}

/// The checkpoints that changes name, each read once.
struct Past<'repo> {
    repo: &'repo Repository,
    lists: Lists,
    checkpoints: HashMap<String, Checkpoint<'repo>>,
}

/// A checkpoint's tree and what it left out.
struct Checkpoint<'repo> {
    tree: Rc<Tree<'repo>>,
    omitted: Omitted,
}

impl<'repo> Past<'repo> {
    fn new(worktree: &Worktree, repo: &'repo Repository) -> Result<Self, CheckpointError> {
        Ok(Self {
            repo,
            lists: Lists::read(worktree.store()?),
            checkpoints: HashMap::new(),
        })
    }

    fn checkpoint(&mut self, hash: &str) -> Result<&Checkpoint<'repo>, WhyLeft> {
        if !self.checkpoints.contains_key(hash) {
            let tree = store::tree(self.repo, hash).map_err(|error| {
                warn!(%error, "a checkpoint cannot be read");
                WhyLeft::Unreadable
            })?;
            let checkpoint = Checkpoint {
                tree: Rc::new(tree),
                omitted: self.lists.of(self.repo, hash),
            };
            self.checkpoints.insert(hash.to_owned(), checkpoint);
        }
        self.checkpoints.get(hash).ok_or(WhyLeft::Unreadable)
    }

    /// The file before and after `change`.
    fn states(
        &mut self,
        change: &FileChange,
        path: &Path,
    ) -> Result<(Option<Content>, Option<Content>), WhyLeft> {
        match &change.images {
            Some(images) => Ok((
                image::content(self.repo, &images.before)?,
                image::content(self.repo, &images.after)?,
            )),
            None => Ok((
                self.content(&change.before, path)?,
                self.content(&change.after, path)?,
            )),
        }
    }

    fn content(&mut self, hash: &str, path: &Path) -> Result<Option<Content>, WhyLeft> {
        let repo = self.repo;
        let checkpoint = self.checkpoint(hash)?;
        match store::content(repo, &checkpoint.tree, path) {
            Ok(None) => checkpoint.omitted.why(path).map_or(Ok(None), Err),
            Ok(content) => Ok(content),
            Err(error) => {
                warn!(%error, "a checkpoint's file cannot be read");
                Err(WhyLeft::Unreadable)
            }
        }
    }
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

//! Finds what a process left that ended in the middle of something.

use super::expire::expire;
use super::place::Place;
use super::record::{Setup, Stage, Tree};
use super::remove::{GONE, delete, drop_half_made, finish, gone_of};
use super::{Inner, Trees, blocking};
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

impl Trees {
    /// Looks once in this process's life for what an earlier one left in a project: half-made worktrees go, removals are
    /// finished or forgotten, folders that were on their way out are deleted, old states expire. Who comes while that runs
    /// waits for its end: what they begin meanwhile would be taken for left.
    pub async fn sweep(&self, place: &Place) {
        let swept = Arc::clone(self.0.swept.lock().entry(place.common.clone()).or_default());
        if swept.try_lock().is_some_and(|is_swept| *is_swept) {
            return;
        }
        let (inner, place) = (Arc::clone(&self.0), place.clone());
        let looked = blocking(move || {
            let mut is_swept = swept.lock();
            if !*is_swept {
                sweep(&inner, &place);
                *is_swept = true;
            }
            Ok(())
        });
        if let Err(error) = looked.await {
            tracing::warn!(%error, "worktrees were not looked through");
        }
    }
}

fn sweep(inner: &Inner, place: &Place) {
    one_record_each(inner, place);
    for tree in inner.trees(place) {
        if inner.held.has(&tree.directory) {
            continue;
        }
        if let Err(error) = settle(inner, place, &tree) {
            tracing::warn!(tree = tree.name, %error, "what a crash left of a worktree is still there");
        }
    }
    for folder in gone_folders(inner, place) {
        delete(Some(&folder));
    }
    expire(inner, place);
}

/// A worktree that got another name when the process ended has two records: that of its branch holds.
fn one_record_each(inner: &Inner, place: &Place) {
    let linked = place.linked();
    let mut known: HashMap<PathBuf, Tree> = HashMap::new();
    for tree in inner.trees(place) {
        let Some(other) = known.remove(&tree.directory) else {
            known.insert(tree.directory.clone(), tree);
            continue;
        };
        let here = linked
            .iter()
            .find(|linked| linked.directory == tree.directory);
        let branch = here.and_then(|linked| linked.branch());
        let (holds, goes) = match tree.branch == branch {
            true => (tree, other),
            false => (other, tree),
        };
        inner.records(place).remove(&goes.name);
        known.insert(holds.directory.clone(), holds);
    }
}

/// Brings one worktree out of the middle of something.
fn settle(inner: &Inner, place: &Place, tree: &Tree) -> Result<(), super::TreeError> {
    let is_there = tree.directory.symlink_metadata().is_ok();
    let linked = || {
        let mut linked = place.linked().into_iter();
        linked.find(|linked| linked.directory == tree.directory)
    };
    match tree.stage {
        Stage::Making => drop_half_made(inner, place, tree, true),
        Stage::Removing if is_there => inner.records(place).write(&Tree {
            stage: Stage::Ready,
            ..tree.clone()
        }),
        Stage::Removing => {
            let admin = linked().map(|it| it.admin);
            finish(inner, place, admin.as_deref(), Some(tree))?;
            delete(Some(&gone_of(&tree.directory)));
            Ok(())
        }
        Stage::Ready if tree.setup == Setup::Running => inner.records(place).write(&Tree {
            setup: Setup::Failed {
                message: "the daemon ended while it ran".into(),
            },
            ..tree.clone()
        }),
        Stage::Ready => Ok(()),
    }
}

/// Folders that were moved away and not deleted, in our folder and beside adopted worktrees.
fn gone_folders(inner: &Inner, place: &Place) -> Vec<PathBuf> {
    let entries = fs::read_dir(inner.folder(place))
        .into_iter()
        .flatten()
        .flatten();
    let is_gone = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(GONE);
    entries.filter(is_gone).map(|entry| entry.path()).collect()
}

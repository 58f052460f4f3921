//! Which worktrees there are, and how they are.

use super::error::{Losses, TreeError};
use super::inspect;
use super::place::{Linked, Place};
use super::record::{Stage, Tree};
use super::{Inner, Trees, blocking};
use crate::vcs;
use git2::{Oid, Repository};
pub use kilo_protocol::worktree::{Listed, State, Summary};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

impl Trees {
    /// The linked worktrees of the repository as git and we know them, by folder. With `looked_into` each is looked into.
    pub async fn list(&self, place: &Place, looked_into: bool) -> Result<Vec<Listed>, TreeError> {
        self.sweep(place).await;
        let (inner, place) = (Arc::clone(&self.0), place.clone());
        blocking(move || list(&inner, &place, looked_into)).await
    }

    /// The worktree of ours with this name, or in this folder.
    ///
    /// # Errors
    /// [`TreeError::NotATree`].
    pub async fn named(&self, place: &Place, name: &str) -> Result<Listed, TreeError> {
        let found = self.list(place, false).await?.into_iter().find(|listed| {
            let named = listed.tree.as_ref().is_some_and(|tree| tree.name == name);
            named || listed.directory == Path::new(name)
        });
        found.ok_or(TreeError::NotATree {
            directory: name.into(),
            why: "is no worktree of this repository",
        })
    }

    /// What a worktree changed since it left its base.
    pub async fn summary(&self, tree: &Tree) -> Result<Summary, TreeError> {
        let tree = tree.clone();
        blocking(move || summary(&tree, false)).await
    }
}

/// Worktrees that are looked into at the same time.
const LOOKS_MAX: usize = 4;

/// What each would lose and changed, in the order given. Some at a time: a look waits for the disk, or for a processor.
fn look_into(place: &Place, there: &[(Linked, Option<Tree>)]) -> Vec<Look> {
    let looks: Vec<OnceLock<Look>> = there.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(at) =
            Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < there.len())
        {
            let (linked, tree) = &there[at];
            let _ = looks[at].set(look(place, linked, tree.as_ref()));
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = there.len().min(cores).min(LOOKS_MAX);
    std::thread::scope(|scope| {
        // this thread is one of them
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    looks
        .into_iter()
        .map(|look| look.into_inner().unwrap_or_default())
        .collect()
}

type Look = (Option<Losses>, Option<Summary>);

fn look(place: &Place, linked: &Linked, tree: Option<&Tree>) -> Look {
    // one that cannot be read must not hide the others
    let losses = inspect::losses(place, linked, tree)
        .inspect_err(|error| tracing::warn!(tree = %linked.directory.display(), %error, "a worktree cannot be looked into"))
        .ok();
    let is_clean = losses.as_ref().is_some_and(|losses| {
        losses.modified.is_empty() && losses.untracked.is_empty() && losses.nested.is_empty()
    });
    let summary = tree
        .filter(|_| linked.is_there())
        .and_then(|tree| summary(tree, is_clean).ok());
    (losses, summary)
}

fn list(inner: &Inner, place: &Place, looked_into: bool) -> Result<Vec<Listed>, TreeError> {
    let mut trees = inner.trees(place);
    let mut there = Vec::new();
    for linked in place.linked() {
        if linked.directory == place.main() {
            continue;
        }
        let at = trees
            .iter()
            .position(|tree| tree.directory == linked.directory);
        let tree = at.map(|at| trees.swap_remove(at));
        there.push((linked, tree));
    }
    let looks = match looked_into {
        true => look_into(place, &there),
        false => Vec::new(),
    };
    let mut looks = looks.into_iter();
    let mut listed: Vec<Listed> = there
        .into_iter()
        .map(|(linked, tree)| {
            let (losses, summary) = looks.next().unwrap_or_default();
            Listed {
                state: state(inner, &linked, tree.as_ref()),
                branch: linked.branch(),
                locked: linked.locked,
                directory: linked.directory,
                tree,
                losses,
                summary,
            }
        })
        .collect();
    // those that git has forgotten, after `git worktree prune`
    listed.extend(trees.into_iter().map(|tree| Listed {
        directory: tree.directory.clone(),
        branch: tree.branch.clone(),
        state: match inner.held.has(&tree.directory) || tree.stage == Stage::Making {
            true => State::Making,
            false => State::Vanished,
        },
        locked: None,
        tree: Some(tree),
        losses: None,
        summary: None,
    }));
    listed.sort_by(|a, b| a.directory.cmp(&b.directory));
    Ok(listed)
}

fn state(inner: &Inner, linked: &Linked, tree: Option<&Tree>) -> State {
    match tree.map(|tree| tree.stage) {
        Some(Stage::Removing) => State::Removing,
        Some(Stage::Making) if inner.held.has(&linked.directory) => State::Making,
        Some(Stage::Making) => State::HalfMade,
        _ if linked.is_there() => State::Ready,
        _ => State::Vanished,
    }
}

/// Compares a worktree with its base. One that `is_clean` is as its last commit, so its files need no second look.
fn summary(tree: &Tree, is_clean: bool) -> Result<Summary, TreeError> {
    let base = tree.base.as_deref().unwrap_or(&tree.commit);
    let since = |base| match is_clean {
        true => vcs::committed_since(&tree.directory, base),
        false => vcs::diff_since(&tree.directory, base, 0),
    };
    let files = since(base)
        .or_else(|_| since(&tree.commit))
        .map_err(|error| TreeError::Broken(error.to_string()))?;
    let repo = Repository::open(&tree.directory)?;
    let head = repo.head()?.peel_to_commit()?.id();
    let base =
        super::place::commit_of(&repo, Some(base)).or_else(|_| Oid::from_str(&tree.commit))?;
    let (ahead, behind) = vcs::history(&repo)?.graph_ahead_behind(head, base)?;
    Ok(Summary {
        files: files.len(),
        additions: files.iter().map(|file| file.additions).sum(),
        deletions: files.iter().map(|file| file.deletions).sum(),
        ahead,
        behind,
    })
}

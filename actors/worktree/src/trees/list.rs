//! Which worktrees there are, and how they are.

use super::error::TreeError;
use super::inspect;
use super::place::{Linked, Place};
use super::record::{Stage, Tree};
use super::{Inner, Trees, blocking};
use crate::vcs;
use git2::{Oid, Repository};
pub use kilo_protocol::worktree::{Listed, State, Summary};
use std::path::Path;
use std::sync::Arc;

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
        blocking(move || summary(&tree)).await
    }
}

fn list(inner: &Inner, place: &Place, looked_into: bool) -> Result<Vec<Listed>, TreeError> {
    let mut trees = inner.trees(place);
    let mut listed = Vec::new();
    for linked in place.linked() {
        if linked.directory == place.main() {
            continue;
        }
        let at = trees
            .iter()
            .position(|tree| tree.directory == linked.directory);
        let tree = at.map(|at| trees.swap_remove(at));
        let losses = match looked_into {
            // one that cannot be read must not hide the others
            true => inspect::losses(place, &linked, tree.as_ref())
                .inspect_err(|error| tracing::warn!(tree = %linked.directory.display(), %error, "a worktree cannot be looked into"))
                .ok(),
            false => None,
        };
        let summary = match (&tree, looked_into && linked.is_there()) {
            (Some(tree), true) => summary(tree).ok(),
            _ => None,
        };
        listed.push(Listed {
            state: state(inner, &linked, tree.as_ref()),
            branch: linked.branch(),
            locked: linked.locked,
            directory: linked.directory,
            tree,
            losses,
            summary,
        });
    }
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

/// Compares a worktree with its base.
fn summary(tree: &Tree) -> Result<Summary, TreeError> {
    let base = tree.base.as_deref().unwrap_or(&tree.commit);
    let files = vcs::diff_since(&tree.directory, base, 0)
        .or_else(|_| vcs::diff_since(&tree.directory, &tree.commit, 0))
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

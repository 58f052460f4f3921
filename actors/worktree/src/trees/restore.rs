//! Brings back what was removed or reset.

use super::bring;
use super::copies;
use super::create::{blank, reserve_as};
use super::error::TreeError;
use super::kept::{self, Kept};
use super::place::Place;
use super::record::{Stage, Tree};
use super::{Inner, Trees, blocking};
use git2::{Oid, Repository};
use std::fs;
use std::path::Path;
use std::sync::Arc;

impl Trees {
    /// The states that are kept, newest first.
    pub async fn kept(&self, place: &Place) -> Result<Vec<Kept>, TreeError> {
        self.sweep(place).await;
        let place = place.clone();
        blocking(move || Ok(kept::all(&place.open()?))).await
    }

    /// Brings a state back as a worktree: its name, branch and folder, or ones like them where those are taken by now; its
    /// commits, what was staged, its files. `what` is a state's id, or a worktree's name for its newest state.
    ///
    /// # Errors
    /// [`TreeError::NotKept`].
    pub async fn restore(&self, place: &Place, what: &str) -> Result<Tree, TreeError> {
        self.sweep(place).await;
        let (inner, here, what) = (Arc::clone(&self.0), place.clone(), what.to_owned());
        let (kept, tree) = blocking(move || prepare(&inner, &here, &what)).await?;
        self.0.step("restore reserved")?;
        let hold = self.0.hold(&tree.directory);
        let made = async {
            self.register(place, &tree).await?;
            self.0.step("restore registered")?;
            let git = &self.0.git;
            git.run(&tree.directory, &["reset", "--hard", "--quiet"])
                .await?;
            self.0.step("restore checked out")?;
            let (inner, place, tree) = (Arc::clone(&self.0), place.clone(), tree.clone());
            blocking(move || put_back(&inner, &place, &kept, tree)).await
        };
        let made = made.await;
        drop(hold);
        if made.is_err() {
            self.drop_restored(place, &tree).await;
        }
        made
    }

    /// What a failed restoring made; the state itself is still kept.
    async fn drop_restored(&self, place: &Place, tree: &Tree) {
        let (inner, place, tree) = (Arc::clone(&self.0), place.clone(), tree.clone());
        let dropped = blocking(move || match inner.is_dead() {
            true => Ok(()),
            false => super::remove::drop_half_made(&inner, &place, &tree, false),
        });
        if let Err(error) = dropped.await {
            tracing::warn!(%error, "a worktree that was not restored is left");
        }
    }
}

fn prepare(inner: &Inner, place: &Place, what: &str) -> Result<(Kept, Tree), TreeError> {
    let repo = place.open()?;
    let all = kept::all(&repo);
    let found = all.iter().find(|kept| kept.id == what);
    let found = found.or_else(|| all.iter().find(|kept| kept.name == what));
    let kept = found
        .cloned()
        .ok_or_else(|| TreeError::NotKept(what.into()))?;
    let old = kept.tree.clone();
    let branch_is_free = |name: &str| {
        let of_branch = format!("refs/heads/{name}");
        repo.find_reference(&of_branch).is_err()
    };
    let owned = old.as_ref().is_none_or(|tree| tree.owns_branch);
    let before = kept
        .branch
        .clone()
        .filter(|name| owned && branch_is_free(name));
    let tree = reserve_as(inner, place, &repo, &kept.name, |name| Tree {
        branch: match &before {
            Some(branch) => Some(branch.clone()),
            // a branch of somebody else's, which lives on: HEAD is detached where it was
            None if kept.branch.is_none() || !owned => None,
            None => Some(format!("opencode/{name}")),
        },
        owns_branch: owned && kept.branch.is_some(),
        commit: kept.commit.clone(),
        base: old.as_ref().and_then(|tree| tree.base.clone()),
        origin: old
            .as_ref()
            .map_or_else(|| place.main(), |tree| tree.origin.clone()),
        ..blank(inner, place)
    })?;
    Ok((kept, tree))
}

fn put_back(inner: &Inner, place: &Place, kept: &Kept, mut tree: Tree) -> Result<Tree, TreeError> {
    let repo = Repository::open(&tree.directory)?;
    let find = |text: &str| repo.find_tree(Oid::from_str(text)?);
    let head = repo.find_commit(Oid::from_str(&kept.commit)?)?.tree()?;
    bring::write(&repo, &head, &find(&kept.files)?)?;
    let mut index = repo.index()?;
    if kept.staged != head.id().to_string() {
        index.read_tree(&find(&kept.staged)?)?;
        index.write()?;
    }
    let ignored = kept::ignored_folder(inner, place, &kept.id);
    ignored_back(&ignored, &ignored, &tree.directory)?;
    inner.step("restore written")?;
    // the commit that it once started from, for its diffs
    if let Some(old) = &kept.tree {
        tree.commit = old.commit.clone();
    }
    tree.stage = Stage::Ready;
    inner.records(place).write(&tree)?;
    inner.step("restore recorded")?;
    kept::forget(inner, place, &repo, &kept.id);
    Ok(tree)
}

fn ignored_back(top: &Path, folder: &Path, tree: &Path) -> Result<(), TreeError> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            ignored_back(top, &path, tree)?;
        } else if let Ok(below) = path.strip_prefix(top) {
            copies::file(&path, &tree.join(below))?;
        }
    }
    Ok(())
}

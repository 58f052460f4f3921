//! Takes worktrees away. Their state is kept first, then the folder goes in one step.

use super::error::{Losses, TreeError};
use super::expire::expire;
use super::inspect;
use super::kept;
use super::place::{Linked, Place};
use super::record::{Stage, Tree};
use super::{Inner, Trees, blocking};
use git2::{Oid, Repository};
pub use kilo_protocol::worktree::Removed;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The mark of a folder that goes.
pub(super) const GONE: &str = ".gone-";

/// What the caller says to the losses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// They may go; what can be kept is kept.
    pub force: bool,
    /// Who works in the worktree.
    pub users: Vec<String>,
}

impl Trees {
    /// What the removal of a worktree would take with it.
    pub async fn losses(&self, place: &Place, directory: &Path) -> Result<Losses, TreeError> {
        let (inner, place) = (Arc::clone(&self.0), place.clone());
        let directory = directory.to_path_buf();
        blocking(move || {
            let (linked, tree) = find(&inner, &place, &directory)?;
            inspect::losses(&place, &linked, tree.as_ref())
        })
        .await
    }

    /// Removes a worktree, its branch if that was made with it, and its folder.
    ///
    /// # Errors
    /// [`TreeError::WouldLose`] unless the answer says that it may.
    pub async fn remove(
        &self,
        place: &Place,
        directory: &Path,
        answer: Answer,
    ) -> Result<Removed, TreeError> {
        self.sweep(place).await;
        let (inner, place) = (Arc::clone(&self.0), place.clone());
        let directory = directory.to_path_buf();
        blocking(move || remove(&inner, &place, &directory, answer)).await
    }
}

/// A linked worktree of the place, by its folder, and our record of it.
pub(super) fn find(
    inner: &Inner,
    place: &Place,
    directory: &Path,
) -> Result<(Linked, Option<Tree>), TreeError> {
    let directory = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_path_buf());
    let not = |why| TreeError::NotATree {
        directory: directory.clone(),
        why,
    };
    if directory == place.main() {
        return Err(not("is the repository's main worktree"));
    }
    let mut linked = place.linked().into_iter();
    let linked = linked
        .find(|linked| linked.directory == directory)
        .ok_or_else(|| not("is no worktree of this repository"))?;
    let mut trees = inner.trees(place).into_iter();
    let tree = trees.find(|tree| tree.directory == directory);
    Ok((linked, tree))
}

fn remove(
    inner: &Inner,
    place: &Place,
    directory: &Path,
    answer: Answer,
) -> Result<Removed, TreeError> {
    let (linked, tree) = find(inner, place, directory)?;
    let _hold = inner.hold(&linked.directory)?;
    let losses = Losses {
        users: answer.users,
        ..inspect::losses(place, &linked, tree.as_ref())?
    };
    if !losses.is_empty() && !answer.force {
        return Err(TreeError::WouldLose(Box::new(losses)));
    }
    let kept = kept::keep(inner, place, &linked, tree.as_ref(), "removed")?;
    if !kept.left.is_empty() && !answer.force {
        let untracked = kept.left;
        return Err(TreeError::WouldLose(Box::new(Losses {
            untracked,
            ..losses
        })));
    }
    inner.step("kept")?;
    if let Some(tree) = &tree {
        let going = Tree {
            stage: Stage::Removing,
            ..tree.clone()
        };
        inner.records(place).write(&going)?;
        inner.step("marked")?;
    }
    let moved = match linked.is_there() {
        true => take_away(&linked.directory),
        // whatever is in its place is somebody else's
        false => Ok(None),
    };
    let gone = moved.inspect_err(|_| {
        let back = tree.as_ref().map(|tree| inner.records(place).write(tree));
        if let Some(Err(error)) = back {
            tracing::warn!(%error, "a worktree that could not be moved is marked as going");
        }
    })?;
    inner.step("moved")?;
    finish(inner, place, Some(&linked.admin), tree.as_ref())?;
    delete(gone.as_deref());
    expire(inner, place);
    Ok(Removed { kept, losses })
}

/// Moves a folder out of the way, in one step. None when it is not there.
pub(super) fn take_away(directory: &Path) -> Result<Option<PathBuf>, TreeError> {
    let failed = |error| TreeError::io(format!("cannot move {}", directory.display()))(error);
    let mut gone = gone_of(directory);
    while gone.symlink_metadata().is_ok() {
        gone.as_mut_os_string().push("-2");
    }
    match fs::rename(directory, &gone) {
        Ok(()) => Ok(Some(gone)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Where the folder of a worktree goes before it is deleted.
pub(super) fn gone_of(directory: &Path) -> PathBuf {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    directory.with_file_name(format!("{GONE}{name}"))
}

/// Deletes a folder that was moved away. What is left of it is found by the next sweep.
pub(super) fn delete(gone: Option<&Path>) {
    let Some(gone) = gone else { return };
    if let Err(error) = fs::remove_dir_all(gone)
        && error.kind() != ErrorKind::NotFound
    {
        tracing::warn!(folder = %gone.display(), %error, "what is left of a worktree cannot be deleted yet");
    }
}

/// What comes after the folder: git's own data, the branch, the record. Harmless when repeated.
pub(super) fn finish(
    inner: &Inner,
    place: &Place,
    admin: Option<&Path>,
    tree: Option<&Tree>,
) -> Result<(), TreeError> {
    if let Some(admin) = admin
        && let Err(error) = fs::remove_dir_all(admin)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(TreeError::io(format!("cannot delete {}", admin.display()))(
            error,
        ));
    }
    // as git does, which takes the folder for a sign that there are any
    let _ = fs::remove_dir(place.common.join("worktrees"));
    inner.step("unregistered")?;
    let Some(tree) = tree else { return Ok(()) };
    if let (Some(branch), true) = (&tree.branch, tree.owns_branch) {
        remove_branch(place, branch)?;
        inner.step("without branch")?;
    }
    inner.records(place).remove(&tree.name);
    inner.forget_ports();
    inner.step("forgotten")
}

/// Removes a branch that no worktree has checked out.
fn remove_branch(place: &Place, branch: &str) -> Result<(), TreeError> {
    let elsewhere = place
        .linked()
        .iter()
        .any(|other| other.branch().as_deref() == Some(branch));
    let repo = Repository::open(&place.common)?;
    let in_main = repo
        .head()
        .is_ok_and(|head| head.shorthand().is_ok_and(|name| name == branch));
    if elsewhere || in_main {
        return Ok(());
    }
    match repo.find_reference(&format!("refs/heads/{branch}")) {
        Ok(mut reference) => Ok(reference.delete()?),
        Err(_) => Ok(()),
    }
}

/// Takes away a worktree that was never ready. `may_be_used`: a crash came between, so what is in it is kept all the same.
pub(super) fn drop_half_made(
    inner: &Inner,
    place: &Place,
    tree: &Tree,
    may_be_used: bool,
) -> Result<(), TreeError> {
    let linked = place
        .linked()
        .into_iter()
        .find(|linked| linked.directory == tree.directory);
    if let Some(linked) = linked
        .as_ref()
        .filter(|linked| may_be_used && linked.is_there())
        && holds_work(linked, tree)?
    {
        kept::keep(inner, place, linked, Some(tree), "half-made")?;
    }
    let is_there = linked.as_ref().is_some_and(Linked::is_there);
    let gone = match is_there {
        true => take_away(&tree.directory)?,
        false => {
            clear_beginning(&tree.directory);
            None
        }
    };
    inner.step("half-made moved")?;
    finish(
        inner,
        place,
        linked.as_ref().map(|linked| &*linked.admin),
        Some(tree),
    )?;
    delete(gone.as_deref());
    Ok(())
}

/// Deletes what git makes of a worktree first, and nothing else: an empty folder, or one with the `.git` file alone.
fn clear_beginning(directory: &Path) {
    let entry = directory.join(".git");
    let mut entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let is_alone = entries.all(|found| found.path() == entry);
    if is_alone && entry.symlink_metadata().is_ok_and(|about| about.is_file()) {
        let _ = fs::remove_file(&entry);
    }
    let _ = fs::remove_dir(directory);
}

/// Whether a half-made worktree holds anything beside the files of its commit: changed or further files, commits.
fn holds_work(linked: &Linked, tree: &Tree) -> Result<bool, TreeError> {
    let repo = Repository::open(&linked.directory)?;
    let commit = repo.find_commit(Oid::from_str(&tree.commit)?)?;
    let head = repo.head().ok().and_then(|head| head.target());
    if head.is_some_and(|head| head != commit.id()) {
        return Ok(true);
    }
    let mut options = git2::DiffOptions::new();
    options.include_untracked(true).ignore_submodules(true);
    let diff = repo.diff_tree_to_workdir(Some(&commit.tree()?), Some(&mut options))?;
    let held = diff
        .deltas()
        .any(|delta| delta.status() != git2::Delta::Deleted);
    Ok(held)
}

//! What would be lost with a worktree.

use super::error::{Losses, TreeError};
use super::place::{Linked, Place};
use super::record::Tree;
use crate::sparse::left_out;
use crate::vcs::history;
use git2::{Oid, Repository, RepositoryState, Status, StatusOptions};
use std::path::{Path, PathBuf};

/// Files that are named.
const NAMED_MAX: usize = 100;
/// Commits that are counted.
const COMMITS_MAX: usize = 10_000;
/// Refs of ours and of `git stash`: they hold commits, but nobody works there.
pub(super) const NOT_BRANCHES: [&str; 2] = ["refs/kilo/", "refs/stash"];

/// Looks at a worktree. One whose folder is gone has nothing but its branch left.
pub(super) fn losses(
    place: &Place,
    linked: &Linked,
    tree: Option<&Tree>,
) -> Result<Losses, TreeError> {
    let mut losses = Losses {
        locked: linked.locked.clone(),
        ..Losses::default()
    };
    let repo = match linked.is_there() {
        true => Repository::open(&linked.directory)?,
        false => place.open()?,
    };
    if linked.is_there() {
        files(&repo, &mut losses)?;
        losses.unfinished = unfinished(repo.state());
        losses.nested = nested(place, &linked.directory);
    }
    losses.commits = own_commits(&repo, linked, tree)?.len();
    Ok(losses)
}

fn files(repo: &Repository, losses: &mut Losses) -> Result<(), TreeError> {
    let mut options = StatusOptions::new();
    options
        .include_untracked(true)
        .recurse_untracked_dirs(false)
        .exclude_submodules(true);
    let root = repo.workdir().unwrap_or_else(|| repo.path());
    let left_out = left_out(&repo.index()?, root);
    for entry in repo.statuses(Some(&mut options))?.iter() {
        let list = match entry.status() {
            status if status.contains(Status::IGNORED) => continue,
            Status::WT_DELETED if left_out.contains(entry.path_bytes()) => continue,
            status if status == Status::WT_NEW => &mut losses.untracked,
            _ => &mut losses.modified,
        };
        if list.len() < NAMED_MAX {
            list.push(String::from_utf8_lossy(entry.path_bytes()).into_owned());
        }
    }
    Ok(())
}

fn unfinished(state: RepositoryState) -> Option<String> {
    let name = match state {
        RepositoryState::Clean => return None,
        RepositoryState::Merge => "merge",
        RepositoryState::Revert | RepositoryState::RevertSequence => "revert",
        RepositoryState::CherryPick | RepositoryState::CherryPickSequence => "cherry-pick",
        RepositoryState::Bisect => "bisect",
        RepositoryState::ApplyMailbox | RepositoryState::ApplyMailboxOrRebase => {
            "series of patches"
        }
        _ => "rebase",
    };
    Some(name.into())
}

/// Other worktrees of the repository in its folder, repositories and submodules.
fn nested(place: &Place, directory: &Path) -> Vec<String> {
    let mut found: Vec<String> = place
        .linked()
        .into_iter()
        .filter(|other| other.directory != directory && other.directory.starts_with(directory))
        .map(|other| other.directory.display().to_string())
        .collect();
    // also in folders that git ignores; the names are enough, so nothing is looked at but the folders
    let mut open = folders(directory).0;
    while let Some(folder) = open.pop() {
        let (below, is_repository) = folders(&folder);
        if is_repository {
            found.push(folder.display().to_string());
        }
        open.extend(below);
    }
    found.sort();
    found.dedup();
    found.truncate(NAMED_MAX);
    found
}

/// The folders in a folder, and whether there is a `.git` in it.
fn folders(folder: &Path) -> (Vec<PathBuf>, bool) {
    let (mut found, mut is_repository) = (Vec::new(), false);
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name() == ".git" {
            is_repository = true;
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path());
        }
    }
    (found, is_repository)
}

/// The commits that go when the worktree goes: those of a detached HEAD and of a branch that was made for it, as far as no
/// other ref has them. Newest first.
pub(super) fn own_commits(
    repo: &Repository,
    linked: &Linked,
    tree: Option<&Tree>,
) -> Result<Vec<Oid>, TreeError> {
    let owned = tree
        .filter(|tree| tree.owns_branch)
        .and_then(|tree| tree.branch.as_ref())
        .map(|branch| format!("refs/heads/{branch}"));
    let whole = history(repo)?;
    let mut walk = whole.revwalk()?;
    let mut tips = 0;
    let mut push = |oid: Option<Oid>| {
        let Some(oid) = oid else { return Ok(()) };
        tips += 1;
        walk.push(oid)
    };
    if let Some(name) = &owned {
        push(repo.refname_to_id(name).ok())?;
    }
    if linked.branch().is_none() && linked.is_there() {
        push(repo.head().ok().and_then(|head| head.target()))?;
    }
    if tips == 0 {
        return Ok(Vec::new());
    }
    for reference in repo.references()?.flatten() {
        let Ok(name) = reference.name() else { continue };
        let is_other = Some(name) != owned.as_deref()
            && !NOT_BRANCHES.iter().any(|ours| name.starts_with(ours));
        if is_other && let Ok(commit) = reference.peel_to_commit() {
            walk.hide(commit.id())?;
        }
    }
    Ok(walk.take(COMMITS_MAX).collect::<Result<_, _>>()?)
}

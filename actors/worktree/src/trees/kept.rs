//! The state of worktrees that were removed or reset: a commit under `refs/kilo/kept/`, which says of itself what it is.
//!
//! Its tree are the files, its first parent is HEAD, its second one holds what was staged, further ones the branch where
//! HEAD was elsewhere. Small ignored files, such as `.env`, are not put into the repository; they are kept in a folder of
//! ours.

use super::copies;
use super::error::TreeError;
use super::place::{Linked, Place};
use super::record::{Tree, private};
use super::snapshot;
use super::{Inner, KEPT_MS};
use git2::{Commit, Oid, Repository, Signature, Status, StatusOptions, Time};
use kilo_protocol::Millis;
pub use kilo_protocol::worktree::Kept;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the refs are.
pub(super) const REFS: &str = "refs/kilo/kept/";
/// Ignored files up to this are kept (1 MiB), as many as this.
const IGNORED_BYTES_MAX: u64 = 1024 * 1024;
const IGNORED_MAX: usize = 1_000;

/// The folder of ignored files of a state.
pub(super) fn ignored_folder(inner: &Inner, place: &Place, id: &str) -> PathBuf {
    inner.folder(place).join(".kilo").join("kept").join(id)
}

/// Keeps the state of a worktree.
pub(super) fn keep(
    inner: &Inner,
    place: &Place,
    linked: &Linked,
    tree: Option<&Tree>,
    why: &str,
) -> Result<Kept, TreeError> {
    let is_there = linked.is_there();
    let repo = match is_there {
        true => Repository::open(&linked.directory)?,
        false => place.open()?,
    };
    let own = tree.and_then(|tree| tree.branch.clone());
    let branch = linked.branch().or_else(|| own.clone());
    let tip = |name: &String| repo.refname_to_id(&format!("refs/heads/{name}")).ok();
    let head = match is_there {
        true => repo.head().ok().and_then(|head| head.target()),
        false => branch.as_ref().and_then(tip),
    };
    let recorded = || tree.and_then(|tree| Oid::from_str(&tree.commit).ok());
    let Some(head) = head.or_else(recorded) else {
        return Err(TreeError::NoCommit);
    };
    let head = repo.find_commit(head)?;
    let state = match is_there {
        true => snapshot::take(&repo)?,
        false => snapshot::Snapshot {
            files: head.tree_id(),
            staged: head.tree_id(),
            left: Vec::new(),
        },
    };
    let now = inner.clock.now();
    let name = match tree {
        Some(tree) => tree.name.clone(),
        None => linked
            .directory
            .file_name()
            .map(|name| super::names::slug(&name.to_string_lossy()))
            .unwrap_or_default(),
    };
    let mut kept = Kept {
        id: String::new(),
        branch,
        directory: linked.directory.clone(),
        commit: head.id().to_string(),
        at: now,
        until: now + KEPT_MS,
        why: why.into(),
        left: state.left,
        tree: tree.cloned(),
        staged: state.staged.to_string(),
        files: state.files.to_string(),
        name,
    };
    kept.id = free_id(&repo, &kept);
    if is_there {
        keep_ignored(&repo, &ignored_folder(inner, place, &kept.id))?;
    }
    let other = own.as_ref().and_then(tip).filter(|tip| *tip != head.id());
    write(&repo, &kept, &head, other)?;
    Ok(kept)
}

fn free_id(repo: &Repository, kept: &Kept) -> String {
    let mut id = format!("{}-{}", kept.name, kept.at);
    while repo.find_reference(&format!("{REFS}{id}")).is_ok() {
        id.push_str("-2");
    }
    id
}

fn signature(at: Millis) -> Result<Signature<'static>, git2::Error> {
    Signature::new("kilo", "kilo@localhost", &Time::new((at / 1_000) as i64, 0))
}

fn write(
    repo: &Repository,
    kept: &Kept,
    head: &Commit<'_>,
    other: Option<Oid>,
) -> Result<(), TreeError> {
    let by = signature(kept.at)?;
    let oid = |text: &str| Oid::from_str(text);
    let staged = repo.find_tree(oid(&kept.staged)?)?;
    let staged = repo.commit(None, &by, &by, "staged", &staged, &[head])?;
    let staged = repo.find_commit(staged)?;
    let mut parents = vec![head, &staged];
    let other = other.map(|oid| repo.find_commit(oid)).transpose()?;
    parents.extend(other.as_ref());
    let message =
        serde_json::to_string(kept).map_err(|error| TreeError::Broken(error.to_string()))?;
    let files = repo.find_tree(oid(&kept.files)?)?;
    let commit = repo.commit(None, &by, &by, &message, &files, &parents)?;
    repo.reference(&format!("{REFS}{}", kept.id), commit, false, "kept")?;
    Ok(())
}

/// Copies the single ignored files into `folder`; what lies in ignored folders can be made again.
fn keep_ignored(repo: &Repository, folder: &Path) -> Result<(), TreeError> {
    let Some(root) = repo.workdir() else {
        return Ok(());
    };
    let mut options = StatusOptions::new();
    options
        .include_ignored(true)
        .recurse_ignored_dirs(false)
        .exclude_submodules(true);
    let mut count = 0;
    for entry in repo.statuses(Some(&mut options))?.iter() {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(entry.path_bytes()));
        let from = root.join(path);
        let fits = from
            .symlink_metadata()
            .is_ok_and(|about| about.is_file() && about.len() <= IGNORED_BYTES_MAX);
        if entry.status() == Status::IGNORED && fits && count < IGNORED_MAX {
            if count == 0 {
                private(folder).map_err(TreeError::io("cannot keep ignored files"))?;
            }
            count += 1;
            copies::file(&from, &folder.join(path))?;
        }
    }
    Ok(())
}

/// All states that are kept, newest first.
pub(super) fn all(repo: &Repository) -> Vec<Kept> {
    let Ok(found) = repo.references_glob(&format!("{REFS}*")) else {
        return Vec::new();
    };
    let mut all: Vec<Kept> = found
        .flatten()
        .filter_map(|reference| {
            let commit = reference.peel_to_commit().ok()?;
            serde_json::from_slice(commit.message_bytes()).ok()
        })
        .collect();
    all.sort_by(|a, b| (b.at, &b.id).cmp(&(a.at, &a.id)));
    all
}

/// Forgets a state.
pub(super) fn forget(inner: &Inner, place: &Place, repo: &Repository, id: &str) {
    let removed = repo
        .find_reference(&format!("{REFS}{id}"))
        .and_then(|mut reference| reference.delete());
    if let Err(error) = removed {
        tracing::warn!(id, %error, "the state of a worktree cannot be forgotten");
    }
    let _ = fs::remove_dir_all(ignored_folder(inner, place, id));
}

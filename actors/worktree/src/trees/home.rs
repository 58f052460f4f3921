//! Brings the result of a worktree home: as a patch of the files, as commits, or merged. Everything is tried in memory; files
//! and branch change only when all of it fits.

use super::bring::{self, conflicts};
use super::error::{Conflict, TreeError};
use super::index_lock::IndexLock;
use super::place::Place;
use super::remove::find;
use super::snapshot;
use super::{Trees, blocking};
use crate::vcs::history;
use git2::{Commit, Index, Oid, Repository, Sort};
pub use kilo_protocol::requests::ApplyAs as How;
pub use kilo_protocol::worktree::Landed;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Commits that are brought home at once.
const COMMITS_MAX: usize = 1_000;

/// What is brought where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// In which form.
    pub how: How,
    /// The top folder of another worktree of the repository; without one that which the worktree was made from.
    pub into: Option<PathBuf>,
    /// Only these files or folders; for patches.
    pub files: Option<Vec<String>>,
    /// Commit what is uncommitted first, with this message; for commits and merges.
    pub message: Option<String>,
    /// Look only whether it fits.
    pub only_look: bool,
}

impl Trees {
    /// Brings the result of the worktree in `directory` home.
    ///
    /// # Errors
    /// [`TreeError::Conflicts`], file by file: then nothing was written. [`TreeError::Nothing`].
    pub async fn apply(
        &self,
        place: &Place,
        directory: &Path,
        order: Order,
    ) -> Result<Landed, TreeError> {
        let (inner, place) = (Arc::clone(&self.0), place.clone());
        let directory = directory.to_path_buf();
        blocking(move || {
            let (linked, tree) = find(&inner, &place, &directory)?;
            let _hold = inner.hold(&linked.directory)?;
            let origin = tree.as_ref().map(|tree| tree.origin.clone());
            let origin = origin.filter(|origin| origin.is_dir() && *origin != linked.directory);
            let into = match &order.into {
                Some(into) => Place::find(&place.project, into)?,
                None => Place::find(&place.project, &origin.unwrap_or_else(|| place.main()))?,
            };
            if into.common != place.common || into.root == linked.directory {
                return Err(TreeError::NotATree {
                    directory: into.root,
                    why: "is no other worktree of this repository",
                });
            }
            let _hold_there = inner.hold(&into.root)?;
            let name =
                tree.map_or_else(|| linked.directory.display().to_string(), |tree| tree.name);
            match order.how {
                How::Patch => patch(&linked.directory, &into.root, &order),
                _ => commits(&linked.directory, &into.root, &name, &order),
            }
        })
        .await
    }
}

fn head(repo: &Repository) -> Result<Commit<'_>, TreeError> {
    repo.head()
        .and_then(|head| head.peel_to_commit())
        .map_err(|_| TreeError::NoCommit)
}

fn patch(from: &Path, into: &Path, order: &Order) -> Result<Landed, TreeError> {
    let (source, target) = (Repository::open(from)?, Repository::open(into)?);
    let theirs = snapshot::take(&source)?.files;
    let base = history(&target)?.merge_base(head(&source)?.id(), head(&target)?.id())?;
    let base = target.find_commit(base)?.tree_id();
    let only = order.files.as_deref();
    let brought = match order.only_look {
        true => bring::look(into, base, theirs, only)?,
        false => bring::bring(into, base, theirs, only)?,
    };
    Ok(Landed {
        how: How::Patch,
        into: into.to_path_buf(),
        files: brought.files,
        commits: Vec::new(),
    })
}

fn commits(from: &Path, into: &Path, name: &str, order: &Order) -> Result<Landed, TreeError> {
    let (source, target) = (Repository::open(from)?, Repository::open(into)?);
    commit_rest(&source, order)?;
    let (theirs, ours) = (head(&source)?.id(), head(&target)?.id());
    let whole = history(&target)?;
    let base = whole.merge_base(ours, theirs)?;
    if base == theirs {
        return Err(TreeError::Nothing);
    }
    let (tip, made) = match order.how {
        _ if base == ours => (theirs, between(&whole, base, theirs)?),
        How::Merge => merge(&target, ours, theirs, name)?,
        _ => replay(&target, ours, &between(&whole, base, theirs)?)?,
    };
    let files = land(&target, ours, tip, order.only_look)?;
    Ok(Landed {
        how: order.how,
        into: into.to_path_buf(),
        files,
        commits: made.iter().map(Oid::to_string).collect(),
    })
}

/// Commits what is uncommitted, if the order has a message for it.
fn commit_rest(source: &Repository, order: &Order) -> Result<(), TreeError> {
    let state = snapshot::take(source)?;
    let last = head(source)?;
    if state.files == last.tree_id() {
        return Ok(());
    }
    let Some(message) = order.message.as_ref().filter(|_| !order.only_look) else {
        return Err(TreeError::Uncommitted);
    };
    let by = signature(source, &last)?;
    let tree = source.find_tree(state.files)?;
    let mut index = source.index()?;
    index.read_tree(&tree)?;
    index.write()?;
    source.commit(Some("HEAD"), &by, &by, message, &tree, &[&last])?;
    Ok(())
}

/// Who commits: as git is configured, else as the last commit was.
fn signature(repo: &Repository, last: &Commit<'_>) -> Result<git2::Signature<'static>, TreeError> {
    let configured = repo.signature();
    Ok(configured.or_else(|_| {
        let author = last.author();
        let name = author.name().unwrap_or("kilo").to_owned();
        let email = author.email().unwrap_or("kilo@localhost").to_owned();
        git2::Signature::now(&name, &email)
    })?)
}

/// The commits after `base` up to `tip`, oldest first.
fn between(repo: &Repository, base: Oid, tip: Oid) -> Result<Vec<Oid>, TreeError> {
    let mut walk = repo.revwalk()?;
    walk.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE)?;
    walk.push(tip)?;
    walk.hide(base)?;
    let found: Vec<Oid> = walk.take(COMMITS_MAX + 1).collect::<Result<_, _>>()?;
    match found.len() > COMMITS_MAX {
        true => Err(TreeError::Broken(format!(
            "there are more than {COMMITS_MAX} commits: merge them"
        ))),
        false => Ok(found),
    }
}

fn whole<'repo>(repo: &'repo Repository, mut index: Index) -> Result<git2::Tree<'repo>, TreeError> {
    if index.has_conflicts() {
        return Err(TreeError::Conflicts(conflicts(repo, &index)?));
    }
    Ok(repo.find_tree(index.write_tree_to(repo)?)?)
}

fn merge(
    repo: &Repository,
    ours: Oid,
    theirs: Oid,
    name: &str,
) -> Result<(Oid, Vec<Oid>), TreeError> {
    let (ours, theirs) = (repo.find_commit(ours)?, repo.find_commit(theirs)?);
    let tree = whole(repo, repo.merge_commits(&ours, &theirs, None)?)?;
    let by = signature(repo, &ours)?;
    let message = format!("Merge worktree {name}\n");
    let made = repo.commit(None, &by, &by, &message, &tree, &[&ours, &theirs])?;
    Ok((made, vec![made]))
}

/// Puts commits one after the other on top of `ours`.
fn replay(repo: &Repository, ours: Oid, list: &[Oid]) -> Result<(Oid, Vec<Oid>), TreeError> {
    let mut tip = repo.find_commit(ours)?;
    let mut made = Vec::new();
    for id in list {
        let commit = repo.find_commit(*id)?;
        if commit.parent_count() > 1 {
            let what =
                "it has merges of its own, which cannot be put on top of other commits: merge it";
            return Err(TreeError::Broken(what.into()));
        }
        let tree = whole(repo, repo.cherrypick_commit(&commit, &tip, 0, None)?)?;
        if tree.id() == tip.tree_id() {
            continue; // it is there already
        }
        let by = signature(repo, &tip)?;
        let message = String::from_utf8_lossy(commit.message_bytes()).into_owned();
        let new = repo.commit(None, &commit.author(), &by, &message, &tree, &[&tip])?;
        made.push(new);
        tip = repo.find_commit(new)?;
    }
    Ok((tip.id(), made))
}

/// Takes files, index and branch of `repo`'s worktree from `ours` to `tip`. Changes there that are not committed stay, and
/// are conflicts where `tip` touches the same file.
fn land(repo: &Repository, ours: Oid, tip: Oid, only_look: bool) -> Result<Vec<String>, TreeError> {
    let (old, new) = (
        repo.find_commit(ours)?.tree()?,
        repo.find_commit(tip)?.tree()?,
    );
    let lock = match only_look {
        true => None,
        false => Some(IndexLock::take(repo)?),
    };
    let now = repo.find_tree(snapshot::take(repo)?.files)?;
    let paths = changed(repo, &old, &new)?;
    let entry = |tree: &git2::Tree<'_>, path: &Path| {
        tree.get_path(path).ok().map(|it| (it.id(), it.filemode()))
    };
    let is_open = |path: &&PathBuf| {
        let here = entry(&now, path);
        here != entry(&old, path) && here != entry(&new, path)
    };
    let open: Vec<Conflict> = paths
        .iter()
        .filter(is_open)
        .map(|path| Conflict {
            file: path.to_string_lossy().into_owned(),
            kind: "uncommitted".into(),
            merged: None,
        })
        .collect();
    if !open.is_empty() {
        return Err(TreeError::Conflicts(open));
    }
    let names = paths.iter().map(|path| path.to_string_lossy().into_owned());
    let names: Vec<String> = names.collect();
    let Some(lock) = lock else {
        return Ok(names);
    };
    let branch = branch_at(repo, ours)?;
    let target = with_paths(repo, &now, &new, &paths)?;
    bring::write(repo, &now, &target)?;
    lock.change(|index| stage(index, &new, &paths))?;
    let why = "kilo: brought a worktree's result home";
    repo.reference_matching(&branch, tip, true, ours, why)?;
    Ok(names)
}

/// The name of what HEAD stands for, which must still be at `ours`: a commit since then may not be lost.
fn branch_at(repo: &Repository, ours: Oid) -> Result<String, TreeError> {
    let head = repo.head()?;
    match (head.name(), head.target()) {
        (Ok(name), Some(at)) if at == ours => Ok(name.to_owned()),
        _ => Err(TreeError::Busy),
    }
}

fn changed(
    repo: &Repository,
    old: &git2::Tree<'_>,
    new: &git2::Tree<'_>,
) -> Result<BTreeSet<PathBuf>, TreeError> {
    let diff = repo.diff_tree_to_tree(Some(old), Some(new), None)?;
    let sides = diff.deltas().flat_map(|delta| {
        let path = |file: git2::DiffFile<'_>| {
            file.path_bytes()
                .map(|path| PathBuf::from(OsStr::from_bytes(path)))
        };
        [path(delta.old_file()), path(delta.new_file())]
    });
    Ok(sides.flatten().collect())
}

/// `tree` with `paths` as `new` has them.
fn with_paths<'repo>(
    repo: &'repo Repository,
    tree: &git2::Tree<'_>,
    new: &git2::Tree<'_>,
    paths: &BTreeSet<PathBuf>,
) -> Result<git2::Tree<'repo>, TreeError> {
    let mut index = Index::new()?;
    index.read_tree(tree)?;
    stage(&mut index, new, paths)?;
    Ok(repo.find_tree(index.write_tree_to(repo)?)?)
}

/// Puts `paths` into an index as `new` has them.
fn stage(
    index: &mut Index,
    new: &git2::Tree<'_>,
    paths: &BTreeSet<PathBuf>,
) -> Result<(), TreeError> {
    let mut wanted = Index::new()?;
    wanted.read_tree(new)?;
    for path in paths {
        // it may not be there
        let _ = index.remove_path(path);
        if let Some(entry) = wanted.get_path(path, 0) {
            index.add(&entry)?;
        }
    }
    Ok(())
}

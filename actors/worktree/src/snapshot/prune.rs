//! Makes room: drops objects that no kept checkpoint needs, and packs the rest.

use super::store::{Store, list};
use super::workers::failed;
use super::worktree::Worktree;
use super::{image, omitted};
use crate::stamp::{Stamp, kernel_now_ns};
use git2::{ObjectType, Odb, Oid, Repository};
use kilo_ports::checkpoint::CheckpointError;
use rustix::fs::{AtFlags, statat};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// So many loose objects are worth a pack.
const LOOSE_MAX: usize = 1_024;

/// What a prune did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PruneReport {
    /// Objects that a kept checkpoint needs.
    pub objects_kept: usize,
    /// Objects that were dropped.
    pub objects_removed: usize,
    /// Bytes of the objects before.
    pub bytes_before: u64,
    /// Bytes of the objects now.
    pub bytes_after: u64,
}

struct Loose {
    oid: Oid,
    path: PathBuf,
    is_old: bool,
}

/// Prunes one worktree's store; nothing else may use it meanwhile but readers.
pub(super) fn prune(
    worktree: &Worktree,
    keep: &[String],
    age: Duration,
) -> Result<PruneReport, CheckpointError> {
    let mut walk = worktree.walk.lock();
    let store = worktree.store()?;
    let since_ns = kernel_now_ns() - age.as_nanos().min(i64::MAX as u128 / 2) as i64;
    let mut roots: HashSet<String> = keep.iter().cloned().collect();
    if let Some(walk) = walk.as_ref() {
        roots.extend(walk.recent(since_ns).cloned());
    }
    let bytes_before = store.recount();
    let repo = store.writer()?;
    let odb = repo.odb().map_err(failed)?;
    let mut lists = omitted::prune(store, &roots)?;
    lists.extend(keep.iter().filter_map(|image| image::blob(image)));
    let kept = reachable(&odb, &roots, lists);
    let all = all_objects(&odb)?;
    let loose = loose_objects(store, since_ns);
    let loose_kept = loose
        .iter()
        .filter(|object| kept.contains(&object.oid))
        .count();
    let garbage = all.difference(&kept).count();
    let has_packed_garbage = garbage > loose.len() - loose_kept;
    let is_packed = loose_kept > LOOSE_MAX || has_packed_garbage || packs(store).len() > 1;
    if is_packed {
        pack(store, &repo, &kept)?;
    }
    for object in &loose {
        if (is_packed && kept.contains(&object.oid))
            || (object.is_old && !kept.contains(&object.oid))
        {
            let _ = fs::remove_file(&object.path);
        }
    }
    store.forget_readers();
    if let Some(walk) = walk.as_mut() {
        walk.reopen(store)?;
    }
    let left = all_objects(&store.writer()?.odb().map_err(failed)?)?;
    Ok(PruneReport {
        objects_kept: kept.len(),
        objects_removed: all.len().saturating_sub(left.len()),
        bytes_before,
        bytes_after: store.recount(),
    })
}

fn all_objects(odb: &Odb<'_>) -> Result<HashSet<Oid>, CheckpointError> {
    let mut all = HashSet::new();
    let note = |oid: &Oid| {
        all.insert(*oid);
        true
    };
    odb.foreach(note).map_err(failed)?;
    Ok(all)
}

/// All of our own objects that the trees `roots` and the blobs `lists` need.
fn reachable(odb: &Odb<'_>, roots: &HashSet<String>, lists: Vec<Oid>) -> HashSet<Oid> {
    let mut kept: HashSet<Oid> = lists.into_iter().filter(|oid| odb.exists(*oid)).collect();
    let mut trees: Vec<Oid> = roots
        .iter()
        .filter_map(|hash| Oid::from_str(hash).ok())
        .collect();
    while let Some(tree) = trees.pop() {
        if kept.contains(&tree) {
            continue;
        }
        let Ok(object) = odb.read(tree) else { continue };
        if object.kind() != ObjectType::Tree {
            continue;
        }
        kept.insert(tree);
        for (is_folder, oid) in members(object.data()) {
            if is_folder {
                trees.push(oid);
            } else if !kept.contains(&oid) && odb.exists_ext(oid, git2::OdbLookupFlags::NO_REFRESH)
            {
                kept.insert(oid); // others are the user's
            }
        }
    }
    kept
}

/// A tree's entries: whether each is a folder, and its hash.
fn members(mut tree: &[u8]) -> Vec<(bool, Oid)> {
    let mut members = Vec::new();
    while let Some(end) = tree.iter().position(|&byte| byte == 0) {
        let Some(oid) = tree
            .get(end + 1..end + 21)
            .and_then(|bytes| Oid::from_bytes(bytes).ok())
        else {
            break;
        };
        members.push((tree.starts_with(b"40000 "), oid));
        tree = &tree[end + 21..];
    }
    members
}

fn loose_objects(store: &Store, since_ns: i64) -> Vec<Loose> {
    let mut loose = Vec::new();
    for folder in list(&store.folder.join("objects")) {
        let start = folder.file_name().to_string_lossy().into_owned();
        if start.len() != 2 {
            continue;
        }
        for file in list(&folder.path()) {
            let name = format!("{start}{}", file.file_name().to_string_lossy());
            let Ok(oid) = Oid::from_str(&name) else {
                continue;
            };
            loose.push(Loose {
                oid,
                is_old: is_older(&file.path(), since_ns),
                path: file.path(),
            });
        }
    }
    loose
}

fn is_older(path: &Path, since_ns: i64) -> bool {
    statat(rustix::fs::CWD, path, AtFlags::empty())
        .is_ok_and(|stat| Stamp::of(&stat).mtime_ns < since_ns)
}

fn packs(store: &Store) -> Vec<PathBuf> {
    let files = list(&store.folder.join("objects/pack"))
        .into_iter()
        .map(|file| file.path());
    files
        .filter(|path| path.extension().is_some_and(|end| end == "pack"))
        .collect()
}

/// Writes all of `kept` into one pack and removes the packs there were.
fn pack(store: &Store, repo: &Repository, kept: &HashSet<Oid>) -> Result<(), CheckpointError> {
    let before = packs(store);
    let mut builder = repo.packbuilder().map_err(failed)?;
    builder.set_threads(1);
    for oid in kept {
        builder.insert_object(*oid, None).map_err(failed)?;
    }
    let mut new = String::new();
    if !kept.is_empty() {
        builder
            .write(&store.folder.join("objects/pack"), 0o400)
            .map_err(failed)?;
        new = format!(
            "pack-{}",
            builder.name().map_err(failed)?.unwrap_or_default()
        );
    }
    for old in before
        .iter()
        .filter(|old| old.file_stem().is_none_or(|stem| *stem != *new))
    {
        // the index first: a pack without one is swept at the next start
        let _ = fs::remove_file(old.with_extension("idx"));
        let _ = fs::remove_file(old);
    }
    Ok(())
}

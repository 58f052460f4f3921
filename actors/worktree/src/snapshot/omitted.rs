//! Remembers what a checkpoint left out (ignored, too large, unreadable), so that an undo can tell "was not there" from
//! "was there, but we did not look" and never deletes the second kind.
//!
//! The list is a blob of NUL-separated paths, folders ending in `/`; the file `omitted` has a line `<tree> <blob>` for
//! each pair seen.

use super::failed;
use super::scan::{Folder, Left, Node};
use super::store::Store;
use git2::{ObjectType, Odb, Oid, Repository};
use kilo_ports::checkpoint::{CheckpointError, WhyLeft};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Paths that are remembered of one walk.
const PATHS_MAX: usize = 100_000;
const FILE: &str = "omitted";

/// Writes the list of what `root` leaves out as a blob; nothing if that is nothing.
pub(super) fn write(
    store: &Store,
    odb: &Odb<'_>,
    root: &Folder,
) -> Result<Option<Oid>, CheckpointError> {
    let mut text = Vec::new();
    let mut count = 0;
    collect(root, &mut Vec::new(), &mut text, &mut count);
    if text.is_empty() {
        Ok(None)
    } else {
        store.put(odb, ObjectType::Blob, &text).map(Some)
    }
}

fn collect(folder: &Folder, path: &mut Vec<u8>, text: &mut Vec<u8>, count: &mut usize) {
    let path_len = path.len();
    for entry in &folder.entries {
        path.extend_from_slice(&entry.name);
        match &entry.node {
            Node::Folder(below) => {
                path.push(b'/');
                collect(below, path, text, count);
            }
            Node::Left(left) if *count < PATHS_MAX => {
                *count += 1;
                text.extend_from_slice(path);
                let is_folder =
                    matches!(left, Left::Ignored { is_folder: true } | Left::Repository);
                text.extend_from_slice(if is_folder { b"/\0" } else { b"\0" });
            }
            _ => {}
        }
        path.truncate(path_len);
    }
}

/// Notes that the checkpoint `tree` left out what `paths` lists.
pub(super) fn note(store: &Store, tree: &str, paths: Oid) -> Result<(), CheckpointError> {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(store.folder.join(FILE))
        .map_err(failed)?;
    file.write_all(format!("{tree} {paths}\n").as_bytes())
        .map_err(failed)
}

/// Which lists each checkpoint has.
pub(super) struct Lists {
    by_tree: HashMap<String, BTreeSet<Oid>>,
}

impl Lists {
    pub fn read(store: &Store) -> Self {
        let mut by_tree: HashMap<String, BTreeSet<Oid>> = HashMap::new();
        for (tree, paths) in pairs(store) {
            by_tree.entry(tree).or_default().insert(paths);
        }
        Self { by_tree }
    }

    /// What the checkpoint `tree` left out, in any of the walks that led to it.
    pub fn of(&self, repo: &Repository, tree: &str) -> Omitted {
        let mut paths = HashSet::new();
        for list in self.by_tree.get(tree).into_iter().flatten() {
            let Ok(blob) = repo.find_blob(*list) else {
                continue;
            };
            paths.extend(
                blob.content()
                    .split(|&byte| byte == 0)
                    .filter(|path| !path.is_empty())
                    .map(Vec::from),
            );
        }
        Omitted { paths }
    }
}

/// What a checkpoint left out.
pub(super) struct Omitted {
    paths: HashSet<Vec<u8>>,
}

impl Omitted {
    /// Why the checkpoint did not look at `path`, if it did not.
    pub fn why(&self, path: &Path) -> Option<WhyLeft> {
        self.covers(path).then_some(WhyLeft::Ignored)
    }

    fn covers(&self, path: &Path) -> bool {
        let bytes = path.as_os_str().as_bytes();
        self.paths.contains(bytes)
            || bytes
                .iter()
                .enumerate()
                .any(|(at, byte)| *byte == b'/' && self.paths.contains(&bytes[..=at]))
            || self.paths.contains(&[bytes, b"/"].concat())
    }
}

/// Drops the lines of all trees but those in `keep`, and returns the lists that are still named.
pub(super) fn prune(store: &Store, keep: &HashSet<String>) -> Result<Vec<Oid>, CheckpointError> {
    let kept: BTreeSet<(String, Oid)> = pairs(store)
        .into_iter()
        .filter(|(tree, _)| keep.contains(tree))
        .collect();
    let text: String = kept
        .iter()
        .map(|(tree, paths)| format!("{tree} {paths}\n"))
        .collect();
    let new = store.folder.join("omitted.new");
    fs::write(&new, text)
        .and_then(|()| fs::rename(&new, store.folder.join(FILE)))
        .map_err(failed)?;
    Ok(kept.into_iter().map(|(_, paths)| paths).collect())
}

fn pairs(store: &Store) -> Vec<(String, Oid)> {
    let text = fs::read_to_string(store.folder.join(FILE)).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let (tree, paths) = line.split_once(' ')?;
            Some((tree.to_owned(), Oid::from_str(paths).ok()?))
        })
        .collect()
}

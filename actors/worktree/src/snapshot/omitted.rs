//! Remembers what a checkpoint left out (ignored, too large, unreadable), so that an undo can tell "was not there" from
//! "was there, but we did not look" and never deletes the second kind.
//!
//! The list is a blob of entries that end in NUL: a mark of the format, then for each path a letter for the reason and the
//! path, folders ending in `/`. (Lists without the mark are older: paths only.) The file `omitted` has a line
//! `<tree> <blob>` for each pair seen.

use super::private;
use super::scan::{FolderNode, Left, LeftNode, Node};
use super::store::Store;
use super::workers::failed;
use git2::{ObjectType, Odb, Oid, Repository};
use kilo_ports::checkpoint::{CheckpointError, WhyLeft};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Paths that are remembered of one walk.
const PATHS_MAX: usize = 100_000;
const FILE: &str = "omitted";

/// The first entry of a list with reasons; no path begins so.
const FORMAT: &[u8] = b"/2";

/// What a walk left out, by path: the reason, and a digest of how it looked.
pub(super) type LeftOut = BTreeMap<Vec<u8>, (WhyLeft, u64)>;

/// Collects what `root` leaves out. Folders end in `/`; the files of a small one have entries of their own beside it.
pub(super) fn left_out(root: &FolderNode) -> LeftOut {
    let mut all = LeftOut::new();
    collect(root, &mut Vec::new(), &mut all);
    all
}

fn collect(folder: &FolderNode, path: &mut Vec<u8>, all: &mut LeftOut) {
    let path_len = path.len();
    for entry in &folder.entries {
        path.extend_from_slice(&entry.name);
        match &entry.node {
            Node::Folder(below) => {
                path.push(b'/');
                collect(below, path, all);
            }
            Node::Left(left) if all.len() < PATHS_MAX => note_left(left, path, all),
            _ => {}
        }
        path.truncate(path_len);
    }
}

fn note_left(left: &LeftNode, path: &mut Vec<u8>, all: &mut LeftOut) {
    let (why, is_folder) = match left.why {
        Left::Ignored { is_folder } => (WhyLeft::Ignored, is_folder),
        Left::Repository => (WhyLeft::Repository, true),
        Left::TooLarge => (WhyLeft::TooLarge, false),
        Left::Unreadable => (WhyLeft::Unreadable, false),
        Left::Special => (WhyLeft::Special, false),
    };
    if !is_folder {
        all.insert(path.clone(), (why, left.glance.digest));
        return;
    }
    path.push(b'/');
    let files = &left.glance.files;
    let of_folder = if files.is_empty() {
        left.glance.digest
    } else {
        0
    };
    all.insert(path.clone(), (why, of_folder));
    let path_len = path.len();
    for (file, digest) in files {
        path.extend_from_slice(file);
        all.insert(path.clone(), (why, *digest));
        path.truncate(path_len);
    }
}

/// What changed between two walks among that which both left out, folders without their `/`. Of a folder that is not
/// listed file by file (at both times), only itself is named.
pub(super) fn changed(before: &LeftOut, after: &LeftOut) -> Vec<(PathBuf, WhyLeft)> {
    let paths: BTreeSet<&Vec<u8>> = before.keys().chain(after.keys()).collect();
    let (mut found, mut folder): (Vec<(PathBuf, WhyLeft)>, Option<&[u8]>) = (Vec::new(), None);
    for path in paths {
        let (old, new) = (before.get(path), after.get(path));
        if old == new || folder.is_some_and(|folder| path.starts_with(folder)) {
            continue;
        }
        let Some((why, _)) = new.or(old) else {
            continue;
        };
        let name = path.strip_suffix(b"/").unwrap_or(path);
        if name.len() < path.len() {
            // A folder sorts before what is in it. An empty one that came or went holds nothing to bring back.
            if old.or(new).is_some_and(|(_, digest)| *digest == 0)
                && (old.is_none() || new.is_none())
            {
                continue;
            }
            folder = Some(path);
        }
        found.push((OsStr::from_bytes(name).into(), *why));
    }
    found
}

/// Writes the list of `left` as a blob; nothing if that is nothing.
pub(super) fn write(
    store: &Store,
    odb: &Odb<'_>,
    left: &LeftOut,
) -> Result<Option<Oid>, CheckpointError> {
    if left.is_empty() {
        return Ok(None);
    }
    let mut text = [FORMAT, b"\0"].concat();
    let mut folder: Option<&[u8]> = None;
    for (path, (why, _)) in left {
        // What is in a folder is left out with it.
        if folder.is_some_and(|folder| path.starts_with(folder)) {
            continue;
        }
        folder = path.ends_with(b"/").then_some(path);
        text.push(letter(*why));
        text.extend_from_slice(path);
        text.push(0);
    }
    store.put(odb, ObjectType::Blob, &text).map(Some)
}

fn letter(why: WhyLeft) -> u8 {
    match why {
        WhyLeft::TooLarge => b't',
        WhyLeft::Repository => b'r',
        WhyLeft::Special => b's',
        WhyLeft::Unreadable => b'u',
        _ => b'i',
    }
}

fn reason(letter: u8) -> WhyLeft {
    match letter {
        b't' => WhyLeft::TooLarge,
        b'r' => WhyLeft::Repository,
        b's' => WhyLeft::Special,
        b'u' => WhyLeft::Unreadable,
        _ => WhyLeft::Ignored,
    }
}

/// Notes that the checkpoint `tree` left out what `paths` lists.
pub(super) fn note(store: &Store, tree: &str, paths: Oid) -> Result<(), CheckpointError> {
    let mut file = private::options()
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
        let mut paths = HashMap::new();
        for list in self.by_tree.get(tree).into_iter().flatten() {
            let Ok(blob) = repo.find_blob(*list) else {
                continue;
            };
            let mut entries = blob
                .content()
                .split(|&byte| byte == 0)
                .filter(|entry| !entry.is_empty())
                .peekable();
            let has_reasons = entries.next_if(|first| *first == FORMAT).is_some();
            paths.extend(entries.map(|entry| match entry.split_first() {
                Some((letter, path)) if has_reasons => (path.to_vec(), reason(*letter)),
                _ => (entry.to_vec(), WhyLeft::Ignored),
            }));
        }
        Omitted { paths }
    }
}

/// What a checkpoint left out.
pub(super) struct Omitted {
    paths: HashMap<Vec<u8>, WhyLeft>,
}

impl Omitted {
    /// Why the checkpoint did not look at `path`, if it did not.
    pub fn why(&self, path: &Path) -> Option<WhyLeft> {
        let bytes = path.as_os_str().as_bytes();
        let above = bytes
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .find_map(|(at, _)| self.paths.get(&bytes[..=at]));
        self.paths
            .get(bytes)
            .or(above)
            .or_else(|| self.paths.get(&[bytes, b"/"].concat()))
            .copied()
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
    private::write(&new, text.as_bytes())
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

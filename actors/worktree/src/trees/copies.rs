//! What git does not bring into a new worktree: ignored files such as `.env`, and heavy folders such as `node_modules`.

use super::error::TreeError;
use super::place::Place;
use globset::{Glob, GlobSet, GlobSetBuilder};
use ignore::WalkBuilder;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use rustix::fs::ioctl_ficlone;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

/// The list of further files, in the form of a `.gitignore`.
const INCLUDE: &str = ".worktreeinclude";
/// A copied file's size (64 MiB); larger ones are left out.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Entries that are looked at for `.worktreeinclude`, and files of one shared folder.
const ENTRIES_MAX: usize = 500_000;

/// What is copied into a new worktree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copies {
    /// Patterns of file names in the top folder.
    pub files: Vec<String>,
    /// Folders that are shared, relative: `node_modules`, `target`.
    pub folders: Vec<String>,
    /// How those are shared.
    pub share: Share,
}

impl Default for Copies {
    fn default() -> Self {
        Self {
            files: vec![".env*".into()],
            folders: Vec::new(),
            share: Share::Reflink,
        }
    }
}

/// How a heavy folder gets into a worktree without being copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Share {
    /// Files share their blocks until one is written to (FICLONE; Btrfs, XFS, bcachefs, …). Where the file system cannot,
    /// the folder is left out.
    #[default]
    Reflink,
    /// The same where it can be, else hard links: a file that is written to in place changes on both sides.
    Hardlink,
}

/// Copies into `tree` what `copies` names, from the main worktree or the one that was asked in. Never overwrites.
pub(super) fn copy(place: &Place, tree: &Path, copies: &Copies) -> Result<(), TreeError> {
    let main = place.main();
    for source in [&place.root, &main] {
        if source == &place.common {
            continue; // a bare repository has no files
        }
        named(source, tree, &set(&copies.files))?;
        included(source, tree)?;
        for folder in &copies.folders {
            share(source, tree, Path::new(folder), copies.share);
        }
    }
    Ok(())
}

fn set(patterns: &[String]) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        match Glob::new(pattern) {
            Ok(glob) => drop(set.add(glob)),
            Err(error) => tracing::warn!(pattern, %error, "a pattern of files to copy is none"),
        }
    }
    set.build().unwrap_or_default()
}

/// Files of the top folder.
fn named(source: &Path, tree: &Path, set: &GlobSet) -> Result<(), TreeError> {
    for entry in fs::read_dir(source).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if set.is_match(&name) && !is_folder {
            file(&entry.path(), &tree.join(&name))?;
        }
    }
    Ok(())
}

/// Files that `.worktreeinclude` names.
fn included(source: &Path, tree: &Path) -> Result<(), TreeError> {
    let list = source.join(INCLUDE);
    if !list.is_file() {
        return Ok(());
    }
    let mut builder = GitignoreBuilder::new(source);
    if let Some(error) = builder.add(&list) {
        tracing::warn!(%error, "a line of .worktreeinclude cannot be read");
    }
    let Ok(list) = builder.build() else {
        return Ok(());
    };
    let walk = WalkBuilder::new(source)
        .standard_filters(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build();
    for entry in walk.flatten().take(ENTRIES_MAX) {
        let Ok(path) = entry.path().strip_prefix(source) else {
            continue;
        };
        let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
        if !is_folder && is_listed(&list, path) {
            file(entry.path(), &tree.join(path))?;
        }
    }
    Ok(())
}

fn is_listed(list: &Gitignore, path: &Path) -> bool {
    list.matched_path_or_any_parents(path, false).is_ignore()
}

/// Copies a file, or makes a link that leads where that one does. What is there stays.
pub(super) fn file(from: &Path, to: &Path) -> Result<(), TreeError> {
    let Ok(about) = from.symlink_metadata() else {
        return Ok(());
    };
    if to.symlink_metadata().is_ok() || (about.is_file() && about.len() > FILE_BYTES_MAX) {
        return Ok(());
    }
    let failed = |error| TreeError::io(format!("cannot copy {}", from.display()))(error);
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let made = match about.is_symlink() {
        true => fs::canonicalize(from).and_then(|target| symlink(target, to)),
        false if about.is_file() => clone(from, to).or_else(|_| fs::copy(from, to).map(drop)),
        false => Ok(()),
    };
    match made {
        // a file that nobody may read, or a link to nowhere, is none to work with
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::NotFound
            ) =>
        {
            tracing::warn!(file = %from.display(), %error, "a file is not copied into the worktree");
            Ok(())
        }
        made => made.map_err(failed),
    }
}

/// Makes a copy that shares its blocks.
fn clone(from: &Path, to: &Path) -> std::io::Result<()> {
    let source = File::open(from)?;
    let mode = source.metadata()?.permissions().mode() & 0o777;
    let target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(to)?;
    ioctl_ficlone(&target, &source).map_err(|error| {
        let _ = fs::remove_file(to);
        error.into()
    })
}

/// Shares a folder, whole or not at all: made beside its place, then put there.
fn share(source: &Path, tree: &Path, folder: &Path, how: Share) {
    let is_below = folder.is_relative()
        && folder
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
    let (from, to) = (source.join(folder), tree.join(folder));
    let is_folder = from.symlink_metadata().is_ok_and(|about| about.is_dir());
    if !is_below || !is_folder || to.symlink_metadata().is_ok() {
        return;
    }
    let half = to.with_extension("kilo-half");
    let _ = fs::remove_dir_all(&half);
    let shared = fs::create_dir_all(&half)
        .and_then(|()| share_below(&from, &half, how))
        .and_then(|()| fs::rename(&half, &to));
    if let Err(error) = shared {
        let _ = fs::remove_dir_all(&half);
        tracing::info!(folder = %from.display(), %error, "a folder is not shared with the worktree");
    }
}

fn share_below(from: &Path, to: &Path, how: Share) -> std::io::Result<()> {
    let walk = WalkBuilder::new(from).standard_filters(false).build();
    for (number, entry) in walk.enumerate() {
        let entry = entry.map_err(std::io::Error::other)?;
        let Ok(path) = entry.path().strip_prefix(from) else {
            continue;
        };
        if path == Path::new("") {
            continue;
        }
        if number > ENTRIES_MAX {
            return Err(std::io::Error::other("it has too many files"));
        }
        let (old, new) = (entry.path(), to.join(path));
        match entry.file_type() {
            Some(kind) if kind.is_dir() => fs::create_dir(&new)?,
            Some(kind) if kind.is_symlink() => symlink(fs::read_link(old)?, &new)?,
            Some(kind) if kind.is_file() => match clone(old, &new) {
                Err(_) if how == Share::Hardlink => fs::hard_link(old, &new)?,
                made => made?,
            },
            _ => {}
        }
    }
    Ok(())
}

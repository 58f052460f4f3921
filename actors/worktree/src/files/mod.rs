//! Lists folders and reads files for people, in the shapes of the `/file` routes.
//!
//! Everything here blocks. Nothing outside of the project is shown: the project is the directory and the worktree
//! around it.

mod content;
mod open;

use crate::checkout::Checkout;
use crate::vcs;
use git2::Repository;
use serde::Serialize;
use std::cmp::Ordering;
use std::fs;
use std::path::Path;

pub use content::{FileContent, PatchHunk, StructuredPatch, content};
pub use open::FileError;
use open::{inside, read, relative};

/// Entries of one folder.
const ENTRIES_MAX: usize = 10_000;

/// An entry of `GET /file`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileNode {
    /// The last part of the path.
    pub name: String,
    /// Relative to the directory; a folder's ends in `/`.
    pub path: String,
    /// Without a slash at the end.
    pub absolute: String,
    /// `file` or `directory`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Git ignores it.
    pub ignored: bool,
}

/// An entry of `GET /file/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileChangeStatus {
    /// Relative to the directory.
    pub path: String,
    /// Lines.
    pub added: u64,
    /// Lines.
    pub removed: u64,
    /// `added`, `deleted` or `modified`.
    pub status: String,
}

/// Lists the folder `path` of `directory`: folders first, then by name; at most 10,000 entries.
pub fn list(directory: &Path, path: &str) -> Result<Vec<FileNode>, FileError> {
    let folder = inside(directory, path)?;
    let git = vcs::open(directory).ok().flatten();
    let entries = fs::read_dir(&folder).map_err(|source| FileError::Io {
        path: folder.clone(),
        source,
    })?;
    let mut nodes = Vec::new();
    for entry in entries.flatten().take(ENTRIES_MAX) {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        nodes.push(node(directory, &entry.path(), is_folder, git.as_ref()));
    }
    nodes.sort_by(by_kind_and_name);
    Ok(nodes)
}

/// Reads the bytes of the file `path` of `directory`, at most 16 MiB.
pub fn bytes(directory: &Path, path: &str) -> Result<Vec<u8>, FileError> {
    read(&inside(directory, path)?)
}

/// Lists the files that differ from the last commit; empty outside of a repository.
pub fn status(directory: &Path) -> Result<Vec<FileChangeStatus>, FileError> {
    let Some(checkout) = Checkout::find(directory) else {
        return Ok(Vec::new());
    };
    let real = directory
        .canonicalize()
        .unwrap_or_else(|_| directory.to_path_buf());
    let entry = |file: vcs::FileStatus| FileChangeStatus {
        path: relative(&real, &checkout.root.join(&file.file)),
        added: file.additions,
        removed: file.deletions,
        status: file.status,
    };
    Ok(vcs::status(directory)?.into_iter().map(entry).collect())
}

fn node(
    directory: &Path,
    path: &Path,
    is_folder: bool,
    git: Option<&(Checkout, Repository)>,
) -> FileNode {
    let absolute = path.to_string_lossy().into_owned();
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let real = directory.canonicalize();
    let mut shown = relative(real.as_deref().unwrap_or(directory), path);
    if is_folder {
        shown.push('/');
    }
    let ignored = git.is_some_and(|(checkout, repo)| {
        let inside = path.strip_prefix(&checkout.root).unwrap_or(path);
        !inside.starts_with(".git") && repo.is_path_ignored(inside).unwrap_or(false)
    });
    FileNode {
        name,
        path: shown,
        absolute,
        kind: if is_folder { "directory" } else { "file" },
        ignored,
    }
}

fn by_kind_and_name(a: &FileNode, b: &FileNode) -> Ordering {
    let names = |node: &FileNode| (node.kind != "directory", node.name.to_lowercase());
    names(a).cmp(&names(b)).then_with(|| a.name.cmp(&b.name))
}

//! Lists folders and reads files for people, in the shapes of the `/file` routes.
//!
//! Everything here blocks. Nothing outside of the project is shown: the project is the directory and the worktree
//! around it.

mod content;

use crate::checkout::Checkout;
use crate::vcs;
use git2::Repository;
use serde::Serialize;
use std::cmp::Ordering;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

pub use content::{FileContent, PatchHunk, StructuredPatch, content};

/// Entries of one folder.
const ENTRIES_MAX: usize = 10_000;
/// Bytes of a file that is shown.
const CONTENT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Why a file or folder is not shown.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The path, or what it links to, is not in the project.
    #[error("{0} is outside of the project")]
    Outside(PathBuf),
    /// The file is over 16 MiB.
    #[error("{0} is too large to show")]
    TooLarge(PathBuf),
    /// It is a folder, a pipe or the like.
    #[error("{0} is not a file")]
    NotAFile(PathBuf),
    /// The disk failed, or the folder does not exist.
    #[error("{path}: {source}")]
    Io {
        /// What was to be read.
        path: PathBuf,
        /// Why it was not.
        source: io::Error,
    },
    /// Git failed.
    #[error(transparent)]
    Vcs(#[from] vcs::VcsError),
}

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

/// The absolute path of `path` in `directory`, if it is in the project, links followed.
fn inside(directory: &Path, path: &str) -> Result<PathBuf, FileError> {
    let directory = directory
        .canonicalize()
        .unwrap_or_else(|_| directory.to_path_buf());
    let mut wanted = directory.clone();
    for component in Path::new(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => _ = wanted.pop(),
            Component::RootDir | Component::Prefix(_) => wanted = PathBuf::from("/"),
            Component::Normal(name) => wanted.push(name),
        }
    }
    let top =
        Checkout::find(&directory).map_or_else(|| directory.clone(), |checkout| checkout.root);
    // the part that exists decides where a link leads
    let real = wanted
        .ancestors()
        .find_map(|known| known.canonicalize().ok())
        .unwrap_or_default();
    let is_inside = |path: &Path| path.starts_with(&top) || path.starts_with(&directory);
    if is_inside(&wanted) && (is_inside(&real) || !directory.exists()) {
        Ok(wanted)
    } else {
        Err(FileError::Outside(wanted))
    }
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

/// `path` as seen from `directory`, with `..` where it lies beside.
fn relative(directory: &Path, path: &Path) -> String {
    for (above, ancestor) in directory.ancestors().enumerate() {
        if let Ok(rest) = path.strip_prefix(ancestor) {
            return format!("{}{}", "../".repeat(above), rest.to_string_lossy());
        }
    }
    path.to_string_lossy().into_owned()
}

fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let failed = |source| FileError::Io {
        path: path.to_path_buf(),
        source,
    };
    // a pipe must not make us wait
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open(path)
        .map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(FileError::NotAFile(path.to_path_buf()));
    }
    let mut bytes = Vec::new();
    if about.len() <= CONTENT_BYTES_MAX {
        file.take(CONTENT_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
    }
    if about.len().max(bytes.len() as u64) > CONTENT_BYTES_MAX {
        return Err(FileError::TooLarge(path.to_path_buf()));
    }
    Ok(bytes)
}

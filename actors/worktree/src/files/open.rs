//! From the paths that clients name to files of the project, and why one is not shown.

use crate::checkout::Checkout;
use crate::vcs;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

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

/// The absolute path of `path` in `directory`, if it is in the project, links followed.
pub(super) fn inside(directory: &Path, path: &str) -> Result<PathBuf, FileError> {
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

/// `path` as seen from `directory`, with `..` where it lies beside.
pub(super) fn relative(directory: &Path, path: &Path) -> String {
    for (above, ancestor) in directory.ancestors().enumerate() {
        if let Ok(rest) = path.strip_prefix(ancestor) {
            return format!("{}{}", "../".repeat(above), rest.to_string_lossy());
        }
    }
    path.to_string_lossy().into_owned()
}

/// The bytes of a file of at most 16 MiB.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
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

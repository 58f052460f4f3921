//! Where a path leads.

use std::io;
use std::path::{Component, Path, PathBuf};

/// How many symbolic links a path may lead through.
const LINKS_MAX: usize = 40;

/// Follows every link of `path`, as far as it exists; the rest is kept as written.
pub(crate) fn real(path: &Path) -> io::Result<PathBuf> {
    let mut waiting: Vec<PathBuf> = vec![path.to_path_buf()];
    let mut links = 0;
    let mut tail: Vec<std::ffi::OsString> = Vec::new();
    while let Some(current) = waiting.pop() {
        if let Ok(real) = current.canonicalize() {
            return Ok(tail.iter().rev().fold(real, |path, name| path.join(name)));
        }
        if let Ok(target) = std::fs::read_link(&current) {
            links += 1;
            if links > LINKS_MAX {
                return Err(io::Error::other("too many links"));
            }
            let parent = current.parent().unwrap_or(Path::new("/"));
            waiting.push(flat_through(parent, &target));
            continue;
        }
        let Some(parent) = current.parent() else {
            break;
        };
        tail.extend(current.file_name().map(std::ffi::OsStr::to_owned));
        waiting.push(parent.to_path_buf());
    }
    Ok(path.to_path_buf())
}

/// A dangling link's target; its folder's own links are followed before `..` is.
fn flat_through(folder: &Path, target: &Path) -> PathBuf {
    let folder = folder
        .canonicalize()
        .unwrap_or_else(|_| folder.to_path_buf());
    let mut flat = PathBuf::new();
    for component in folder.join(target).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                flat.pop();
            }
            other => flat.push(other),
        }
    }
    flat
}

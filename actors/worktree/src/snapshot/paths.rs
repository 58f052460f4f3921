//! From the paths that sessions name to paths below the worktree's root.

use kilo_ports::checkpoint::WhyLeft;
use std::path::{Path, PathBuf};

/// `path` relative to `root`, also if it names `root` by way of a link.
///
/// Errors: it is elsewhere, or git's own.
pub(super) fn relative(root: &Path, path: &Path) -> Result<PathBuf, WhyLeft> {
    match path.strip_prefix(root) {
        Ok(found) => checked(found.to_path_buf()),
        Err(_) => resolved(root, path),
    }
}

/// The same for a path as a tool wrote to it: links to folders on the way are followed.
pub(super) fn resolved(root: &Path, path: &Path) -> Result<PathBuf, WhyLeft> {
    for above in path.ancestors().skip(1) {
        let Ok(real) = above.canonicalize() else {
            continue;
        };
        let inside = real.strip_prefix(root).map_err(|_| WhyLeft::Outside)?;
        let rest = path.strip_prefix(above).map_err(|_| WhyLeft::Outside)?;
        return checked(inside.join(rest));
    }
    Err(WhyLeft::Outside)
}

fn checked(path: PathBuf) -> Result<PathBuf, WhyLeft> {
    if path.starts_with(".git") {
        Err(WhyLeft::Repository)
    } else if path.as_os_str().is_empty() {
        Err(WhyLeft::Outside)
    } else {
        Ok(path)
    }
}

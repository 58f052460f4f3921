//! Directories as requests name them.

use std::path::{Component, Path, PathBuf};

/// Makes a directory absolute and plain: relative ones start at `base`, `.` and `..` are resolved as text, a trailing slash
/// goes. It need not exist.
pub fn absolute(base: &Path, directory: &str) -> PathBuf {
    let joined = if directory.is_empty() {
        base.to_path_buf()
    } else {
        base.join(directory)
    };
    let mut plain = PathBuf::new();
    for component in joined.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::absolute;
    use std::path::Path;

    #[test]
    fn directories_become_plain() {
        let base = Path::new("/home/a");
        assert_eq!(absolute(base, ""), Path::new("/home/a"));
        assert_eq!(absolute(base, "b/../c/"), Path::new("/home/a/c"));
        assert_eq!(absolute(base, "/x/./y/"), Path::new("/x/y"));
        assert_eq!(absolute(base, "/../.."), Path::new("/"));
    }
}

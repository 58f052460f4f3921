//! Directories as requests name them.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

/// Makes a folder of ours, if it is not there, and keeps others out of it: what lies in it are conversations, logs and keys.
pub fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let mode = path.metadata()?.permissions().mode() & 0o777;
    match mode & 0o077 {
        0 => Ok(()),
        _ => std::fs::set_permissions(path, Permissions::from_mode(mode & 0o700)),
    }
}

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
    use super::{absolute, private_folder};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    #[test]
    fn a_folder_of_ours_is_nobody_elses() {
        let home = kilo_tests::Home::new();
        let folder = home.path().join("a/b");
        let mode = || folder.metadata().expect("a folder").permissions().mode() & 0o777;
        private_folder(&folder).expect("made");
        assert_eq!(mode(), 0o700);
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&folder, open).expect("opened");
        private_folder(&folder).expect("closed again");
        assert_eq!(mode(), 0o700);
    }

    #[test]
    fn directories_become_plain() {
        let base = Path::new("/home/a");
        assert_eq!(absolute(base, ""), Path::new("/home/a"));
        assert_eq!(absolute(base, "b/../c/"), Path::new("/home/a/c"));
        assert_eq!(absolute(base, "/x/./y/"), Path::new("/x/y"));
        assert_eq!(absolute(base, "/../.."), Path::new("/"));
    }
}

//! Files and folders that only their owner can read: checkpoints hold what the project does, keys and all.
//!
//! libgit2 leaves what it makes to the umask, which is the whole process's and so not ours to set: the files that tools
//! write are to be as the user's umask says.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Makes a folder and those above it, if they are not there.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// How a file of ours is opened to be made.
pub(super) fn options() -> OpenOptions {
    let mut options = File::options();
    options.create(true).mode(0o600);
    options
}

/// Writes a file, in place of one that is there.
pub(super) fn write(path: &Path, body: &[u8]) -> io::Result<()> {
    let mut file = options().write(true).truncate(true).open(path)?;
    file.write_all(body)
}

/// Others have some right to it.
pub(super) fn is_open(about: &Metadata) -> bool {
    about.permissions().mode() & 0o077 != 0
}

/// Takes the rights of others to a file or folder away. A link, and what is not there, is left alone.
pub(super) fn close(path: &Path) {
    let Ok(about) = fs::symlink_metadata(path) else {
        return;
    };
    if !about.is_symlink() && is_open(&about) {
        let mode = about.permissions().mode() & 0o700;
        let _ = fs::set_permissions(path, Permissions::from_mode(mode));
    }
}

/// The same with all that is in a folder, but what has this name in it.
pub(super) fn close_all_but(folder: &Path, left: &str) {
    close(folder);
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name() != left) {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => close_all_but(&entry.path(), ""),
            _ => close(&entry.path()),
        }
    }
}

//! Files and folders that only their owner can read: sessions hold code, keys in outputs, private talk.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// Makes a folder if it is not there. Its parent has to be: a data folder that was moved away is not made anew.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(FOLDER_MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Makes an empty file, in place of one that is there.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(path)
}

/// Replaces a small file by way of a temporary one.
pub(crate) fn replace(path: &Path, body: &[u8]) -> io::Result<()> {
    let temp = path.with_extension("tmp");
    let written = create(&temp)
        .and_then(|mut file| file.write_all(body))
        .and_then(|()| fs::rename(&temp, path));
    if written.is_err() {
        let _ = fs::remove_file(&temp);
    }
    written
}

/// Takes the rights of others away from `path` and what is below it. Earlier versions, and sled, leave files to the
/// umask. Links are left alone.
pub(crate) fn tighten(path: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    if meta.is_symlink() {
        return Ok(());
    }
    if meta.is_dir() {
        restrict(path, &meta, FOLDER_MODE)?;
        for entry in fs::read_dir(path)? {
            tighten(&entry?.path())?;
        }
        return Ok(());
    }
    restrict(path, &meta, FILE_MODE)
}

/// Takes the rights of others to a folder away, and looks at nothing in it.
pub(crate) fn close_folder(path: &Path) -> io::Result<()> {
    restrict(path, &fs::metadata(path)?, FOLDER_MODE)
}

fn restrict(path: &Path, meta: &fs::Metadata, mode: u32) -> io::Result<()> {
    // Only what others may do goes; an owner who has made a file read-only has a reason.
    let now = meta.permissions().mode();
    if now & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(now & mode))
}

/// Makes names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Bytes of all files below `path`.
pub(crate) fn bytes_under(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else {
        return 0;
    };
    let mut bytes = 0;
    for entry in entries.flatten() {
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes += bytes_under(&entry.path()),
            Ok(meta) => bytes += meta.len(),
            Err(_) => {}
        }
    }
    bytes
}

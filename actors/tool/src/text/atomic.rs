use std::fs::{File, Metadata, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Names tried for a temporary file.
const NAMES_MAX: usize = 16;

/// Bytes that wait beside their file, to replace it in one step.
///
/// Dropped without [`Staged::commit`], nothing has happened. Mode and owner of an existing file are kept. A file with
/// several hard links, or in a folder where no file can be made, is overwritten in place instead.
pub struct Staged {
    target: PathBuf,
    how: How,
}

enum How {
    Rename(PathBuf),
    InPlace(Vec<u8>),
}

impl Staged {
    /// Makes the folders above `target` (a real path) and writes `bytes` beside it, down to the disk.
    pub fn new(target: &Path, bytes: &[u8]) -> std::io::Result<Self> {
        let old = match target.metadata() {
            Ok(old) => Some(old),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let target = target.to_path_buf();
        if old.as_ref().is_some_and(|old| old.nlink() > 1) {
            return Ok(Self {
                target,
                how: How::InPlace(bytes.to_vec()),
            });
        }
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder)?;
        }
        match beside(&target, bytes, old.as_ref()) {
            Ok(path) => Ok(Self {
                target,
                how: How::Rename(path),
            }),
            Err(error) if old.is_some() && error.kind() == ErrorKind::PermissionDenied => {
                Ok(Self {
                    target,
                    how: How::InPlace(bytes.to_vec()),
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Puts the bytes in the file's place.
    pub fn commit(mut self) -> std::io::Result<()> {
        match std::mem::replace(&mut self.how, How::InPlace(Vec::new())) {
            How::Rename(path) => {
                std::fs::rename(&path, &self.target).inspect_err(|_| forget(&path))
            }
            How::InPlace(bytes) => {
                let mut file = OpenOptions::new()
                    .write(true)
                    .truncate(true)
                    .open(&self.target)?;
                file.write_all(&bytes)?;
                file.sync_data()
            }
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let How::Rename(path) = &self.how {
            forget(path);
        }
    }
}

fn forget(path: &Path) {
    let _ = std::fs::remove_file(path);
}

fn beside(target: &Path, bytes: &[u8], old: Option<&Metadata>) -> std::io::Result<PathBuf> {
    let (mut file, path) = temporary(target)?;
    let written = fill(&mut file, bytes, old);
    if let Err(error) = written {
        forget(&path);
        return Err(error);
    }
    Ok(path)
}

fn fill(file: &mut File, bytes: &[u8], old: Option<&Metadata>) -> std::io::Result<()> {
    if let Some(old) = old {
        file.set_permissions(old.permissions())?;
        let now = file.metadata()?;
        if (now.uid(), now.gid()) != (old.uid(), old.gid()) {
            // Only root may give files away; for others the owner is the same or the write is not worth failing for.
            let _ = std::os::unix::fs::fchown(&*file, Some(old.uid()), Some(old.gid()));
        }
    }
    file.write_all(bytes)?;
    file.sync_data()
}

fn temporary(target: &Path) -> std::io::Result<(File, PathBuf)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    for _ in 0..NAMES_MAX {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = target.with_file_name(format!(".kilo-{}-{number}.tmp", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(std::io::Error::new(
        ErrorKind::AlreadyExists,
        "no free name for a temporary file",
    ))
}

#[cfg(test)]
mod tests {
    use super::Staged;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn mode_and_hard_links_are_kept_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.sh");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o750)).unwrap();
        drop(Staged::new(&path, b"dropped").unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        Staged::new(&path, b"new").unwrap().commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o750);

        let twin = folder.path().join("twin");
        std::fs::hard_link(&path, &twin).unwrap();
        Staged::new(&path, b"both").unwrap().commit().unwrap();
        assert_eq!(std::fs::read(&twin).unwrap(), b"both");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn folders_above_are_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/c.txt");
        Staged::new(&path, b"x").unwrap().commit().unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"x");
    }
}

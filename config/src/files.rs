//! Reading with a bound and writing in one step.

use crate::decode::decode;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file's time of change and size: enough to see that it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    modified: Option<std::time::SystemTime>,
    bytes: u64,
}

impl Stamp {
    /// The stamp of what is at `path` now; `None` if nothing is.
    pub fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            modified: metadata.modified().ok(),
            bytes: metadata.len(),
        })
    }
}

/// Reads a text file of at most `bytes_max` bytes, without a byte order mark, in any encoding that [`decode`] knows.
///
/// Errors: `NotFound`, `FileTooLarge`, `InvalidData` for what is no text, `InvalidInput` for what is no regular file (a
/// pipe or a device is never opened: it could block).
pub fn read_text(path: &Path, bytes_max: u64) -> io::Result<String> {
    read_start(path, bytes_max).and_then(|start| whole(start, bytes_max))
}

/// [`read_text`] of a file that must lie inside `root`, as [`read_start_inside`] says.
pub fn read_text_inside(path: &Path, root: &Path, bytes_max: u64) -> io::Result<String> {
    read_start_inside(path, root, bytes_max).and_then(|start| whole(start, bytes_max))
}

fn whole((text, is_whole): (String, bool), bytes_max: u64) -> io::Result<String> {
    if is_whole {
        return Ok(text);
    }
    Err(io::Error::new(
        io::ErrorKind::FileTooLarge,
        format!("file is over {bytes_max} bytes"),
    ))
}

/// Reads at most `bytes_max` bytes of a text file and says whether that was all of it. A character that the bound cuts is
/// left out. Errors as [`read_text`], but for `FileTooLarge`.
pub fn read_start(path: &Path, bytes_max: u64) -> io::Result<(String, bool)> {
    start_of(open(path)?, bytes_max)
}

/// [`read_start`] of a file that must lie inside `root`, symbolic links followed.
///
/// It is opened first and asked where it is then, so that a link which is put in its way in between leads nowhere.
pub fn read_start_inside(path: &Path, root: &Path, bytes_max: u64) -> io::Result<(String, bool)> {
    let file = open(path)?;
    if place_of(&file, path)?.starts_with(root.canonicalize()?) {
        start_of(file, bytes_max)
    } else {
        Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "file leaves the project",
        ))
    }
}

fn open(path: &Path) -> io::Result<File> {
    let refused = || io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
    if !fs::metadata(path)?.is_file() {
        return Err(refused());
    }
    let file = File::open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(refused())
    }
}

/// Where an open file is, by the kernel's word where it can be asked.
fn place_of(file: &File, path: &Path) -> io::Result<PathBuf> {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        if let Ok(place) = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())) {
            return Ok(place);
        }
    }
    let _ = file;
    path.canonicalize()
}

fn start_of(file: File, bytes_max: u64) -> io::Result<(String, bool)> {
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    let whole = bytes.len() as u64 <= bytes_max;
    if !whole {
        bytes.truncate(bytes_max as usize);
    }
    let text = decode(&bytes, whole).ok_or_else(|| {
        let reason = "not text, or in an encoding that is not known";
        io::Error::new(io::ErrorKind::InvalidData, reason)
    })?;
    Ok((text, whole))
}

/// Whether `path`, with every symbolic link followed, lies inside `root`. False for what does not exist.
pub fn is_inside(path: &Path, root: &Path) -> bool {
    match (path.canonicalize(), root.canonicalize()) {
        (Ok(path), Ok(root)) => path.starts_with(root),
        _ => false,
    }
}

/// Replaces a file in one step: readers see the old content or the new one, also after a power loss.
///
/// Folders are made as needed. A symbolic link stays one: the file behind it is replaced. An existing file keeps its mode;
/// a new one gets `mode`. With `private` set the mode is 0600 either way.
pub fn write_atomic(path: &Path, content: &[u8], private: bool) -> io::Result<()> {
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let draft = draft_beside(&target);
    let result =
        write_draft(&draft, &target, content, private).and_then(|()| fs::rename(&draft, &target));
    if result.is_err() {
        let _ = fs::remove_file(&draft);
        return result;
    }
    // The rename is durable once the folder is; some file systems refuse to sync a folder, which is no failure of ours.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

fn write_draft(draft: &Path, target: &Path, content: &[u8], private: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if private {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(draft)?;
    if !private && let Ok(metadata) = fs::metadata(target) {
        file.set_permissions(metadata.permissions())?;
    }
    file.write_all(content)?;
    file.sync_all()
}

fn draft_beside(target: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    target.with_file_name(format!(".{name}.{}-{count}.tmp", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_swapped_for_a_link_gives_nothing_from_outside() {
        use std::sync::atomic::{AtomicBool, Ordering};
        const TRIES: usize = 20_000;
        let (project, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let [folder, aside, link] = ["d", "aside", "link"].map(|name| project.path().join(name));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("AGENTS.md"), "inside").unwrap();
        fs::write(outside.path().join("AGENTS.md"), "secret").unwrap();
        std::os::unix::fs::symlink(outside.path(), &link).unwrap();
        let ended = AtomicBool::new(false);
        let mut read = 0;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    fs::rename(&folder, &aside).unwrap();
                    fs::rename(&link, &folder).unwrap();
                    fs::rename(&folder, &link).unwrap();
                    fs::rename(&aside, &folder).unwrap();
                }
            });
            let _end = Ending(&ended);
            for _ in 0..TRIES {
                let path = folder.join("AGENTS.md");
                if let Ok((text, _)) = read_start_inside(&path, project.path(), 100) {
                    assert_eq!(text, "inside");
                    read += 1;
                }
            }
        });
        assert!(read > 0);
    }

    /// Ends the other thread, also where an assertion fails.
    struct Ending<'a>(&'a std::sync::atomic::AtomicBool);

    impl Drop for Ending<'_> {
        fn drop(&mut self) {
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }

    #[test]
    fn a_cut_character_is_left_out_of_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "aé").unwrap();
        assert_eq!(read_start(&path, 2).unwrap(), ("a".to_owned(), false));
        assert_eq!(read_start(&path, 3).unwrap(), ("aé".to_owned(), true));
        assert_eq!(
            read_text(&path, 2).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_a_private_file_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write_atomic(&link, b"new", true).unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(
            fs::metadata(&real).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}

//! Reads and writes files below a folder without ever following a symbolic link on the way.
//!
//! Every path component is opened relative to its parent with `O_NOFOLLOW`, so a link that somebody puts in while we
//! work is refused by the kernel, not by a check that came too early.

use crate::stamp::Stamp;
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, fchmod, mkdirat, openat, readlinkat, renameat, statat,
    symlinkat, unlinkat,
};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// How the name of a file that is being written begins; it ends in [`TEMPORARY_END`].
const TEMPORARY_START: &str = ".kilo-undo-";
const TEMPORARY_END: &str = ".tmp";

/// Flags for opening a folder on the way.
const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// What an entry of a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Executable,
    Link,
}

/// A file's kind and bytes; a link's bytes are its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub kind: Kind,
    pub bytes: Vec<u8>,
}

/// What a look at a path finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    File(Content),
    Folder,
    /// Something that is no folder, at this part of the path.
    Behind(PathBuf),
}

/// A folder below which files are read and written.
pub(crate) struct Beneath {
    root: OwnedFd,
}

impl Beneath {
    pub fn open(root: &Path) -> io::Result<Self> {
        let root = openat(rustix::fs::CWD, root, FOLDER, Mode::empty())?;
        Ok(Self { root })
    }

    /// The content at `path`; nothing if there is no such file.
    ///
    /// Errors: a link or a file on the way, a folder or a special file at the end, over `bytes_max`.
    pub fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Option<Content>> {
        let (folder, name) = match self.parent(path, false) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let stat = match statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        read_entry(&folder, &name, &Stamp::of(&stat), bytes_max).map(Some)
    }

    /// Whether the way to `path` leads through folders only, as far as it exists.
    pub fn reaches(&self, path: &Path) -> bool {
        match self.parent(path, false) {
            Ok(_) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// What is at `path`, or in the way to it.
    ///
    /// Errors: it cannot be read, is no file, or is over `bytes_max`.
    pub fn look(&self, path: &Path, bytes_max: u64) -> io::Result<Found> {
        let mut above = PathBuf::new();
        for component in path.parent().into_iter().flat_map(Path::components) {
            above.push(component);
            match self.file_type(&above)? {
                None => return Ok(Found::Nothing),
                Some(FileType::Directory) => {}
                Some(_) => return Ok(Found::Behind(above)),
            }
        }
        match self.file_type(path)? {
            Some(FileType::Directory) => Ok(Found::Folder),
            Some(_) => Ok(self
                .read(path, bytes_max)?
                .map_or(Found::Nothing, Found::File)),
            None => Ok(Found::Nothing),
        }
    }

    fn file_type(&self, path: &Path) -> io::Result<Option<FileType>> {
        let found = self
            .parent(path, false)
            .and_then(|(folder, name)| Ok(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?));
        match found {
            Ok(stat) => Ok(Some(Stamp::of(&stat).file_type())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The paths of everything but folders below the folder `path`, from the root on. Errors: more than `files_max`.
    pub fn files_below(&self, path: &Path, files_max: usize) -> io::Result<Vec<PathBuf>> {
        let (mut files, mut open) = (Vec::new(), vec![path.to_path_buf()]);
        while let Some(at) = open.pop() {
            let (above, name) = self.parent(&at, false)?;
            for entry in Dir::read_from(open_folder(above, &name)?)? {
                let entry = entry?;
                let name = entry.file_name().to_bytes();
                if name == b"." || name == b".." {
                    continue;
                }
                let below = at.join(OsStr::from_bytes(name));
                match self.file_type(&below)? {
                    Some(FileType::Directory) => open.push(below),
                    Some(_) => files.push(below),
                    None => {}
                }
                if files.len() + open.len() > files_max {
                    return Err(io::Error::other("too many files in a folder"));
                }
            }
        }
        Ok(files)
    }

    /// Removes the folder `path` if there is nothing in it but folders.
    pub fn remove_empty(&self, path: &Path) -> io::Result<()> {
        let (above, name) = self.parent(path, false)?;
        let names: Vec<OsString> = Dir::read_from(open_folder(&above, &name)?)?
            .filter_map(|entry| {
                let name = entry.ok()?.file_name().to_bytes().to_vec();
                (name != b"." && name != b"..").then(|| OsString::from_vec(name))
            })
            .collect();
        for below in names {
            self.remove_empty(&path.join(below))?;
        }
        Ok(unlinkat(&above, &name, AtFlags::REMOVEDIR)?)
    }

    /// Puts `content` at `path` in one step (a new file, then a rename), making folders as needed. An existing file's
    /// permissions stay, but for the right to execute.
    pub fn replace(&self, path: &Path, content: &Content) -> io::Result<()> {
        let (folder, name) = self.parent(path, true)?;
        let existing = statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW)
            .ok()
            .map(|stat| Stamp::of(&stat));
        if existing.is_some_and(|stamp| stamp.file_type() == FileType::Directory) {
            return Err(Errno::ISDIR.into());
        }
        let temporary = temporary_name();
        let written = write_temporary(&folder, &temporary, content, existing)
            .and_then(|()| Ok(renameat(&folder, &temporary, &folder, &name)?));
        if written.is_err() {
            let _ = unlinkat(&folder, &temporary, AtFlags::empty());
        }
        written
    }

    /// Removes the file at `path`, then each folder above it that is empty and that `keeps` does not claim.
    pub fn remove(&self, path: &Path, keeps: impl Fn(&Path) -> bool) -> io::Result<()> {
        match self.parent(path, false) {
            Ok((folder, name)) => match unlinkat(&folder, &name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        for folder in path
            .ancestors()
            .skip(1)
            .take_while(|folder| !folder.as_os_str().is_empty())
        {
            if keeps(folder) {
                break;
            }
            let Ok((above, name)) = self.parent(folder, false) else {
                continue;
            };
            if unlinkat(&above, &name, AtFlags::REMOVEDIR).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Opens the folder that holds `path`, and gives the last name.
    fn parent(&self, path: &Path, make: bool) -> io::Result<(OwnedFd, OsString)> {
        let mut folder = self.root.try_clone()?;
        let mut names = path.components().peekable();
        while let Some(component) = names.next() {
            let Component::Normal(name) = component else {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "the path leaves its folder",
                ));
            };
            if names.peek().is_none() {
                return Ok((folder, name.to_owned()));
            }
            if make {
                match mkdirat(&folder, name, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            folder = open_folder(&folder, name)?;
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path is empty",
        ))
    }
}

/// Opens the folder `name` in `folder`; a link is an error.
pub(crate) fn open_folder(folder: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    Ok(openat(folder, name, FOLDER, Mode::empty())?)
}

/// Opens a worktree's top folder.
pub(crate) fn open_root(root: &Path) -> io::Result<OwnedFd> {
    Ok(openat(rustix::fs::CWD, root, FOLDER, Mode::empty())?)
}

/// Reads the file or link `name` in `folder`, which `stamp` describes.
pub(crate) fn read_entry(
    folder: impl AsFd,
    name: &OsStr,
    stamp: &Stamp,
    bytes_max: u64,
) -> io::Result<Content> {
    match stamp.file_type() {
        FileType::Symlink => {
            let target = readlinkat(folder, name, Vec::new())?;
            Ok(Content {
                kind: Kind::Link,
                bytes: target.into_bytes(),
            })
        }
        FileType::RegularFile => {
            let (bytes, now) = read_regular(folder, name, bytes_max)?;
            let kind = if now.is_executable() {
                Kind::Executable
            } else {
                Kind::Plain
            };
            Ok(Content { kind, bytes })
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file")),
    }
}

/// Reads a regular file whole and gives the stamp it had at the end; a pipe put in its place does not block.
fn read_regular(folder: impl AsFd, name: &OsStr, bytes_max: u64) -> io::Result<(Vec<u8>, Stamp)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = File::from(openat(folder, name, flags, Mode::empty())?);
    let stamp = Stamp::of(&rustix::fs::fstat(&file)?);
    if stamp.file_type() != FileType::RegularFile || stamp.size > bytes_max {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a file of a size that is taken",
        ));
    }
    let mut bytes = Vec::with_capacity(stamp.size as usize + 1);
    (&mut file).take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the file grew over the limit",
        ));
    }
    Ok((bytes, Stamp::of(&rustix::fs::fstat(&file)?)))
}

/// Whether a file of this name is one that a killed process left half-written.
pub(crate) fn is_temporary(name: &[u8]) -> bool {
    name.starts_with(TEMPORARY_START.as_bytes()) && name.ends_with(TEMPORARY_END.as_bytes())
}

/// Takes a left-over temporary file away.
pub(crate) fn remove_temporary(folder: impl AsFd, name: &[u8]) {
    let _ = unlinkat(folder, OsStr::from_bytes(name), AtFlags::empty());
}

fn temporary_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!(
        "{TEMPORARY_START}{}-{count}{TEMPORARY_END}",
        std::process::id()
    )
}

fn write_temporary(
    folder: &OwnedFd,
    name: &str,
    content: &Content,
    existing: Option<Stamp>,
) -> io::Result<()> {
    if content.kind == Kind::Link {
        return Ok(symlinkat(OsStr::from_bytes(&content.bytes), folder, name)?);
    }
    let executable = content.kind == Kind::Executable;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(if executable { 0o777 } else { 0o666 });
    let mut file = File::from(openat(folder, name, flags, mode)?);
    file.write_all(&content.bytes)?;
    if let Some(stamp) = existing.filter(|stamp| stamp.file_type() == FileType::RegularFile) {
        let kept = stamp.mode & 0o777;
        let readers = (kept & 0o444) >> 2; // whoever may read gets the right to execute
        let mode = if executable {
            kept | readers
        } else {
            kept & !0o111
        };
        fchmod(&file, Mode::from_raw_mode(mode))?;
    }
    Ok(())
}

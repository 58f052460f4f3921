//! Bytes that wait beside their file, to replace it in one step.

use crate::beneath::{How, PASSED};
use crate::facts::{facts_of, id_of};
use kilo_ports::files::{FileId, Kind, Staged};
use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Stat, Uid, fchmod, fchown, fstat, mkdirat, openat, renameat,
    statat, unlinkat,
};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names tried for a temporary file.
const NAMES_MAX: usize = 16;

/// The folder of a file that is about to be written, with the folders that were made for it.
pub(crate) struct Made {
    folder: Arc<OwnedFd>,
    /// What was made, outermost first: the folder in which, and the name.
    new: Vec<(Arc<OwnedFd>, OsString)>,
}

impl Made {
    /// Makes `names` below `folder`, one in the other. Those that exist must be folders, not links.
    pub(crate) fn folders(folder: &Arc<OwnedFd>, names: &[OsString]) -> io::Result<Self> {
        let mut made = Self {
            folder: Arc::clone(folder),
            new: Vec::new(),
        };
        for name in names {
            match mkdirat(&made.folder, name, Mode::from_raw_mode(0o777)) {
                Ok(()) => made.new.push((Arc::clone(&made.folder), name.clone())),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            made.folder = Arc::new(How::Steps.open(&made.folder, Path::new(name), PASSED)?);
        }
        Ok(made)
    }

    fn keep(&mut self) {
        self.new.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        while let Some((folder, name)) = self.new.pop() {
            // A folder in which somebody else put something stays.
            let _ = unlinkat(&folder, &name, AtFlags::REMOVEDIR);
        }
    }
}

pub(crate) struct StagedFile {
    how: How,
    made: Made,
    /// The path without links.
    real: PathBuf,
    what: What,
}

enum What {
    /// A file of this name takes the place.
    Rename(OsString),
    /// The file itself is written.
    InPlace(FileId, Vec<u8>),
    Done,
}

/// Writes `bytes` beside the file at `real`. A file with several names, or in a folder where no file can be made, is to be written in
/// place instead; the former only if it is the one that is `linked`, else it gets a name of its own.
pub(crate) fn stage(
    how: How,
    made: Made,
    real: &Path,
    bytes: Vec<u8>,
    linked: Option<FileId>,
) -> io::Result<StagedFile> {
    let name = real.file_name().ok_or(Errno::ISDIR)?;
    let old = match statat(&made.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(old) => Some(old),
        Err(Errno::NOENT) => None,
        Err(error) => return Err(error.into()),
    };
    if old.is_some_and(|old| facts_of(&old).kind == Kind::Folder) {
        return Err(Errno::ISDIR.into());
    }
    let old = old.filter(|old| facts_of(old).kind == Kind::File);
    let is_linked = |old: &&Stat| linked == Some(id_of(old));
    let what = if let Some(old) = old.as_ref().filter(is_linked) {
        What::InPlace(id_of(old), bytes)
    } else {
        match (write_beside(&made.folder, &bytes, old.as_ref()), old) {
            (Ok(temporary), _) => What::Rename(temporary),
            (Err(error), Some(old))
                if error.kind() == io::ErrorKind::PermissionDenied && old.st_nlink == 1 =>
            {
                What::InPlace(id_of(&old), bytes)
            }
            (Err(error), _) => return Err(error),
        }
    };
    Ok(StagedFile {
        how,
        made,
        real: real.to_path_buf(),
        what,
    })
}

impl Staged for StagedFile {
    fn commit(mut self: Box<Self>) -> io::Result<()> {
        let folder = &*self.made.folder;
        let (Some(above), Some(name)) = (self.real.parent(), self.real.file_name()) else {
            return Err(Errno::ISDIR.into());
        };
        self.how.still_at(folder, above)?;
        match &self.what {
            What::Rename(temporary) => renameat(folder, temporary, folder, name)?,
            What::InPlace(id, bytes) => write_in_place(folder, name, *id, bytes)?,
            What::Done => {}
        }
        self.what = What::Done;
        self.made.keep();
        Ok(())
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if let What::Rename(temporary) = &self.what {
            let _ = unlinkat(&self.made.folder, temporary, AtFlags::empty());
        }
    }
}

fn write_in_place(folder: &OwnedFd, name: &OsStr, id: FileId, bytes: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = File::from(openat(folder, name, flags, Mode::empty())?);
    if id_of(&fstat(&file)?) != id {
        return Err(io::Error::other("the file was replaced meanwhile"));
    }
    file.set_len(0)?;
    file.write_all(bytes)?;
    file.sync_data()
}

fn write_beside(folder: &OwnedFd, bytes: &[u8], old: Option<&Stat>) -> io::Result<OsString> {
    let (mut file, name) = temporary(folder)?;
    let written = fill(&mut file, bytes, old);
    if written.is_err() {
        let _ = unlinkat(folder, &name, AtFlags::empty());
    }
    written.map(|()| name)
}

fn fill(file: &mut File, bytes: &[u8], old: Option<&Stat>) -> io::Result<()> {
    if let Some(old) = old {
        let now = fstat(&*file)?;
        if (now.st_uid, now.st_gid) != (old.st_uid, old.st_gid) {
            let owner = (Uid::from_raw(old.st_uid), Gid::from_raw(old.st_gid));
            // Only root may give files away; for others the owner is the same or the write is not worth failing for.
            let _ = fchown(&*file, Some(owner.0), Some(owner.1));
        }
        fchmod(&*file, Mode::from_raw_mode(old.st_mode & 0o7777))?;
    }
    file.write_all(bytes)?;
    file.sync_data()
}

/// How the name of a file that is being written begins and ends; those that an undo writes begin so too.
const TEMPORARY_START: &str = ".kilo-";
const TEMPORARY_END: &str = ".tmp";

/// Whether a file has the name of one that is being written, to take the place of another in a moment.
pub fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().map(OsStr::as_encoded_bytes);
    name.is_some_and(|name| {
        name.starts_with(TEMPORARY_START.as_bytes()) && name.ends_with(TEMPORARY_END.as_bytes())
    })
}

fn temporary(folder: &OwnedFd) -> io::Result<(File, OsString)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for _ in 0..NAMES_MAX {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let own = std::process::id();
        let name = OsString::from(format!("{TEMPORARY_START}{own}-{number}{TEMPORARY_END}"));
        match openat(folder, &name, flags, Mode::from_raw_mode(0o666)) {
            Ok(file) => return Ok((File::from(file), name)),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        "no free name for a temporary file",
    ))
}

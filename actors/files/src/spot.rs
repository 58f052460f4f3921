use crate::beneath::{How, READ};
use crate::facts::{facts_of, path_of};
use crate::staged::{self, Made};
use crate::walk;
use kilo_ports::files::{Entry, Facts, FileId, Kind, Opened, Spot, Staged};
use rustix::fs::{AtFlags, Dir, FileType, OFlags, fstat, statat, unlinkat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A place below a folder that is held open.
#[derive(Debug)]
pub(crate) struct DiskSpot {
    how: How,
    folder: Arc<OwnedFd>,
    /// Where `folder` was when it was opened.
    at: PathBuf,
    /// The names below it: one where the folder of the place exists, none for the root, several where folders are missing.
    names: Vec<OsString>,
    real: PathBuf,
}

impl DiskSpot {
    pub(crate) fn new(
        how: How,
        folder: Arc<OwnedFd>,
        at: PathBuf,
        names: Vec<OsString>,
        real: PathBuf,
    ) -> Self {
        Self {
            how,
            folder,
            at,
            names,
            real,
        }
    }

    /// Whether the held folder is at `path`, as far as the kernel tells.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        path_of(&self.folder).is_none_or(|now| now == path)
    }

    /// Whether no link stands where the path goes on.
    pub(crate) fn is_followed(&self) -> bool {
        let Some(first) = self.names.first() else {
            return true;
        };
        match statat(&self.folder, first, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => FileType::from_raw_mode(stat.st_mode) != FileType::Symlink,
            Err(error) => error == Errno::NOENT,
        }
    }

    /// The name in the held folder, where that is the place's own folder.
    fn name(&self) -> Option<&OsStr> {
        match self.names.as_slice() {
            [name] => Some(name),
            _ => None,
        }
    }

    /// The folder that is this place.
    fn open_folder(&self, flags: OFlags) -> io::Result<OwnedFd> {
        let below: PathBuf = self.names.iter().collect();
        self.how
            .open(&self.folder, &below, flags | OFlags::DIRECTORY)
    }

    fn still_there(&self) -> io::Result<()> {
        self.how.still_at(&*self.folder, &self.at)
    }
}

impl Spot for DiskSpot {
    fn real(&self) -> &Path {
        &self.real
    }

    fn facts(&self) -> io::Result<Facts> {
        let Some(first) = self.names.first() else {
            return Ok(facts_of(&fstat(&self.folder)?));
        };
        let stat = match statat(&self.folder, first, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(Facts::default()),
            Err(error) => return Err(error.into()),
        };
        match (FileType::from_raw_mode(stat.st_mode), self.names.len()) {
            (FileType::Symlink, _) => Err(io::Error::other("a link was put there meanwhile")),
            (_, 1) => Ok(facts_of(&stat)),
            (FileType::Directory, _) => Ok(Facts::default()),
            _ => Err(Errno::NOTDIR.into()),
        }
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let name = self.name().ok_or(Errno::NOENT)?;
        Ok(Box::new(regular(self.how.open(
            &self.folder,
            Path::new(name),
            READ,
        )?)?))
    }

    fn entries(&self, entries_max: usize) -> io::Result<Vec<Entry>> {
        let folder = self.open_folder(OFlags::RDONLY | OFlags::CLOEXEC)?;
        let names = names_in(&folder, entries_max)?;
        let entries = names.into_iter().map(|(name, kind)| {
            let is_folder = match kind {
                FileType::Directory => true,
                FileType::RegularFile => false,
                _ => statat(&folder, &name, AtFlags::empty())
                    .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
            };
            Entry { name, is_folder }
        });
        Ok(entries.collect())
    }

    fn beside(&self, names_max: usize) -> io::Result<Vec<OsString>> {
        if self.name().is_none() {
            return Ok(Vec::new());
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = self.how.open(&self.folder, Path::new(""), flags)?;
        let names = names_in(&folder, names_max)?;
        Ok(names.into_iter().map(|(name, _)| name).collect())
    }

    fn has_above(&self, name: &str) -> bool {
        self.real
            .ancestors()
            .skip(1)
            .any(|folder| folder.join(name).is_file())
    }

    fn stage(&self, bytes: Vec<u8>, linked: Option<FileId>) -> io::Result<Box<dyn Staged>> {
        self.still_there()?;
        let (_, above) = self.names.split_last().ok_or(Errno::ISDIR)?;
        let made = Made::folders(&self.folder, above)?;
        let staged = staged::stage(self.how, made, &self.real, bytes, linked)?;
        Ok(Box::new(staged))
    }

    fn remove(&self) -> io::Result<()> {
        self.still_there()?;
        let name = self.name().ok_or(Errno::NOENT)?;
        Ok(unlinkat(&self.folder, name, AtFlags::empty())?)
    }

    fn below(&self, path: &Path) -> io::Result<Box<dyn Opened>> {
        let below: PathBuf = self.names.iter().collect();
        let below = if path.as_os_str().is_empty() {
            below
        } else {
            below.join(path)
        };
        Ok(Box::new(OpenedFile(regular(self.how.open(
            &self.folder,
            &below,
            READ,
        )?)?)))
    }

    fn walk(
        &self,
        goes_on: &(dyn Fn() -> bool + Sync),
        visit: &(dyn Fn(&Path) -> bool + Sync),
    ) -> io::Result<bool> {
        match self.facts()?.kind {
            Kind::File => Ok(!goes_on() || visit(Path::new(""))),
            Kind::Folder => Ok(walk::files(&self.real, goes_on, visit)),
            _ => Err(Errno::NOENT.into()),
        }
    }
}

struct OpenedFile(File);

impl Read for OpenedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Opened for OpenedFile {
    fn facts(&self) -> io::Result<Facts> {
        Ok(facts_of(&fstat(&self.0)?))
    }
}

/// A descriptor as a file, if it is one.
fn regular(descriptor: OwnedFd) -> io::Result<File> {
    let stat = fstat(&descriptor)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(File::from(descriptor)),
        FileType::Directory => Err(Errno::ISDIR.into()),
        _ => Err(io::Error::other("it is not a regular file")),
    }
}

fn names_in(folder: &OwnedFd, names_max: usize) -> io::Result<Vec<(OsString, FileType)>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        if names.len() == names_max {
            break;
        }
        names.push((OsStr::from_bytes(name).to_owned(), entry.file_type()));
    }
    Ok(names)
}

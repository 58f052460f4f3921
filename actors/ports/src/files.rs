//! The disk as file tools see it: a path is followed once, and what was judged is what is read and written.
//!
//! Everything here blocks: callers run it where that is allowed.

use std::ffi::OsString;
use std::fmt::Debug;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// What is at a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    #[default]
    Missing,
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A device, a pipe, a socket.
    Other,
}

/// Tells a file from all others, whatever it is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The disk.
    pub device: u64,
    /// The file on it.
    pub number: u64,
}

/// A file's facts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What it is.
    pub kind: Kind,
    /// Its size.
    pub bytes: u64,
    /// How many names it has (hard links); 0 for what is missing.
    pub names: u64,
    /// When its content was changed; `None` for what is missing.
    pub changed: Option<SystemTime>,
    /// Which file it is.
    pub id: FileId,
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: OsString,
    /// A folder, or a link to one.
    pub is_folder: bool,
}

/// A disk. One for the machine itself; a container's or another machine's would be others.
pub trait Files: Send + Sync + 'static {
    /// Follows `path` (absolute, without `.` and `..`), links included, and holds on to the folder in which it ends. What
    /// of the path does not exist is kept as written.
    ///
    /// Errors: a circle of links, folders that may not be entered, a path that keeps changing while it is followed.
    fn find(&self, path: &Path) -> io::Result<Arc<dyn Spot>>;

    /// The same path without links, as far as it exists.
    fn real(&self, path: &Path) -> io::Result<PathBuf>;
}

/// A place on a disk, held from the judgement to the last write.
///
/// No method follows a link: what was put there since is an error, never a way out. Where the folders above were moved or
/// replaced since, nothing is written.
pub trait Spot: Debug + Send + Sync {
    /// The path without links: where the held folder was when it was opened, and the names below it. It is what
    /// permissions are judged by.
    fn real(&self) -> &Path;

    /// What is there now.
    fn facts(&self) -> io::Result<Facts>;

    /// Opens the regular file that is there.
    fn open(&self) -> io::Result<Box<dyn Read + Send>>;

    /// The entries of the folder that is there, at most `entries_max`, in no order.
    fn entries(&self, entries_max: usize) -> io::Result<Vec<Entry>>;

    /// The names beside it, at most `names_max`; none where its folder does not exist.
    fn beside(&self, names_max: usize) -> io::Result<Vec<OsString>>;

    /// Whether the folder above, or one further up, has a file called `name`.
    fn has_above(&self, name: &str) -> bool;

    /// Makes the folders above and puts `bytes` beside the place, down to the disk. An existing file's mode and owner are
    /// kept. `linked` is the file with several names that is to be written in place, so that all of them change.
    fn stage(&self, bytes: Vec<u8>, linked: Option<FileId>) -> io::Result<Box<dyn Staged>>;

    /// Removes the file.
    fn remove(&self) -> io::Result<()>;

    /// The file `path` below this folder; the empty path is this place itself.
    fn below(&self, path: &Path) -> io::Result<Box<dyn Opened>>;

    /// Calls `visit` for every file below the folder, or for the file itself, on several threads; `false` ends the walk.
    /// Ignore files are honoured, `.git` and links left out. Tells whether the walk got through. `goes_on` is asked between
    /// files.
    fn walk(
        &self,
        goes_on: &(dyn Fn() -> bool + Sync),
        visit: &(dyn Fn(&Path) -> bool + Sync),
    ) -> io::Result<bool>;
}

/// A regular file, open.
pub trait Opened: Read + Send {
    /// Its facts.
    fn facts(&self) -> io::Result<Facts>;
}

/// Bytes that wait to take a file's place. Dropped, nothing has happened.
pub trait Staged: Send {
    /// Puts them there in one step.
    fn commit(self: Box<Self>) -> io::Result<()>;
}

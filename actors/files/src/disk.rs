use crate::beneath::{How, PASSED};
use crate::facts::id_of;
use crate::real::real;
use crate::spot::DiskSpot;
use kilo_ports::files::{FileId, Files, Spot};
use parking_lot::Mutex;
use rustix::fs::{CWD, Mode, fstat, openat};
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

/// How often a path is followed anew when it changed between being followed and being opened.
const TRIES: usize = 16;
/// Descriptors remembered before those that nobody holds are dropped.
const HELD_MAX: usize = 1_024;

/// The machine's own disk.
///
/// Places in one folder share its descriptor, so that a large patch holds few.
#[derive(Debug)]
pub struct Disk {
    how: How,
    held: Mutex<HashMap<FileId, Weak<OwnedFd>>>,
}

impl Default for Disk {
    fn default() -> Self {
        Self::with(How::best())
    }
}

impl Disk {
    /// A disk that goes step by step, as one does where the kernel has no better way. For tests.
    #[doc(hidden)]
    pub fn by_steps() -> Self {
        Self::with(How::Steps)
    }

    fn with(how: How) -> Self {
        Self {
            how,
            held: Mutex::default(),
        }
    }

    /// `folder`, or a descriptor of the same folder that somebody holds already.
    fn share(&self, folder: OwnedFd) -> io::Result<Arc<OwnedFd>> {
        let id = id_of(&fstat(&folder)?);
        let mut held = self.held.lock();
        if let Some(known) = held.get(&id).and_then(Weak::upgrade) {
            return Ok(known);
        }
        if held.len() >= HELD_MAX {
            held.retain(|_, folder| folder.strong_count() > 0);
        }
        let folder = Arc::new(folder);
        held.insert(id, Arc::downgrade(&folder));
        Ok(folder)
    }

    /// Opens the folder that holds `path`, or as much of the way as exists, and gives the names that remain.
    fn hold(&self, path: &Path) -> io::Result<(OwnedFd, PathBuf, Vec<OsString>)> {
        let root = openat(CWD, "/", PASSED, Mode::empty())?;
        let mut names: Vec<OsString> = Vec::new();
        let mut folder = path;
        loop {
            if let (Some(above), Some(name)) = (folder.parent(), folder.file_name()) {
                names.insert(0, name.to_owned());
                folder = above;
            }
            let below = folder.strip_prefix("/").unwrap_or(folder);
            match self.how.open(&root, below, PASSED) {
                Ok(held) => return Ok((held, folder.to_path_buf(), names)),
                // A file on the way is a missing folder too: whoever wants to write there is told then.
                Err(error)
                    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
                        && folder.parent().is_some() => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Files for Disk {
    fn find(&self, path: &Path) -> io::Result<Arc<dyn Spot>> {
        let mut last = None;
        for _ in 0..TRIES {
            let real = real(path)?;
            let held = match self.hold(&real) {
                Ok(held) => held,
                Err(error) => {
                    last = Some(error);
                    continue;
                }
            };
            let (folder, at, names) = held;
            let spot = DiskSpot::new(self.how, self.share(folder)?, at.clone(), names, real);
            // The descriptor has the last word: where it is, and that no link came to stand at the end or in the way.
            if spot.is_at(&at) && spot.is_followed() {
                return Ok(Arc::new(spot));
            }
        }
        Err(last.unwrap_or_else(|| io::Error::other("the path keeps changing")))
    }

    fn real(&self, path: &Path) -> io::Result<PathBuf> {
        real(path)
    }
}

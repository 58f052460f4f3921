//! Opens what lies below a folder without following a single link, by one system call where the kernel has it.

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};
use std::sync::atomic::{AtomicBool, Ordering};

/// Flags for a folder that is only gone through.
pub(crate) const PASSED: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Flags for a file that is read. A pipe in its place does not block.
pub(crate) const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// How often a walk that the kernel wants to begin anew is.
const TRIES: usize = 64;

/// How links are kept out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// `openat2`, which kernels have since 5.6, unless a container's filter forbids it.
    Kernel,
    /// Step by step, each with `O_NOFOLLOW`.
    Steps,
}

impl How {
    /// The better one that works here.
    pub(crate) fn best() -> Self {
        static STEPS: AtomicBool = AtomicBool::new(false);
        if STEPS.load(Ordering::Relaxed) {
            return Self::Steps;
        }
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match openat2(CWD, ".", PASSED, Mode::empty(), resolve) {
            Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => {
                STEPS.store(true, Ordering::Relaxed);
                Self::Steps
            }
            _ => Self::Kernel,
        }
    }

    /// Opens `path` below `folder`. The empty path is the folder itself.
    ///
    /// Errors: `ELOOP` or `ENOTDIR` for a link on the way or at the end; a path that is absolute or leaves the folder.
    pub(crate) fn open(self, folder: impl AsFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        match self {
            Self::Kernel => by_kernel(folder, path, flags),
            Self::Steps => by_steps(folder, path, flags),
        }
    }
}

impl How {
    /// Fails when `folder` is no longer what is found at `path` (absolute, without links).
    pub(crate) fn still_at(self, folder: impl AsFd, path: &Path) -> io::Result<()> {
        let moved = || io::Error::other("its folder was moved or replaced meanwhile");
        let root = openat(CWD, "/", PASSED, Mode::empty())?;
        let below = path.strip_prefix("/").unwrap_or(path);
        let now = self.open(root, below, PASSED).map_err(|_| moved())?;
        let (now, held) = (fstat(&now)?, fstat(folder)?);
        if (now.st_dev, now.st_ino) == (held.st_dev, held.st_ino) {
            Ok(())
        } else {
            Err(moved())
        }
    }
}

fn by_kernel(folder: impl AsFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    for _ in 0..TRIES {
        match openat2(&folder, path, flags, Mode::empty(), resolve) {
            // Something was renamed while the kernel walked, so that it cannot vouch for the way.
            Err(Errno::AGAIN) => {}
            done => return Ok(done?),
        }
    }
    Err(Errno::AGAIN.into())
}

fn by_steps(folder: impl AsFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let mut current = folder.as_fd().try_clone_to_owned()?;
    let mut steps = path.components().peekable();
    while let Some(step) = steps.next() {
        let name = match step {
            Component::Normal(name) => name,
            Component::CurDir => ".".as_ref(),
            _ => return Err(Errno::XDEV.into()),
        };
        let flags = if steps.peek().is_some() {
            PASSED
        } else {
            flags | OFlags::NOFOLLOW
        };
        current = openat(&current, name, flags, Mode::empty())?;
    }
    Ok(current)
}

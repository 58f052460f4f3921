//! The process between the daemon and a command: a run's own little init.
//!
//! ```text
//!   daemon ---- control socket ---- init (subreaper) ---- command ---- whatever it starts
//!      '------------- output pipe ----------------------------'---------------'
//! ```
//!
//! Init is a subreaper: a descendant that loses its parent becomes init's child, so nothing of a run can leave the tree.
//! It ends everything below it when the command has ended, when it is told to, and when the control socket closes, which
//! the kernel does for a daemon that was killed. Its own death takes the command along (`PDEATHSIG`).
//!
//! **Why a clone that shares memory.** `fork` would copy the daemon's page tables for each command (slower with every
//! mebibyte of heap) and double the memory that the daemon changes while the command runs; `exec` of a helper costs a
//! millisecond. Init is made with `CLONE_VM` (not `CLONE_THREAD`, not `CLONE_FILES`, not `CLONE_SIGHAND`): a process of
//! its own with its own file table and signals that runs on a stack of its own inside the daemon's memory. `posix_spawn`
//! does the same for the short time until `exec`. Measured with a heap of 200 MiB: `bash -c true` takes 1.32 ms this way,
//! 1.16 ms with a bare `posix_spawn`, 8.6 ms after a `fork`; the first two do not grow with the heap. The price is a rule: **between its start and its end init may not
//! allocate, panic, lock, use thread-local storage or look at `errno`.** Hence: numbers, stack buffers and `rustix`
//! (whose Linux backend makes raw system calls) only. Until [`start`] returns, the thread that called it is blocked, so
//! libc's `errno` of that thread may be touched; afterwards not. What the shared memory would show to the command is
//! closed by `conceal.rs`.

mod clone;
mod inits;
mod stack;
mod words;

pub use inits::Inits;
pub use words::{KILL, Report, SIGNAL, TERMINATE};

use crate::launch::Launch;
use crate::streams::ChildEnds;
use clone::{Plan, init_main};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::process::{Pid, WaitOptions};
use stack::Stack;
use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::AtomicI32;
use std::time::Duration;

/// Who is who in a tree.
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    /// Init, the root.
    pub init: Pid,
    /// The command.
    pub command: i32,
}

/// A started init: its number and its stack.
///
/// Closing `control` (all copies) makes init end the tree. [`Init::reap`] must be called before the drop; a run that was
/// never reaped leaks its stack rather than pull it from under a live process.
pub struct Init {
    /// Init's own process.
    pub pid: Pid,
    /// The command's number. It may be somebody else's once the command has ended.
    command: i32,
    stack: Stack,
    inits: Arc<Inits>,
}

impl Init {
    /// Who is who.
    pub fn numbers(&self) -> Numbers {
        Numbers {
            init: self.pid,
            command: self.command,
        }
    }

    /// The list that it is on.
    pub fn inits(&self) -> Arc<Inits> {
        Arc::clone(&self.inits)
    }

    /// Waits for init's end, at most a few milliseconds after its side of the control socket closed, and gives its stack
    /// back. Blocks.
    pub fn reap(self) {
        self.inits.end(self.pid.as_raw_nonzero().get(), || {
            let wait = || rustix::process::waitpid(Some(self.pid), WaitOptions::empty());
            while let Err(Errno::INTR) = wait() {}
        });
        // SAFETY: init has been waited for, and it waits for the command before it ends; a command that outlived a killed
        // init has left this memory with its `exec`, or dies of it (`PDEATHSIG`).
        unsafe { self.stack.unmap() };
    }
}

/// The daemon's end of the control socket.
#[derive(Debug)]
pub struct Control(OwnedFd);

impl Control {
    /// Tells init something; a lost message means that init is gone.
    pub fn tell(&self, order: &[u8]) {
        let _ = rustix::net::send(&self.0, order, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    }

    /// Takes the next report without waiting (`WouldBlock` when there is none); `None` when init is gone, and with it
    /// the tree.
    pub fn report(&self) -> io::Result<Option<Report>> {
        let mut bytes = [0; Report::BYTES];
        let (read, _) = rustix::net::recv(&self.0, &mut bytes, RecvFlags::DONTWAIT)?;
        if read < Report::BYTES {
            return Ok(None);
        }
        Ok(Report::decode(bytes))
    }

    /// Blocks until there is a report or init is gone.
    fn wait(&self) {
        let _ = rustix::event::poll(&mut [PollFd::new(&self.0, PollFlags::IN)], None);
    }

    /// Blocks until init is gone, at most for `bound`; leaves reports alone.
    pub fn wait_for_end(&self, bound: Duration) {
        let bound = Timespec::try_from(bound).ok();
        let _ = rustix::event::poll(
            &mut [PollFd::new(&self.0, PollFlags::empty())],
            bound.as_ref(),
        );
    }
}

impl AsRawFd for Control {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Starts `launch` under an init of its own, with these streams. Returns when the command's `exec` has
/// succeeded or failed; blocks for that time (0.1 ms when the disk cache is warm).
pub fn start(launch: &Launch, ends: &ChildEnds, inits: &Arc<Inits>) -> io::Result<(Init, Control)> {
    let (ours, theirs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let signals = child_signals()?;
    let stack = Stack::map()?;
    let plan = Plan {
        launch,
        stdin: ends.input.as_raw_fd(),
        stdout: ends.output.as_raw_fd(),
        stderr: ends.error.as_ref().unwrap_or(&ends.output).as_raw_fd(),
        is_terminal: ends.is_terminal,
        control: theirs.as_raw_fd(),
        signals: signals.as_raw_fd(),
        command_stack: stack.command_top(),
        init: AtomicI32::new(0),
        errno: AtomicI32::new(0),
    };
    let clone = || {
        // SAFETY: `init_main` follows the rule in the module's head; its stack is mapped until init was reaped; `plan`
        // and what it borrows live until `report` below has heard of the start, after which init does not read them.
        unsafe {
            libc::clone(
                init_main,
                stack.init_top(),
                libc::CLONE_VM | libc::SIGCHLD,
                std::ptr::from_ref(&plan).cast_mut().cast::<c_void>(),
            )
        }
    };
    let cloned = inits.start(|| with_signals_blocked(clone))?;
    let Some(pid) = Pid::from_raw(cloned).filter(|_| cloned > 0) else {
        let error = io::Error::last_os_error();
        // SAFETY: no process was made.
        unsafe { stack.unmap() };
        return Err(error);
    };
    drop(theirs);
    let control = Control(ours);
    let first = wait_for_start(&control);
    let command = match first {
        Some(Report::Started(command)) => command,
        _ => 0,
    };
    let init = Init {
        pid,
        command,
        stack,
        inits: Arc::clone(inits),
    };
    match first {
        Some(Report::Started(_)) => Ok((init, control)),
        other => {
            drop(control);
            init.reap();
            Err(match other {
                Some(Report::Refused(errno)) => io::Error::from_raw_os_error(errno),
                _ => io::Error::other("the process that starts the command was ended from outside"),
            })
        }
    }
}

/// Only a report or init's end leaves this loop: `plan` may not be given up earlier.
fn wait_for_start(control: &Control) -> Option<Report> {
    loop {
        control.wait();
        match control.report() {
            Ok(report) => return report,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
                ) => {}
            Err(_) => return None,
        }
    }
}

/// Runs `body` with all signals blocked in this thread, so that the clone starts with all of them blocked and no handler
/// of the daemon ever runs in it.
fn with_signals_blocked<T>(body: impl FnOnce() -> T) -> io::Result<T> {
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are valid memory, and each is written before it is read.
    let blocked = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr())
    };
    if blocked != 0 {
        return Err(io::Error::from_raw_os_error(blocked));
    }
    let result = body();
    // SAFETY: `before` was filled by the call above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    Ok(result)
}

/// A descriptor that is readable while a SIGCHLD of the *reading* process waits.
fn child_signals() -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is emptied before it is used.
    let fd = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
        libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

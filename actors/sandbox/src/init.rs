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
//! libc's `errno` of that thread may be touched; afterwards not.

use crate::launch::Launch;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode as FileMode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::process::{Pid, Signal, WaitOptions};
use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// Told to init: let the tree end in its own time, even after the command has ended.
pub const TERMINATE: u8 = b'T';
/// Told to init: end the tree now.
pub const KILL: u8 = b'K';

/// Bytes of each of the two stacks (init's, and the command's until `exec`).
const STACK_BYTES: usize = 64 * 1024;
/// Rounds of killing, 10 ms each, before init gives up on processes that do not die (a dead disk holds them).
const KILL_ROUNDS_MAX: u32 = 1_000;
/// Signals that can be set to their default: all but SIGKILL and SIGSTOP of 1..=64.
const SIGNALS: std::ops::RangeInclusive<c_int> = 1..=64;

/// What init tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The command runs, as this process.
    Started(i32),
    /// The command could not be started: the system's error number.
    Refused(i32),
    /// The command ended with this code.
    Exited(i32),
    /// The command was ended by this signal.
    Signalled(i32),
}

impl Report {
    const BYTES: usize = 5;

    fn encode(self) -> [u8; Self::BYTES] {
        let (kind, value) = match self {
            Self::Started(pid) => (0, pid),
            Self::Refused(errno) => (1, errno),
            Self::Exited(code) => (2, code),
            Self::Signalled(signal) => (3, signal),
        };
        let [a, b, c, d] = value.to_le_bytes();
        [kind, a, b, c, d]
    }

    fn decode(bytes: [u8; Self::BYTES]) -> Option<Self> {
        let [kind, a, b, c, d] = bytes;
        let value = i32::from_le_bytes([a, b, c, d]);
        match kind {
            0 => Some(Self::Started(value)),
            1 => Some(Self::Refused(value)),
            2 => Some(Self::Exited(value)),
            3 => Some(Self::Signalled(value)),
            _ => None,
        }
    }
}

/// A started init: its number and its stack.
///
/// Closing `control` (all copies) makes init end the tree. [`Init::reap`] must be called before the drop; a run that was
/// never reaped leaks its stack rather than pull it from under a live process.
pub struct Init {
    /// Init's own process.
    pub pid: Pid,
    stack: Stack,
}

impl Init {
    /// Waits for init's end, at most a few milliseconds after its side of the control socket closed, and gives its stack
    /// back. Blocks.
    pub fn reap(mut self) {
        while let Err(Errno::INTR) = rustix::process::waitpid(Some(self.pid), WaitOptions::empty())
        {
        }
        self.stack.unmap();
    }
}

/// The daemon's end of the control socket.
#[derive(Debug)]
pub struct Control(OwnedFd);

impl Control {
    /// Tells init something; a lost message means that init is gone.
    pub fn tell(&self, order: u8) {
        let _ = rustix::net::send(&self.0, &[order], SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
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

/// Starts `launch` under an init of its own, with stdout and stderr on `output`. Returns when the command's `exec` has
/// succeeded or failed; blocks for that time (0.1 ms when the disk cache is warm).
pub fn start(launch: &Launch, output: &OwnedFd) -> io::Result<(Init, Control)> {
    let (ours, theirs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let signals = child_signals()?;
    let mut stack = Stack::map()?;
    let plan = Plan {
        launch,
        output: output.as_raw_fd(),
        stdin: launch.stdin().as_raw_fd(),
        control: theirs.as_raw_fd(),
        signals: signals.as_raw_fd(),
        command_stack: stack.command_top(),
        errno: AtomicI32::new(0),
    };
    let cloned = with_signals_blocked(|| {
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
    })?;
    let Some(pid) = Pid::from_raw(cloned).filter(|_| cloned > 0) else {
        let error = io::Error::last_os_error();
        stack.unmap();
        return Err(error);
    };
    drop(theirs);
    let control = Control(ours);
    let first = wait_for_start(&control);
    let init = Init { pid, stack };
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

/// Two stacks in one mapping, each with an inaccessible page below it.
struct Stack {
    base: *mut c_void,
}

// SAFETY: it is an address of a mapping that belongs to this value alone.
unsafe impl Send for Stack {}
// SAFETY: through a shared reference only the address can be had.
unsafe impl Sync for Stack {}

const GUARD_BYTES: usize = 64 * 1024;
const SLOT_BYTES: usize = GUARD_BYTES + STACK_BYTES;

impl Stack {
    fn map() -> io::Result<Self> {
        // SAFETY: a new private mapping at an address that the kernel chooses.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                SLOT_BYTES * 2,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let mut stack = Self { base };
        for slot in 0..2 {
            // SAFETY: inside the mapping made above, at a multiple of any page size up to 64 KiB.
            let opened = unsafe {
                let usable = stack.base.byte_add(slot * SLOT_BYTES + GUARD_BYTES);
                libc::mprotect(usable, STACK_BYTES, libc::PROT_READ | libc::PROT_WRITE)
            };
            if opened != 0 {
                let error = io::Error::last_os_error();
                stack.unmap();
                return Err(error);
            }
        }
        Ok(stack)
    }

    fn init_top(&self) -> *mut c_void {
        // SAFETY: one past the first slot, a page boundary.
        unsafe { self.base.byte_add(SLOT_BYTES) }
    }

    fn command_top(&self) -> *mut c_void {
        // SAFETY: one past the second slot.
        unsafe { self.base.byte_add(SLOT_BYTES * 2) }
    }

    fn unmap(&mut self) {
        // SAFETY: the mapping is this value's own, and nobody runs on it any more: it was never used, or its process
        // has been waited for.
        unsafe { libc::munmap(self.base, SLOT_BYTES * 2) };
    }
}

/// What the clones read, while the thread in [`start`] waits.
struct Plan<'a> {
    launch: &'a Launch,
    output: RawFd,
    stdin: RawFd,
    control: RawFd,
    signals: RawFd,
    command_stack: *mut c_void,
    errno: AtomicI32,
}

extern "C" fn init_main(argument: *mut c_void) -> c_int {
    // SAFETY: `start` passes a `Plan` that lives until the first report; only numbers are kept beyond it.
    let plan = unsafe { &*argument.cast::<Plan<'_>>() };
    // SAFETY: this process's own copies of two open descriptors, closed by nobody here.
    let (control, signals) = unsafe {
        (
            BorrowedFd::borrow_raw(plan.control),
            BorrowedFd::borrow_raw(plan.signals),
        )
    };
    if let Err(errno) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        report(control, Report::Refused(errno.raw_os_error()));
        return 0;
    }
    // SAFETY: `command_main` runs on its own stack while this process is suspended (CLONE_VFORK) and ends in `exec` or
    // `_exit`; the memory that it reads belongs to `plan`.
    let command = unsafe {
        libc::clone(
            command_main,
            plan.command_stack,
            libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
            argument,
        )
    };
    let failed = if command < 0 {
        libc::EAGAIN
    } else {
        plan.errno.load(Ordering::Acquire)
    };
    keep_only(plan.control, plan.signals);
    if failed != 0 {
        report(control, Report::Refused(failed));
        return 0;
    }
    report(control, Report::Started(command));
    supervise(control, signals, command);
    0
}

extern "C" fn command_main(argument: *mut c_void) -> c_int {
    // SAFETY: as in `init_main`.
    let plan = unsafe { &*argument.cast::<Plan<'_>>() };
    // SAFETY: system calls on this process's own state, with pointers that `plan` keeps alive. Handlers are reset before
    // signals are let in, so that no handler of the daemon runs on shared memory. `errno` is the blocked thread's.
    unsafe {
        for signal in SIGNALS {
            libc::signal(signal, libc::SIG_DFL);
        }
        let ready = libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0
            && libc::setsid() >= 0
            && libc::dup2(plan.stdin, 0) == 0
            && libc::dup2(plan.output, 1) == 1
            && libc::dup2(plan.output, 2) == 2
            && libc::chdir(plan.launch.directory().as_ptr()) == 0;
        if ready {
            close_from(3);
            let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigemptyset(none.as_mut_ptr());
            libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
            libc::execve(
                plan.launch.program().as_ptr(),
                plan.launch.argv(),
                plan.launch.envp(),
            );
        }
        plan.errno
            .store((*libc::__errno_location()).max(1), Ordering::Release);
        libc::_exit(127)
    }
}

/// Closes everything from `first` on, the daemon's own inheritance included.
fn close_from(first: u32) {
    close_range(first, u32::MAX);
}

fn keep_only(a: RawFd, b: RawFd) {
    let (low, high) = (a.min(b).unsigned_abs(), a.max(b).unsigned_abs());
    if low > 0 {
        close_range(0, low.saturating_sub(1));
    }
    if high > low.saturating_add(1) {
        close_range(low.saturating_add(1), high.saturating_sub(1));
    }
    close_range(high.saturating_add(1), u32::MAX);
}

fn close_range(first: u32, last: u32) {
    // SAFETY: it closes descriptors of this process's own table; nothing here uses them again.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0 {
        return;
    }
    // Before Linux 5.9: one by one.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile)
        .current
        .unwrap_or(65_536);
    let end = u32::try_from(limit.min(1 << 20))
        .unwrap_or(1 << 20)
        .min(last);
    let mut fd = first;
    while fd <= end {
        // SAFETY: as above; an unused number is an ignored error.
        unsafe { rustix::io::close(fd as RawFd) };
        fd = fd.saturating_add(1);
    }
}

fn report(control: BorrowedFd<'_>, report: Report) {
    let _ = rustix::net::send(control, &report.encode(), SendFlags::NOSIGNAL);
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// The command runs.
    Running,
    /// Everything was asked to end; the daemon counts the time.
    Terminating,
    /// Everything ends now.
    Killing,
}

/// Reaps what ends, tells the command's end, and ends the rest. Returns when nothing is left below.
fn supervise(control: BorrowedFd<'_>, signals: BorrowedFd<'_>, command: i32) {
    let mut mode = Mode::Running;
    let mut rounds: u32 = 0;
    loop {
        match reap_all(control, command) {
            Reaped::Nothing => {}
            Reaped::Command if mode == Mode::Running => mode = Mode::Killing,
            Reaped::Command => {}
            Reaped::LastOne => return,
        }
        if mode == Mode::Killing {
            kill_children();
            rounds = rounds.saturating_add(1);
            if rounds > KILL_ROUNDS_MAX {
                return;
            }
        }
        mode = wait(control, signals, mode);
    }
}

enum Reaped {
    Nothing,
    Command,
    LastOne,
}

fn reap_all(control: BorrowedFd<'_>, command: i32) -> Reaped {
    let mut reaped = Reaped::Nothing;
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == command => {
                let ended = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Report::Exited(code),
                    (None, Some(signal)) => Report::Signalled(signal),
                    (None, None) => continue,
                };
                report(control, ended);
                reaped = Reaped::Command;
            }
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return reaped,
            Err(_) => return Reaped::LastOne,
        }
    }
}

/// Sleeps until a child ended, the daemon said something or went away, or 10 ms passed while killing.
fn wait(control: BorrowedFd<'_>, signals: BorrowedFd<'_>, mode: Mode) -> Mode {
    let tick = Timespec {
        tv_sec: 0,
        tv_nsec: 10_000_000,
    };
    let mut fds = [
        PollFd::from_borrowed_fd(signals, PollFlags::IN),
        PollFd::from_borrowed_fd(control, PollFlags::IN),
    ];
    // While killing, the control socket has nothing more to say, and a closed one would make this a busy loop.
    let (fds, bound) = match mode {
        Mode::Killing => (fds.split_at_mut(1).0, Some(&tick)),
        _ => (&mut fds[..], None),
    };
    let _ = rustix::event::poll(fds, bound);
    drain(signals);
    if mode == Mode::Killing {
        mode
    } else {
        heard(control, mode)
    }
}

fn drain(signals: BorrowedFd<'_>) {
    let mut buffer = [0_u8; 512];
    while matches!(rustix::io::read(signals, &mut buffer), Ok(read) if read > 0) {}
}

fn heard(control: BorrowedFd<'_>, mode: Mode) -> Mode {
    let mut order = [0_u8];
    match rustix::net::recv(control, &mut order, RecvFlags::DONTWAIT) {
        Ok((1, _)) if order == [TERMINATE] => Mode::Terminating,
        Err(Errno::AGAIN | Errno::INTR) => mode,
        _ => Mode::Killing,
    }
}

/// Kills this process's children; what they leave behind becomes the next round's children.
///
/// Only this process can reap them, so none of the numbers can have been given to anybody else.
fn kill_children() {
    let Ok(list) = rustix::fs::open(
        c"/proc/thread-self/children",
        OFlags::RDONLY | OFlags::CLOEXEC,
        FileMode::empty(),
    ) else {
        return;
    };
    let mut buffer = [0_u8; 4096];
    let mut pid: i32 = 0;
    while let Ok(read @ 1..) = rustix::io::read(&list, &mut buffer) {
        for byte in buffer.iter().take(read) {
            if byte.is_ascii_digit() {
                pid = pid
                    .wrapping_mul(10)
                    .wrapping_add(i32::from(byte.wrapping_sub(b'0')));
            } else if let Some(child) = Pid::from_raw(std::mem::take(&mut pid)) {
                let _ = rustix::process::kill_process(child, Signal::KILL);
            }
        }
    }
}

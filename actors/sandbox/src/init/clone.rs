//! What runs inside the clones: no allocation, no panic, no lock, no thread-local storage (see the parent module).

use super::words::{Report, SIGNAL, TERMINATE};
use crate::launch::Launch;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode as FileMode, OFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustix::process::{Pid, Signal, WaitOptions};
use std::ffi::{c_int, c_void};
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};

/// Rounds of killing, 10 ms each, before init gives up on processes that do not die (a dead disk holds them).
const KILL_ROUNDS_MAX: u32 = 1_000;
/// Signals that can be set to their default: all but SIGKILL and SIGSTOP of 1..=64.
const SIGNALS: std::ops::RangeInclusive<c_int> = 1..=64;

/// What the clones read, while the thread in [`start`] waits.
pub struct Plan<'a> {
    pub launch: &'a Launch,
    pub stdin: RawFd,
    pub stdout: RawFd,
    pub stderr: RawFd,
    /// All three are a terminal.
    pub is_terminal: bool,
    pub control: RawFd,
    pub signals: RawFd,
    pub command_stack: *mut c_void,
    /// Init's own number, for the command to see that init still lives.
    pub init: AtomicI32,
    /// Why the command could not be started.
    pub errno: AtomicI32,
}

/// Init itself: starts the command, then looks after its tree.
pub extern "C" fn init_main(argument: *mut c_void) -> c_int {
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
    plan.init.store(
        rustix::process::getpid().as_raw_nonzero().get(),
        Ordering::Release,
    );
    // SAFETY: it copies a short text; process lists then tell runs from the daemon.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"kilo-run".as_ptr()) };
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
            && libc::getppid() == plan.init.load(Ordering::Acquire)
            && libc::setsid() >= 0
            && libc::dup2(plan.stdin, 0) == 0
            && libc::dup2(plan.stdout, 1) == 1
            && libc::dup2(plan.stderr, 2) == 2
            // A session leader without a terminal, as this one is since `setsid`, may take one as its controlling one.
            && (!plan.is_terminal || libc::ioctl(0, libc::TIOCSCTTY, 0) == 0)
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
    // Nobody else reaps here, so until this is cleared the number is the command's, alive or ended.
    let mut living = Pid::from_raw(command);
    loop {
        match reap_all(control, command) {
            Reaped::Nothing => {}
            Reaped::Command => {
                living = None;
                if mode == Mode::Running {
                    mode = Mode::Killing;
                }
            }
            Reaped::LastOne => return,
        }
        if mode == Mode::Killing {
            kill_children();
            rounds = rounds.saturating_add(1);
            if rounds > KILL_ROUNDS_MAX {
                return;
            }
        }
        mode = wait(control, signals, mode, living);
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
fn wait(
    control: BorrowedFd<'_>,
    signals: BorrowedFd<'_>,
    mode: Mode,
    command: Option<Pid>,
) -> Mode {
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
        heard(control, mode, command)
    }
}

fn drain(signals: BorrowedFd<'_>) {
    let mut buffer = [0_u8; 512];
    while matches!(rustix::io::read(signals, &mut buffer), Ok(read) if read > 0) {}
}

fn heard(control: BorrowedFd<'_>, mode: Mode, command: Option<Pid>) -> Mode {
    let mut order = [0_u8; 2];
    match rustix::net::recv(control, &mut order, RecvFlags::DONTWAIT) {
        Ok((1, _)) if order[0] == TERMINATE => Mode::Terminating,
        Ok((2, _)) if order[0] == SIGNAL => {
            if let Some(command) = command {
                signal(command, order[1]);
            }
            mode
        }
        Err(Errno::AGAIN | Errno::INTR) => mode,
        _ => Mode::Killing,
    }
}

/// To the command's process group, which it leads unless it chose otherwise, or to the command alone.
fn signal(command: Pid, number: u8) {
    let Some(signal) = Signal::from_named_raw(c_int::from(number)) else {
        return;
    };
    if rustix::process::kill_process_group(command, signal).is_err() {
        let _ = rustix::process::kill_process(command, signal);
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

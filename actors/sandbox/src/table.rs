//! What `/proc` says about processes: who is whose child, who carries a mark, who holds a socket.

use crate::environment::RUN_MARK;
use kilo_ports::sandbox::Usage;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::time::Duration;

/// Bytes of a process's variables that are searched for a mark.
const ENVIRONMENT_BYTES_MAX: u64 = 1 << 20;

/// One line of the process table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// The session (of terminals) that it belongs to.
    pub session: i32,
    /// It has ended and waits for its parent to look.
    pub zombie: bool,
    /// When it started, in ticks since the boot: with `pid` its identity.
    pub started: u64,
    /// Processor time of its own, in ticks.
    pub own_ticks: u64,
    /// The same of its children that it has waited for.
    pub waited_ticks: u64,
    /// Pages of memory that it holds.
    pub pages: u64,
}

/// All processes that can be seen; those that end meanwhile are left out.
pub fn processes() -> Vec<Process> {
    let Ok(folder) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    folder
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(process)
        .collect()
}

fn process(pid: i32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(pid, &stat)
}

/// `PID (NAME) STATE PPID ...`; the name may hold anything, so fields count from its last parenthesis.
fn parse_stat(pid: i32, stat: &str) -> Option<Process> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let zombie = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    let mut ticks = [0_u64; 4];
    for (ticks, field) in ticks.iter_mut().zip(fields.by_ref().skip(7)) {
        *ticks = field.parse().ok()?;
    }
    let [user, system, waited_user, waited_system] = ticks;
    let started = fields.nth(4)?.parse().ok()?;
    let pages = fields.nth(1)?.parse().ok()?;
    Some(Process {
        pid,
        parent,
        session,
        zombie,
        started,
        own_ticks: user.saturating_add(system),
        waited_ticks: waited_user.saturating_add(waited_system),
        pages,
    })
}

/// The living processes below `root`, nearest first, without `root`.
pub fn descendants(root: Pid) -> Vec<Process> {
    let mut found = below(root, &processes());
    found.retain(|process| !process.zombie);
    found
}

/// What the tree below the init `root` uses, by one look at all processes. Init itself does not count: its memory is the
/// daemon's. But it has waited for whatever ended in its tree, so the time of those is in its books.
pub fn usage(root: Pid, processes: &[Process]) -> Usage {
    let found = below(root, processes);
    let init = processes
        .iter()
        .find(|process| process.pid == root.as_raw_nonzero().get());
    let ticks = found
        .iter()
        .map(|process| process.own_ticks.saturating_add(process.waited_ticks))
        .chain(init.map(|init| init.waited_ticks))
        .fold(0, u64::saturating_add);
    let living = found.iter().filter(|process| !process.zombie);
    let pages = living.clone().map(|process| process.pages);
    let page_bytes = rustix::param::page_size() as u64;
    Usage {
        processes: u32::try_from(living.count()).unwrap_or(u32::MAX),
        memory_bytes: pages
            .fold(0, u64::saturating_add)
            .saturating_mul(page_bytes),
        cpu_ms: ticks_to_ms(ticks),
    }
}

/// How long ago a process started that did so at `started`.
pub fn age_ms(started: u64) -> u64 {
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds: f64 = uptime
        .split_ascii_whitespace()
        .next()
        .and_then(|seconds| seconds.parse().ok())
        .unwrap_or_default();
    ((seconds * 1000.0) as u64).saturating_sub(ticks_to_ms(started))
}

fn ticks_to_ms(ticks: u64) -> u64 {
    ticks.saturating_mul(1000) / rustix::param::clock_ticks_per_second().max(1)
}

fn below(root: Pid, processes: &[Process]) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    for process in processes {
        children.entry(process.parent).or_default().push(*process);
    }
    let mut found = Vec::new();
    let mut seen = HashSet::from([root.as_raw_nonzero().get()]);
    let mut open = vec![root.as_raw_nonzero().get()];
    while let Some(pid) = open.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            if seen.insert(child.pid) {
                open.push(child.pid);
                found.push(*child);
            }
        }
    }
    found
}

/// Sends `signal` to every living process below `root`.
pub fn signal_descendants(root: Pid, signal: Signal) {
    signal_all(&descendants(root), signal);
}

/// Which marks are meant.
#[derive(Clone, Copy, Debug)]
pub enum Mark<'a> {
    /// One run's.
    OfRun(&'a str),
    /// All runs' of one daemon.
    OfOwner(&'a str),
}

impl Mark<'_> {
    fn fits(self, value: &[u8]) -> bool {
        match self {
            Self::OfRun(mark) => value == mark.as_bytes(),
            Self::OfOwner(owner) => value
                .strip_prefix(owner.as_bytes())
                .is_some_and(|rest| rest.starts_with(b".")),
        }
    }
}

/// Sends SIGKILL to every process that carries `mark`, until there is none.
pub fn kill_marked(mark: Mark<'_>) {
    kill_until_none(|process| carries(process.pid, mark));
}

/// Sends SIGKILL to every orphan that came to this process from a tree whose init was killed, until there is none.
///
/// What a run starts is in a session of its own or of its making, and no process can join this one's; so a child that is
/// no init and not in this one's session can only be such an orphan. (Without [`crate::become_subreaper`] none comes.)
pub fn kill_strays(is_init: impl Fn(i32) -> bool) {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    // From the table and not from `getsid`: in a container the session's leader may be outside, and the number is 0 then,
    // which is no process's number and which rustix therefore can't give.
    let Some(this) = process(own) else {
        return;
    };
    kill_until_none(|process| {
        process.parent == own && process.session != this.session && !is_init(process.pid)
    });
}

/// At most 50 looks at the table.
fn kill_until_none(meant: impl Fn(&Process) -> bool) {
    for _ in 0..50 {
        let found: Vec<Process> = processes()
            .into_iter()
            .filter(|process| !process.zombie && meant(process))
            .collect();
        if found.is_empty() {
            return;
        }
        signal_all(&found, Signal::KILL);
    }
}

fn signal_all(processes: &[Process], signal: Signal) {
    for process in processes {
        if let Some(pid) = Pid::from_raw(process.pid) {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

fn carries(pid: i32, mark: Mark<'_>) -> bool {
    let mut variables = Vec::new();
    let Ok(file) = std::fs::File::open(format!("/proc/{pid}/environ")) else {
        return false;
    };
    if file
        .take(ENVIRONMENT_BYTES_MAX)
        .read_to_end(&mut variables)
        .is_err()
    {
        return false;
    }
    let value = |variable: &[u8]| {
        let rest = variable
            .strip_prefix(RUN_MARK.as_bytes())?
            .strip_prefix(b"=")?;
        Some(mark.fits(rest))
    };
    variables
        .split(|byte| *byte == 0)
        .any(|variable| value(variable) == Some(true))
}

/// When the process started, in ticks since the boot.
pub fn start_of(pid: u32) -> Option<u64> {
    let pid = i32::try_from(pid).ok()?;
    parse_stat(
        pid,
        &std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?,
    )
    .map(|process| process.started)
}

/// Whether this process has a child at all; one system call.
pub fn any_child() -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(
        rustix::process::waitid(WaitId::All, look),
        Err(rustix::io::Errno::CHILD)
    )
}

/// Looks at the table again before a process that hides its descriptors counts as the holder: between its clone and its
/// `exec` a command still has the daemon's memory, which is closed to everybody.
const HIDDEN_LOOKS: u32 = 5;
const HIDDEN_PAUSE: Duration = Duration::from_millis(2);

/// Whether a living process below this one holds the socket, or may: one of this user that hides its descriptors (a
/// program without the right to read it, or one that marked itself) cannot be told from the holder. `is_init` names the
/// processes that this crate put there itself. A process of another user (`sudo`) counts as one that does not hold it:
/// its sockets are not this user's.
pub fn descendant_may_hold_socket(inode: u64, is_init: impl Fn(i32) -> bool) -> bool {
    let wanted = format!("socket:[{inode}]");
    for _ in 0..HIDDEN_LOOKS {
        if !any_child() {
            return false;
        }
        match look_for(&wanted, &is_init) {
            Held::Yes => return true,
            Held::No => return false,
            Held::Hidden => std::thread::sleep(HIDDEN_PAUSE),
        }
    }
    true
}

/// The same of the tree below another process.
pub fn tree_may_hold_socket(root: u32, inode: u64) -> bool {
    let wanted = format!("socket:[{inode}]");
    let root = i32::try_from(root).ok().and_then(Pid::from_raw);
    let below = root.map(descendants).unwrap_or_default();
    below.iter().any(|process| {
        let held = holds(process.pid, &wanted);
        held == Held::Yes || held == Held::Hidden && is_of_this_user(process.pid)
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Held {
    Yes,
    No,
    /// Somebody does not show what it holds.
    Hidden,
}

fn look_for(wanted: &str, is_init: &impl Fn(i32) -> bool) -> Held {
    let mut found = Held::No;
    for process in descendants(rustix::process::getpid()) {
        match holds(process.pid, wanted) {
            Held::Yes => return Held::Yes,
            Held::Hidden if !is_init(process.pid) && is_of_this_user(process.pid) => {
                found = Held::Hidden;
            }
            Held::Hidden | Held::No => {}
        }
    }
    found
}

fn holds(pid: i32, wanted: &str) -> Held {
    let folder = match std::fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(folder) => folder,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Held::Hidden,
        Err(_) => return Held::No,
    };
    let held = folder.flatten().any(|entry| {
        std::fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == wanted)
    });
    if held { Held::Yes } else { Held::No }
}

/// Whether any of the process's user numbers (real, effective, saved, of files) is this user's.
fn is_of_this_user(pid: i32) -> bool {
    let own = rustix::process::geteuid().as_raw().to_string();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .is_some_and(|users| {
            users
                .split_ascii_whitespace()
                .skip(1)
                .any(|user| user == own)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b) Z 1) S 3 7 7 0 -1 4194560 1 0 0 0 2 1 40 30 20 0 1 0 4242 9 8 7";
        assert_eq!(
            parse_stat(7, stat),
            Some(Process {
                pid: 7,
                parent: 3,
                session: 7,
                zombie: false,
                started: 4242,
                own_ticks: 3,
                waited_ticks: 70,
                pages: 8
            })
        );
        assert_eq!(parse_stat(7, "7 (cut"), None);
    }
}

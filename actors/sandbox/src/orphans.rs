//! Orphans of children that other parts of the daemon start.
//!
//! Commands never leave any: each has an init of its own. A server of the daemon (language server, terminal) can die and
//! leave children behind; as a subreaper the daemon gets them, and then it must also collect their remains.

use crate::table;
use parking_lot::Mutex;
use rustix::process::{Pid, WaitOptions};
use std::collections::HashSet;

/// Makes this process the parent of every orphan below it, so that none can leave its tree. To be called once, at start.
pub fn become_subreaper() -> std::io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(
        rustix::process::getpid(),
    ))?)
}

/// Collects ended children that nobody waits for.
///
/// An ended child may also be one that its owner (tokio, std) is just about to wait for. The owner looks within
/// milliseconds; hence only a child that was already there, ended, at the sweep before is taken.
#[derive(Debug, Default)]
pub struct Orphans {
    seen: Mutex<HashSet<(i32, u64)>>,
}

impl Orphans {
    /// Looks once, and collects what the look before also saw; gives their number. To be called every ten seconds or
    /// more slowly. Reads the process table: not for an async thread.
    pub fn sweep(&self) -> usize {
        if !table::any_child() {
            self.seen.lock().clear();
            return 0;
        }
        let own = rustix::process::getpid().as_raw_nonzero().get();
        let ended: HashSet<(i32, u64)> = table::processes()
            .into_iter()
            .filter(|process| process.parent == own && process.zombie)
            .map(|process| (process.pid, process.started))
            .collect();
        let mut seen = self.seen.lock();
        let (old, new): (Vec<_>, Vec<_>) =
            ended.into_iter().partition(|child| seen.contains(child));
        *seen = new.into_iter().collect();
        old.into_iter().filter(|(pid, _)| collect(*pid)).count()
    }
}

fn collect(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| {
        matches!(
            rustix::process::waitpid(Some(pid), WaitOptions::NOHANG),
            Ok(Some(_))
        )
    })
}

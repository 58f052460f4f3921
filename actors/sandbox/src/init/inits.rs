//! Which processes below the daemon are inits of its own.

use parking_lot::Mutex;
use std::collections::HashSet;

/// The numbers of all inits that were started and not yet waited for.
#[derive(Debug, Default)]
pub struct Inits(Mutex<HashSet<i32>>);

impl Inits {
    /// Starts one: `clone` gives its number. Under the lock, so that whoever looks never sees an unlisted init.
    pub fn start(&self, clone: impl FnOnce() -> std::io::Result<i32>) -> std::io::Result<i32> {
        let mut inits = self.0.lock();
        let pid = clone()?;
        if pid > 0 {
            inits.insert(pid);
        }
        Ok(pid)
    }

    /// Waits for one with `wait`, which frees its number, and takes it off the list.
    pub fn end(&self, pid: i32, wait: impl FnOnce()) {
        wait();
        self.0.lock().remove(&pid);
    }

    /// Whether this process is one.
    pub fn contains(&self, pid: i32) -> bool {
        self.0.lock().contains(&pid)
    }
}

//! What this process brings to an end, by key: what is not here, no process works on any more.

use parking_lot::Mutex;
use std::collections::HashSet;

/// The keys of what is under way. Nothing leaves: what has ended says so where it is stored.
#[derive(Default)]
pub struct Underway(Mutex<HashSet<String>>);

impl Underway {
    /// False when it is under way already.
    pub fn begin(&self, key: &str) -> bool {
        self.0.lock().insert(key.to_owned())
    }
}

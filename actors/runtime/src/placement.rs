//! Arbiters: the threads that session actors live on.

use actix::{Arbiter, ArbiterHandle};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A few arbiters; a new actor goes to the next one in turn.
pub struct Placement {
    handles: Vec<ArbiterHandle>,
    owned: Vec<Arbiter>,
    next: AtomicUsize,
}

impl Placement {
    /// Starts `threads` arbiters (at least one). Must be called inside an actix system.
    pub fn start(threads: usize) -> Self {
        let owned: Vec<Arbiter> = (0..threads.max(1)).map(|_| Arbiter::new()).collect();
        for (number, arbiter) in owned.iter().enumerate() {
            arbiter.spawn(kilo_pulse::beat("arbiter", number));
        }
        Self {
            handles: owned.iter().map(Arbiter::handle).collect(),
            owned,
            next: AtomicUsize::new(0),
        }
    }

    /// Actors live on the caller's own thread: for tests that hold the clock still. Must be called inside an actix
    /// system.
    pub fn here() -> Self {
        Self {
            handles: vec![Arbiter::current()],
            owned: Vec::new(),
            next: AtomicUsize::new(0),
        }
    }

    /// The number of arbiters for a machine of `cores`: 1 on two cores, 8 on sixty-four.
    pub fn threads_for(cores: usize) -> usize {
        (cores / 8).clamp(1, 8)
    }

    /// The arbiter for a new actor.
    pub fn pick(&self) -> ArbiterHandle {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.handles[turn % self.handles.len()].clone()
    }

    /// Stops all of them.
    pub fn stop(&self) {
        for arbiter in &self.owned {
            arbiter.stop();
        }
    }
}

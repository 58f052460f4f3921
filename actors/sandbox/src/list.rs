//! The list of trees that are alive.

use crate::init::{Control, Numbers};
use crate::table;
use kilo_ports::sandbox::Running;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// What is known of a tree from its start.
pub struct About {
    pub title: String,
    pub directory: PathBuf,
    pub has_terminal: bool,
    pub numbers: Numbers,
    pub control: Weak<Control>,
}

/// All trees of one sandbox, by the order of their start.
#[derive(Default)]
pub struct List {
    next: AtomicU64,
    live: Mutex<BTreeMap<u64, About>>,
}

/// A tree's place in the list; dropped, it is off the list.
pub struct Listed {
    list: Arc<List>,
    number: u64,
}

impl List {
    /// A number that no other tree has.
    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether there was ever a tree.
    pub fn was_used(&self) -> bool {
        self.next.load(Ordering::Relaxed) > 0
    }

    /// Puts a tree on the list.
    pub fn add(self: &Arc<Self>, number: u64, about: About) -> Listed {
        self.live.lock().insert(number, about);
        Listed {
            list: Arc::clone(self),
            number,
        }
    }

    /// The control sockets of all that live.
    pub fn controls(&self) -> Vec<Arc<Control>> {
        let live = self.live.lock();
        live.values()
            .filter_map(|about| about.control.upgrade())
            .collect()
    }

    /// The list for people. Reads `/proc`: not for an async thread.
    pub fn running(&self) -> Vec<Running> {
        let processes = table::processes();
        let live = self.live.lock();
        live.values()
            .filter(|about| about.control.strong_count() > 0)
            .map(|about| {
                let Numbers { init, command } = about.numbers;
                let started = processes.iter().find(|process| process.pid == command);
                Running {
                    title: about.title.clone(),
                    pid: command.unsigned_abs(),
                    directory: about.directory.clone(),
                    has_terminal: about.has_terminal,
                    age_ms: started.map_or(0, |process| table::age_ms(process.started)),
                    usage: table::usage(init, &processes),
                }
            })
            .collect()
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.list.live.lock().remove(&self.number);
    }
}

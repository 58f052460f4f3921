//! The folders that are watched now.

use crate::watched::{Message, QUEUE_MAX, Seen, Wanted, watch};
use parking_lot::Mutex;
use std::any::Any;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

/// Folders that are watched at the same time; more are not.
const WATCHED_MAX: usize = 32;

/// Told what was seen in a folder, on the folder's thread.
pub type Tell = Arc<dyn Fn(&str, Seen) + Send + Sync>;

/// The folders that somebody holds.
#[derive(Default)]
pub struct Watches {
    held: Mutex<HashMap<String, Weak<Hold>>>,
}

/// Keeps watched what somebody follows; with the last of a folder its watching ends.
pub type Held = Arc<dyn Any + Send + Sync>;

/// A folder that is held; its watching may begin anew.
struct Hold(Mutex<Run>);

/// One thread's watching, which ends when this is dropped.
struct Run {
    queue: SyncSender<Message>,
    is_over: Arc<AtomicBool>,
    wanted: Wanted,
    /// Which folder it was when it was begun: another one may come in its place.
    identity: Identity,
}

/// Device, inode and, where it is known, when it was made; none: there is no such folder.
type Identity = Option<(u64, u64, Option<SystemTime>)>;

impl Drop for Run {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // Wakes the thread; a full queue keeps it awake.
        let _ = self.queue.try_send(Message::End);
    }
}

impl Watches {
    /// Whether somebody holds this folder.
    pub fn is_held(&self, directory: &str) -> bool {
        let held = self.held.lock();
        let hold = held.get(directory);
        hold.is_some_and(|hold| hold.strong_count() > 0)
    }

    /// Watches a folder, in a thread of its own, as long as what this gives is held. One that is held already is watched
    /// anew for all if another folder is in its place by now, or other things are wanted. None: too many are watched, or
    /// there is no thread to be had. Blocks for one `stat`.
    pub fn hold(&self, directory: &str, wanted: Wanted, tell: Tell) -> Option<Held> {
        let identity = identity(directory);
        let mut held = self.held.lock();
        if let Some(known) = held.get(directory).and_then(Weak::upgrade) {
            let mut run = known.0.lock();
            let is_over = run.is_over.load(Ordering::Acquire);
            if (is_over || (run.identity, &run.wanted) != (identity, &wanted))
                && let Some(new) = Run::start(directory, wanted, identity, tell)
            {
                *run = new;
            }
            drop(run);
            return Some(known);
        }
        held.retain(|_, hold| hold.strong_count() > 0);
        if held.len() >= WATCHED_MAX {
            tracing::warn!(directory, max = WATCHED_MAX, "too many folders are watched");
            return None;
        }
        let run = Run::start(directory, wanted, identity, tell)?;
        let hold = Arc::new(Hold(Mutex::new(run)));
        held.insert(directory.to_owned(), Arc::downgrade(&hold));
        Some(hold)
    }
}

fn identity(directory: &str) -> Identity {
    let facts = std::fs::metadata(directory).ok()?;
    Some((facts.dev(), facts.ino(), facts.created().ok()))
}

impl Run {
    fn start(directory: &str, wanted: Wanted, identity: Identity, tell: Tell) -> Option<Self> {
        let (queue, messages) = sync_channel(QUEUE_MAX);
        let (events, root) = (queue.clone(), PathBuf::from(directory));
        let (folder, is_over) = (directory.to_owned(), Arc::new(AtomicBool::new(false)));
        let (ended, what) = (Arc::clone(&is_over), wanted.clone());
        let started = std::thread::Builder::new()
            .name("kilo-watch".into())
            .stack_size(512 << 10)
            .spawn(move || {
                let tell = |seen| tell(&folder, seen);
                if watch((&root, &what), events, (&messages, &ended), tell) {
                    ended.store(true, Ordering::Release);
                }
            });
        if let Err(error) = started {
            tracing::warn!(directory, %error, "a folder is not watched");
            return None;
        }
        Some(Self {
            queue,
            is_over,
            wanted,
            identity,
        })
    }
}

//! The folders that are watched now.

use crate::watched::{Message, QUEUE_MAX, Seen, Wanted, watch};
use parking_lot::Mutex;
use std::any::Any;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Weak};

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

/// What ends the watching of a folder when it is dropped.
struct Hold {
    queue: SyncSender<Message>,
    is_over: Arc<AtomicBool>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // Wakes the thread; a full queue keeps it awake.
        let _ = self.queue.try_send(Message::End);
    }
}

impl Watches {
    /// Watches a folder, in a thread of its own, as long as what this gives is held. One that is watched already is watched
    /// as it was wanted first. None: too many are watched, or there
    /// is no thread to be had. Does not block.
    pub fn hold(&self, directory: &str, wanted: Wanted, tell: Tell) -> Option<Held> {
        let mut held = self.held.lock();
        if let Some(known) = held.get(directory).and_then(Weak::upgrade) {
            return Some(known);
        }
        held.retain(|_, hold| hold.strong_count() > 0);
        if held.len() >= WATCHED_MAX {
            tracing::warn!(directory, max = WATCHED_MAX, "too many folders are watched");
            return None;
        }
        let (sender, messages) = sync_channel(QUEUE_MAX);
        let (events, root) = (sender.clone(), PathBuf::from(directory));
        let (folder, is_over) = (directory.to_owned(), Arc::new(AtomicBool::new(false)));
        let ended = Arc::clone(&is_over);
        let started = std::thread::Builder::new()
            .name("kilo-watch".into())
            .stack_size(512 << 10)
            .spawn(move || {
                watch((&root, &wanted), events, (&messages, &ended), |seen| {
                    tell(&folder, seen)
                })
            });
        if let Err(error) = started {
            tracing::warn!(directory, %error, "a folder is not watched");
            return None;
        }
        let hold = Arc::new(Hold {
            queue: sender,
            is_over,
        });
        held.insert(directory.to_owned(), Arc::downgrade(&hold));
        Some(hold)
    }
}

//! Folders are watched while a client follows their events: what was seen becomes events.
//!
//! A client of one folder's events has that folder watched; with clients of all events those that are in use are: what a
//! request or a turn named, the last [`OPEN_MAX`] of them.

use kilo_protocol::Event;
use kilo_protocol::event::{BranchChanged, FileTouched, WatchLimited};
use kilo_protocol::model::FileChangeKind;
use kilo_session::Engine;
use kilo_session::folder::Folder;
use kilo_watch::{Held, How, Seen, Tell, Wanted, Watches};
use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// For so long what a tool wrote is not told of again.
const TOLD_FOR: Duration = Duration::from_secs(2);
/// Files of which it is remembered that a tool wrote them.
const TOLD_MAX: usize = 4_096;
/// Folders that are watched for clients of all events.
const OPEN_MAX: usize = 16;

/// What is watched, and for whom. Clones are the same one.
#[derive(Clone)]
pub struct Watching(Arc<Inner>);

struct Inner {
    watches: Watches,
    told: Arc<Told>,
    /// Clients of all events.
    followers: AtomicUsize,
    /// The folders that are watched for them, the one that was used last at the end.
    open: Mutex<VecDeque<(String, Held)>>,
}

/// Keeps watched what is in use, for a client of all events.
struct All(Watching);

impl Drop for All {
    fn drop(&mut self) {
        let watching = &self.0.0;
        if watching.followers.fetch_sub(1, Ordering::AcqRel) == 1 {
            watching.open.lock().clear();
        }
    }
}

impl Watching {
    /// Nothing yet. What is in `told` is not told again.
    pub fn new(told: Arc<Told>) -> Self {
        Self(Arc::new(Inner {
            watches: Watches::default(),
            told,
            followers: AtomicUsize::new(0),
            open: Mutex::default(),
        }))
    }

    /// Watches what is in use for a client of all events, beginning with `folders`, the one that was used last at the end.
    pub fn follow_all(&self, engine: &Arc<Engine>, folders: &[Arc<Folder>]) -> Held {
        self.0.followers.fetch_add(1, Ordering::AcqRel);
        let followed = Arc::new(All(self.clone()));
        for folder in folders.iter().rev().take(OPEN_MAX).rev() {
            self.used(engine, folder);
        }
        followed
    }

    /// Says that a folder was used: with a client of all events it is watched from now on.
    pub fn used(&self, engine: &Arc<Engine>, folder: &Folder) {
        let directory = folder.directory.to_string_lossy();
        // Another folder may be in its place by now, or other things may be ignored.
        let held = self.0.watches.is_held(&directory);
        let held = held.then(|| self.hold(engine, folder)).flatten();
        if self.0.followers.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut open = self.0.open.lock();
        if let Some(place) = open.iter().position(|(known, _)| *known == directory) {
            if let Some(known) = open.remove(place) {
                open.push_back(known);
            }
            return;
        }
        // The last client may have gone meanwhile: whoever takes the lock second sees it.
        if self.0.followers.load(Ordering::Acquire) == 0 || !folder.directory.is_dir() {
            return;
        }
        if let Some(held) = held.or_else(|| self.hold(engine, folder)) {
            if open.len() >= OPEN_MAX {
                open.pop_front();
            }
            open.push_back((directory.into_owned(), held));
        }
    }

    /// Watches a folder; to be kept as long as a client follows its events.
    pub fn hold(&self, engine: &Arc<Engine>, folder: &Folder) -> Option<Held> {
        let (engine, told) = (Arc::clone(engine), Arc::clone(&self.0.told));
        let tell: Tell = Arc::new(move |directory, seen| {
            if let Some(event) = event(directory, seen, &told) {
                engine.core().publish(Some(directory), &event);
            }
        });
        let patterns = folder.loaded.merged["watcher"]["ignore"].as_array();
        let patterns = patterns.into_iter().flatten();
        let wanted = Wanted {
            ignored: patterns
                .filter_map(|pattern| pattern.as_str().map(str::to_owned))
                .collect(),
            ..Wanted::default()
        };
        let directory = folder.directory.to_string_lossy();
        self.0.watches.hold(&directory, wanted, tell)
    }
}

/// What clients are told of something that was seen; nothing of what they know.
fn event<'a>(directory: &'a str, seen: Seen, told: &Told) -> Option<Event<'a>> {
    Some(match seen {
        Seen::File(path, _) if kilo_files::is_temporary(&path) => return None,
        Seen::File(path, _) if told.has(&path, Instant::now()) => return None,
        Seen::File(path, how) => Event::FileTouched(FileTouched {
            file: Cow::Owned(path.to_string_lossy().into_owned()),
            event: match how {
                How::Added => FileChangeKind::Add,
                How::Changed => FileChangeKind::Change,
                How::Removed => FileChangeKind::Unlink,
            },
        }),
        Seen::Branch(branch) => Event::BranchChanged(BranchChanged {
            branch: branch.map(Cow::Owned),
        }),
        Seen::Limited => Event::WatchLimited(WatchLimited {
            directory: Cow::Borrowed(directory),
        }),
    })
}

/// The files that tools changed a moment ago; sessions tell of those by themselves.
#[derive(Default)]
pub struct Told(Mutex<HashMap<PathBuf, Instant>>);

impl Told {
    /// Notes that a tool changes, or has changed, a file.
    pub fn note(&self, path: &Path, now: Instant) {
        let mut files = self.0.lock();
        if files.len() >= TOLD_MAX {
            files.retain(|_, at| is_fresh(*at, now));
        }
        // A full table lets doubles through, which harm nobody.
        if files.len() < TOLD_MAX || files.contains_key(path) {
            files.insert(path.to_owned(), now);
        }
    }

    fn has(&self, path: &Path, now: Instant) -> bool {
        let mut files = self.0.lock();
        match files.get(path).copied() {
            Some(at) if is_fresh(at, now) => true,
            Some(_) => {
                files.remove(path);
                false
            }
            None => false,
        }
    }
}

fn is_fresh(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < TOLD_FOR
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(path: &str) -> Seen {
        Seen::File(path.into(), How::Changed)
    }

    #[test]
    fn what_a_tool_wrote_is_not_told_twice() {
        let told = Told::default();
        told.note(Path::new("/w/a"), Instant::now());
        assert!(event("/w", seen("/w/a"), &told).is_none());
        assert!(event("/w", seen("/w/b"), &told).is_some());
        assert!(event("/w", Seen::Branch(None), &told).is_some());
    }

    #[test]
    fn files_that_are_being_written_are_nobodys_business() {
        let told = Told::default();
        assert!(event("/w", seen("/w/.kilo-12-0.tmp"), &told).is_none());
        assert!(event("/w", seen("/w/.kilo-undo-12-0.tmp"), &told).is_none());
        assert!(event("/w", seen("/w/kilo.tmp"), &told).is_some());
    }

    #[test]
    fn later_changes_of_the_same_file_are_told() {
        let (told, now) = (Told::default(), Instant::now());
        told.note(Path::new("/w/a"), now);
        assert!(told.has(Path::new("/w/a"), now + TOLD_FOR / 2));
        assert!(!told.has(Path::new("/w/a"), now + TOLD_FOR));
        assert_eq!(told.0.lock().len(), 0);
    }

    #[test]
    fn few_files_are_remembered() {
        let (told, now) = (Told::default(), Instant::now());
        for number in 0..TOLD_MAX + 10 {
            told.note(Path::new(&format!("/{number}")), now);
        }
        assert_eq!(told.0.lock().len(), TOLD_MAX);
        told.note(Path::new("/new"), now + TOLD_FOR);
        assert_eq!(told.0.lock().len(), 1);
    }
}

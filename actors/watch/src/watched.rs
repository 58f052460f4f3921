//! One folder and the thread that watches it.

use crate::branch::{branch, git_folder};
use crate::ignored::{Ignored, folders};
use notify::event::{ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

/// Folders of one tree that are watched; the system's watches are for all programs of the user.
pub const FOLDERS_MAX: usize = 8_192;
/// Messages that wait for the thread; more are a sign to say less.
pub const QUEUE_MAX: usize = 4_096;
/// How long changes are gathered before they are told.
const GATHER: Duration = Duration::from_millis(100);
/// Files that are told of at a time; more are a checkout, which the branch or a client's next look tells of.
const FILES_MAX: usize = 1_000;

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A file came, changed or went.
    File(PathBuf, How),
    /// Another branch is checked out; none: a commit.
    Branch(Option<String>),
    /// The folder has too many folders, or the system no more watches: only the branch is watched.
    Limited,
}

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It is new.
    Added,
    /// Its content is another.
    Changed,
    /// It is gone.
    Removed,
}

pub enum Message {
    Event(Event),
    End,
}

/// Watches until it is told to end.
pub fn watch(
    root: &Path,
    sender: SyncSender<Message>,
    (messages, is_over): (&Receiver<Message>, &AtomicBool),
    tell: impl Fn(Seen),
) {
    let queue = sender;
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if let Ok(event) = event {
            // Full: the thread is behind, and what it says will be incomplete anyway.
            let _ = queue.try_send(Message::Event(event));
        }
    });
    let watcher = match watcher {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::warn!(folder = %root.display(), %error, "a folder cannot be watched");
            tell(Seen::Limited);
            return;
        }
    };
    let git = git_folder(root);
    let mut watched = Watched {
        ignored: Ignored::new(root),
        branch: git.as_deref().and_then(branch),
        git,
        watcher,
        count: 0,
        changes: BTreeMap::new(),
    };
    watched.begin(root, &tell);
    watched.follow(messages, is_over, &tell);
}

struct Watched {
    watcher: RecommendedWatcher,
    ignored: Ignored,
    git: Option<PathBuf>,
    branch: Option<String>,
    /// Folders that are watched.
    count: usize,
    changes: BTreeMap<PathBuf, How>,
}

impl Watched {
    fn begin(&mut self, root: &Path, tell: &impl Fn(Seen)) {
        if let Some(git) = &self.git {
            let _ = self.watcher.watch(git, RecursiveMode::NonRecursive);
        }
        let Some(all) = folders(root, FOLDERS_MAX) else {
            tracing::warn!(folder = %root.display(), max = FOLDERS_MAX, "too many folders to watch: files are not watched");
            tell(Seen::Limited);
            return;
        };
        for folder in all {
            if !self.add(&folder) {
                tracing::warn!(folder = %root.display(), watched = self.count, "the system has no more watches");
                tell(Seen::Limited);
                return;
            }
        }
    }

    /// False: there is no watch to be had.
    fn add(&mut self, folder: &Path) -> bool {
        if self.count >= FOLDERS_MAX {
            return false;
        }
        self.ignored.met(folder);
        match self.watcher.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => self.count += 1,
            Err(error) => return !matches!(error.kind, notify::ErrorKind::MaxFilesWatch),
        }
        true
    }

    fn follow(&mut self, messages: &Receiver<Message>, is_over: &AtomicBool, tell: &impl Fn(Seen)) {
        while !is_over.load(Ordering::Acquire) {
            let next = match self.changes.is_empty() {
                true => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => messages.recv_timeout(GATHER),
            };
            match next {
                Ok(Message::Event(event)) => self.take(event, tell),
                Err(RecvTimeoutError::Timeout) => self.tell_files(tell),
                Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.changes.len() >= FILES_MAX {
                self.tell_files(tell);
            }
        }
    }

    fn tell_files(&mut self, tell: &impl Fn(Seen)) {
        for (path, how) in std::mem::take(&mut self.changes) {
            tell(Seen::File(path, how));
        }
    }

    fn take(&mut self, event: Event, tell: &impl Fn(Seen)) {
        let how = match event.kind {
            EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => {
                How::Added
            }
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
                How::Removed
            }
            EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => How::Changed,
            _ => return,
        };
        for path in event.paths {
            if self.git.as_deref().is_some_and(|git| path.starts_with(git)) {
                self.look_at_branch(tell);
            } else {
                self.changed(path, how);
            }
        }
    }

    fn look_at_branch(&mut self, tell: &impl Fn(Seen)) {
        let Some(git) = &self.git else { return };
        // Between two renames there is no HEAD for a moment.
        if !git.join("HEAD").exists() {
            return;
        }
        let now = branch(git);
        if now != self.branch {
            self.branch.clone_from(&now);
            tell(Seen::Branch(now));
        }
    }

    fn changed(&mut self, path: PathBuf, how: How) {
        let is_folder = how == How::Added && path.is_dir();
        if self.ignored.is_ignored(&path, is_folder) {
            return;
        }
        if path.file_name().is_some_and(|name| name == ".gitignore")
            && let Some(folder) = path.parent()
        {
            self.ignored.met(folder);
        }
        if is_folder {
            self.met(&path);
            return;
        }
        // New and then written is new; gone and there again was written.
        let known = self.changes.get(&path).copied();
        let how = match (known, how) {
            (Some(How::Added), How::Changed) => How::Added,
            (Some(How::Removed), How::Added) => How::Changed,
            (_, how) => how,
        };
        self.changes.insert(path, how);
    }

    /// A folder came, with what is in it by now.
    fn met(&mut self, folder: &Path) {
        for found in folders(folder, FOLDERS_MAX).unwrap_or_default() {
            if self.ignored.is_ignored(&found, true) || !self.add(&found) {
                continue;
            }
            let files = std::fs::read_dir(&found).into_iter().flatten().flatten();
            for file in files
                .map(|entry| entry.path())
                .filter(|path| path.is_file())
            {
                if !self.ignored.is_ignored(&file, false) {
                    self.changes.insert(file, How::Added);
                }
            }
        }
    }
}

//! One folder and the thread that watches it.

use crate::branch::{branch, git_folder};
use crate::ignored::Ignored;
use notify::event::{ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
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

/// What of a folder is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What is not told of beside what git ignores: lines of an ignore file at the folder.
    pub ignored: Vec<String>,
    /// Folders that are watched at most.
    pub folders_max: usize,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            ignored: Vec::new(),
            folders_max: FOLDERS_MAX,
        }
    }
}

/// Watches until it is told to end, or the folder goes; whether it went.
pub fn watch(
    (root, wanted): (&Path, &Wanted),
    sender: SyncSender<Message>,
    (messages, is_over): (&Receiver<Message>, &AtomicBool),
    tell: impl Fn(Seen),
) -> bool {
    let (queue, missed) = (sender, Arc::new(AtomicBool::new(false)));
    let lost = Arc::clone(&missed);
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if let Ok(event) = event {
            // The system's queue was full, or ours is: some of it will not be told of, but folders are not to be lost.
            let is_lost = event.need_rescan();
            if is_lost | queue.try_send(Message::Event(event)).is_err() {
                lost.store(true, Ordering::Release);
            }
        }
    });
    let watcher = match watcher {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::warn!(folder = %root.display(), %error, "a folder cannot be watched");
            tell(Seen::Limited);
            return false;
        }
    };
    let git = git_folder(root);
    let mut watched = Watched {
        ignored: Ignored::new(root, &wanted.ignored),
        folders_max: wanted.folders_max,
        branch: git.as_deref().and_then(branch),
        git,
        watcher,
        watched: HashSet::new(),
        gone: HashSet::new(),
        is_gone: false,
        root: root.to_owned(),
        missed,
        is_limited: false,
        changes: BTreeMap::new(),
    };
    watched.begin(root, &tell);
    watched.follow(messages, is_over, &tell);
    watched.is_gone
}

struct Watched {
    watcher: RecommendedWatcher,
    ignored: Ignored,
    folders_max: usize,
    git: Option<PathBuf>,
    branch: Option<String>,
    /// Folders that are watched.
    watched: HashSet<PathBuf>,
    /// Folders that went lately.
    gone: HashSet<PathBuf>,
    /// The folder itself went.
    is_gone: bool,
    root: PathBuf,
    /// Something was not seen.
    missed: Arc<AtomicBool>,
    /// Not all folders are watched, and that was said.
    is_limited: bool,
    changes: BTreeMap<PathBuf, How>,
}

impl Watched {
    fn begin(&mut self, root: &Path, tell: &impl Fn(Seen)) {
        if let Some(git) = &self.git {
            let _ = self.watcher.watch(git, RecursiveMode::NonRecursive);
        }
        let (_, all) = self.watch_below(root);
        if let Err(Full) = all {
            tracing::warn!(folder = %root.display(), watched = self.watched.len(), "not all of its folders can be watched");
            self.limited(tell);
        }
    }

    /// Watches a folder and those below it that are not ignored; gives those that were not watched before. A folder that
    /// comes before its parent's watch is in no event, so it looks again until it finds nothing new.
    fn watch_below(&mut self, top: &Path) -> (Vec<PathBuf>, Result<(), Full>) {
        let mut new = Vec::new();
        loop {
            let before = new.len();
            let Some(all) = self.ignored.folders(top, self.folders_max) else {
                return (new, Err(Full));
            };
            for folder in all {
                if self.watched.contains(&folder) || self.ignored.is_ignored(&folder, true) {
                    continue;
                }
                match self.add(&folder) {
                    Ok(true) => new.push(folder),
                    Ok(false) => {}
                    Err(Full) => return (new, Err(Full)),
                }
            }
            if new.len() == before {
                return (new, Ok(()));
            }
        }
    }

    /// False: it cannot be watched; it may be gone, or not ours to read.
    fn add(&mut self, folder: &Path) -> Result<bool, Full> {
        if self.watched.len() >= self.folders_max {
            return Err(Full);
        }
        self.ignored.met(folder);
        match self.watcher.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => Ok(self.watched.insert(folder.to_path_buf())),
            Err(error) if matches!(error.kind, notify::ErrorKind::MaxFilesWatch) => Err(Full),
            Err(_) => Ok(false),
        }
    }

    /// Says it once.
    fn limited(&mut self, tell: &impl Fn(Seen)) {
        if !std::mem::replace(&mut self.is_limited, true) {
            tell(Seen::Limited);
        }
    }

    fn follow(&mut self, messages: &Receiver<Message>, is_over: &AtomicBool, tell: &impl Fn(Seen)) {
        while !is_over.load(Ordering::Acquire) && !self.is_gone {
            let is_idle = self.changes.is_empty() && !self.missed.load(Ordering::Acquire);
            let next = match is_idle {
                true => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => messages.recv_timeout(GATHER),
            };
            match next {
                Ok(Message::Event(event)) => self.take(event, tell),
                Err(RecvTimeoutError::Timeout) => {
                    self.tell_files(tell);
                    if self.missed.swap(false, Ordering::AcqRel) {
                        self.begin_anew(tell);
                    }
                }
                Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.changes.len() >= FILES_MAX {
                self.tell_files(tell);
            }
        }
    }

    /// Once it is quiet again after more than could be taken in: folders may have come, gone and come again.
    fn begin_anew(&mut self, tell: &impl Fn(Seen)) {
        self.watched.clear();
        self.gone.clear();
        self.look_at_branch(tell);
        if let (_, Err(Full)) = self.watch_below(&self.root.clone()) {
            self.limited(tell);
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
                self.changed(path, how, tell);
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

    fn changed(&mut self, path: PathBuf, how: How, tell: &impl Fn(Seen)) {
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
            self.met(&path, tell);
            return;
        }
        match how {
            How::Added => drop(self.gone.remove(&path)),
            How::Removed if self.watched.contains(&path) => {
                self.left(&path);
                return;
            }
            // Its own watch tells of it after its parent's.
            How::Removed if self.gone.contains(&path) => return,
            _ => {}
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
    fn met(&mut self, folder: &Path, tell: &impl Fn(Seen)) {
        let (new, all) = self.watch_below(folder);
        for folder in new {
            let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            for file in files
                .map(|entry| entry.path())
                .filter(|path| path.is_file())
            {
                if !self.ignored.is_ignored(&file, false) {
                    self.changes.insert(file, How::Added);
                }
            }
        }
        if let Err(Full) = all {
            self.limited(tell);
        }
    }

    /// A folder that is watched went, or got another name: under that it comes as new.
    fn left(&mut self, folder: &Path) {
        self.is_gone |= folder == self.root;
        if self.gone.len() >= FILES_MAX {
            self.gone.clear();
        }
        let (watcher, gone) = (&mut self.watcher, &mut self.gone);
        self.watched.retain(|watched| {
            let stays = !watched.starts_with(folder);
            if !stays {
                // The system has dropped the watch of a folder that is gone.
                let _ = watcher.unwatch(watched);
                gone.insert(watched.clone());
            }
            stays
        });
    }
}

/// There are no more watches to be had.
struct Full;

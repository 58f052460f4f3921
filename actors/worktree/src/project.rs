//! Which project a directory belongs to: the repository's root commit, shared by its worktrees and clones.

use crate::checkout::Checkout;
use git2::{Oid, Repository, Sort};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use tracing::warn;

/// The id of directories without a repository, and of repositories without a commit.
pub const GLOBAL: &str = "global";

/// Repositories whose id is remembered in memory.
const MEMORY_MAX: usize = 256;
/// Commits that are looked at for a root.
const COMMITS_MAX: usize = 5_000_000;

/// What a directory's project is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectFacts {
    /// The top folder of the worktree around the directory; `/` outside of a repository.
    pub worktree: PathBuf,
    /// The worktree that the repository was made with: the same as `worktree` unless that is a linked one.
    pub main_worktree: PathBuf,
    /// The hash of the root commit (the smallest, if HEAD has several), or [`GLOBAL`].
    pub project_id: String,
    /// `git`, or nothing outside of a repository.
    pub vcs: Option<&'static str>,
    /// The branch that is checked out; nothing when HEAD is detached.
    pub branch: Option<String>,
}

/// Identifies projects; remembers ids in memory and, so that a long history is walked once, in a folder of ours.
pub struct Projects {
    folder: PathBuf,
    known: Mutex<HashMap<PathBuf, String>>,
}

impl Projects {
    /// Remembers ids in `folder`, which need not exist yet.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            known: Mutex::default(),
        }
    }

    /// Says which project `directory` belongs to. Blocks: a few file look-ups, and one walk over the history when a
    /// repository is seen for the first time. A directory that does not exist, or a repository that cannot be read,
    /// belongs to [`GLOBAL`].
    pub fn identify(&self, directory: &Path) -> ProjectFacts {
        let Some(checkout) = Checkout::find(directory) else {
            let worktree = PathBuf::from("/");
            let main_worktree = worktree.clone();
            return ProjectFacts {
                worktree,
                main_worktree,
                project_id: GLOBAL.into(),
                vcs: None,
                branch: None,
            };
        };
        ProjectFacts {
            project_id: self.id(&checkout).unwrap_or_else(|| GLOBAL.into()),
            main_worktree: checkout.main_root(),
            vcs: Some("git"),
            branch: checkout.branch(),
            worktree: checkout.root,
        }
    }

    fn id(&self, checkout: &Checkout) -> Option<String> {
        let remembered = self
            .known
            .lock()
            .get(&checkout.common_dir)
            .cloned()
            .or_else(|| self.read(checkout));
        let repo = Repository::open(&checkout.root)
            .inspect_err(|error| warn!(worktree = %checkout.root.display(), %error, "the repository cannot be opened"))
            .ok()?;
        // another repository may be at this path by now
        if let Some(id) = remembered.filter(|id| is_root(&repo, id)) {
            self.remember(checkout, &id);
            return Some(id);
        }
        let id = root_commit(&repo)?;
        self.write(checkout, &id);
        self.remember(checkout, &id);
        Some(id)
    }

    fn remember(&self, checkout: &Checkout, id: &str) {
        let mut known = self.known.lock();
        if known.len() >= MEMORY_MAX {
            known.clear();
        }
        known.insert(checkout.common_dir.clone(), id.to_owned());
    }

    fn file(&self, checkout: &Checkout) -> PathBuf {
        let hash = blake3::hash(checkout.common_dir.as_os_str().as_encoded_bytes());
        self.folder.join(&hash.to_hex().as_str()[..32])
    }

    fn read(&self, checkout: &Checkout) -> Option<String> {
        fs::read_to_string(self.file(checkout))
            .ok()
            .map(|id| id.trim().to_owned())
    }

    /// A failure costs a walk at the next start, no more.
    fn write(&self, checkout: &Checkout, id: &str) {
        let path = self.file(checkout);
        let new = path.with_extension("new");
        let written = fs::create_dir_all(&self.folder)
            .and_then(|()| fs::write(&new, id))
            .and_then(|()| fs::rename(&new, &path));
        if let Err(error) = written {
            warn!(%error, "a project's id cannot be remembered");
        }
    }
}

fn is_root(repo: &Repository, id: &str) -> bool {
    let commit = Oid::from_str(id).and_then(|oid| repo.find_commit(oid));
    commit.is_ok_and(|commit| commit.parent_count() == 0)
}

/// The smallest of HEAD's root commits.
fn root_commit(repo: &Repository) -> Option<String> {
    let mut walk = repo.revwalk().ok()?;
    walk.set_sorting(Sort::NONE).ok()?;
    walk.push_head().ok()?;
    let mut smallest = None;
    for oid in walk.take(COMMITS_MAX) {
        let commit = oid.and_then(|oid| repo.find_commit(oid)).ok()?;
        if commit.parent_count() == 0 {
            let id = commit.id().to_string();
            if smallest.as_ref().is_none_or(|known| id < *known) {
                smallest = Some(id);
            }
        }
    }
    smallest
}

//! The repository that worktrees belong to.

use super::error::TreeError;
use crate::checkout::Checkout;
use git2::{Oid, Repository};
use std::fs;
use std::path::{Path, PathBuf};

/// Where worktrees of a repository are asked for.
#[derive(Clone, Debug)]
pub struct Place {
    /// The project's id, which names the folder of its worktrees.
    pub project: String,
    /// The worktree that was asked in; of a bare repository its own folder.
    pub root: PathBuf,
    /// The git folder that all worktrees share.
    pub common: PathBuf,
}

impl Place {
    /// Finds the repository around `directory`, a bare one too.
    pub(super) fn find(project: &str, directory: &Path) -> Result<Self, TreeError> {
        let project = project.to_owned();
        if let Some(checkout) = Checkout::find(directory) {
            return Ok(Self {
                project,
                root: checkout.root,
                common: checkout.common_dir,
            });
        }
        let bare = Repository::open_bare(directory)
            .ok()
            .filter(Repository::is_bare);
        let not_git = || TreeError::NotGit(directory.to_path_buf());
        let root = fs::canonicalize(directory).map_err(|_| not_git())?;
        match bare {
            Some(_) => Ok(Self {
                project,
                common: root.clone(),
                root,
            }),
            None => Err(not_git()),
        }
    }

    /// Opens it where it was asked in.
    pub(super) fn open(&self) -> Result<Repository, TreeError> {
        Ok(Repository::open(&self.root)?)
    }

    /// The worktree that the repository was made with: what lies ignored there is copied from it.
    pub(super) fn main(&self) -> PathBuf {
        match (self.common.file_name(), self.common.parent()) {
            (Some(name), Some(parent)) if name == ".git" => parent.to_path_buf(),
            _ => self.root.clone(),
        }
    }

    /// The worktrees that git knows besides the main one: the name of each in git's own folder, and its top folder.
    pub(super) fn linked(&self) -> Vec<Linked> {
        let entries = fs::read_dir(self.common.join("worktrees"));
        let mut linked: Vec<Linked> = entries
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| Linked::read(&entry.path()))
            .collect();
        linked.sort_by(|a, b| a.directory.cmp(&b.directory));
        linked
    }
}

/// A linked worktree as git has it.
#[derive(Clone, Debug)]
pub(super) struct Linked {
    /// Its folder below `.git/worktrees`.
    pub admin: PathBuf,
    /// Its top folder, which need not exist.
    pub directory: PathBuf,
    /// Why it is locked.
    pub locked: Option<String>,
}

impl Linked {
    fn read(admin: &Path) -> Option<Self> {
        let text = fs::read_to_string(admin.join("gitdir")).ok()?;
        // git writes it absolute, and since 2.48 relative where it is told to
        let entry = admin.join(text.trim_end_matches('\n'));
        let directory = entry.parent()?;
        let directory = fs::canonicalize(directory).unwrap_or_else(|_| plain(directory));
        let locked = fs::read_to_string(admin.join("locked")).ok();
        Some(Self {
            admin: admin.to_path_buf(),
            directory,
            locked: locked.map(|text| text.trim().to_owned()),
        })
    }

    /// Whether its folder is there and is this worktree.
    pub fn is_there(&self) -> bool {
        Checkout::find(&self.directory).is_some_and(|found| {
            found.root == self.directory
                && fs::canonicalize(&self.admin).is_ok_and(|admin| admin == found.git_dir)
        })
    }

    /// The branch that is checked out.
    pub fn branch(&self) -> Option<String> {
        let head = fs::read_to_string(self.admin.join("HEAD")).ok()?;
        let name = head.strip_prefix("ref:")?.trim();
        Some(name.strip_prefix("refs/heads/")?.to_owned())
    }
}

/// A path without `.` and `..`, resolved as text.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

/// The commit that a name stands for; without one the last commit.
pub(super) fn commit_of(repo: &Repository, name: Option<&str>) -> Result<Oid, TreeError> {
    let Some(name) = name else {
        let head = repo.head().and_then(|head| head.peel_to_commit());
        return head
            .map(|commit| commit.id())
            .map_err(|_| TreeError::NoCommit);
    };
    let found = repo
        .revparse_single(name)
        .and_then(|found| found.peel_to_commit());
    found
        .map(|commit| commit.id())
        .map_err(|_| TreeError::UnknownBase(name.to_owned()))
}

//! A temporary repository, made through git2 with no use of anybody's git configuration, and a keeper of checkpoints.
#![allow(dead_code, reason = "each test target uses a part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use git2::{IndexAddOption, Oid, Repository, RepositoryInitOptions, Signature};
use kilo_ports::checkpoint::{Checkpoints, FileChange, Images, Restored};
use kilo_worktree::GitCheckpoints;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub struct Project {
    _scratch: TempDir,
    pub root: PathBuf,
    pub data: PathBuf,
    pub repo: Repository,
    pub keeper: GitCheckpoints,
}

impl Project {
    /// A repository on branch `main` with these files committed.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let project = Self::empty();
        for (path, text) in files {
            project.write(path, text);
        }
        project.commit("first");
        project
    }

    /// A repository without a commit.
    pub fn empty() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let top = scratch.path().canonicalize().unwrap();
        let (root, data) = (top.join("project"), top.join("data"));
        let repo = init(&root);
        let keeper = GitCheckpoints::new(data.join("snapshot"));
        Self {
            _scratch: scratch,
            root,
            data,
            repo,
            keeper,
        }
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        String::from_utf8(fs::read(self.path(path)).unwrap()).unwrap()
    }

    pub fn exists(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    pub fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap();
    }

    pub fn commit(&self, message: &str) -> Oid {
        commit(&self.repo, message)
    }

    /// The tree that git itself would make of all files that it does not ignore.
    pub fn git_tree(&self) -> String {
        // opened anew: libgit2 keeps ignore rules and an index in memory that no longer hold
        let repo = Repository::open(&self.root).unwrap();
        let mut index = repo.index().unwrap();
        index.add_all(["*"], IndexAddOption::DEFAULT, None).unwrap();
        index.update_all(["*"], None).unwrap();
        index.write_tree().unwrap().to_string()
    }

    pub async fn track(&self) -> String {
        self.keeper.track(self.root.clone()).await.unwrap()
    }

    /// The paths that differ, relative, each with its status.
    pub async fn diff(&self, from: &str, to: &str) -> Vec<(String, String)> {
        let files = self
            .keeper
            .diff(self.root.clone(), from.into(), to.into())
            .await
            .unwrap();
        files
            .into_iter()
            .map(|file| (file.file, file.status.unwrap()))
            .collect()
    }

    /// Makes an edit as a session does: a checkpoint before and one after.
    pub async fn edit(&self, path: &str, edit: impl FnOnce()) -> FileChange {
        let before = self.track().await;
        edit();
        FileChange::new(self.path(path), before, self.track().await)
    }

    /// Makes an edit as `bash` does: all that differs afterwards counts.
    pub async fn command(&self, command: impl FnOnce()) -> Vec<FileChange> {
        let before = self.track().await;
        command();
        let after = self.track().await;
        let changed = self.keeper.changed(self.root.clone(), before, after);
        changed.await.unwrap()
    }

    /// Makes an edit as `write` does to a file that it names.
    pub async fn named(&self, path: &str, edit: impl FnOnce()) -> FileChange {
        let keep = || self.keeper.keep(self.root.clone(), self.path(path));
        let before = self.track().await;
        let image = keep().await.unwrap();
        edit();
        let after = self.track().await;
        FileChange {
            images: Some(Images {
                before: image,
                after: keep().await.unwrap(),
            }),
            ..FileChange::new(self.path(path), before, after)
        }
    }

    pub async fn redo(&self, changes: &[FileChange]) -> Restored {
        self.keeper
            .redo(self.root.clone(), changes.to_vec())
            .await
            .unwrap()
    }

    pub async fn undo(&self, changes: &[FileChange]) -> Restored {
        let newest_first = changes.iter().rev().cloned().collect();
        self.keeper
            .undo(self.root.clone(), newest_first)
            .await
            .unwrap()
    }
}

pub fn init(root: &Path) -> Repository {
    let mut options = RepositoryInitOptions::new();
    options.initial_head("main").external_template(false);
    Repository::init_opts(root, &options).unwrap()
}

pub fn commit(repo: &Repository, message: &str) -> Oid {
    let mut index = repo.index().unwrap();
    index.add_all(["*"], IndexAddOption::DEFAULT, None).unwrap();
    index.update_all(["*"], None).unwrap();
    index.write().unwrap();
    let tree = repo.find_tree(index.write_tree().unwrap()).unwrap();
    let author = Signature::now("t", "t@example.com").unwrap();
    let parents: Vec<_> = repo
        .head()
        .ok()
        .and_then(|head| head.peel_to_commit().ok())
        .into_iter()
        .collect();
    repo.commit(
        Some("HEAD"),
        &author,
        &author,
        message,
        &tree,
        &parents.iter().collect::<Vec<_>>(),
    )
    .unwrap()
}

pub fn names(paths: &[&str]) -> Vec<(String, String)> {
    paths
        .iter()
        .map(|line| {
            let (status, path) = line.split_once(' ').unwrap();
            (path.to_owned(), status.to_owned())
        })
        .collect()
}

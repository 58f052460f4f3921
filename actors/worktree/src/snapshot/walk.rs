//! A worktree's state between walks, and the walk itself: scan, read, write trees.

use super::glance::WALK_MAX;
use super::ignores::{Chain, Outer};
use super::limits::Limits;
use super::omitted::{self, LeftOut};
use super::scan::{Above, FolderNode, Scan};
use super::seal::Seal;
use super::store::Store;
use super::tracked::Tracked;
use super::workers::failed;
use crate::beneath::open_root;
use crate::checkout::Checkout;
use crate::stamp::kernel_now_ns;
use git2::{ObjectType, Oid, Repository};
use ignore::gitignore::Gitignore;
use kilo_ports::checkpoint::{CheckpointError, WhyLeft};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Checkpoints made lately that a prune keeps even if nobody names them yet.
const RECENT_MAX: usize = 1_024;
/// Looks at what is left out that are remembered: calls that run at one time compare two of them.
const LEFT_OUT_MAX: usize = 32;

/// What is known of a worktree's files, and the shadow repository to write to.
pub(super) struct Walk {
    repo: Repository,
    outer: Outer,
    tracked: Tracked,
    own_folder: Option<Vec<u8>>,
    root: FolderNode,
    /// The last checkpoint.
    last: Option<String>,
    /// The list of what the last walk left out, as the store has it.
    left: Option<Oid>,
    /// The same as it looked, of the last walks in which it changed; numbered.
    left_out: VecDeque<(u64, LeftOut)>,
    /// The list has to be made anew.
    left_changed: bool,
    recent: VecDeque<(String, i64)>,
}

impl Walk {
    pub fn open(checkout: &Checkout, store: &Store) -> Result<Self, CheckpointError> {
        let own_folder = store
            .folder
            .parent()
            .and_then(|folder| folder.canonicalize().ok());
        let own_folder = own_folder
            .as_ref()
            .and_then(|folder| folder.strip_prefix(&checkout.root).ok());
        Ok(Self {
            repo: store.writer()?,
            outer: Outer::of(checkout),
            tracked: Tracked::of(checkout, store),
            own_folder: own_folder.map(|path| path.as_os_str().as_bytes().to_vec()),
            root: FolderNode::default(),
            last: None,
            left: None,
            left_out: VecDeque::new(),
            left_changed: true,
            recent: VecDeque::new(),
        })
    }

    /// Checkpoints that a prune has to keep: the last one, and those made after `since_ns`.
    pub fn recent(&self, since_ns: i64) -> impl Iterator<Item = &String> {
        self.recent
            .iter()
            .filter(move |(_, at_ns)| *at_ns >= since_ns)
            .map(|(tree, _)| tree)
            .chain(&self.last)
    }

    /// Opens the repository again, after objects went away under it.
    pub fn reopen(&mut self, store: &Store) -> Result<(), CheckpointError> {
        self.repo = store.writer()?;
        Ok(())
    }

    /// Brings the checkpoint up to date and returns its hash.
    pub fn run(
        &mut self,
        checkout: &Checkout,
        store: &Store,
        limits: &Limits,
    ) -> Result<String, CheckpointError> {
        let fd = open_root(&checkout.root).map_err(failed)?;
        let result = self.update(&fd, store, limits);
        self.tracked.forget_seeds();
        match result {
            Ok(tree) => Ok(tree),
            Err(error) => {
                // half a scan is no base for the next one
                self.root = FolderNode::default();
                self.tracked.forget();
                self.left_changed = true;
                Err(error)
            }
        }
    }

    fn update(
        &mut self,
        fd: &OwnedFd,
        store: &Store,
        limits: &Limits,
    ) -> Result<String, CheckpointError> {
        let started_ns = kernel_now_ns();
        let deadline_ns = started_ns + limits.walk_ms_max as i64 * 1_000_000;
        self.scan(fd, limits, store, deadline_ns)?;
        let odb = self.repo.odb().map_err(failed)?;
        if self.root.work > 0 {
            let mut seal = Seal {
                store,
                odb: &odb,
                tracked: &self.tracked,
                file_bytes_max: limits.tracked_file_bytes_max,
                started_ns,
                deadline_ns,
                path: Vec::new(),
                left_changed: false,
            };
            seal.folder(fd, &mut self.root)?;
            self.left_changed |= seal.left_changed;
        }
        let tree = match self.root.tree {
            Some(tree) => tree.to_string(),
            None => store.put(&odb, ObjectType::Tree, b"")?.to_string(),
        };
        let is_new = self.last.as_ref() != Some(&tree);
        let known = self.left;
        if self.left_changed {
            let left_out = omitted::left_out(&self.root);
            self.left = omitted::write(store, &odb, &left_out)?;
            remember_left_out(&mut self.left_out, left_out);
        }
        if let Some(left) = self.left.filter(|_| is_new || self.left != known) {
            omitted::note(store, &tree, left)?;
        }
        drop(odb);
        self.left_changed = false;
        self.remember(&tree, started_ns, is_new);
        Ok(tree)
    }

    fn scan(
        &mut self,
        fd: &OwnedFd,
        limits: &Limits,
        store: &Store,
        deadline_ns: i64,
    ) -> Result<(), CheckpointError> {
        let rules_changed = self.outer.refresh() | self.tracked.refresh();
        let none = Gitignore::empty();
        let rules =
            |layer: &Option<super::ignores::Layer>| layer.as_ref().map(|layer| layer.rules.clone());
        let (global, exclude) = (rules(&self.outer.global), rules(&self.outer.exclude));
        let global = Chain {
            above: None,
            rules: global.as_deref().unwrap_or(&none),
            start: 0,
        };
        let exclude = Chain {
            above: Some(&global),
            rules: exclude.as_deref().unwrap_or(&none),
            start: 0,
        };
        let mut scan = Scan {
            limits,
            tracked: &self.tracked,
            own_folder: self.own_folder.as_deref(),
            deadline_ns,
            path: Vec::new(),
            files: 0,
            bytes_to_read: 0,
            left_changed: false,
            glances: WALK_MAX,
        };
        scan.folder(
            fd,
            &mut self.root,
            Above {
                chain: &exclude,
                rules_changed,
                depth: 0,
            },
        )?;
        self.left_changed |= scan.left_changed;
        if scan.bytes_to_read > limits.walk_bytes_max {
            return Err(too_much(
                "the worktree's new files have",
                scan.bytes_to_read,
                limits.walk_bytes_max,
            ));
        }
        let after = store.bytes() + scan.bytes_to_read;
        if scan.bytes_to_read > 0 && after > limits.store_bytes_max {
            return Err(too_much(
                "the worktree's checkpoints would have",
                after,
                limits.store_bytes_max,
            ));
        }
        Ok(())
    }

    /// Names what the last walk left out, and how it looked.
    pub fn left_number(&self) -> u64 {
        self.left_out.back().map_or(0, |(number, _)| *number)
    }

    /// What looks other than it did, among what is left out; nothing if either number is too old.
    pub fn left_between(&self, before: u64, after: u64) -> Vec<(PathBuf, WhyLeft)> {
        let of = |wanted: u64| self.left_out.iter().find(|(number, _)| *number == wanted);
        match (of(before), of(after)) {
            (Some((_, before)), Some((_, after))) => omitted::changed(before, after),
            _ => Vec::new(),
        }
    }

    fn remember(&mut self, tree: &str, at_ns: i64, is_new: bool) {
        if is_new {
            self.last = Some(tree.to_owned());
        }
        match self.recent.back_mut() {
            Some((last, at)) if last == tree => *at = at_ns,
            _ => self.recent.push_back((tree.to_owned(), at_ns)),
        }
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
    }
}

fn remember_left_out(all: &mut VecDeque<(u64, LeftOut)>, left_out: LeftOut) {
    let number = all.back().map_or(0, |(number, _)| *number) + 1;
    all.push_back((number, left_out));
    if all.len() > LEFT_OUT_MAX {
        all.pop_front();
    }
}

fn too_much(what: &str, bytes: u64, max: u64) -> CheckpointError {
    let mib = |bytes: u64| bytes >> 20;
    CheckpointError::Failed(format!(
        "{what} {} MiB, over the limit of {} MiB",
        mib(bytes),
        mib(max)
    ))
}

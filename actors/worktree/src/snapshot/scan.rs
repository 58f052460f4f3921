//! The first half of a walk: looks at every file's stamp and finds what has to be read again.
//!
//! The worktree's last state is kept as a tree of [`FolderNode`]s. A scan lists each folder, keeps entries whose stamps are
//! as they were, and marks the rest; [`super::seal`] then reads those and writes trees.

use super::glance::{self, Glance};
use super::ignores::{Chain, Layer, refresh};
use super::limits::Limits;
use super::tracked::Tracked;
use super::workers::failed;
use crate::beneath::{Kind, is_temporary, open_folder, remove_temporary};
use crate::stamp::{Stamp, kernel_now_ns};
use git2::Oid;
use kilo_ports::checkpoint::CheckpointError;
use rustix::fs::{AtFlags, Dir, FileType, statat};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

/// Folders inside folders; deeper ones are left out.
const DEPTH_MAX: usize = 128;

/// A folder of the worktree as the last walk saw it.
#[derive(Default)]
pub(super) struct FolderNode {
    /// By name, in byte order.
    pub entries: Vec<Entry>,
    /// Its tree; nothing if it holds no file.
    pub tree: Option<Oid>,
    /// The tree has to be written again.
    pub dirty: bool,
    /// Files to read and folders to write, here and below.
    pub work: u32,
    /// An ignore rule covers it: only tracked files count.
    ignored: bool,
    rules: Option<Layer>,
}

pub(super) struct Entry {
    pub name: Box<[u8]>,
    pub node: Node,
}

pub(super) enum Node {
    File(FileNode),
    Folder(Box<FolderNode>),
    Left(LeftNode),
}

/// An entry that is not part of the checkpoint, and how it looked.
pub(super) struct LeftNode {
    pub why: Left,
    pub glance: Glance,
}

impl LeftNode {
    /// One that was not looked at.
    pub fn unseen(why: Left) -> Self {
        Self {
            why,
            glance: Glance::default(),
        }
    }
}

pub(super) struct FileNode {
    pub stamp: Stamp,
    pub kind: Kind,
    /// What the tree has; nothing for a file not read yet.
    pub oid: Option<Oid>,
    /// A later change must show in the stamp.
    pub settled: bool,
    /// It has to be read.
    pub pending: bool,
}

/// Why an entry is not part of the checkpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// An ignored file, or a folder with nothing but such.
    Ignored {
        is_folder: bool,
    },
    TooLarge,
    Unreadable,
    /// A pipe, a socket, a device.
    Special,
    /// A repository inside, submodules among them.
    Repository,
}

/// One scan over the worktree.
pub(super) struct Scan<'a> {
    pub limits: &'a Limits,
    pub tracked: &'a Tracked,
    /// The snapshot folder's path, should it lie inside the worktree.
    pub own_folder: Option<&'a [u8]>,
    pub deadline_ns: i64,
    /// The path of the entry at hand.
    pub path: Vec<u8>,
    pub files: usize,
    pub bytes_to_read: u64,
    /// What is left out is not what it was.
    pub left_changed: bool,
    /// Entries of folders that are left out which may still be looked at.
    pub glances: usize,
}

/// What the rules above a folder say of it.
#[derive(Clone, Copy)]
pub(super) struct Above<'a> {
    pub chain: &'a Chain<'a>,
    pub rules_changed: bool,
    pub depth: usize,
}

impl Scan<'_> {
    /// Brings `folder`, open as `fd`, up to date. Says `false` if it turned out to be a repository of its own.
    pub fn folder(
        &mut self,
        fd: &OwnedFd,
        folder: &mut FolderNode,
        above: Above<'_>,
    ) -> Result<bool, CheckpointError> {
        let names = list(fd)?;
        let has = |name: &[u8]| {
            names
                .binary_search_by(|(known, _)| known[..].cmp(name))
                .is_ok()
        };
        if above.depth > 0 && has(b".git") {
            return Ok(false);
        }
        if kernel_now_ns() > self.deadline_ns {
            return Err(CheckpointError::Failed(
                "the worktree took too long to look through".into(),
            ));
        }
        let mut rules_changed = above.rules_changed;
        if has(b".gitignore") {
            rules_changed |= refresh(&mut folder.rules, fd, Path::new(".gitignore"), false);
        } else {
            rules_changed |= folder.rules.take().is_some();
        }
        let own = folder.rules.as_ref().map(|layer| Arc::clone(&layer.rules));
        let start = if self.path.is_empty() {
            0
        } else {
            self.path.len() + 1
        };
        let chain = own.as_ref().map(|rules| Chain {
            above: Some(above.chain),
            rules,
            start,
        });
        let here = Above {
            chain: chain.as_ref().unwrap_or(above.chain),
            rules_changed,
            depth: above.depth,
        };
        self.entries(fd, folder, names, here)?;
        Ok(true)
    }

    fn entries(
        &mut self,
        fd: &OwnedFd,
        folder: &mut FolderNode,
        names: Names,
        here: Above<'_>,
    ) -> Result<(), CheckpointError> {
        let mut known = std::mem::take(&mut folder.entries).into_iter().peekable();
        folder.entries.reserve(names.len());
        folder.work = 0;
        let path_len = self.path.len();
        for (name, file_type) in names {
            if *name == *b".git" {
                continue; // only at the top: elsewhere it made the folder a repository
            }
            while let Some(gone) = known.next_if(|entry| entry.name < name) {
                self.note_gone(folder, &gone.node);
            }
            let before = known
                .next_if(|entry| entry.name == name)
                .map(|entry| entry.node);
            if is_temporary(&name) {
                remove_temporary(fd, &name);
                continue;
            }
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(&name);
            let node = self.entry(fd, folder, &name, file_type, before, here)?;
            self.path.truncate(path_len);
            if let Some(node) = node {
                folder.entries.push(Entry { name, node });
            }
        }
        for gone in known {
            self.note_gone(folder, &gone.node);
        }
        folder.work += u32::from(folder.dirty);
        Ok(())
    }

    fn entry(
        &mut self,
        fd: &OwnedFd,
        folder: &mut FolderNode,
        name: &[u8],
        mut file_type: FileType,
        before: Option<Node>,
        here: Above<'_>,
    ) -> Result<Option<Node>, CheckpointError> {
        let mut stamp = None;
        if file_type != FileType::Directory {
            let Ok(stat) = statat(fd, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW) else {
                if let Some(before) = before {
                    self.note_gone(folder, &before);
                }
                return Ok(None);
            };
            let found = Stamp::of(&stat);
            file_type = found.file_type();
            stamp = Some(found);
        }
        let was_in_tree = before.as_ref().is_some_and(Node::in_tree);
        let left_before = match &before {
            Some(Node::Left(left)) => Some((left.why, left.glance.digest)),
            _ => None,
        };
        let was_folder = matches!(before, Some(Node::Folder(_)));
        let is_folder = file_type == FileType::Directory;
        let still_ignored = !here.rules_changed
            && matches!(left_before, Some((Left::Ignored { is_folder: known }, _)) if known == is_folder);
        let mut node = match (file_type, stamp) {
            _ if still_ignored => Node::Left(LeftNode::unseen(Left::Ignored { is_folder })),
            (FileType::Directory, _) => self.subfolder(fd, folder.ignored, name, before, here)?,
            (FileType::RegularFile | FileType::Symlink, Some(stamp)) => {
                self.file(folder, stamp, before, here)?
            }
            _ => Node::Left(LeftNode::unseen(Left::Special)),
        };
        if let Node::Left(left) = &mut node {
            left.glance = self.glance(fd, name, stamp);
            if left.why == Left::Repository {
                left.glance.files = Vec::new(); // it is named as a whole
            }
        }
        let left_now = match &node {
            Node::Left(left) => Some((left.why, left.glance.digest)),
            _ => None,
        };
        let is_left = left_now.is_some();
        self.left_changed |= left_before != left_now;
        folder.dirty |= was_in_tree && (is_left || was_folder != matches!(node, Node::Folder(_)));
        folder.work += match &node {
            Node::File(file) => u32::from(file.pending),
            Node::Folder(below) => below.work,
            Node::Left(_) => 0,
        };
        Ok(Some(node))
    }

    fn glance(&mut self, fd: &OwnedFd, name: &[u8], stamp: Option<Stamp>) -> Glance {
        match stamp {
            Some(stamp) => Glance {
                digest: glance::digest(&self.path, &stamp),
                files: Vec::new(),
            },
            // Our own checkpoints change with each walk.
            None if self.own_folder == Some(&self.path[..]) => Glance::default(),
            None => glance::folder(fd, OsStr::from_bytes(name), &mut self.glances),
        }
    }

    fn subfolder(
        &mut self,
        fd: &OwnedFd,
        in_ignored: bool,
        name: &[u8],
        before: Option<Node>,
        here: Above<'_>,
    ) -> Result<Node, CheckpointError> {
        let mut below = match before {
            Some(Node::Folder(folder)) => folder,
            _ => Box::default(),
        };
        let is_known = !below.entries.is_empty() && !here.rules_changed;
        if !is_known {
            below.ignored = in_ignored || here.chain.ignores(&self.path, true);
        }
        if (below.ignored && !self.tracked.has_below(&self.path))
            || self.own_folder == Some(&self.path[..])
        {
            return Ok(Node::Left(LeftNode::unseen(Left::Ignored {
                is_folder: true,
            })));
        }
        if here.depth + 1 >= DEPTH_MAX {
            return Ok(Node::Left(LeftNode::unseen(Left::Unreadable)));
        }
        let Ok(opened) = open_folder(fd, OsStr::from_bytes(name)) else {
            return Ok(Node::Left(LeftNode::unseen(Left::Unreadable)));
        };
        let inside = Above {
            depth: here.depth + 1,
            ..here
        };
        Ok(match self.folder(&opened, &mut below, inside)? {
            true => Node::Folder(below),
            false => Node::Left(LeftNode::unseen(Left::Repository)),
        })
    }

    fn file(
        &mut self,
        folder: &mut FolderNode,
        stamp: Stamp,
        before: Option<Node>,
        here: Above<'_>,
    ) -> Result<Node, CheckpointError> {
        self.files += 1;
        if self.files > self.limits.files_max {
            return Err(CheckpointError::Failed(format!(
                "the worktree has more than {} files",
                self.limits.files_max
            )));
        }
        let before = match before {
            Some(Node::File(file)) => Some(file),
            _ => None,
        };
        let is_known = before.is_some() && !here.rules_changed;
        let ignored = !is_known && (folder.ignored || here.chain.ignores(&self.path, false));
        if ignored && !self.tracked.contains(&self.path) {
            return Ok(Node::Left(LeftNode::unseen(Left::Ignored {
                is_folder: false,
            })));
        }
        let kind = kind_of(&stamp);
        let (old_oid, old_kind) = before
            .as_ref()
            .map_or((None, kind), |file| (file.oid, file.kind));
        if let Some(oid) = self.tracked.known(&self.path, &stamp, kind) {
            folder.dirty |= old_oid != Some(oid) || old_kind != kind;
            return Ok(Node::File(FileNode {
                stamp,
                kind,
                oid: Some(oid),
                settled: true,
                pending: false,
            }));
        }
        if self.is_too_large(stamp.size) {
            return Ok(Node::Left(LeftNode::unseen(Left::TooLarge)));
        }
        if let Some(mut file) = before.filter(|file| file.stamp == stamp && file.oid.is_some()) {
            file.pending = !file.settled;
            return Ok(Node::File(file));
        }
        self.bytes_to_read += stamp.size;
        folder.dirty |= old_kind != kind;
        Ok(Node::File(FileNode {
            stamp,
            kind,
            oid: old_oid,
            settled: false,
            pending: true,
        }))
    }

    fn is_too_large(&self, size: u64) -> bool {
        size > self.limits.untracked_file_bytes_max
            && (size > self.limits.tracked_file_bytes_max || !self.tracked.contains(&self.path))
    }

    /// An entry went away.
    fn note_gone(&mut self, folder: &mut FolderNode, gone: &Node) {
        folder.dirty |= gone.in_tree();
        self.left_changed |= matches!(gone, Node::Left(_));
    }
}

impl Node {
    /// Whether the tree written last has it.
    fn in_tree(&self) -> bool {
        match self {
            Self::File(file) => file.oid.is_some(),
            Self::Folder(folder) => folder.tree.is_some(),
            Self::Left(_) => false,
        }
    }
}

fn kind_of(stamp: &Stamp) -> Kind {
    match stamp.file_type() {
        FileType::Symlink => Kind::Link,
        _ if stamp.is_executable() => Kind::Executable,
        _ => Kind::Plain,
    }
}

/// A folder's names, with their types.
type Names = Vec<(Box<[u8]>, FileType)>;

/// A folder's names in byte order, with their types as far as the filesystem tells.
fn list(fd: &OwnedFd) -> Result<Names, CheckpointError> {
    let mut names: Names = Vec::new();
    for entry in Dir::read_from(fd).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push((name.into(), entry.file_type()));
        }
    }
    names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(names)
}

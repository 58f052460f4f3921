//! The second half of a walk: reads what the scan marked and writes blobs and trees.

use super::scan::{FileNode, FolderNode, Left, LeftNode, Node};
use super::store::Store;
use super::tracked::Tracked;
use super::workers::failed;
use crate::beneath::{Kind, open_folder, read_entry};
use crate::stamp::kernel_now_ns;
use git2::{ObjectType, Odb, Oid};
use kilo_ports::checkpoint::CheckpointError;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

/// One pass over the folders that a scan found work in.
pub(super) struct Seal<'a> {
    pub store: &'a Store,
    pub odb: &'a Odb<'a>,
    pub tracked: &'a Tracked,
    pub file_bytes_max: u64,
    /// When the scan began: a file written at about that time is read again by the next walk.
    pub started_ns: i64,
    pub deadline_ns: i64,
    pub path: Vec<u8>,
    /// A file turned out to be unreadable or gone.
    pub left_changed: bool,
}

impl Seal<'_> {
    /// Writes what changed in `folder`, open as `fd`, and below; its tree is right afterwards.
    pub fn folder(&mut self, fd: &OwnedFd, folder: &mut FolderNode) -> Result<(), CheckpointError> {
        let path_len = self.path.len();
        for entry in &mut folder.entries {
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(&entry.name);
            let name = OsStr::from_bytes(&entry.name);
            match &mut entry.node {
                Node::File(file) if file.pending => {
                    let before = file.oid;
                    if self.file(fd, name, file)? {
                        folder.dirty |= before != file.oid;
                    } else {
                        folder.dirty |= before.is_some();
                        entry.node = Node::Left(LeftNode::unseen(Left::Unreadable));
                        self.left_changed = true;
                    }
                }
                Node::Folder(below) if below.work > 0 => {
                    let before = below.tree;
                    match open_folder(fd, name) {
                        Ok(opened) => self.folder(&opened, below)?,
                        Err(_) => **below = FolderNode::default(), // it went away; the next walk sees what came
                    }
                    folder.dirty |= before != below.tree;
                }
                _ => {}
            }
            self.path.truncate(path_len);
        }
        if folder.dirty {
            folder.tree = self.tree(folder)?;
            folder.dirty = false;
        }
        folder.work = 0;
        Ok(())
    }

    /// Reads one file; says `false` if it cannot be.
    fn file(
        &mut self,
        fd: &OwnedFd,
        name: &OsStr,
        file: &mut FileNode,
    ) -> Result<bool, CheckpointError> {
        if kernel_now_ns() > self.deadline_ns {
            return Err(CheckpointError::Failed(
                "the worktree's changes took too long to read".into(),
            ));
        }
        let Ok(content) = read_entry(fd, name, &file.stamp, self.file_bytes_max) else {
            return Ok(false);
        };
        let oid = Oid::hash_object(ObjectType::Blob, &content.bytes).map_err(failed)?;
        if file.oid != Some(oid) && !self.tracked.has_blob(&self.path, oid) {
            self.store.put(self.odb, ObjectType::Blob, &content.bytes)?;
        }
        file.settled = file.stamp.is_settled(self.started_ns);
        file.oid = Some(oid);
        file.kind = content.kind;
        file.pending = false;
        Ok(true)
    }

    fn tree(&self, folder: &FolderNode) -> Result<Option<Oid>, CheckpointError> {
        let mut members = Vec::with_capacity(folder.entries.len());
        for entry in &folder.entries {
            match &entry.node {
                Node::File(FileNode {
                    oid: Some(oid),
                    kind,
                    ..
                }) => members.push((&entry.name[..], mode(*kind), *oid)),
                Node::Folder(below) => {
                    members.extend(below.tree.map(|oid| (&entry.name[..], FOLDER_MODE, oid)))
                }
                _ => {}
            }
        }
        if members.is_empty() {
            return Ok(None);
        }
        // git sorts a folder as if its name ended in a slash
        members.sort_by(|a, b| git_name(a.0, a.1).cmp(git_name(b.0, b.1)));
        let mut bytes = Vec::with_capacity(members.len() * 48);
        for (name, mode, oid) in members {
            bytes.extend_from_slice(mode.as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(name);
            bytes.push(0);
            bytes.extend_from_slice(oid.as_bytes());
        }
        self.store.put(self.odb, ObjectType::Tree, &bytes).map(Some)
    }
}

const FOLDER_MODE: &str = "40000";

fn git_name<'a>(name: &'a [u8], mode: &str) -> impl Iterator<Item = &'a u8> {
    let end: &[u8] = if mode == FOLDER_MODE { b"/" } else { b"" };
    name.iter().chain(end)
}

fn mode(kind: Kind) -> &'static str {
    match kind {
        Kind::Plain => "100644",
        Kind::Executable => "100755",
        Kind::Link => "120000",
    }
}

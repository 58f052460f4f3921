//! What an undo is about to do to the files of a worktree, and the doing.

use crate::beneath::{Beneath, Content, Found};
use git2::{ObjectType, Tree};
use kilo_ports::checkpoint::{LeftAlone, Restored, WhyLeft};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tracing::warn;

/// A file over this is left alone.
pub(super) const FILE_BYTES_MAX: u64 = 256 << 20;
/// Files in the way of one that comes back; with more, it is left alone.
const IN_THE_WAY_MAX: usize = 10_000;

/// What one file is to become.
pub(super) struct Planned<'repo> {
    /// From the worktree's root.
    pub path: PathBuf,
    /// What was there when the plan was made.
    pub found: Found,
    pub wanted: Option<Content>,
    /// The checkpoint that is gone back to: folders that it has stay, even when they become empty.
    pub tree: Rc<Tree<'repo>>,
}

impl Planned<'_> {
    fn is_removal(&self) -> bool {
        self.wanted.is_none() && matches!(self.found, Found::File(_))
    }
}

/// All files of one undo, in the order in which they were named.
#[derive(Default)]
pub(super) struct Plan<'repo> {
    files: Vec<(PathBuf, Result<Planned<'repo>, WhyLeft>)>,
}

impl<'repo> Plan<'repo> {
    /// Adds the file that the session calls `file`.
    pub fn add(&mut self, file: &Path, planned: Result<Planned<'repo>, WhyLeft>) {
        self.files.push((file.to_path_buf(), planned));
    }

    /// Leaves alone what would have to displace something that the plan does not remove, and then whatever was to make
    /// room for it: of a folder and the file of its name, both come and go or neither.
    pub fn settle(&mut self, beneath: &Beneath) {
        loop {
            let removals: HashMap<&Path, usize> = self
                .files
                .iter()
                .enumerate()
                .filter_map(|(at, (_, planned))| Some((at, planned.as_ref().ok()?)))
                .filter(|(_, planned)| planned.is_removal())
                .map(|(at, planned)| (planned.path.as_path(), at))
                .collect();
            let mut refused = Vec::new();
            for (at, (_, planned)) in self.files.iter().enumerate() {
                let Ok(planned) = planned else { continue };
                if planned.wanted.is_none() {
                    continue;
                }
                let (in_the_way, complete) = in_the_way(beneath, planned);
                let makes_room: Vec<usize> = in_the_way
                    .iter()
                    .filter_map(|path| removals.get(path.as_path()).copied())
                    .collect();
                if !complete || makes_room.len() < in_the_way.len() {
                    refused.push(at);
                    refused.extend(makes_room);
                }
            }
            if refused.is_empty() {
                return;
            }
            for at in refused {
                if let Some((_, planned)) = self.files.get_mut(at) {
                    *planned = Err(WhyLeft::ChangedByOthers);
                }
            }
        }
    }

    /// Removes what goes, deepest first, then writes what comes.
    pub fn carry_out(mut self, beneath: &Beneath) -> Restored {
        let mut order: Vec<usize> = (0..self.files.len()).collect();
        let depth = |planned: &Result<Planned<'_>, WhyLeft>| {
            planned.as_ref().map_or((0, 0), |planned| {
                let depth = planned.path.components().count();
                match planned.wanted {
                    None => (0, usize::MAX - depth),
                    Some(_) => (1, depth),
                }
            })
        };
        order.sort_by_key(|at| self.files.get(*at).map(|(_, planned)| depth(planned)));
        for at in order {
            let Some((_, slot)) = self.files.get_mut(at) else {
                continue;
            };
            if let Ok(planned) = slot
                && let Err(why) = put(beneath, planned)
            {
                *slot = Err(why);
            }
        }
        let mut restored = Restored::default();
        for (path, planned) in self.files {
            match planned {
                Ok(_) => restored.restored.push(path),
                Err(why) => restored.left.push(LeftAlone { path, why }),
            }
        }
        restored
    }
}

/// What has to go before `planned` can come, and whether that is all.
fn in_the_way(beneath: &Beneath, planned: &Planned<'_>) -> (Vec<PathBuf>, bool) {
    match &planned.found {
        Found::Nothing | Found::File(_) => (Vec::new(), true),
        Found::Behind(path) => (vec![path.clone()], true),
        Found::Folder => match beneath.files_below(&planned.path, IN_THE_WAY_MAX) {
            Ok(files) => (files, true),
            Err(error) => {
                warn!(%error, "a folder in the way of a file cannot be looked through");
                (Vec::new(), false)
            }
        },
    }
}

fn put(beneath: &Beneath, planned: &Planned<'_>) -> Result<(), WhyLeft> {
    let current = match &planned.found {
        Found::File(content) => Some(content),
        _ => None,
    };
    if planned.wanted.as_ref() == current {
        return Ok(());
    }
    let failed = |error: std::io::Error| {
        warn!(%error, "a file cannot be put back");
        WhyLeft::Failed
    };
    let now = beneath
        .look(&planned.path, FILE_BYTES_MAX)
        .map_err(failed)?;
    let is_cleared = matches!(planned.found, Found::Folder | Found::Behind(_));
    if now != planned.found && !is_cleared {
        return Err(WhyLeft::ChangedByOthers); // somebody wrote to it just now
    }
    match &planned.wanted {
        Some(content) => {
            if now == Found::Folder {
                beneath.remove_empty(&planned.path).map_err(failed)?;
            }
            beneath.replace(&planned.path, content).map_err(failed)
        }
        None => {
            let keeps = |folder: &Path| {
                planned
                    .tree
                    .get_path(folder)
                    .is_ok_and(|entry| entry.kind() == Some(ObjectType::Tree))
            };
            beneath.remove(&planned.path, keeps).map_err(failed)
        }
    }
}

//! A worktree as its record and the lists have it.

use super::Losses;
use crate::Millis;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A worktree in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// Its top folder.
    pub directory: PathBuf,
    /// The branch that is checked out now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// How it is.
    pub state: State,
    /// Why it is locked; empty where git was given no reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked: Option<String>,
    /// Our record; none for those that somebody else made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tree: Option<Tree>,
    /// What its removal would lose; only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub losses: Option<Losses>,
    /// What it changed since it left its base; only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
}

/// How a worktree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// All its files are there.
    Ready,
    /// It is being made.
    Making,
    /// It was being made when the process ended.
    HalfMade,
    /// It is being removed.
    Removing,
    /// Its folder is gone; git and its branch still know it.
    Vanished,
}

/// What a worktree changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Files that differ from the base, uncommitted ones included.
    pub files: usize,
    /// Lines added.
    pub additions: u64,
    /// Lines taken away.
    pub deletions: u64,
    /// Commits since the base.
    pub ahead: usize,
    /// Commits of the base since then.
    pub behind: usize,
}

/// A worktree of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tree {
    /// Its name; no other worktree of the project has it.
    pub name: String,
    /// Its branch; none where HEAD is detached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Its top folder, absolute.
    pub directory: PathBuf,
    /// The git folder that it shares with the repository.
    pub repository: PathBuf,
    /// The worktree that it was made from; results go back there.
    pub origin: PathBuf,
    /// The branch (or what else was named) that it started from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The commit that it started from.
    pub commit: String,
    /// The first of its ports; 0: it has none.
    pub port_base: u16,
    /// When it was made.
    pub created: Millis,
    /// How far its making came.
    pub stage: Stage,
    /// What became of its set-up script.
    #[serde(default)]
    pub setup: Setup,
    /// The branch was made with it, so it may go with it.
    #[serde(default)]
    pub owns_branch: bool,
    /// It was there before: somebody else made it.
    #[serde(default)]
    pub adopted: bool,
}

/// How far the making of a worktree came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Its files are being written; after a crash it is half-made.
    Making,
    /// All its files are there.
    Ready,
    /// It is being removed: its state is kept, its folder goes.
    Removing,
}

/// What became of a set-up script.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum Setup {
    /// There is none.
    #[default]
    None,
    /// It runs; after a crash it was interrupted.
    Running,
    /// It ended well.
    Done,
    /// It did not.
    Failed {
        /// Why, with the end of its output.
        message: String,
    },
}

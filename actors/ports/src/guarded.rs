//! Files that decide what the agent or git may do, or that a program runs by itself: changing one is always a person's
//! decision, whatever the rules say.
//!
//! This is the one list; file tools and the judge of shell texts both ask it. It knows names only and never looks at
//! the disk: whoever asks gives the path as it was meant and the path without links, and takes the stronger answer.

mod list;

use list::{AGENT, EXECUTABLE, GIT, HOME_EXECUTABLE, PLANS, WORKTREES};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Why a file is guarded. In order of weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guard {
    /// A program runs it, or what it names, without being told to: an editor's tasks, hooks, CI.
    Executable,
    /// It configures or instructs an agent.
    Agent,
    /// It belongs to a repository's own data, or tells git what to run.
    Git,
}

impl Guard {
    /// The word for clients: `executable`, `agent`, `git`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Executable => "executable",
            Self::Agent => "agent",
            Self::Git => "git",
        }
    }

    /// What a person should know before the answer.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Executable => "programs run what this file says without being told to",
            Self::Agent => "this file decides what the agent may do or is told",
            Self::Git => "this file belongs to git, which may run what it names",
        }
    }
}

/// The guarded files around one session.
///
/// Names are compared without regard to letter case, since the disk may do the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guarded {
    /// The session's folder and its worktree's root. Inside of them only the part below them is looked at, so that a
    /// project may itself lie in a folder such as `.kilo/worktrees/x`.
    pub roots: Vec<PathBuf>,
    /// The user's home.
    pub home: PathBuf,
    /// Folders of the user and the machine in which everything is guarded: configuration, data, state.
    pub folders: Vec<PathBuf>,
    /// Folders below those in which nothing is: plans, kept outputs.
    pub free: Vec<PathBuf>,
    /// Further files and folders that the configuration names.
    pub named: Vec<PathBuf>,
    /// Instruction files that the configuration names by a pattern: a folder, and the ending that they have.
    pub patterns: Vec<(PathBuf, Option<OsString>)>,
}

impl Guarded {
    /// Why `path` (absolute, without `.` and `..`) is guarded; nothing if it is not.
    pub fn of(&self, path: &Path) -> Option<Guard> {
        let whole = names(path);
        if matches_any(&whole, GIT) || self.is_git_of_user(&whole) {
            return Some(Guard::Git);
        }
        let root = self.roots.iter().find(|root| path.starts_with(root));
        let below = root.map_or(whole.as_slice(), |root| &whole[names(root).len()..]);
        let below = without_worktree(below);
        if self.is_agents(path, below) {
            return Some(Guard::Agent);
        }
        let at_home = path.strip_prefix(&self.home).ok().map(names);
        let runs = matches_any(below, EXECUTABLE)
            || path.starts_with("/etc")
            || at_home.is_some_and(|names| begins_with_any(&names, HOME_EXECUTABLE));
        runs.then_some(Guard::Executable)
    }

    /// The stronger answer for two forms of one path: as meant, and without links.
    pub fn of_either(&self, meant: &Path, real: &Path) -> Option<Guard> {
        self.of(meant).max(self.of(real))
    }

    fn is_git_of_user(&self, whole: &[String]) -> bool {
        let home = names(&self.home);
        !home.is_empty()
            && whole.starts_with(&home)
            && begins_with_any(&whole[home.len()..], &[".config/git/"])
    }

    fn is_agents(&self, path: &Path, below: &[String]) -> bool {
        let within = |folders: &[PathBuf]| folders.iter().any(|folder| path.starts_with(folder));
        if self.named.iter().any(|named| path.starts_with(named)) {
            return true;
        }
        let by_pattern = self.patterns.iter().any(|(folder, ending)| {
            let fits = ending
                .as_deref()
                .is_none_or(|ending| path.extension() == Some(ending));
            fits && path.starts_with(folder)
        });
        if by_pattern || (within(&self.folders) && !within(&self.free)) {
            return true;
        }
        matches_any(below, AGENT) && !is_plan(below)
    }
}

/// Whether a change of a package's description changes what a package manager runs when it installs.
///
/// `package.json` is edited every day, so that the file alone is no reason to ask; its install hooks are.
pub fn changes_install_hooks(path: &Path, old: &str, new: &str) -> bool {
    let name = path.file_name().map(|name| name.to_ascii_lowercase());
    let Some(hooks) = name.as_deref().and_then(|name| list::install_hooks(name)) else {
        return false;
    };
    let read = |text: &str| -> Vec<serde_json::Value> {
        let whole: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        hooks
            .iter()
            .map(|hook| whole["scripts"][hook].clone())
            .collect()
    };
    read(old) != read(new)
}

/// The names of a path in small letters.
fn names(path: &Path) -> Vec<String> {
    let normal = path.components().filter_map(|component| match component {
        std::path::Component::Normal(name) => Some(name.to_string_lossy().to_lowercase()),
        _ => None,
    });
    normal.collect()
}

/// What lies below the program's own worktrees on the way. One inside a folder that is guarded for another reason is none:
/// `.kilo/agent/.kilo/worktrees/x/a.md` is still an agent's file.
fn without_worktree(below: &[String]) -> &[String] {
    let is_one = |pair: &[String]| WORKTREES.iter().any(|steps| fits(pair, steps));
    let Some(at) = below.windows(2).position(is_one) else {
        return below;
    };
    // The worktree's own name follows.
    match below.get(at + 3..) {
        Some(rest) if !rest.is_empty() && !matches_any(&below[..at], AGENT) => {
            without_worktree(rest)
        }
        _ => below,
    }
}

fn is_plan(below: &[String]) -> bool {
    let [above @ .., folder, plans, file] = below else {
        return false;
    };
    let is_file = plans == "plans" && file.ends_with(".md") && PLANS.contains(&folder.as_str());
    is_file && !matches_any(above, AGENT)
}

/// Whether any of `patterns` fits the path: one that ends in `/` anywhere on the way, another at the end. A step may
/// begin or end with `*`.
fn matches_any(path: &[String], patterns: &[&str]) -> bool {
    patterns.iter().any(|pattern| {
        let (steps, anywhere) = steps(pattern);
        let count = steps.len();
        if path.len() < count {
            return false;
        }
        let first = if anywhere { 0 } else { path.len() - count };
        (first..=path.len() - count).any(|at| fits(&path[at..at + count], &steps))
    })
}

/// Whether any of `patterns` fits the path's beginning.
fn begins_with_any(path: &[String], patterns: &[&str]) -> bool {
    patterns.iter().any(|pattern| {
        let (steps, is_folder) = steps(pattern);
        let long_enough = if is_folder {
            path.len() >= steps.len()
        } else {
            path.len() == steps.len()
        };
        long_enough && fits(&path[..steps.len()], &steps)
    })
}

fn steps(pattern: &str) -> (Vec<&str>, bool) {
    let bare = pattern.strip_suffix('/');
    (bare.unwrap_or(pattern).split('/').collect(), bare.is_some())
}

fn fits(names: &[String], steps: &[&str]) -> bool {
    names.iter().zip(steps).all(|(name, step)| {
        match (step.strip_prefix('*'), step.strip_suffix('*')) {
            (Some(end), _) => name.ends_with(end),
            (_, Some(start)) => name.starts_with(start),
            _ => name == step,
        }
    })
}

#[cfg(test)]
#[path = "guarded/guarded_tests.rs"]
mod tests;

//! Instruction files: what a user and a project tell every agent (AGENTS.md and its like).

mod glob;

use crate::documents::markdown_below;
use crate::env::Environment;
use crate::files::{read_start, read_start_inside};
use crate::folders;
use crate::load::Loaded;
use crate::paths::Paths;
use crate::project::folders_down;
use crate::source::Scope;
use crate::trust::is_url;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Bytes of one file that are used; the rest is cut off.
pub const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Bytes of all files together; files that do not fit any more are skipped.
pub const TOTAL_BYTES_MAX: usize = 256 * 1024;
/// The names of a project's files: the first one that exists anywhere up to the root counts.
pub const NAMES: [&str; 3] = ["AGENTS.md", "CLAUDE.md", "CONTEXT.md"];

const RULES_DEPTH_MAX: usize = 3;

/// One instruction file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Where it is.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instructions {
    /// The files, in the order in which the model should read them: the user's first, then from the root down.
    pub files: Vec<Instruction>,
    /// Addresses from the configuration, for whoever may fetch them.
    pub urls: Vec<String>,
    /// Files that were left out, each with a reason.
    pub skipped: Vec<(PathBuf, String)>,
}

impl Instructions {
    /// The files as texts for the system prompt, one each.
    pub fn to_prompt(&self) -> Vec<String> {
        self.files
            .iter()
            .map(|file| format!("Instructions from {}:\n{}", file.path.display(), file.text))
            .collect()
    }

    /// The paths, to tell [`nearby`] what the model has read already.
    pub fn paths(&self) -> BTreeSet<PathBuf> {
        self.files.iter().map(|file| file.path.clone()).collect()
    }
}

/// Collects the instructions that hold for every message in a directory.
///
/// In order: the first of `KILO_CONFIG_DIR/AGENTS.md`, `AGENTS.md` of the configuration folder, `~/.claude/CLAUDE.md` (not
/// with `KILO_DISABLE_CLAUDE_CODE`); the project's own files; the rules folders of the user and of the project; the files
/// that `instructions` names. Files of the project must lie inside of it, symbolic links followed.
pub fn collect(env: &Environment, paths: &Paths, loaded: &Loaded) -> Instructions {
    let mut found = Collector::new(&loaded.worktree);
    found.first_of_user(env, paths);
    for path in project_files(env, &loaded.directory, &loaded.worktree) {
        found.add(path, Scope::Project);
    }
    for folder in folders::all(paths, &loaded.directory, &loaded.worktree) {
        for path in markdown_below(&folder.path.join("rules"), RULES_DEPTH_MAX, &mut Vec::new()) {
            found.add(path, folder.scope);
        }
    }
    for entry in &loaded.config.instructions {
        found.named(entry, loaded.user_instructions.contains(entry), env, loaded);
    }
    found.result
}

/// The instruction files nearest to a file that was just read: those in the folders from below the session's directory
/// down to `path`, outermost first, without those in `seen` and those that [`collect`] gives anyway.
pub fn nearby(
    env: &Environment,
    path: &Path,
    directory: &Path,
    worktree: &Path,
    seen: &BTreeSet<PathBuf>,
) -> Vec<(PathBuf, String)> {
    if !path.starts_with(worktree) && !path.starts_with(directory) {
        return Vec::new();
    }
    let root = if path.starts_with(worktree) {
        worktree
    } else {
        directory
    };
    let mut found = Collector::new(root);
    for folder in folders_down(path.parent().unwrap_or(path), root) {
        if directory.starts_with(&folder) {
            continue;
        }
        let file = names(env)
            .map(|name| folder.join(name))
            .find(|file| file.is_file());
        if let Some(file) = file.filter(|file| file != path && !seen.contains(file)) {
            found.add(file, Scope::Project);
        }
    }
    found
        .result
        .files
        .into_iter()
        .map(|file| (file.path, file.text))
        .collect()
}

/// The project's files: all hits of the first name that has any, from the root down.
fn project_files(env: &Environment, directory: &Path, worktree: &Path) -> Vec<PathBuf> {
    let folders = folders_down(directory, worktree);
    names(env)
        .map(|name| {
            folders
                .iter()
                .map(|folder| folder.join(name))
                .filter(|path| path.is_file())
                .collect::<Vec<_>>()
        })
        .find(|hits| !hits.is_empty())
        .unwrap_or_default()
}

fn names(env: &Environment) -> impl Iterator<Item = &'static str> {
    let without_claude = folders::without_claude(env);
    NAMES
        .into_iter()
        .filter(move |name| !without_claude || *name != "CLAUDE.md")
}

struct Collector<'a> {
    root: &'a Path,
    seen: BTreeSet<PathBuf>,
    bytes: usize,
    result: Instructions,
}

impl<'a> Collector<'a> {
    fn new(root: &'a Path) -> Self {
        Self {
            root,
            seen: BTreeSet::new(),
            bytes: 0,
            result: Instructions::default(),
        }
    }

    fn first_of_user(&mut self, env: &Environment, paths: &Paths) {
        let mut places: Vec<PathBuf> = paths
            .extra_config
            .iter()
            .map(|folder| folder.join(NAMES[0]))
            .collect();
        places.push(paths.config.join(NAMES[0]));
        if !folders::without_claude(env) {
            places.push(paths.home.join(".claude").join(NAMES[1]));
        }
        if let Some(path) = places.into_iter().find(|path| path.is_file()) {
            self.add(path, Scope::Global);
        }
    }

    /// An entry of `instructions`: an address, a path, or a pattern. A relative one is tried in every folder from the
    /// root down to the directory. What lies in the project is the project's, whoever named it: its files may be links.
    fn named(&mut self, entry: &str, is_of_user: bool, env: &Environment, loaded: &Loaded) {
        if is_url(entry) {
            self.result.urls.push(entry.to_owned());
            return;
        }
        let entry = env.expand_home(entry);
        let mut hits = BTreeSet::new();
        if Path::new(&entry).is_absolute() {
            hits.extend(glob::files(Path::new("/"), entry.trim_start_matches('/')));
        } else {
            for folder in folders_down(&loaded.directory, &loaded.worktree) {
                hits.extend(glob::files(&folder, &entry));
            }
        }
        for path in hits {
            let is_free =
                is_of_user && Path::new(&entry).is_absolute() && !path.starts_with(self.root);
            self.add(
                path,
                if is_free {
                    Scope::Global
                } else {
                    Scope::Project
                },
            );
        }
    }

    fn add(&mut self, path: PathBuf, scope: Scope) {
        if !self.seen.insert(path.clone()) {
            return;
        }
        if let Err(reason) = self.read(&path, scope) {
            tracing::warn!(path = %path.display(), reason, "instructions left out");
            self.result.skipped.push((path, reason));
        }
    }

    fn read(&mut self, path: &Path, scope: Scope) -> Result<(), String> {
        let start = match scope {
            Scope::Project => read_start_inside(path, self.root, FILE_BYTES_MAX),
            _ => read_start(path, FILE_BYTES_MAX),
        };
        let (mut text, is_whole) = start.map_err(|error| error.to_string())?;
        if text.trim().is_empty() {
            return Ok(());
        }
        if self.bytes + text.len() > TOTAL_BYTES_MAX {
            return Err(format!(
                "all instructions together are over {TOTAL_BYTES_MAX} bytes"
            ));
        }
        self.bytes += text.len();
        if !is_whole {
            text.push_str(&format!("\n(cut after {FILE_BYTES_MAX} bytes)"));
        }
        self.result.files.push(Instruction {
            path: path.to_owned(),
            text,
        });
        Ok(())
    }
}

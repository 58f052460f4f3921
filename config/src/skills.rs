//! Skills: folders with a `SKILL.md` that a model may read when its description fits the task.

use crate::env::Environment;
use crate::files::{is_inside, read_text};
use crate::folders;
use crate::front_matter;
use crate::load::Loaded;
use crate::paths::Paths;
use crate::project::folders_down;
use crate::source::Scope;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const FILE: &str = "SKILL.md";
const BYTES_MAX: u64 = 256 * 1024;
const DEPTH_MAX: usize = 4;
const SKILLS_MAX: usize = 256;
const ENTRIES_MAX: usize = 4_096;

/// A skill, in the shape of `GET /skill`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skill {
    /// What it is called by: the head's `name`, else the folder's.
    pub name: String,
    /// When to use it; without one a model is not told about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The path of its `SKILL.md`.
    pub location: PathBuf,
    /// The text below the head.
    pub content: String,
    /// It came from the user, not with the project.
    #[serde(skip_serializing_if = "is_false")]
    pub trusted: bool,
}

/// All skills, sorted by name. Where two have the same name, the one nearer to the directory wins.
///
/// Places, weak to strong: `~/.agents/skills` and `~/.claude/skills`, the user's configuration folders, the project's
/// `.agents/skills`, `.claude/skills` and configuration folders from the root down, `KILO_CONFIG_DIR`, `skills.paths`. With
/// `KILO_DISABLE_CLAUDE_CODE` the `.claude` folders are left alone. Skills of a project that leave it through a symbolic
/// link are left out, as are files that cannot be read.
pub fn skills(env: &Environment, paths: &Paths, loaded: &Loaded) -> Vec<Skill> {
    let mut found = BTreeMap::new();
    for (root, scope) in places(env, paths, loaded) {
        for location in files_below(&root) {
            let is_project = scope == Scope::Project;
            if found.len() == SKILLS_MAX || is_project && !is_inside(&location, &loaded.worktree) {
                continue;
            }
            match read(&location, !is_project) {
                Ok(skill) => {
                    found.insert(skill.name.clone(), skill);
                }
                Err(reason) => tracing::warn!(path = %location.display(), reason, "skill left out"),
            }
        }
    }
    found.into_values().collect()
}

fn places(env: &Environment, paths: &Paths, loaded: &Loaded) -> Vec<(PathBuf, Scope)> {
    let others = |folder: &Path| -> Vec<PathBuf> {
        let names: &[&str] = if folders::without_claude(env) {
            &[".agents"]
        } else {
            &[".agents", ".claude"]
        };
        names
            .iter()
            .map(|name| folder.join(name).join("skills"))
            .collect()
    };
    let own = |folder: &Path| ["skill", "skills"].map(|name| folder.join(name));
    let mut places: Vec<(PathBuf, Scope)> = Vec::new();
    let mut add = |roots: Vec<PathBuf>, scope| {
        for root in roots {
            if !places.iter().any(|(old, _)| *old == root) {
                places.push((root, scope));
            }
        }
    };
    add(others(&paths.home), Scope::Global);
    for folder in folders::user(paths) {
        add(own(&folder.path).to_vec(), Scope::Global);
    }
    for folder in folders_down(&loaded.directory, &loaded.worktree) {
        add(others(&folder), Scope::Project);
    }
    for folder in folders::project(paths, &loaded.directory, &loaded.worktree) {
        add(own(&folder.path).to_vec(), Scope::Project);
    }
    if let Some(folder) = folders::extra(paths) {
        add(own(&folder.path).to_vec(), Scope::Global);
    }
    let named_by_project = named(&loaded.project);
    for name in named(&loaded.merged) {
        let path = loaded.directory.join(env.expand_home(&name));
        let is_of_project = named_by_project.contains(&name) || path.starts_with(&loaded.worktree);
        add(
            vec![path],
            if is_of_project {
                Scope::Project
            } else {
                Scope::Global
            },
        );
    }
    places
}

fn named(config: &Value) -> Vec<String> {
    let list = config
        .get("skills")
        .and_then(|skills| skills.get("paths"))
        .and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(|path| path.as_str().map(str::to_owned))
        .collect()
}

/// The `SKILL.md` files below `root`, sorted. A folder that has one is not searched further.
fn files_below(root: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders, mut entries_left) =
        (Vec::new(), vec![(root.to_owned(), DEPTH_MAX)], ENTRIES_MAX);
    while let Some((folder, depth)) = folders.pop() {
        let file = folder.join(FILE);
        if file.is_file() {
            files.push(file);
            continue;
        }
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entries_left == 0 {
                break;
            }
            entries_left -= 1;
            // A linked folder counts too, one level deep: people link skills from a common place.
            if depth > 1 && entry.path().is_dir() {
                let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
                folders.push((entry.path(), if is_link { 1 } else { depth - 1 }));
            }
        }
    }
    files.sort();
    files
}

fn read(location: &Path, trusted: bool) -> Result<Skill, String> {
    let text = read_text(location, BYTES_MAX).map_err(|error| error.to_string())?;
    let document = front_matter::parse(&text)?;
    let field = |key: &str| {
        document
            .fields
            .get(key)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let folder = location
        .parent()
        .and_then(Path::file_name)
        .map(|name| name.to_string_lossy().into_owned());
    Ok(Skill {
        name: field("name")
            .or(folder)
            .filter(|name| !name.is_empty())
            .ok_or("it has no name")?,
        description: field("description"),
        location: location.to_owned(),
        content: document.body,
        trusted,
    })
}

fn is_false(flag: &bool) -> bool {
    !flag
}

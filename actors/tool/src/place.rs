//! Where a path really is: the one judgement that every file tool makes before it touches anything.

use crate::call;
use kilo_ports::files::{Kind, Spot};
use kilo_ports::tool::{Ask, ToolCx, ToolError};
use serde_json::{Map, Value};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// A path of a call, judged.
///
/// Links are resolved through the longest part of the path that exists, so that a new file below a link that leads out
/// of the project counts as outside. Tools use [`Place::spot`], never a path: what was judged is what they get.
#[derive(Clone, Debug)]
pub struct Place {
    /// The place itself, held since it was judged.
    pub spot: Arc<dyn Spot>,
    /// The path as it was meant: absolute, without `.` and `..`.
    pub absolute: PathBuf,
    /// The path without links.
    pub real: PathBuf,
    /// `absolute` relative to the worktree; empty at its root; the absolute path when it is elsewhere.
    pub relative: String,
    /// `real` in the same form.
    pub real_relative: String,
    /// The folder pattern to ask for when the path is outside both the session's folder and its worktree.
    pub external: Option<String>,
}

impl Place {
    /// Judges `path` as the model wrote it: absolute, below `~`, or relative to the session's folder.
    ///
    /// Errors: [`ToolError::Failed`] for an empty path, a NUL character, a circle of links.
    pub async fn find(cx: &ToolCx, path: &str) -> Result<Self, ToolError> {
        let (cx, path) = (cx.clone(), path.to_owned());
        call::blocking(move || Self::of(&cx, &path)).await
    }

    /// [`Place::find`] for code that already runs where it may block.
    pub fn of(cx: &ToolCx, path: &str) -> Result<Self, ToolError> {
        let absolute = expand(cx, path)?;
        let spot = cx.files.find(&absolute).map_err(|error| {
            ToolError::failed(format!("Cannot follow {}: {error}", absolute.display()))
        })?;
        let real = spot.real().to_path_buf();
        let roots = roots(cx);
        let real_roots: Vec<PathBuf> = roots.iter().map(|root| real_root(cx, root)).collect();
        let inside = real_roots.iter().any(|root| holds(root, &real));
        let external = (!inside).then(|| folder_pattern(&*spot));
        let relative = relative_to(&absolute, &roots);
        let real_roots: Vec<&Path> = real_roots.iter().map(PathBuf::as_path).collect();
        let real_relative = relative_to(&real, &real_roots);
        Ok(Self {
            spot,
            absolute,
            real,
            relative,
            real_relative,
            external,
        })
    }

    /// The path as text.
    pub fn shown(&self) -> String {
        self.absolute.display().to_string()
    }

    /// The file that a write to this place changes: the path as it was meant, or where it leads when that is elsewhere.
    pub fn changed(&self) -> PathBuf {
        if self.real_relative == self.relative {
            self.absolute.clone()
        } else {
            self.real.clone()
        }
    }

    /// What lies at `below` this place, as it is called below [`Place::absolute`].
    pub fn named(&self, below: &Path) -> PathBuf {
        if below.as_os_str().is_empty() {
            self.absolute.clone()
        } else {
            self.absolute.join(below)
        }
    }

    /// The forms in which rules may name what lies at `below` this place.
    pub fn patterns_of(&self, below: &Path) -> [String; 2] {
        [&self.relative, &self.real_relative]
            .map(|base| Path::new(base).join(below).to_string_lossy().into_owned())
    }

    /// The forms in which rules may name what lies beside this place.
    pub fn patterns_beside(&self, name: &Path) -> [String; 2] {
        [&self.relative, &self.real_relative].map(|own| {
            let beside = Path::new(own).with_file_name(name);
            beside.to_string_lossy().into_owned()
        })
    }

    /// Whether a folder is there.
    pub async fn is_folder(&self) -> Result<bool, ToolError> {
        let spot = self.spot.clone();
        call::blocking(move || Ok(spot.facts().is_ok_and(|facts| facts.kind == Kind::Folder))).await
    }

    /// What a permission is asked for: the path, and where it leads when that is elsewhere.
    pub fn patterns(&self) -> Vec<String> {
        let named = |path: &str| {
            if path.is_empty() {
                ".".to_owned()
            } else {
                path.to_owned()
            }
        };
        let mut patterns = vec![named(&self.relative)];
        // A root that is itself reached through a link leaves both forms alike.
        if self.real_relative != self.relative {
            patterns.push(named(&self.real_relative));
        }
        patterns
    }

    /// Asks for `external_directory` when the path is outside.
    pub async fn admit(&self, cx: &ToolCx) -> Result<(), ToolError> {
        let Some(pattern) = &self.external else {
            return Ok(());
        };
        let mut metadata = Map::new();
        metadata.insert("filepath".into(), self.shown().into());
        metadata.insert(
            "parentDir".into(),
            Value::from(pattern.strip_suffix("/*").unwrap_or(pattern)),
        );
        let patterns = vec![pattern.clone()];
        let permission = "external_directory".to_owned();
        call::ask(
            cx,
            Ask {
                permission,
                always: patterns.clone(),
                patterns,
                metadata,
                must_ask: false,
                version: None,
            },
        )
        .await
    }
}

fn expand(cx: &ToolCx, path: &str) -> Result<PathBuf, ToolError> {
    if path.is_empty() {
        return Err(ToolError::failed("The path is empty"));
    }
    if path.contains('\0') {
        return Err(ToolError::failed("The path contains a NUL character"));
    }
    let expanded = match path.strip_prefix('~') {
        Some("") => cx.home.clone(),
        Some(rest) if rest.starts_with('/') => cx.home.join(rest.trim_start_matches('/')),
        _ => cx.directory.join(path),
    };
    Ok(flatten(&expanded))
}

/// Takes `.` and `..` out by the text alone.
fn flatten(path: &Path) -> PathBuf {
    let mut flat = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                flat.pop();
            }
            other => flat.push(other),
        }
    }
    flat
}

/// Whether `path` is `root` or below it. A root that is the whole disk holds nothing: no project is that large.
fn holds(root: &Path, path: &Path) -> bool {
    root.parent().is_some() && path.starts_with(root)
}

fn relative_to(path: &Path, roots: &[&Path]) -> String {
    let root = roots.iter().find(|root| holds(root, path));
    let shown = root
        .and_then(|root| path.strip_prefix(root).ok())
        .unwrap_or(path);
    shown.display().to_string()
}

fn folder_pattern(spot: &dyn Spot) -> String {
    let real = spot.real();
    let folder = match spot.facts() {
        Ok(facts) if facts.kind == Kind::Folder => real,
        _ => real.parent().unwrap_or(real),
    };
    format!("{}/*", folder.display().to_string().trim_end_matches('/'))
}

/// The session's folder counts by itself only where it is not below the worktree's root: a command may put a link in its
/// place, and then where that leads is no part of the project.
fn roots(cx: &ToolCx) -> Vec<&Path> {
    let mut roots = vec![cx.worktree.as_path()];
    if !holds(&cx.worktree, &cx.directory) {
        roots.push(&cx.directory);
    }
    roots
}

fn real_root(cx: &ToolCx, root: &Path) -> PathBuf {
    cx.files.real(root).unwrap_or_else(|_| root.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::Place;
    use crate::testing::Stage;
    use std::os::unix::fs::symlink;

    #[test]
    fn paths_are_judged_by_where_they_lead() {
        let stage = Stage::new();
        let outside = tempfile::tempdir().unwrap();
        let out = outside.path().canonicalize().unwrap();
        stage.write("src/a.txt", "a");
        symlink(&out, stage.path("link")).unwrap();
        symlink(out.join("none/file"), stage.path("dangling")).unwrap();
        symlink(stage.path("src"), out.join("back")).unwrap();
        let external = |path: &str| Place::of(&stage.cx, path).unwrap().external;
        let pattern = Some(format!("{}/*", out.display()));
        assert_eq!(external("src/a.txt"), None);
        assert_eq!(external("src/../src/./new.txt"), None);
        assert_eq!(external("link/new.txt"), pattern);
        assert_eq!(
            external("link/deep/new.txt"),
            Some(format!("{}/deep/*", out.display()))
        );
        assert_eq!(
            external("dangling"),
            Some(format!("{}/none/*", out.display()))
        );
        assert_eq!(external(&format!("{}/back/a.txt", out.display())), None);
        assert_eq!(
            external("../x"),
            Some(format!("{}/*", stage.root().parent().unwrap().display()))
        );
        assert_eq!(external("/etc/hostname"), Some("/etc/*".into()));
        assert_eq!(external("/"), Some("/*".into()));
    }

    #[test]
    fn a_session_folder_that_became_a_link_does_not_widen_the_project() {
        let mut stage = Stage::new();
        let outside = tempfile::tempdir().unwrap();
        let out = outside.path().canonicalize().unwrap();
        symlink(&out, stage.path("sub")).unwrap();
        stage.cx.directory = stage.path("sub");
        let place = Place::of(&stage.cx, "new.txt").unwrap();
        assert_eq!(place.external, Some(format!("{}/*", out.display())));
    }

    #[test]
    fn a_link_asks_for_both_of_its_ends() {
        let stage = Stage::new();
        stage.write(".env", "SECRET=1");
        symlink(stage.path(".env"), stage.path("notes.txt")).unwrap();
        let place = Place::of(&stage.cx, "notes.txt").unwrap();
        assert_eq!(place.patterns(), ["notes.txt", ".env"]);
        assert_eq!(Place::of(&stage.cx, ".").unwrap().patterns(), ["."]);
    }

    #[test]
    fn home_is_expanded_and_bad_paths_are_refused() {
        let stage = Stage::new();
        assert_eq!(
            Place::of(&stage.cx, "~/x").unwrap().absolute,
            stage.cx.home.join("x")
        );
        assert!(Place::of(&stage.cx, "a\0b").is_err());
        assert!(Place::of(&stage.cx, "").is_err());
        symlink(stage.path("two"), stage.path("one")).unwrap();
        symlink(stage.path("one"), stage.path("two")).unwrap();
        assert!(Place::of(&stage.cx, "one").is_err());
    }
}

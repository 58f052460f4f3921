//! Where a project's programs are found: on the user's `PATH`, and in the project's own folders between a file and the
//! top of its worktree. Only looks; nothing is started or fetched.

use crate::Environment;
use serde_json::Value;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of a manifest that are looked at.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;
/// Folders between a file and the top that are looked at.
const DEPTH_MAX: usize = 64;

/// Something by which a folder is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// A file or folder of that name; `*.cabal` stands for all with that end.
    Name(&'static str),
    /// A file with that text in it.
    Mention(&'static str, &'static str),
    /// A JSON manifest that has that name among its dependencies, or settings under it.
    Depends(&'static str, &'static str),
}

impl Sign {
    /// Whether the folder has it. Blocks on the disk.
    pub fn is_in(&self, folder: &Path) -> bool {
        match self {
            Self::Name(name) => has(folder, name),
            Self::Mention(name, text) => {
                manifest(&folder.join(name)).is_some_and(|found| found.contains(text))
            }
            Self::Depends(name, wanted) => {
                let text = manifest(&folder.join(name));
                let manifest = text.and_then(|text| serde_json::from_str(&text).ok());
                manifest.is_some_and(|manifest| depends(&manifest, wanted))
            }
        }
    }
}

/// A manifest of npm or Composer that has the name among its dependencies, or settings under it.
fn depends(manifest: &Value, wanted: &str) -> bool {
    let groups = [
        "dependencies",
        "devDependencies",
        "peerDependencies",
        "require",
        "require-dev",
    ];
    let groups = groups.iter().filter_map(|group| manifest.get(group));
    manifest.get(wanted).is_some() || groups.into_iter().any(|group| group.get(wanted).is_some())
}

/// Looks for programs and marker files of one project. Blocks on the disk: a `stat` for each place.
#[derive(Clone, Debug)]
pub struct Programs {
    path: Vec<PathBuf>,
    top: PathBuf,
}

impl Programs {
    /// For the project whose highest folder is `top`.
    pub fn new(environment: &Environment, top: &Path) -> Self {
        let path = environment
            .get("PATH")
            .unwrap_or("/usr/local/bin:/usr/bin:/bin");
        let folders = path.split(':').map(PathBuf::from);
        Self {
            // A relative entry would name whatever the project put there.
            path: folders.filter(|folder| folder.is_absolute()).collect(),
            top: top.to_owned(),
        }
    }

    /// The program of that name on `PATH`; one that is named by a path, there or below `base`.
    pub fn find(&self, name: &str, base: &Path) -> Option<PathBuf> {
        if name.contains('/') {
            let named = base.join(name);
            return is_program(&named).then_some(named);
        }
        let places = self.path.iter().map(|folder| folder.join(name));
        places.into_iter().find(|place| is_program(place))
    }

    /// `from` and what lies above it, up to the project's top; `from` alone when it is not below that.
    pub fn above<'a>(&'a self, from: &'a Path) -> impl Iterator<Item = &'a Path> {
        let top = from.starts_with(&self.top).then_some(&self.top);
        let mut is_over = false;
        from.ancestors().take(DEPTH_MAX).take_while(move |folder| {
            let was_over = is_over;
            is_over = top.is_none_or(|top| folder == top);
            !was_over
        })
    }

    /// The nearest of `from` and the folders above it that has one of these names. A name that begins with `*` stands for
    /// every name with that end.
    pub fn nearest<'a>(&'a self, from: &'a Path, names: &[&str]) -> Option<&'a Path> {
        self.above(from)
            .find(|folder| names.iter().any(|name| has(folder, name)))
    }

    /// The nearest of `from` and the folders above it that has one of these signs.
    pub fn signed<'a>(&'a self, from: &'a Path, signs: &[Sign]) -> Option<&'a Path> {
        self.above(from)
            .find(|folder| signs.iter().any(|sign| sign.is_in(folder)))
    }

    /// The project's own program of that name (see [`Programs::own`]), else that on `PATH`.
    pub fn own_or_found(&self, from: &Path, folders: &[&str], name: &str) -> Option<PathBuf> {
        let own = self.own(from, folders, name);
        own.or_else(|| self.find(name, from))
    }

    /// The nearest program of that name in one of `folders` (`node_modules/.bin`) at or above `from`.
    pub fn own(&self, from: &Path, folders: &[&str], name: &str) -> Option<PathBuf> {
        let places = self.above(from).flat_map(|above| {
            let below = folders.iter();
            below.map(move |folder| above.join(folder).join(name))
        });
        places.into_iter().find(|place| is_program(place))
    }
}

fn has(folder: &Path, name: &str) -> bool {
    let Some(end) = name.strip_prefix('*') else {
        return folder.join(name).exists();
    };
    let names = fs::read_dir(folder).into_iter().flatten().take(10_000);
    names
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().ends_with(end))
}

/// Whether a file is there that its user may start.
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
}

/// The first MiB of a manifest as text; `None` where there is none.
pub fn manifest(path: &Path) -> Option<String> {
    let facts = fs::metadata(path).ok()?;
    if !facts.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).ok()?;
    file.take(MANIFEST_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The texts of a list in the configuration; `None` where there is no list.
pub fn texts(value: Option<&Value>) -> Option<Vec<String>> {
    let list = value?.as_array()?.iter();
    let texts = list.filter_map(|item| item.as_str().map(str::to_owned));
    Some(texts.collect())
}

/// Whether a file of that path has one of these extensions: `.rs`, `.html.erb`, or a whole name such as `Dockerfile`.
pub fn fits(path: &Path, extensions: &[impl AsRef<str>]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    extensions.iter().map(AsRef::as_ref).any(|extension| {
        if extension.starts_with('.') {
            name.len() > extension.len() && name.ends_with(extension)
        } else {
            name == extension
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{Programs, fits};
    use crate::Environment;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    fn program(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn the_nearest_program_of_the_project_is_found_and_nothing_above_it() {
        let home = tempfile::tempdir().unwrap();
        let (base, top) = (home.path(), home.path().join("project"));
        let mut environment = Environment::default();
        let path = format!("{}:relative:", base.join("bin").display());
        environment.vars.insert("PATH".into(), path);
        program(&base.join("bin/tool"));
        program(&base.join("node_modules/.bin/outside"));
        program(&top.join("node_modules/.bin/tool"));
        fs::create_dir_all(top.join("a/b")).unwrap();
        fs::write(top.join("a/x.cabal"), "").unwrap();
        fs::write(base.join("bin/text"), "").unwrap();
        let programs = Programs::new(&environment, &top);
        let from = top.join("a/b");
        let own = |name| programs.own(&from, &["node_modules/.bin"], name);
        assert_eq!(own("tool"), Some(top.join("node_modules/.bin/tool")));
        assert_eq!(own("outside"), None);
        assert_eq!(programs.find("tool", &top), Some(base.join("bin/tool")));
        assert_eq!(programs.find("text", &top), None);
        let named = programs.find("node_modules/.bin/tool", &top);
        assert_eq!(named, Some(top.join("node_modules/.bin/tool")));
        assert_eq!(programs.nearest(&from, &["*.cabal"]), Some(&*top.join("a")));
        assert_eq!(programs.nearest(&from, &["bin"]), None);
        let elsewhere = base.join("bin");
        assert_eq!(programs.above(&elsewhere).count(), 1);
    }

    #[test]
    fn extensions_are_ends_of_names_or_whole_names() {
        let list = [".html.erb", ".C", "Dockerfile"];
        for (path, expected) in [
            ("/a/x.html.erb", true),
            ("/a/x.erb", false),
            ("/a/x.c", false),
            ("/a/.C", false),
            ("/a/Dockerfile", true),
            ("/a/my.Dockerfile", false),
        ] {
            assert_eq!(fits(Path::new(path), &list), expected, "{path}");
        }
    }
}

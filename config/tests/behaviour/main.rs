//! The crate through its public face: folders and files in, configuration out.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod agents;
mod guards;
mod load;
mod process;
mod texts;

use kilo_config::{Environment, Loaded, Paths};
use std::path::{Path, PathBuf};

/// A home and a repository in a folder that goes away with it.
pub struct World {
    root: tempfile::TempDir,
    pub env: Environment,
    pub paths: Paths,
}

impl World {
    #[allow(clippy::new_without_default, reason = "a test says what it makes")]
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let base = root.path().canonicalize().unwrap();
        let env = Environment {
            home: base.join("home"),
            cwd: base.join("home"),
            temp: base.join("tmp"),
            ..Default::default()
        };
        let mut paths = Paths::of(&env);
        paths.managed = base.join("etc");
        let world = Self { root, env, paths };
        world.write("project/.git/HEAD", "ref: refs/heads/main\n");
        world
    }

    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.env.vars.insert(
            name.into(),
            value.replace(
                "<root>",
                self.path("").to_string_lossy().trim_end_matches('/'),
            ),
        );
        let managed = self.paths.managed.clone();
        self.paths = Paths {
            managed,
            ..Paths::of(&self.env)
        };
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(name)
    }

    pub fn project(&self) -> PathBuf {
        self.path("project")
    }

    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub fn load(&self) -> Loaded {
        self.load_at(&self.project())
    }

    pub fn load_at(&self, directory: &Path) -> Loaded {
        let worktree = kilo_config::project::worktree_of(directory);
        kilo_config::load(
            &self.env,
            &self.paths,
            directory,
            worktree.as_deref().unwrap_or(directory),
        )
    }
}

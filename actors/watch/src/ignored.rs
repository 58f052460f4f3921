//! What git ignores below a folder.

use ignore::WalkBuilder;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The rules of the folders that were met.
pub struct Ignored {
    root: PathBuf,
    rules: HashMap<PathBuf, Gitignore>,
}

impl Ignored {
    pub fn new(root: &Path) -> Self {
        let mut ignored = Self {
            root: root.to_path_buf(),
            rules: HashMap::new(),
        };
        ignored.met(root);
        ignored
    }

    /// Reads the rules of a folder.
    pub fn met(&mut self, folder: &Path) {
        let file = folder.join(".gitignore");
        if !file.is_file() {
            self.rules.remove(folder);
            return;
        }
        let mut builder = GitignoreBuilder::new(folder);
        builder.add(&file);
        if let Ok(rules) = builder.build() {
            self.rules.insert(folder.to_path_buf(), rules);
        }
    }

    /// Whether changes of a path do not count.
    pub fn is_ignored(&self, path: &Path, is_folder: bool) -> bool {
        let Ok(below) = path.strip_prefix(&self.root) else {
            return true;
        };
        if below.components().any(|part| part.as_os_str() == ".git") {
            return true;
        }
        // The nearest rules that say anything decide.
        for folder in path.ancestors().skip(1) {
            if let Some(rules) = self.rules.get(folder) {
                let said = rules.matched_path_or_any_parents(path, is_folder);
                if !said.is_none() {
                    return said.is_ignore();
                }
            }
            if folder == self.root {
                break;
            }
        }
        false
    }
}

/// The folders below one, itself first, that git does not ignore; at most `max`. None: there are more.
pub fn folders(root: &Path, max: usize) -> Option<Vec<PathBuf>> {
    let walk = WalkBuilder::new(root)
        .hidden(false)
        .require_git(false)
        .follow_links(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build();
    let is_folder = |entry: &ignore::DirEntry| entry.file_type().is_some_and(|kind| kind.is_dir());
    let mut found = Vec::new();
    for entry in walk.flatten().filter(is_folder) {
        if found.len() >= max {
            return None;
        }
        found.push(entry.into_path());
    }
    Some(found)
}

//! What git ignores below a folder, and what the user does not want to hear of.

use ignore::WalkBuilder;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Patterns of the user that count.
const PATTERNS_MAX: usize = 1_000;

/// The rules of the folders that were met.
pub struct Ignored {
    root: PathBuf,
    /// The user's own, which win.
    unwanted: Arc<Gitignore>,
    rules: HashMap<PathBuf, Gitignore>,
}

impl Ignored {
    /// `patterns` are lines of an ignore file at the root; those that are none are passed over.
    pub fn new(root: &Path, patterns: &[String]) -> Self {
        let mut builder = GitignoreBuilder::new(root);
        for pattern in patterns.iter().take(PATTERNS_MAX) {
            if let Err(error) = builder.add_line(None, pattern) {
                tracing::warn!(pattern, %error, "the key watcher.ignore has something that is no pattern");
            }
        }
        let unwanted = builder.build().unwrap_or_else(|_| Gitignore::empty());
        let mut ignored = Self {
            root: root.to_path_buf(),
            unwanted: Arc::new(unwanted),
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
        if is_unwanted(&self.unwanted, path, is_folder) {
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

    /// The folders below one (the root, or below it), itself first, that are not ignored; at most `max`. None: there are
    /// more.
    pub fn folders(&self, top: &Path, max: usize) -> Option<Vec<PathBuf>> {
        let unwanted = Arc::clone(&self.unwanted);
        let is_wanted = move |entry: &ignore::DirEntry| {
            let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            entry.file_name() != ".git"
                && !(is_folder && is_unwanted(&unwanted, entry.path(), is_folder))
        };
        let walk = WalkBuilder::new(top)
            .hidden(false)
            .require_git(false)
            .follow_links(false)
            .filter_entry(is_wanted)
            .build();
        let is_folder =
            |entry: &ignore::DirEntry| entry.file_type().is_some_and(|kind| kind.is_dir());
        let mut found = Vec::new();
        for entry in walk.flatten().filter(is_folder) {
            if found.len() >= max {
                return None;
            }
            found.push(entry.into_path());
        }
        Some(found)
    }
}

fn is_unwanted(unwanted: &Gitignore, path: &Path, is_folder: bool) -> bool {
    let said = unwanted.matched_path_or_any_parents(path, is_folder);
    said.is_ignore()
}

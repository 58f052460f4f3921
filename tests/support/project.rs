//! Folders to work in.

use crate::model::Model;
use crate::program::text_of;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A configuration whose only model is `model`, with the fields of `more` over it. Everything is allowed.
pub fn configuration(model: &Model, more: &Value) -> Value {
    let limit = json!({"context": 200_000, "output": 8_000});
    let entry = |name: &str| json!({"name": name, "tool_call": true, "limit": limit, "cost": {"input": 1, "output": 2}});
    let mut whole = json!({
        "model": "test/test-model",
        "small_model": "test/small",
        "permission": {"*": "allow"},
        "provider": {"test": {
            "npm": "@ai-sdk/openai-compatible",
            "name": "Test",
            "options": {"baseURL": format!("{}/v1", model.url()), "apiKey": "test-key"},
            "models": {"test-model": entry("Test model"), "small": entry("Small")},
        }},
    });
    if let (Some(fields), Some(more)) = (whole.as_object_mut(), more.as_object()) {
        fields.extend(more.clone());
    }
    whole
}

/// A git repository with a configuration; gone with this value.
pub struct Project {
    folder: TempDir,
    path: PathBuf,
}

impl Project {
    /// One that uses `model` and allows everything.
    pub fn new(model: &Model) -> Self {
        Self::with(model, &json!({}))
    }

    /// The same, with more configuration.
    pub fn with(model: &Model, more: &Value) -> Self {
        let project = Self::bare();
        project.write("kilo.json", &configuration(model, more).to_string());
        project.write("a.txt", "hello world\nsecond line\n");
        project.git(&["init", "-q", "-b", "main"]);
        project.commit("first");
        project
    }

    /// An empty folder, no repository.
    pub fn bare() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("kilo-project-")
            .tempdir()
            .expect("a folder");
        let path = folder.path().canonicalize().expect("a path");
        Self { folder, path }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file, with its folders.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    /// A file's text; empty when it does not exist.
    pub fn read(&self, name: &str) -> String {
        std::fs::read(self.path.join(name))
            .map(|bytes| text_of(&bytes))
            .unwrap_or_default()
    }

    /// Commits everything.
    pub fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        // The name makes two projects' first commits differ, and with them their project ids.
        let unique = format!("{message} {}", self.folder.path().display());
        self.git(&["commit", "-q", "-m", &unique]);
    }

    /// Runs git with an identity of its own; answers what it printed.
    pub fn git(&self, words: &[&str]) -> String {
        let output = Command::new("git")
            .args(words)
            .current_dir(&self.path)
            .envs([
                ("GIT_AUTHOR_NAME", "t"),
                ("GIT_AUTHOR_EMAIL", "t@example.com"),
            ])
            .envs([
                ("GIT_COMMITTER_NAME", "t"),
                ("GIT_COMMITTER_EMAIL", "t@example.com"),
            ])
            .envs([
                ("GIT_CONFIG_GLOBAL", "/dev/null"),
                ("GIT_CONFIG_NOSYSTEM", "1"),
            ])
            .output()
            .expect("git");
        assert!(
            output.status.success(),
            "git {words:?}: {}",
            text_of(&output.stderr)
        );
        text_of(&output.stdout)
    }
}

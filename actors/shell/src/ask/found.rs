//! What there is to ask for, and how it becomes requests.

use crate::resolve::ResolvedPath;
use kilo_ports::tool::Ask;
use serde_json::{Map, Value, json};

/// What there is to ask for.
#[derive(Debug, Default)]
pub struct Found {
    /// Folders outside the project.
    pub external: Vec<String>,
    /// The first path in them, as meant.
    pub external_path: Option<String>,
    /// Files that may not be read unasked.
    pub reads: Vec<String>,
    /// Files with secrets that a search would come across.
    pub met: Vec<ResolvedPath>,
    /// Files that a rule forbids to write: asked for as `edit`, so that the rule is named.
    pub forbidden: Vec<String>,
    /// Files that are written, as meant.
    pub writes: Vec<String>,
    /// Commands as patterns.
    pub patterns: Vec<String>,
    /// What an answer "always" would allow.
    pub always: Vec<String>,
    /// Why a person must look.
    pub reasons: Vec<String>,
    /// Files whose change no rule may allow: `{path, kind, reason}`.
    pub guarded: Vec<Value>,
}

impl Found {
    /// A person must look, for this reason.
    pub fn must_ask(&mut self, reason: impl Into<String>) {
        add(&mut self.reasons, reason.into());
    }

    /// A pattern, with what "always" would allow; nothing for what no answer can speak for beyond this once.
    pub fn pattern(&mut self, pattern: String, always: Option<String>) {
        if let Some(always) = always {
            add(&mut self.always, always);
        }
        add(&mut self.patterns, pattern);
    }

    /// The requests, in the order in which they are to be made.
    pub fn into_asks(mut self, text: &str, description: Option<&str>) -> Vec<Ask> {
        let mut about = Map::new();
        about.insert("command".into(), text.into());
        if let Some(description) = description {
            about.insert("description".into(), description.into());
        }
        let mut asks = Vec::new();
        asks.extend(self.external(&about));
        asks.extend(self.files(&about, "read", &self.reads));
        asks.extend(self.files(&about, "edit", &self.forbidden));
        if self.patterns.is_empty() && !self.reasons.is_empty() {
            self.patterns.push(text.trim().to_owned());
        }
        if !self.patterns.is_empty() {
            asks.push(self.bash(about));
        }
        asks
    }

    fn external(&self, about: &Map<String, Value>) -> Option<Ask> {
        let first = self.external.first()?;
        let folder = first
            .strip_suffix("/*")
            .filter(|folder| !folder.is_empty())
            .unwrap_or("/")
            .to_owned();
        let path = self.external_path.clone().unwrap_or_else(|| folder.clone());
        let mut metadata = about.clone();
        metadata.insert("filepath".into(), path.into());
        metadata.insert("parentDir".into(), folder.into());
        Some(Ask {
            permission: "external_directory".into(),
            patterns: self.external.clone(),
            always: self.external.clone(),
            metadata,
            must_ask: false,
            version: None,
        })
    }

    fn files(&self, about: &Map<String, Value>, permission: &str, files: &[String]) -> Option<Ask> {
        let mut metadata = about.clone();
        metadata.insert("filepath".into(), files.first()?.clone().into());
        Some(Ask {
            permission: permission.into(),
            patterns: files.to_vec(),
            always: files.to_vec(),
            metadata,
            must_ask: false,
            version: None,
        })
    }

    fn bash(self, mut metadata: Map<String, Value>) -> Ask {
        let must_ask = !self.reasons.is_empty();
        if must_ask {
            metadata.insert("reason".into(), self.reasons.join("; ").into());
        }
        if !self.writes.is_empty() {
            metadata.insert("files".into(), json!(self.writes));
        }
        let mut always = self.always;
        if !self.guarded.is_empty() {
            metadata.insert("guarded".into(), self.guarded.into());
            always.clear();
        }
        Ask {
            permission: "bash".into(),
            patterns: self.patterns,
            always,
            metadata,
            must_ask,
            version: None,
        }
    }
}

/// Adds what is not there yet.
pub fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

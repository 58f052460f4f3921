//! What a server finds wrong, file by file, as it was last heard.

use lsp_types::{Diagnostic, DiagnosticSeverity, NumberOrString};
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use url::Url;

/// Files with problems that are remembered of one server.
const FILES_MAX: usize = 5_000;
/// Problems that are remembered of one file, errors first.
const FILE_MAX: usize = 200;
/// Characters of a message.
const MESSAGE_CHARS: usize = 2_000;

/// The problems of one file.
pub type List = Arc<[Diagnostic]>;

/// What one server has found.
#[derive(Debug, Default)]
pub struct Problems {
    files: HashMap<PathBuf, Known>,
    /// What it answered when it was asked. Some servers publish as well, and other things.
    asked: HashMap<PathBuf, List>,
    /// Counts what was heard.
    heard: u64,
}

#[derive(Debug)]
struct Known {
    list: List,
    version: Option<i64>,
    at: u64,
}

/// When a file was last heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// A rising number.
    pub at: u64,
    /// The version that it was about, if the server said.
    pub version: Option<i64>,
}

impl Problems {
    /// Takes `textDocument/publishDiagnostics`; the file that it is about.
    pub fn publish(&mut self, params: &mut Value) -> Option<PathBuf> {
        let path = path_of(params.get("uri")?.as_str()?)?;
        let version = params.get("version").and_then(Value::as_i64);
        let list = list_of(params.get_mut("diagnostics").map(Value::take));
        self.set(path.clone(), list, version);
        Some(path)
    }

    /// Replaces what is known of a file.
    pub fn set(&mut self, path: PathBuf, list: List, version: Option<i64>) {
        self.heard += 1;
        let is_new = !self.files.contains_key(&path);
        if is_new && self.files.len() >= FILES_MAX {
            self.files.retain(|_, known| !known.list.is_empty());
            if self.files.len() >= FILES_MAX {
                return;
            }
        }
        let at = self.heard;
        self.files.insert(path, Known { list, version, at });
    }

    /// Replaces what was answered about a file.
    pub fn set_asked(&mut self, path: PathBuf, list: List) {
        if list.is_empty() {
            self.asked.remove(&path);
        } else if self.asked.len() < FILES_MAX || self.asked.contains_key(&path) {
            self.asked.insert(path, list);
        }
    }

    /// Forgets a file that is gone.
    pub fn forget(&mut self, path: &Path) {
        self.asked.remove(path);
        self.files.remove(path);
    }

    /// How often something was heard.
    pub fn heard(&self) -> u64 {
        self.heard
    }

    /// When this file was last heard of.
    pub fn last(&self, path: &Path) -> Option<Heard> {
        let known = self.files.get(path)?;
        Some(Heard {
            at: known.at,
            version: known.version,
        })
    }

    /// The problems of a file.
    pub fn of(&self, path: &Path) -> List {
        let published = self.files.get(path).map(|known| &known.list);
        match (published, self.asked.get(path)) {
            (Some(list), None) | (None, Some(list)) => Arc::clone(list),
            (Some(one), Some(two)) => {
                let mut both: Vec<Diagnostic> = one.iter().chain(two.iter()).cloned().collect();
                both.dedup();
                sort(&mut both);
                both.into()
            }
            (None, None) => Arc::from([]),
        }
    }

    /// All files that have problems. Cheap: the lists are shared.
    pub fn all(&self) -> HashMap<PathBuf, List> {
        let published = self
            .files
            .iter()
            .filter(|(_, known)| !known.list.is_empty());
        let paths = published.map(|(path, _)| path).chain(self.asked.keys());
        paths.map(|path| (path.clone(), self.of(path))).collect()
    }
}

/// Reads a list of diagnostics: those that are none are left out, so are fields that nobody shows; errors come first.
pub fn list_of(value: Option<Value>) -> List {
    let Some(Value::Array(items)) = value else {
        return Arc::from([]);
    };
    let mut list: Vec<Diagnostic> = Vec::new();
    for mut item in items {
        if let Value::Object(fields) = &mut item {
            for field in ["data", "relatedInformation", "codeDescription", "tags"] {
                fields.remove(field);
            }
        }
        if let Ok(mut diagnostic) = serde_json::from_value::<Diagnostic>(item) {
            cut(&mut diagnostic);
            list.push(diagnostic);
        }
        // Not the first ones as they come: an error may stand behind a thousand hints.
        if list.len() >= 4 * FILE_MAX {
            sort(&mut list);
        }
    }
    sort(&mut list);
    list.into()
}

fn sort(list: &mut Vec<Diagnostic>) {
    list.sort_by_key(|diagnostic| (weight(diagnostic), diagnostic.range.start));
    list.truncate(FILE_MAX);
}

fn cut(diagnostic: &mut Diagnostic) {
    if diagnostic.message.len() > MESSAGE_CHARS {
        diagnostic.message = diagnostic.message.chars().take(MESSAGE_CHARS).collect();
    }
    if let Some(NumberOrString::String(code)) = &diagnostic.code
        && code.len() > 200
    {
        diagnostic.code = None;
    }
}

/// 1 for an error to 4 for a hint. What says nothing is taken for an error, as clients are free to.
pub fn weight(diagnostic: &Diagnostic) -> u8 {
    match diagnostic.severity {
        Some(DiagnosticSeverity::WARNING) => 2,
        Some(DiagnosticSeverity::INFORMATION) => 3,
        Some(DiagnosticSeverity::HINT) => 4,
        _ => 1,
    }
}

/// The path of a `file:` address.
pub fn path_of(uri: &str) -> Option<PathBuf> {
    let url = Url::parse(uri).ok()?;
    if url.scheme() != "file" {
        return None;
    }
    url.to_file_path().ok()
}

/// The address of a path; it must be absolute.
pub fn uri_of(path: &Path) -> String {
    Url::from_file_path(path).map_or_else(|()| String::new(), String::from)
}

#[cfg(test)]
mod tests {
    use super::{FILE_MAX, Problems, list_of, path_of, uri_of, weight};
    use serde_json::{Value, json};
    use std::path::Path;

    fn problem(severity: Value, message: &str) -> Value {
        let range =
            json!({"start": {"line": 1, "character": 2}, "end": {"line": 1, "character": 3}});
        json!({"range": range, "severity": severity, "message": message, "data": {"x": 1}})
    }

    #[test]
    fn what_is_no_problem_is_left_out_and_errors_come_first() {
        let list = list_of(Some(json!([
            problem(json!(4), "hint"),
            problem(json!(2), "warning"),
            {"message": "no range"},
            {"range": {"start": {"line": -1, "character": 0}, "end": {}}, "message": "odd"},
            "text",
            null,
            problem(json!(null), "says nothing"),
            problem(json!(1), "error"),
            problem(json!(99), "beyond"),
        ])));
        let seen: Vec<_> = list
            .iter()
            .map(|one| (weight(one), one.message.as_str()))
            .collect();
        assert_eq!(
            seen,
            [
                (1, "says nothing"),
                (1, "error"),
                (1, "beyond"),
                (2, "warning"),
                (4, "hint")
            ]
        );
        assert!(list.iter().all(|one| one.data.is_none()));
        assert!(list_of(Some(json!({"a": 1}))).is_empty() && list_of(None).is_empty());
    }

    #[test]
    fn a_flood_is_cut_and_keeps_its_errors() {
        let mut all: Vec<Value> = (0..5_000).map(|_| problem(json!(4), "hint")).collect();
        all.push(problem(json!(1), &"x".repeat(1 << 20)));
        let list = list_of(Some(Value::Array(all)));
        assert_eq!((list.len(), weight(&list[0])), (FILE_MAX, 1));
        assert!(list[0].message.len() <= 2_000);
        let mut problems = Problems::default();
        for number in 0..20_000 {
            let uri = format!("file:///a/{number}.c");
            let mut params = json!({"uri": uri, "diagnostics": [problem(json!(1), "e")]});
            problems.publish(&mut params);
        }
        assert!(problems.all().len() <= 5_000);
    }

    #[test]
    fn addresses_and_paths() {
        for path in ["/a/b c.rs", "/a/ü#?%.rs"] {
            assert_eq!(path_of(&uri_of(Path::new(path))).unwrap(), Path::new(path));
        }
        for odd in ["untitled:1", "http://a/b", "file://elsewhere", "x", ""] {
            let path = path_of(odd);
            assert!(
                path.is_none() || path == Some("/".into()),
                "{odd}: {path:?}"
            );
        }
    }
}

//! Changes to configuration files that leave comments and layout alone.

use crate::files::{read_text, write_atomic};
use crate::jsonc;
use crate::load::ALL_NAMES;
use crate::paths::Paths;
use crate::project::folders_down;
use jsonc_parser::cst::{CstInputValue, CstObject, CstObjectProp, CstRootNode};
use kilo_protocol::secrets::{self, Altered};
use serde_json::{Map, Value};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const BYTES_MAX: u64 = 1024 * 1024;

/// Why a file was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The patch is no object.
    #[error("a configuration patch must be an object")]
    BadPatch,
    /// The patch has a mark for a secret where none can stand.
    #[error(transparent)]
    BadMark(#[from] Altered),
    /// The file holds something else than an object; it is left as it is.
    #[error("{} is not valid: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The disk failed.
    #[error("cannot access {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The failure.
        #[source]
        source: std::io::Error,
    },
}

/// Merges `patch` into a JSON or JSONC file and returns what the file holds then: objects merge, `null` deletes, anything
/// else replaces. A mark that stands for a secret keeps the stored one, `{env:NAME}` included. Comments, order and layout of the rest stay. A missing file is made; a file that would not change is
/// not written.
pub fn patch_file(path: &Path, patch: &Value) -> Result<Value, EditError> {
    if !patch.is_object() {
        return Err(EditError::BadPatch);
    }
    let io = |source| EditError::Io {
        path: path.to_owned(),
        source,
    };
    let damaged = |reason: String| EditError::Damaged {
        path: path.to_owned(),
        reason,
    };
    let text = match read_text(path, BYTES_MAX) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(io(error)),
    };
    let is_empty = text.as_deref().is_none_or(|text| text.trim().is_empty());
    let old = if is_empty {
        "{}\n"
    } else {
        text.as_deref().unwrap_or_default()
    };
    jsonc::check_depth(old).map_err(damaged)?;
    let root =
        CstRootNode::parse(old, &jsonc::options()).map_err(|error| damaged(error.to_string()))?;
    let object = root
        .object_value_or_create()
        .ok_or_else(|| damaged("it is not an object".into()))?;
    let stored = jsonc::parse(old).map_err(damaged)?;
    if let Value::Object(patch) = secrets::restored(patch, &stored)? {
        apply(&object, &patch);
    }
    let new = root.to_string();
    let value = jsonc::parse(&new).map_err(damaged)?;
    if text.as_deref() != Some(&new) {
        write_atomic(path, new.as_bytes(), false).map_err(io)?;
    }
    Ok(value)
}

/// The user's file that changes go to: the strongest one that exists, else `kilo.jsonc`.
pub fn global_target(paths: &Paths) -> PathBuf {
    let existing = ALL_NAMES
        .iter()
        .rev()
        .map(|name| paths.config.join(name))
        .find(|path| path.is_file());
    existing.unwrap_or_else(|| paths.config.join("kilo.jsonc"))
}

/// The project's file that changes go to: the strongest `kilo` file of the nearest folder that has one, in its `.kilo`
/// folder or beside it; else `kilo.json` in the directory.
pub fn project_target(directory: &Path, worktree: &Path) -> PathBuf {
    const PLACES: [&str; 4] = [
        ".kilo/kilo.jsonc",
        ".kilo/kilo.json",
        "kilo.jsonc",
        "kilo.json",
    ];
    let folders = folders_down(directory, worktree);
    let mut candidates = folders
        .iter()
        .rev()
        .flat_map(|folder| PLACES.map(|place| folder.join(place)));
    candidates
        .find(|path| path.is_file())
        .unwrap_or_else(|| directory.join("kilo.json"))
}

fn apply(object: &CstObject, patch: &Map<String, Value>) {
    for (key, value) in patch {
        match (the_one_that_counts(object, key), value) {
            (Some(property), Value::Null) => property.remove(),
            (None, Value::Null) => {}
            (Some(property), Value::Object(below)) if property.object_value().is_some() => {
                if let Some(inner) = property.object_value() {
                    apply(&inner, below);
                }
            }
            (Some(property), value) => property.set_value(input(value)),
            (None, value) => {
                object.append(key, input(value));
            }
        }
    }
}

/// The property that readers take for `key`: the last one. Those before it would come back once this one is removed, so
/// they go.
fn the_one_that_counts(object: &CstObject, key: &str) -> Option<CstObjectProp> {
    let is_it = |property: &CstObjectProp| {
        let name = property.name().and_then(|name| name.decoded_value().ok());
        name.as_deref() == Some(key)
    };
    let mut all: Vec<CstObjectProp> = object.properties().into_iter().filter(is_it).collect();
    let last = all.pop();
    all.into_iter().for_each(CstObjectProp::remove);
    last
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(flag) => CstInputValue::Bool(*flag),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(list) => CstInputValue::Array(list.iter().map(input).collect()),
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            CstInputValue::Object(
                kept.map(|(key, value)| (key.clone(), input(value)))
                    .collect(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn comments_and_order_survive_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kilo.jsonc");
        std::fs::write(
            &path,
            "{\n  // the model I like\n  \"model\": \"a/b\",\n  \"permission\": {\n    \"bash\": { \"ls *\": \"allow\" } // shell\n  },\n  \"username\": \"me\",\n}\n",
        )
        .unwrap();
        let patch = json!({"permission": {"bash": {"git \"x\" *": "ask"}}, "username": null, "none": null, "snapshot": false});
        let value = patch_file(&path, &patch).unwrap();
        assert_eq!(
            value,
            json!({"model": "a/b", "permission": {"bash": {"ls *": "allow", "git \"x\" *": "ask"}}, "snapshot": false})
        );
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.contains("// the model I like\n  \"model\"") && text.contains("// shell"),
            "{text}"
        );
        assert_eq!(jsonc::parse(&text).unwrap(), value);
    }

    #[test]
    fn of_a_doubled_key_the_one_that_counts_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kilo.json");
        std::fs::write(
            &path,
            "{\n  \"model\": \"a\",\n  \"x\": 1,\n  \"model\": \"b\"\n}",
        )
        .unwrap();
        let value = patch_file(&path, &json!({"model": "c"})).unwrap();
        assert_eq!(value, json!({"x": 1, "model": "c"}));
        std::fs::write(&path, "{\"a\": {\"k\": 1}, \"a\": {\"k\": 2}}").unwrap();
        assert_eq!(patch_file(&path, &json!({"a": null})).unwrap(), json!({}));
    }

    #[test]
    fn a_mark_keeps_the_stored_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kilo.json");
        let old = "{ \"provider\": { \"p\": { \"options\": { \"apiKey\": \"{env:KEY}\" } } } }";
        std::fs::write(&path, old).unwrap();
        let patch = |options: Value| json!({"provider": {"p": {"options": options}}});
        patch_file(&path, &patch(json!({"apiKey": "(hidden)"}))).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), old);
        let value = patch_file(&path, &patch(json!({"apiKey": "(hidden)", "timeout": 5}))).unwrap();
        assert_eq!(value, patch(json!({"apiKey": "{env:KEY}", "timeout": 5})));
        let value = patch_file(&path, &patch(json!({"apiKey": "new"}))).unwrap();
        assert_eq!(value, patch(json!({"apiKey": "new", "timeout": 5})));
    }

    #[test]
    fn a_missing_file_is_made_and_a_broken_one_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/kilo.jsonc");
        patch_file(&path, &json!({"a": {"b": [1, {"c": null}]}})).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path)
                .unwrap()
                .trim()
                .lines()
                .next(),
            Some("{")
        );
        std::fs::write(&path, "{ broken").unwrap();
        assert!(matches!(
            patch_file(&path, &json!({"a": 1})),
            Err(EditError::Damaged { .. })
        ));
        std::fs::write(&path, "[1]").unwrap();
        assert!(matches!(
            patch_file(&path, &json!({"a": 1})),
            Err(EditError::Damaged { .. })
        ));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[1]");
        assert!(matches!(
            patch_file(&path, &json!(1)),
            Err(EditError::BadPatch)
        ));
    }

    #[test]
    fn changes_go_to_the_file_that_counts_most() {
        let folder = tempfile::tempdir().unwrap();
        let (root, deep) = (folder.path(), folder.path().join("a"));
        std::fs::create_dir_all(root.join("a/.kilo")).unwrap();
        assert_eq!(project_target(&deep, root), deep.join("kilo.json"));
        std::fs::write(root.join("kilo.jsonc"), "{}").unwrap();
        assert_eq!(project_target(&deep, root), root.join("kilo.jsonc"));
        std::fs::write(deep.join(".kilo/kilo.json"), "{}").unwrap();
        assert_eq!(project_target(&deep, root), deep.join(".kilo/kilo.json"));
    }
}

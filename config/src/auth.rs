//! Credentials: `auth.json` in the data folder, one entry for each provider.

use crate::env::Environment;
use crate::files::{read_text, write_atomic};
use crate::paths::Paths;
use serde_json::{Map, Value};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Why credentials could not be read or stored. Never carries a key.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The entry is not one of the known kinds (HTTP 400). The text names the field.
    #[error("{0}")]
    BadEntry(String),
    /// The file, or the variable's content, is no JSON object. It is never overwritten.
    #[error("{place} is not a JSON object")]
    Damaged {
        /// The path or the variable.
        place: String,
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

/// The file with the credentials. One value for the whole process: it keeps writers apart.
///
/// Entries: `{type: "api", key, metadata?}`, `{type: "oauth", refresh, access, expires, accountId?, enterpriseUrl?}`,
/// `{type: "wellknown", key, token}`.
pub struct AuthFile {
    path: PathBuf,
    content: Option<String>,
    writing: Mutex<()>,
}

impl AuthFile {
    /// The file of a user. With `KILO_AUTH_CONTENT` set, that is read instead; writes still go to the file.
    pub fn new(env: &Environment, paths: &Paths) -> Self {
        Self {
            path: paths.auth.clone(),
            content: env.get("KILO_AUTH_CONTENT").map(str::to_owned),
            writing: Mutex::new(()),
        }
    }

    /// All valid entries by provider, in the file's order. Empty without a file.
    pub fn read(&self) -> Result<Map<String, Value>, AuthError> {
        let mut entries = match &self.content {
            Some(content) => object(content, "KILO_AUTH_CONTENT")?,
            None => self.read_file()?,
        };
        entries.retain(|_, entry| check(entry).is_ok());
        Ok(entries)
    }

    /// The entry of one provider.
    pub fn get(&self, provider: &str) -> Result<Option<Value>, AuthError> {
        Ok(self.read()?.remove(name(provider)))
    }

    /// Stores an entry, in place of an older one. Fields that are not known are not kept.
    ///
    /// Errors: [`AuthError::BadEntry`] for an unknown `type`, a missing field, or one of the wrong type.
    pub fn put(&self, provider: &str, entry: Value) -> Result<(), AuthError> {
        let entry = check(&entry).map_err(AuthError::BadEntry)?;
        let provider = name(provider);
        if provider.is_empty() {
            return Err(AuthError::BadEntry("the provider's id is empty".into()));
        }
        self.change(|entries| {
            entries.insert(provider.to_owned(), entry);
        })
    }

    /// Removes an entry; says whether there was one.
    pub fn remove(&self, provider: &str) -> Result<bool, AuthError> {
        let mut was_there = false;
        self.change(|entries| was_there = entries.shift_remove(name(provider)).is_some())?;
        Ok(was_there)
    }

    fn change(&self, change: impl FnOnce(&mut Map<String, Value>)) -> Result<(), AuthError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = self.read_file()?;
        let before = entries.clone();
        change(&mut entries);
        if entries == before {
            return Ok(());
        }
        let mut text = serde_json::to_string_pretty(&entries).unwrap_or_default();
        text.push('\n');
        write_atomic(&self.path, text.as_bytes(), true).map_err(|source| self.failed(source))
    }

    fn read_file(&self) -> Result<Map<String, Value>, AuthError> {
        match read_text(&self.path, BYTES_MAX) {
            Ok(text) => object(&text, &self.path.to_string_lossy()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Map::new()),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, source: std::io::Error) -> AuthError {
        AuthError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

fn name(provider: &str) -> &str {
    provider.trim_end_matches('/')
}

fn object(text: &str, place: &str) -> Result<Map<String, Value>, AuthError> {
    match serde_json::from_str(text) {
        Ok(Value::Object(entries)) => Ok(entries),
        _ if text.trim().is_empty() => Ok(Map::new()),
        _ => Err(AuthError::Damaged {
            place: place.to_owned(),
        }),
    }
}

/// Returns the entry with its known fields only; the error names what is wrong.
fn check(entry: &Value) -> Result<Value, String> {
    let kind = entry
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let (needed, possible): (&[&str], &[&str]) = match kind {
        "api" => (&["key"], &["metadata"]),
        "oauth" => (
            &["refresh", "access", "expires"],
            &["accountId", "enterpriseUrl"],
        ),
        "wellknown" => (&["key", "token"], &[]),
        _ => return Err(r#"type: expected "api" | "oauth" | "wellknown""#.into()),
    };
    let mut known = Map::from_iter([("type".to_owned(), Value::from(kind))]);
    for field in needed.iter().chain(possible) {
        let Some(value) = entry.get(*field) else {
            if needed.contains(field) {
                return Err(format!("{field}: expected a value, got none"));
            }
            continue;
        };
        let is_right = match *field {
            "expires" => value.is_u64(),
            "metadata" => value
                .as_object()
                .is_some_and(|fields| fields.values().all(Value::is_string)),
            _ => value.is_string(),
        };
        if !is_right {
            return Err(format!("{field}: wrong type"));
        }
        known.insert((*field).to_owned(), value.clone());
    }
    Ok(Value::Object(known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::path::Path;

    fn file(home: &Path, content: Option<&str>) -> AuthFile {
        let mut env = Environment {
            home: home.into(),
            ..Default::default()
        };
        env.vars
            .extend(content.map(|content| ("KILO_AUTH_CONTENT".to_owned(), content.to_owned())));
        AuthFile::new(&env, &Paths::of(&env))
    }

    #[test]
    fn an_entry_is_kept_privately_and_removed() {
        let home = tempfile::tempdir().unwrap();
        let auth = file(home.path(), None);
        assert!(auth.read().unwrap().is_empty());
        auth.put("p/", json!({"type": "api", "key": "k", "extra": 1}))
            .unwrap();
        auth.put(
            "q",
            json!({"type": "oauth", "refresh": "r", "access": "a", "expires": 5}),
        )
        .unwrap();
        assert_eq!(
            auth.get("p").unwrap(),
            Some(json!({"type": "api", "key": "k"}))
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(
                std::fs::metadata(&auth.path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
        assert!(auth.remove("p").unwrap());
        assert!(!auth.remove("p").unwrap());
        assert_eq!(auth.read().unwrap().keys().collect::<Vec<_>>(), ["q"]);
    }

    #[test]
    fn unknown_kinds_and_missing_fields_are_refused_without_repeating_the_key() {
        let home = tempfile::tempdir().unwrap();
        let auth = file(home.path(), None);
        for entry in [
            json!({"type": "nonsense"}),
            json!({"type": "api"}),
            json!({"type": "api", "key": 5}),
            json!({"type": "oauth", "refresh": "s3cret", "access": "a", "expires": "soon"}),
            json!("s3cret"),
        ] {
            let error = auth.put("p", entry).unwrap_err();
            assert!(
                matches!(error, AuthError::BadEntry(_)) && !error.to_string().contains("s3cret")
            );
        }
        assert!(!auth.path.exists());
    }

    #[test]
    fn a_damaged_file_is_an_error_and_stays_as_it_is() {
        let home = tempfile::tempdir().unwrap();
        let auth = file(home.path(), None);
        auth.put("p", json!({"type": "api", "key": "k"})).unwrap();
        std::fs::write(&auth.path, "{broken").unwrap();
        assert!(matches!(
            auth.put("q", json!({"type": "api", "key": "k"})),
            Err(AuthError::Damaged { .. })
        ));
        assert_eq!(std::fs::read_to_string(&auth.path).unwrap(), "{broken");
    }

    #[test]
    fn the_variable_wins_over_the_file() {
        let home = tempfile::tempdir().unwrap();
        let auth = file(
            home.path(),
            Some(r#"{"x": {"type": "api", "key": "v"}, "bad": {"type": "no"}}"#),
        );
        assert_eq!(
            Value::Object(auth.read().unwrap()),
            json!({"x": {"type": "api", "key": "v"}})
        );
    }
}

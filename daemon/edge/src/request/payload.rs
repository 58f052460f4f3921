//! Reading a JSON body, and saying which field does not fit.

use kilo_protocol::Fault;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

/// Reads `text`; nesting deeper than 128 levels is refused.
///
/// Errors: 400 `BadRequest` of kind `Payload`: `Expected a string, got integer 5`, then `at ["title"]` on a line of its own.
pub(super) fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Fault> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut reader);
    let value = value.map_err(|error| {
        let path = place(error.path());
        fault(error.inner(), path)
    })?;
    reader.end().map_err(|error| fault(&error, String::new()))?;
    Ok(value)
}

/// Reads a value into a type; the same errors as [`read`].
pub(super) fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, Fault> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = place(error.path());
        fault(error.inner(), path)
    })
}

fn fault(error: &serde_json::Error, mut path: String) -> Fault {
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or(&said);
    if !error.is_data() {
        return Fault::bad_request("Payload", format!("Expected JSON: {said}{}", at(&path)));
    }
    if let Some(field) = quoted(said, "missing field ") {
        path.push_str(&format!("[{field:?}]"));
        return Fault::bad_request("Payload", format!("Expected a value{}", at(&path)));
    }
    Fault::bad_request("Payload", format!("{}{}", expectation(said), at(&path)))
}

/// Turns `invalid type: integer 5, expected a string` around.
fn expectation(said: &str) -> String {
    let Some((found, expected)) = said.rsplit_once(", expected ") else {
        return format!("Expected something else: {said}");
    };
    let found = found.split_once(": ").map_or(found, |(_, found)| found);
    format!("Expected {expected}, got {found}")
}

/// The name in backquotes after `lead`.
fn quoted<'a>(said: &'a str, lead: &str) -> Option<&'a str> {
    said.strip_prefix(lead)?
        .strip_prefix('`')?
        .split('`')
        .next()
}

fn at(path: &str) -> String {
    if path.is_empty() {
        String::new()
    } else {
        format!("\n  at {path}")
    }
}

/// Writes a path as the reference does: `["parts"][0]["text"]`.
fn place(path: &Path) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("[{index}]")),
            Segment::Map { key } => text.push_str(&format!("[{key:?}]")),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    text
}

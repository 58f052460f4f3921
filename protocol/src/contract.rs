//! Whether a request's body is what the contract says.
//!
//! Every body is held against the shape of its operation before a handler sees it. Fields that the contract does not name
//! are let through: newer clients send them, and the reference drops them too.

mod schema;

use crate::endpoints::{self, Operation};
use crate::shapes;
use crate::{Fault, FaultKind};
use schema::Schema;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock};

/// The longest name: ids, agents, models, providers, languages, types.
pub const NAME_BYTES_MAX: usize = 256;
/// The longest line: titles, patterns, paths, descriptions, and every other text that is not made to be long.
pub const LINE_BYTES_MAX: usize = 4_096;

/// Operations whose handlers check bodies themselves, because they take more than the contract names: a null deletes a
/// key of a configuration.
const CHECKED_BY_HANDLERS: [&str; 2] = ["config.update", "global.config.update"];

/// A field that may be missing although the contract asks for it: a session can be gone on with whatever its last message
/// is.
const OPTIONAL: [(&str, &str); 1] = [("kilocode.resumeSession", "messageID")];
/// Fields in which we take more than the contract names, so their handlers check them: what `kilo export` writes has more
/// kinds of parts than the reference takes in.
const WIDER: [(&str, &str); 3] = [
    ("kilocode.sessionImport.session", "permission"),
    ("kilocode.sessionImport.message", "data"),
    ("kilocode.sessionImport.part", "data"),
];

/// Operations that carry parts of conversations: what a tool or a model once wrote is as long as it is.
const WITHOUT_SHORT_TEXTS: [&str; 3] = [
    "part.update",
    "kilocode.sessionImport.message",
    "kilocode.sessionImport.part",
];

/// Where a body does not fit, and what was expected there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The way to the place: `["parts"][0]["text"]`; empty for the body itself.
    pub path: String,
    /// For example `a string`.
    pub expected: String,
    /// What was found, for example `number 5`; none if the field is missing.
    pub found: Option<String>,
}

/// Operations whose refusals are of the newer, tagged shape (seen: real server 7.7.9).
const TAGGED: [&str; 1] = ["session.create"];

/// Gives what is wrong with a request the shape that the operation's clients know.
pub fn refusal(operation: &Operation, fault: Fault) -> Fault {
    if fault.kind == FaultKind::BadRequest && TAGGED.contains(&operation.id) {
        return Fault::tagged(fault.kind, "BadRequest", fault.message, json!({}));
    }
    fault
}

impl From<Misfit> for Fault {
    fn from(misfit: Misfit) -> Self {
        let mut message = format!("Expected {}", misfit.expected);
        if let Some(found) = misfit.found {
            message.push_str(&format!(", got {found}"));
        }
        if !misfit.path.is_empty() {
            message.push_str(&format!("\n  at {}", misfit.path));
        }
        Self::bad_request("Payload", message)
    }
}

/// A schema that is read when it is first used.
struct Lazy {
    text: &'static RawValue,
    schema: OnceLock<Option<Schema>>,
}

impl Lazy {
    fn of(text: &'static RawValue) -> Self {
        Self {
            text,
            schema: OnceLock::new(),
        }
    }

    fn get(&self) -> Option<&Schema> {
        let read = || serde_json::from_str(self.text.get()).ok();
        self.schema.get_or_init(read).as_ref()
    }
}

/// What bodies are made of, by name.
static NAMED: LazyLock<HashMap<&'static str, Lazy>> = LazyLock::new(|| {
    let file = shapes::of("bodies");
    let schemas = file.into_iter().flat_map(|file| &file.schemas);
    schemas
        .map(|(name, text)| (*name, Lazy::of(text)))
        .collect()
});

/// The bodies, by operation id; each has a place, so that asking for one reads no other.
static BODIES: LazyLock<HashMap<&'static str, OnceLock<Option<Schema>>>> = LazyLock::new(|| {
    endpoints::all()
        .map(|operation| (operation.id, OnceLock::new()))
        .collect()
});

/// Looks a schema up by the end of its reference.
fn named(name: &str) -> Option<&'static Schema> {
    NAMED.get(name)?.get()
}

/// The shape of an operation's body; none if it takes none.
fn body(operation: &Operation) -> Option<&'static Schema> {
    let place = BODIES.get(operation.id)?;
    place.get_or_init(|| read_body(operation.id)).as_ref()
}

fn read_body(id: &str) -> Option<Schema> {
    let table = endpoints::tables().find(|(_, rows)| rows.iter().any(|row| row.id == id))?;
    let text = shapes::of(table.0)?.operations.get(id)?;
    let operation: schema::Shapes = serde_json::from_str(text.get()).ok()?;
    let mut body = operation.body()?;
    for (_, field) in OPTIONAL.iter().filter(|(optional, _)| *optional == id) {
        body.make_optional(field);
    }
    for (_, field) in WIDER.iter().filter(|(wider, _)| *wider == id) {
        body.leave_out(field);
    }
    Some(body)
}

/// Holds a body against the contract.
///
/// Short texts are refused beyond [`NAME_BYTES_MAX`] and [`LINE_BYTES_MAX`]; which of the two, or none, a text has is
/// decided by its field's name.
pub fn check(operation: &Operation, value: &Value) -> Result<(), Misfit> {
    if CHECKED_BY_HANDLERS.contains(&operation.id) {
        return match value {
            Value::Object(_) => Ok(()),
            other => Err(Misfit {
                path: String::new(),
                expected: "an object".into(),
                found: Some(schema::found(other)),
            }),
        };
    }
    let short_texts = !WITHOUT_SHORT_TEXTS.contains(&operation.id);
    body(operation).map_or(Ok(()), |schema| schema.check(value, short_texts))
}

#[cfg(test)]
mod tests;

//! Whether a request's body is what the contract says.
//!
//! Every body is held against the shape of its operation before a handler sees it. Fields that the contract does not name
//! are let through: newer clients send them, and the reference drops them too.

mod schema;

use crate::endpoints::Operation;
use crate::{Fault, FaultKind};
use schema::Schema;
use serde_json::{Value, json};
use std::sync::OnceLock;

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

/// A schema, as text until it is first used: most of a daemon's life needs a few of them.
struct Row {
    name: &'static str,
    text: &'static str,
    schema: OnceLock<Option<Schema>>,
}

impl Row {
    const fn new(name: &'static str, text: &'static str) -> Self {
        Self {
            name,
            text,
            schema: OnceLock::new(),
        }
    }

    fn get(&self) -> Option<&Schema> {
        self.schema.get_or_init(|| self.read()).as_ref()
    }

    fn read(&self) -> Option<Schema> {
        let mut schema: Schema = serde_json::from_str(self.text).ok()?;
        for (_, field) in OPTIONAL.iter().filter(|(id, _)| *id == self.name) {
            schema.make_optional(field);
        }
        for (_, field) in WIDER.iter().filter(|(id, _)| *id == self.name) {
            schema.leave_out(field);
        }
        Some(schema)
    }
}

// `BODIES`: the bodies by operation id; `NAMED`: what they are made of, by name. Both sorted, made by `build.rs`.
include!(concat!(env!("OUT_DIR"), "/bodies.rs"));

fn find(rows: &'static [Row], name: &str) -> Option<&'static Schema> {
    let index = rows.binary_search_by(|row| row.name.cmp(name)).ok()?;
    rows[index].get()
}

/// Looks a schema up by the end of its reference.
fn named(name: &str) -> Option<&'static Schema> {
    find(&NAMED, name)
}

/// The shape of an operation's body; none if it takes none.
fn body(operation: &Operation) -> Option<&'static Schema> {
    find(&BODIES, operation.id)
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

//! The OpenAPI document of `/doc`: the table of operations joined with the shapes of their parameters and bodies.
//!
//! The shapes are spliced into the document as text, without their line breaks: nothing is parsed deeper than one level,
//! so making the document costs a few milliseconds and no more memory than its own size.

use crate::endpoints::{self, Operation};
use crate::shapes;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap};

/// The document could not be made; it means that the program was built with broken shapes.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// A file of shapes is not what it should be.
    #[error("the shapes of the operations are not well-formed: {0}")]
    Shape(&'static serde_json::Error),
    /// A text cannot be written as JSON.
    #[error("a text of the document cannot be written")]
    Text(#[source] serde_json::Error),
    /// An operation of the table has no shapes.
    #[error("operation {operation} has no shapes")]
    Missing {
        /// The operation's id.
        operation: &'static str,
    },
}

/// All shapes.
#[derive(Default)]
struct Shapes {
    operations: BTreeMap<&'static str, &'static RawValue>,
    schemas: BTreeMap<&'static str, &'static RawValue>,
}

impl Shapes {
    fn read() -> Result<Self, DocumentError> {
        let mut all = Self::default();
        for source in shapes::all() {
            let file = source.as_ref().map_err(DocumentError::Shape)?;
            all.operations.extend(&file.operations);
            all.schemas.extend(&file.schemas);
        }
        Ok(all)
    }
}

/// Makes the document as JSON text (about 0.7 MB; keep it, do not make it for each request).
///
/// `implemented` is asked once per operation id; operations that it denies carry `x-kilo-status: not-implemented`, those
/// that only answer the off state of an absent feature `x-kilo-status: absent`.
/// Paths are in the order of the table.
pub fn document(implemented: impl Fn(&str) -> bool) -> Result<String, DocumentError> {
    let shapes = Shapes::read()?;
    let mut out = String::with_capacity(1 << 20);
    out.push_str(r#"{"openapi":"3.1.0","info":{"title":"kilo","version":""#);
    out.push_str(crate::VERSION);
    out.push_str(r#""},"paths":{"#);
    for (index, (path, operations)) in by_path().into_iter().enumerate() {
        separate(&mut out, index);
        out.push_str(&quoted(path)?);
        out.push_str(":{");
        for (index, operation) in operations.into_iter().enumerate() {
            separate(&mut out, index);
            push_operation(&mut out, operation, &shapes, implemented(operation.id))?;
        }
        out.push('}');
    }
    out.push_str(r#"},"components":{"schemas":{"#);
    for (index, (name, schema)) in shapes.schemas.iter().enumerate() {
        separate(&mut out, index);
        out.push_str(&quoted(name)?);
        out.push(':');
        push_dense(&mut out, schema.get());
    }
    out.push_str("}}}");
    Ok(out)
}

/// Writes JSON without the white space between its words.
fn push_dense(out: &mut String, json: &str) {
    let (mut in_text, mut escaped) = (false, false);
    for sign in json.chars() {
        if in_text || !sign.is_ascii_whitespace() {
            out.push(sign);
        }
        match sign {
            '"' if !escaped => in_text = !in_text,
            '\\' if in_text && !escaped => {
                escaped = true;
                continue;
            }
            _ => {}
        }
        escaped = false;
    }
}

/// Writes `"post":{"operationId":…,` and lets the shapes' own text follow in place of their opening brace.
fn push_operation(
    out: &mut String,
    operation: &'static Operation,
    shapes: &Shapes,
    implemented: bool,
) -> Result<(), DocumentError> {
    let missing = DocumentError::Missing {
        operation: operation.id,
    };
    let rest = shapes
        .operations
        .get(operation.id)
        .and_then(|raw| raw.get().strip_prefix('{'));
    let rest = rest.ok_or(missing)?;
    out.push_str(&quoted(operation.method.key())?);
    out.push_str(r#":{"operationId":"#);
    out.push_str(&quoted(operation.id)?);
    out.push_str(r#","tags":["#);
    out.push_str(&quoted(operation.group)?);
    out.push_str(r#"],"summary":"#);
    out.push_str(&quoted(operation.summary)?);
    if operation.absent.is_some() {
        out.push_str(r#","x-kilo-status":"absent""#);
    } else if !implemented {
        out.push_str(r#","x-kilo-status":"not-implemented""#);
    }
    out.push(',');
    push_dense(out, rest);
    Ok(())
}

/// The operations of each path, paths in the order of the table.
fn by_path() -> Vec<(&'static str, Vec<&'static Operation>)> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut paths: Vec<(&str, Vec<&Operation>)> = Vec::new();
    for operation in endpoints::all() {
        let place = *places.entry(operation.path).or_insert(paths.len());
        match paths.get_mut(place) {
            Some((_, operations)) => operations.push(operation),
            None => paths.push((operation.path, vec![operation])),
        }
    }
    paths
}

fn separate(out: &mut String, index: usize) {
    if index > 0 {
        out.push(',');
    }
}

fn quoted(text: &str) -> Result<String, DocumentError> {
    serde_json::to_string(text).map_err(DocumentError::Text)
}

#[cfg(test)]
mod tests;

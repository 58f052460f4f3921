//! The OpenAPI document of `/doc`: the table of operations joined with the shapes of their parameters and bodies.
//!
//! The shapes live in `data/shapes.json.gz`, as `{operations: {ID: {parameters, requestBody?, responses, …}}, schemas}`,
//! without any prose. They are spliced into the document as text: nothing is parsed deeper than one level, so making the
//! document costs a few milliseconds and no more memory than its own size.

use crate::endpoints::{self, Operation};
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::io::Read as _;

/// The compressed shapes.
static SHAPES: &[u8] = include_bytes!("../data/shapes.json.gz");

/// The document could not be made; it means that the program was built with a broken shapes file.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The shapes file does not unpack.
    #[error("the shapes of the operations do not unpack")]
    Unpack(#[source] std::io::Error),
    /// The shapes file is not what it should be, or a text cannot be written as JSON.
    #[error("the shapes of the operations are not well-formed")]
    Shape(#[source] serde_json::Error),
    /// An operation of the table has no shapes.
    #[error("operation {operation} has no shapes")]
    Missing {
        /// The operation's id.
        operation: &'static str,
    },
}

/// The shapes file, parsed one level deep.
#[derive(Deserialize)]
struct Shapes<'a> {
    #[serde(borrow)]
    operations: HashMap<&'a str, &'a RawValue>,
    #[serde(borrow)]
    schemas: &'a RawValue,
}

/// Makes the document as JSON text (about 0.7 MB; keep it, do not make it for each request).
///
/// `implemented` is asked once per operation id; operations that it denies carry `x-kilo-status: not-implemented`, those
/// that only answer the off state of an absent feature `x-kilo-status: absent`.
/// Paths are in the order of the table.
pub fn document(implemented: impl Fn(&str) -> bool) -> Result<String, DocumentError> {
    let text = unpack()?;
    let shapes: Shapes<'_> = serde_json::from_str(&text).map_err(DocumentError::Shape)?;
    let mut out = String::with_capacity(text.len() + 64 * 1024);
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
    out.push_str(r#"},"components":{"schemas":"#);
    out.push_str(shapes.schemas.get());
    out.push_str("}}");
    Ok(out)
}

/// Writes `"post":{"operationId":…,` and lets the shapes' own text follow in place of their opening brace.
fn push_operation(
    out: &mut String,
    operation: &'static Operation,
    shapes: &Shapes<'_>,
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
    out.push_str(rest);
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

fn unpack() -> Result<String, DocumentError> {
    let mut text = String::new();
    GzDecoder::new(SHAPES)
        .read_to_string(&mut text)
        .map_err(DocumentError::Unpack)?;
    Ok(text)
}

fn separate(out: &mut String, index: usize) {
    if index > 0 {
        out.push(',');
    }
}

fn quoted(text: &str) -> Result<String, DocumentError> {
    serde_json::to_string(text).map_err(DocumentError::Shape)
}

#[cfg(test)]
mod tests;

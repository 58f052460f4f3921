//! The check of a call's arguments before it runs, and the sentences that tell a model what was wrong with them.

use crate::repair::repair;
use boon::{Compiler, ErrorKind, SchemaIndex, Schemas, UrlLoader, ValidationError};
use kilo_ports::tool::ToolSpec;
use serde_json::Value;
use std::collections::BTreeSet;

/// Faults named in one answer; more would not help a model.
const FAULTS_MAX: usize = 5;
/// The name under which a tool's schema is known to the compiler.
const ADDRESS: &str = "mem:///parameters";

/// A tool's schema, ready to check calls with.
pub struct Checker {
    name: String,
    schema: std::sync::Arc<Value>,
    compiled: Option<(Schemas, SchemaIndex)>,
}

impl Checker {
    /// Reads a tool's schema. One that is no schema checks nothing: its server will say what it does not take.
    pub fn new(spec: &ToolSpec) -> Self {
        let mut schemas = Schemas::new();
        let mut compiler = Compiler::new();
        compiler.use_loader(Box::new(NothingElse));
        // Nothing is registered under this address yet, so only the compilation can fail.
        let _ = compiler.add_resource(ADDRESS, (*spec.parameters).clone());
        let compiled = match compiler.compile(ADDRESS, &mut schemas) {
            Ok(index) => Some((schemas, index)),
            Err(error) => {
                tracing::warn!(tool = %spec.name, %error, "the tool's schema cannot be used");
                None
            }
        };
        Self {
            name: spec.name.to_string(),
            schema: spec.parameters.clone(),
            compiled,
        }
    }

    /// The arguments, with what models get wrong about their form put right. Unknown fields pass unless the schema
    /// forbids them, for models like to add some.
    ///
    /// Errors: the whole sentence for the model, as [`invalid_arguments`] makes it.
    pub fn check(&self, input: Value) -> Result<Value, String> {
        let input = repair(&self.schema, input);
        let Some((schemas, index)) = &self.compiled else {
            return Ok(input);
        };
        let faults = match schemas.validate(&input, *index) {
            Ok(()) => return Ok(input),
            Err(error) => faults(&error),
        };
        Err(invalid_arguments(&self.name, &faults.join("; ")))
    }
}

/// Schemas refer to themselves only: no file and no page is read for one.
struct NothingElse;

impl UrlLoader for NothingElse {
    fn load(&self, url: &str) -> Result<Value, Box<dyn std::error::Error>> {
        Err(format!("{url} is not loaded").into())
    }
}

/// The error of a call whose arguments do not fit.
pub fn invalid_arguments(tool: &str, fault: &str) -> String {
    format!(
        "The {tool} tool was called with invalid arguments: {fault}.\nCall it again with arguments that fit its schema."
    )
}

/// What is wrong, in the order of the schema, each thing once.
fn faults(error: &ValidationError) -> Vec<String> {
    let mut faults = Vec::new();
    collect(error, &mut faults);
    let mut seen = BTreeSet::new();
    faults.retain(|fault| seen.insert(fault.clone()));
    faults.truncate(FAULTS_MAX);
    faults
}

fn collect(error: &ValidationError, faults: &mut Vec<String>) {
    let at = place(&error.instance_location.to_string());
    if let ErrorKind::Required { want } = &error.kind {
        let missing = want.iter().map(|field| below(&at, field));
        return faults.extend(missing.map(|field| format!("{field} is required and missing")));
    }
    if let Some(fault) = sentence(&error.kind) {
        let at = if at.is_empty() { "the input" } else { &at };
        return faults.push(format!("{at} {fault}"));
    }
    // Of several alternatives the last one speaks for all: the first is often the null of an optional field.
    match (&error.kind, error.causes.last()) {
        (ErrorKind::AnyOf | ErrorKind::OneOf(None), Some(last)) => collect(last, faults),
        _ => error.causes.iter().for_each(|cause| collect(cause, faults)),
    }
}

/// What is wrong with one value; nothing for what only groups other faults.
fn sentence(kind: &ErrorKind) -> Option<String> {
    Some(match kind {
        ErrorKind::Type { got, want } => {
            let want: Vec<String> = want.iter().map(|kind| article(&kind.to_string())).collect();
            let is_fraction = want == ["an integer"] && got.to_string() == "number";
            let got = if is_fraction {
                "a fraction".into()
            } else {
                article(&got.to_string())
            };
            format!("must be {}, not {got}", want.join(" or "))
        }
        ErrorKind::Enum { want } => {
            let want: Vec<String> = want.iter().map(Value::to_string).collect();
            format!("must be one of {}", want.join(", "))
        }
        ErrorKind::Const { want } => format!("must be {want}"),
        ErrorKind::Minimum { want, .. } => format!("must be at least {want}"),
        ErrorKind::Maximum { want, .. } => format!("must be at most {want}"),
        ErrorKind::ExclusiveMinimum { want, .. } => format!("must be above {want}"),
        ErrorKind::ExclusiveMaximum { want, .. } => format!("must be below {want}"),
        ErrorKind::MinItems { want, .. } => format!("must have at least {want} items"),
        ErrorKind::MaxItems { want, .. } => format!("must have at most {want} items"),
        ErrorKind::MinLength { want, .. } => format!("must have at least {want} characters"),
        ErrorKind::MaxLength { want, .. } => format!("must have at most {want} characters"),
        ErrorKind::Pattern { want, .. } => format!("must fit the pattern {want}"),
        ErrorKind::AdditionalProperties { got } => {
            format!("has fields that are not known: {}", got.join(", "))
        }
        ErrorKind::OneOf(Some(_)) => "fits more than one of its alternatives".into(),
        ErrorKind::Not | ErrorKind::FalseSchema => "is not allowed".into(),
        ErrorKind::Group
        | ErrorKind::Schema { .. }
        | ErrorKind::Reference { .. }
        | ErrorKind::AllOf
        | ErrorKind::AnyOf
        | ErrorKind::OneOf(None) => return None,
        other => other.to_string(),
    })
}

fn article(kind: &str) -> String {
    match kind {
        "null" => "null".into(),
        "array" | "object" | "integer" => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}

/// `/todos/0/priority` as `todos[0].priority`.
fn place(pointer: &str) -> String {
    let mut place = String::new();
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        if step.bytes().all(|byte| byte.is_ascii_digit()) && !step.is_empty() {
            place.push_str(&format!("[{step}]"));
        } else {
            place = below(&place, &step);
        }
    }
    place
}

fn below(at: &str, field: &str) -> String {
    if at.is_empty() {
        field.to_owned()
    } else {
        format!("{at}.{field}")
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Stage;
    use serde_json::{Value, json};

    fn fault(tool: &str, input: Value) -> String {
        let checked = Stage::new().registry.check(tool, input);
        checked.err().unwrap_or_default()
    }

    #[test]
    fn faults_name_the_field() {
        assert_eq!(
            fault("read", json!({"wrong": 1})),
            "The read tool was called with invalid arguments: filePath is required and missing.\n\
             Call it again with arguments that fit its schema."
        );
        assert!(
            fault("read", json!({"filePath": 1}))
                .contains("filePath must be a string, not a number")
        );
        assert!(
            fault("read", json!({"filePath": "a", "offset": -1}))
                .contains("offset must be at least 0")
        );
        assert!(
            fault("read", json!({"filePath": "a", "offset": 1.5}))
                .contains("offset must be an integer")
        );
        assert!(
            fault("grep", json!({"pattern": "a", "limit": 0})).contains("limit must be above 0")
        );
        assert!(
            fault("webfetch", json!({"url": "x", "format": "pdf"}))
                .contains("format must be one of")
        );
        assert!(fault("read", json!([1])).contains("the input must be an object"));
        let todos = json!({"todos": [{"content": "a", "status": "pending"}]});
        assert!(fault("todowrite", todos).contains("todos[0].priority is required"));
    }

    #[test]
    fn good_input_and_unknown_fields_pass() {
        assert_eq!(
            fault(
                "read",
                json!({"filePath": "a", "offset": 3.0, "extra": true})
            ),
            ""
        );
    }
}

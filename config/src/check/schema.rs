//! The table of keys as a JSON schema, for editors.

use super::Shape;
use super::shapes::{ACTIONS, ROOT};
use serde_json::{Map, Value, json};

/// The JSON schema of a configuration file. `config/schema.json` holds it; a test compares the two.
pub fn schema() -> Value {
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Kilo configuration",
        "allowComments": true,
        "allowTrailingCommas": true,
    });
    if let (Value::Object(schema), Value::Object(root)) = (&mut schema, of(&Shape::Fields(ROOT))) {
        schema.extend(root);
    }
    schema
}

fn of(shape: &Shape) -> Value {
    match shape {
        Shape::Text => json!({"type": "string"}),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Integer(least) => json!({"type": "integer", "minimum": least}),
        Shape::Number => json!({"type": "number"}),
        Shape::OneOf(options) => json!({"enum": options}),
        Shape::Action => json!({"enum": ACTIONS}),
        Shape::Colour => json!({"type": "string"}),
        Shape::List(item) => json!({"type": "array", "items": of(item)}),
        Shape::Map(value) => json!({"type": "object", "additionalProperties": or_null(value)}),
        Shape::Fields(fields) | Shape::Open(fields) => {
            let fields: Map<String, Value> = fields
                .iter()
                .map(|(name, shape)| ((*name).to_owned(), or_null(shape)))
                .collect();
            json!({"type": "object", "properties": fields})
        }
        Shape::Either(shapes) => json!({"anyOf": shapes.iter().map(of).collect::<Vec<_>>()}),
        Shape::Any => json!({}),
    }
}

/// `null` deletes what a weaker file says, so it is right everywhere inside.
fn or_null(shape: &Shape) -> Value {
    match shape {
        Shape::Any => json!({}),
        other => json!({"anyOf": [of(other), {"type": "null"}]}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn text() -> String {
        serde_json::to_string_pretty(&schema()).unwrap() + "\n"
    }

    #[test]
    fn the_file_holds_the_schema() {
        let hint = "run: cargo nextest run -p kilo-config --run-ignored only write_the_file";
        assert!(
            include_str!("../../schema.json") == text(),
            "schema.json is old; {hint}"
        );
    }

    #[test]
    #[ignore = "writes schema.json"]
    fn write_the_file() {
        std::fs::write(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.json"),
            text(),
        )
        .unwrap();
    }
}

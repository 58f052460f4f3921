//! The schema of a tool's arguments, derived from the type that reads them, so that the two cannot differ.

use kilo_ports::tool::{Access, ToolSource, ToolSpec};
use parking_lot::Mutex;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};
use std::any::TypeId;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// The largest number that every JSON reader keeps whole.
const WHOLE_MAX: u64 = 9_007_199_254_740_991;

/// Schemas are derived once: a tool is described at every model call.
static DERIVED: LazyLock<Mutex<HashMap<TypeId, Arc<Value>>>> = LazyLock::new(Mutex::default);

/// The face of a built-in tool that reads its arguments as `Input`.
pub fn spec<Input: JsonSchema + 'static>(
    name: &str,
    description: &str,
    access: Access,
) -> ToolSpec {
    let parameters = DERIVED
        .lock()
        .entry(TypeId::of::<Input>())
        .or_insert_with(|| Arc::new(parameters::<Input>()))
        .clone();
    ToolSpec {
        name: name.into(),
        description: description.to_owned(),
        parameters,
        access,
        source: ToolSource::BuiltIn,
    }
}

/// The schema in the plain form that all model servers take: nothing referred to, no names of Rust types, and an optional
/// field is one that is not required rather than one that may be null.
fn parameters<Input: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    });
    let schema = settings.into_generator().into_root_schema_for::<Input>();
    let mut schema = schema.to_value();
    make_plain(&mut schema);
    schema
}

fn make_plain(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            // `title` may be a field's name too, but then it is a schema and no text.
            fields.retain(|key, value| {
                !(matches!(key.as_str(), "title" | "format") && value.is_string())
            });
            if let Some(Value::Array(types)) = fields.get("type")
                && let [kind, Value::String(null)] = types.as_slice()
                && null == "null"
            {
                let kind = kind.clone();
                fields.insert("type".into(), kind);
            }
            // That an option is off when it is not named goes without saying.
            if matches!(
                fields.get("default"),
                Some(Value::Null | Value::Bool(false))
            ) {
                fields.remove("default");
            }
            fields.values_mut().for_each(make_plain);
        }
        Value::Array(items) => items.iter_mut().for_each(make_plain),
        _ => {}
    }
}

/// A whole number from 0, for the schema of a field.
pub struct Whole;

impl JsonSchema for Whole {
    fn schema_name() -> Cow<'static, str> {
        "Whole".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema(json!({"type": "integer", "minimum": 0, "maximum": WHOLE_MAX}))
    }
}

/// A whole number above 0, for the schema of a field.
pub struct Positive;

impl JsonSchema for Positive {
    fn schema_name() -> Cow<'static, str> {
        "Positive".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema(json!({"type": "integer", "exclusiveMinimum": 0, "maximum": WHOLE_MAX}))
    }
}

fn schema(value: Value) -> Schema {
    Schema::try_from(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Positive, Whole, parameters};
    use schemars::JsonSchema;
    use serde_json::json;

    #[derive(JsonSchema)]
    #[serde(rename_all = "camelCase")]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Input {
        /// The file
        file_path: String,
        #[schemars(with = "Option<Whole>")]
        offset: Option<f64>,
        #[schemars(with = "Option<Positive>")]
        limit: Option<f64>,
        #[serde(default)]
        kind: Kind,
        /// A title
        title: Option<String>,
        items: Vec<Item>,
    }

    #[derive(Default, JsonSchema, serde::Serialize)]
    #[serde(rename_all = "lowercase")]
    #[expect(dead_code, reason = "only its schema is looked at")]
    enum Kind {
        #[default]
        Text,
        Html,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Item {
        format: Option<bool>,
    }

    #[test]
    fn a_schema_is_plain_and_whole() {
        assert_eq!(
            parameters::<Input>(),
            json!({
                "type": "object",
                "properties": {
                    "filePath": {"type": "string", "description": "The file"},
                    "offset": {"type": "integer", "minimum": 0, "maximum": 9_007_199_254_740_991_u64},
                    "limit": {"type": "integer", "exclusiveMinimum": 0, "maximum": 9_007_199_254_740_991_u64},
                    "kind": {"type": "string", "enum": ["text", "html"], "default": "text"},
                    "title": {"type": "string", "description": "A title"},
                    "items": {"type": "array", "items": {
                        "type": "object", "properties": {"format": {"type": "boolean"}},
                    }},
                },
                "required": ["filePath", "items"],
            })
        );
    }
}

//! Puts right what models get wrong about the form of arguments, where there is only one thing they can mean.
//!
//! Numbers and booleans as strings, JSON within a string, one thing in place of a list of one, null or nothing in place of
//! an optional field, names and choices in other letters. What could mean two things is left for the check to refuse.

use serde_json::{Map, Number, Value};

/// Levels of schemas that are followed.
const DEPTH_MAX: usize = 64;

/// The arguments as the schema wants them, as far as that is plain.
pub fn repair(schema: &Value, input: Value) -> Value {
    Repair { root: schema }.value(schema, input, 0)
}

struct Repair<'a> {
    /// The whole schema, in which references are looked up.
    root: &'a Value,
}

impl<'a> Repair<'a> {
    fn value(&self, schema: &'a Value, value: Value, depth: usize) -> Value {
        let schema = self.resolve(schema);
        if depth >= DEPTH_MAX || accepts_anything(schema) {
            return value;
        }
        let value = match self.options(schema) {
            Some(options) => return self.one_of(options, value, depth),
            None if has_type(schema, &value) => value,
            None => self.converted(schema, value, depth),
        };
        match value {
            Value::Object(fields) => Value::Object(self.fields(schema, fields, depth)),
            Value::Array(items) => match schema.get("items") {
                Some(item) => {
                    let items = items.into_iter();
                    items
                        .map(|value| self.value(item, value, depth + 1))
                        .collect()
                }
                None => Value::Array(items),
            },
            Value::String(text) => Value::String(choice(schema, text)),
            Value::Number(number) => Value::Number(whole(schema, number)),
            other => other,
        }
    }

    /// Follows a reference within the schema; a chain of them ends somewhere or is no schema.
    fn resolve(&self, mut schema: &'a Value) -> &'a Value {
        for _ in 0..DEPTH_MAX {
            let Some(at) = schema["$ref"].as_str().and_then(|at| at.strip_prefix('#')) else {
                break;
            };
            let Some(found) = self.root.pointer(at) else {
                break;
            };
            schema = found;
        }
        schema
    }

    fn options(&self, schema: &'a Value) -> Option<&'a Vec<Value>> {
        let options = schema.get("anyOf").or_else(|| schema.get("oneOf"))?;
        options.as_array().filter(|options| !options.is_empty())
    }

    /// The first alternative that takes the value's type as it is, else the first that takes it repaired.
    fn one_of(&self, options: &'a [Value], value: Value, depth: usize) -> Value {
        let fits = |option: &&Value| has_type(self.resolve(option), &value);
        if let Some(option) = options.iter().find(fits) {
            return self.value(option, value, depth + 1);
        }
        for option in options {
            let repaired = self.value(option, value.clone(), depth + 1);
            if has_type(self.resolve(option), &repaired) {
                return repaired;
            }
        }
        value
    }

    /// A value of the wrong type as one of the right type, if it says the same.
    fn converted(&self, schema: &'a Value, value: Value, depth: usize) -> Value {
        let wants = |kind: &str| types(schema).any(|wanted| wanted == kind);
        if let Value::String(text) = &value {
            let text = text.trim();
            if (wants("integer") || wants("number"))
                && let Some(number) = number(text)
            {
                return Value::Number(number);
            }
            if wants("boolean") {
                match text.to_ascii_lowercase().as_str() {
                    "true" => return Value::Bool(true),
                    "false" => return Value::Bool(false),
                    _ => {}
                }
            }
            if (wants("array") || wants("object"))
                && let Ok(inner @ (Value::Array(_) | Value::Object(_))) = serde_json::from_str(text)
            {
                return self.value(schema, inner, depth + 1);
            }
        }
        if wants("array")
            && !value.is_null()
            && let Some(item) = schema.get("items")
        {
            let one = self.value(item, value.clone(), depth + 1);
            if has_type(self.resolve(item), &one) {
                return Value::Array(vec![one]);
            }
        }
        value
    }

    fn fields(
        &self,
        schema: &'a Value,
        fields: Map<String, Value>,
        depth: usize,
    ) -> Map<String, Value> {
        let Some(known) = schema["properties"].as_object() else {
            return fields;
        };
        let is_required = |name: &str| {
            let required = schema["required"].as_array().into_iter().flatten();
            required.into_iter().any(|field| field == name)
        };
        let given: Vec<String> = fields.keys().cloned().collect();
        let mut out = Map::new();
        for (name, value) in fields {
            let name = match known.contains_key(&name) {
                true => name,
                false => meant(&name, known, &given).unwrap_or(name),
            };
            let Some(inner) = known.get(&name) else {
                out.insert(name, value);
                continue;
            };
            let value = self.value(inner, value, depth + 1);
            let inner = self.resolve(inner);
            if !is_required(&name) && says_nothing(&value) && !allows(inner, &value) {
                continue;
            }
            out.insert(name, value);
        }
        out
    }
}

/// The known field that differs from `name` in case and separators only, if it was not given itself.
fn meant(name: &str, known: &Map<String, Value>, given: &[String]) -> Option<String> {
    let folded = fold(name);
    let mut found = known.keys().filter(|field| fold(field) == folded);
    let first = found.next()?;
    (found.next().is_none() && !given.contains(first)).then(|| first.clone())
}

fn fold(name: &str) -> String {
    let plain = name.chars().filter(|c| !matches!(c, '_' | '-' | ' '));
    plain.flat_map(char::to_lowercase).collect()
}

/// How models say that they leave a field out.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => {
            let text = text.trim().to_ascii_lowercase();
            matches!(text.as_str(), "" | "null" | "none" | "undefined")
        }
        _ => false,
    }
}

/// Whether the schema takes the value, as far as type and choices say.
fn allows(schema: &Value, value: &Value) -> bool {
    let is_choice = || {
        schema["enum"]
            .as_array()
            .is_none_or(|all| all.contains(value))
    };
    accepts_anything(schema) || (has_type(schema, value) && is_choice())
}

/// A choice in the letters of the schema.
fn choice(schema: &Value, text: String) -> String {
    let Some(choices) = schema["enum"].as_array() else {
        return text;
    };
    let folded = fold(text.trim());
    let mut found = choices.iter().filter_map(Value::as_str);
    if found.clone().any(|choice| choice == text) {
        return text;
    }
    let fits = found.find(|choice| fold(choice) == folded);
    fits.map_or(text, str::to_owned)
}

/// `3.0` as `3` where a whole number is wanted.
fn whole(schema: &Value, number: Number) -> Number {
    let wants_whole = types(schema).any(|kind| kind == "integer");
    match number.as_f64() {
        Some(float) if wants_whole && number.is_f64() => whole_of(float).unwrap_or(number),
        _ => number,
    }
}

fn whole_of(float: f64) -> Option<Number> {
    let is_exact = float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_991.0;
    is_exact.then(|| Number::from(float as i64))
}

fn number(text: &str) -> Option<Number> {
    let is_plain = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
    if !text.chars().all(is_plain) {
        return None;
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    let float: f64 = text.parse().ok()?;
    whole_of(float).or_else(|| Number::from_f64(float))
}

fn accepts_anything(schema: &Value) -> bool {
    let silent = ["type", "anyOf", "oneOf", "properties", "enum", "$ref"];
    !silent.iter().any(|key| schema.get(key).is_some())
}

fn types(schema: &Value) -> impl Iterator<Item = &str> {
    let one = schema["type"].as_str().into_iter();
    let many = schema["type"].as_array().into_iter().flatten();
    one.chain(many.filter_map(Value::as_str))
}

fn has_type(schema: &Value, value: &Value) -> bool {
    let mut wanted = types(schema).peekable();
    wanted.peek().is_none()
        || wanted.any(|kind| match (kind, value) {
            ("null", Value::Null) | ("boolean", Value::Bool(_)) | ("string", Value::String(_)) => {
                true
            }
            ("array", Value::Array(_)) | ("object", Value::Object(_)) => true,
            ("number", Value::Number(_)) => true,
            ("integer", Value::Number(number)) => {
                !number.is_f64() || number.as_f64().is_some_and(|float| float.fract() == 0.0)
            }
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::repair;
    use serde_json::{Value, json};

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "filePath": {"type": "string"},
                "limit": {"type": "integer"},
                "ratio": {"type": "number"},
                "all": {"type": "boolean"},
                "format": {"type": "string", "enum": ["text", "Markdown"]},
                "names": {"type": "array", "items": {"type": "string"}},
                "todos": {"type": "array", "items": {"$ref": "#/$defs/todo"}},
                "nested": {"type": "object", "properties": {"n": {"type": "integer"}}},
                "either": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                "both": {"type": ["integer", "null"]},
                "free": {},
            },
            "required": ["filePath"],
            "$defs": {"todo": {"type": "object", "properties": {
                "n": {"type": "integer"}, "more": {"$ref": "#/$defs/todo"},
            }}},
        })
    }

    #[test]
    fn what_models_send_becomes_what_they_mean() {
        for (sent, meant) in [
            (json!({"limit": "5"}), json!({"limit": 5})),
            (json!({"limit": " 5.0 "}), json!({"limit": 5})),
            (json!({"limit": 5.0}), json!({"limit": 5})),
            (json!({"limit": "-7"}), json!({"limit": -7})),
            (json!({"ratio": "0.5"}), json!({"ratio": 0.5})),
            (json!({"ratio": "1e2"}), json!({"ratio": 100})),
            (json!({"all": "True"}), json!({"all": true})),
            (json!({"all": "false"}), json!({"all": false})),
            (json!({"limit": null, "names": null}), json!({})),
            (
                json!({"limit": "", "all": "null", "format": "None"}),
                json!({}),
            ),
            (json!({"names": "a"}), json!({"names": ["a"]})),
            (
                json!({"names": "[\"a\", \"b\"]"}),
                json!({"names": ["a", "b"]}),
            ),
            (
                json!({"nested": "{\"n\": \"3\"}"}),
                json!({"nested": {"n": 3}}),
            ),
            (json!({"todos": {"n": "1"}}), json!({"todos": [{"n": 1}]})),
            (
                json!({"todos": "{\"n\": \"1\"}"}),
                json!({"todos": [{"n": 1}]}),
            ),
            (
                json!({"todos": ["{\"n\": 1, \"more\": {\"n\": \"2\"}}"]}),
                json!({"todos": [{"n": 1, "more": {"n": 2}}]}),
            ),
            (json!({"format": "MARKDOWN"}), json!({"format": "Markdown"})),
            (json!({"file_path": "a"}), json!({"filePath": "a"})),
            (json!({"FilePath": "a"}), json!({"filePath": "a"})),
            (
                json!({"either": "4", "both": "4"}),
                json!({"either": 4, "both": 4}),
            ),
            (
                json!({"either": null, "both": null}),
                json!({"either": null, "both": null}),
            ),
        ] {
            assert_eq!(repair(&schema(), sent.clone()), meant, "{sent}");
        }
    }

    #[test]
    fn what_could_mean_something_else_stays() {
        for sent in [
            json!({"filePath": 1}),
            json!({"filePath": null}),
            json!({"filePath": ""}),
            json!({"filePath": "null"}),
            json!({"limit": "five"}),
            json!({"limit": "1.5e"}),
            json!({"limit": "0x10"}),
            json!({"limit": 1.5}),
            json!({"limit": "nan"}),
            json!({"all": "maybe"}),
            json!({"all": 1}),
            json!({"format": "pdf"}),
            json!({"names": 5}),
            json!({"nested": "{broken"}),
            json!({"free": {"limit": "5"}}),
            json!({"other": "5"}),
            json!({"file_path": "a", "filePath": "b"}),
            json!([1]),
            json!("text"),
            json!(null),
        ] {
            assert_eq!(repair(&schema(), sent.clone()), sent, "{sent}");
        }
    }

    #[test]
    fn a_schema_without_end_ends() {
        let looped = json!({"$ref": "#/a", "a": {"$ref": "#/a"}});
        assert_eq!(repair(&looped, json!({"x": "1"})), json!({"x": "1"}));
        let mut deep = json!({"type": "object", "properties": {}});
        deep["properties"]["d"] = json!({"$ref": "#"});
        let mut value = json!({});
        for _ in 0..200 {
            value = json!({"d": value});
        }
        assert_eq!(repair(&deep, value.clone()), value);
    }
}

//! What type each key of the configuration has.
//!
//! A wrong value never stops anything: [`prune`] takes it out and tells. [`problems`] looks without changing, for a
//! client that wants to write. [`unknown`] finds keys that mean nothing here, most of them misspelt.

mod names;
mod schema;
mod shapes;

pub use names::{Unknown, unknown};
pub use schema::schema;

use kilo_protocol::{Fault, secrets};
use serde_json::{Value, json};

/// A value of the wrong type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The keys that lead to it.
    pub field: Vec<String>,
    /// What should have been there, for example `string`.
    pub expected: String,
    /// What was there, cut at 60 characters.
    pub got: String,
    /// It counts as `ask` from now on, in the place where it stood; otherwise it is taken out.
    pub is_asked: bool,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: expected {}, got {}",
            self.field.join("."),
            self.expected,
            self.got
        )?;
        if self.is_asked {
            f.write_str(", taken as \"ask\"")?;
        }
        Ok(())
    }
}

/// The shape of a value.
pub(crate) enum Shape {
    Text,
    Flag,
    /// A whole number of at least this.
    Integer(i64),
    Number,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// The action of one pattern. A wrong one counts as `ask` where it stands: without it, a weaker rule that allows would
    /// come to light.
    Action,
    /// `#rrggbb` or a theme's colour.
    Colour,
    List(&'static Shape),
    Map(&'static Shape),
    /// These fields; others are left alone, and mean nothing.
    Fields(&'static [(&'static str, Shape)]),
    /// These fields; others are somebody else's, such as options for a provider's request.
    Open(&'static [(&'static str, Shape)]),
    /// Any one of these.
    Either(&'static [Shape]),
    Any,
}

/// The values of `config` that have the wrong type; empty for a good one. `null` is always right: it deletes.
pub fn problems(config: &Value) -> Vec<Problem> {
    prune(&mut config.clone())
}

/// Refuses a configuration that a client sent, naming the first wrong value: HTTP 400.
pub fn validate(config: &Value) -> Result<(), Fault> {
    match problems(config).first() {
        Some(problem) => Err(Fault::bad_field(
            &format!("{}, got {}", problem.expected, problem.got),
            &problem.field.join("."),
        )),
        None => Ok(()),
    }
}

/// Takes the values with the wrong type out of `config`, each with as little around it as possible: a field of an object,
/// an entry of a map, but a list as a whole. Anything but an object is one problem with an empty field.
pub fn prune(config: &mut Value) -> Vec<Problem> {
    let mut found = Vec::new();
    if !visit(
        config,
        &Shape::Fields(shapes::ROOT),
        &mut Vec::new(),
        &mut found,
    ) {
        *config = Value::Object(Default::default());
    }
    found
}

/// Checks `value` and prunes below it; false if it is wrong itself.
fn visit(value: &mut Value, shape: &Shape, at: &mut Vec<String>, found: &mut Vec<Problem>) -> bool {
    match (shape, &mut *value) {
        (_, Value::Null) if !at.is_empty() => return true,
        (Shape::Fields(fields) | Shape::Open(fields), Value::Object(object)) => {
            for (name, shape) in *fields {
                visit_entry(object, name, shape, at, found);
            }
            return true;
        }
        (Shape::Map(shape), Value::Object(object)) => {
            let names: Vec<String> = object.keys().cloned().collect();
            for name in names {
                visit_entry(object, &name, shape, at, found);
            }
            return true;
        }
        (Shape::Either(shapes), value) => {
            // The first shape of the same JSON type decides, so that its problems name the field inside.
            if let Some(shape) = shapes.iter().find(|shape| is_alike(shape, value)) {
                return visit(value, shape, at, found);
            }
        }
        (shape, value) if fits(shape, value) => return true,
        _ => {}
    }
    found.push(Problem {
        field: at.clone(),
        expected: name_of(shape),
        got: excerpt(&shown(at, value)),
        is_asked: matches!(shape, Shape::Action),
    });
    false
}

/// The value without secrets: what is wrong is shown and logged.
fn shown(at: &[String], value: &Value) -> Value {
    let whole = at
        .iter()
        .rev()
        .fold(value.clone(), |below, name| json!({name: below}));
    let mut masked = secrets::masked(&whole);
    for name in at {
        masked = masked.get_mut(name).map(Value::take).unwrap_or_default();
    }
    masked
}

fn visit_entry(
    object: &mut serde_json::Map<String, Value>,
    name: &str,
    shape: &Shape,
    at: &mut Vec<String>,
    found: &mut Vec<Problem>,
) {
    let Some(value) = object.get_mut(name) else {
        return;
    };
    at.push(name.to_owned());
    let is_right = visit(value, shape, at, found);
    at.pop();
    if is_right {
        return;
    }
    match shape {
        Shape::Action => *value = Value::from("ask"),
        _ => drop(object.shift_remove(name)),
    }
}

/// Whether a value of a shape without named fields is right.
fn fits(shape: &Shape, value: &Value) -> bool {
    match shape {
        Shape::Text => value.is_string(),
        Shape::Flag => value.is_boolean(),
        Shape::Number => value.is_number(),
        Shape::Integer(least) => value
            .as_i64()
            .or_else(|| {
                value
                    .as_f64()
                    .filter(|n| n.fract() == 0.0)
                    .map(|n| n as i64)
            })
            .is_some_and(|n| n >= *least),
        Shape::OneOf(options) => value.as_str().is_some_and(|text| options.contains(&text)),
        Shape::Action => value
            .as_str()
            .is_some_and(|text| shapes::ACTIONS.contains(&text)),
        Shape::Colour => value.as_str().is_some_and(is_colour),
        Shape::List(shape) => value.as_array().is_some_and(|list| {
            list.iter().all(|item| {
                visit(
                    &mut item.clone(),
                    shape,
                    &mut vec![String::new()],
                    &mut Vec::new(),
                )
            })
        }),
        Shape::Any => true,
        Shape::Map(_) | Shape::Fields(_) | Shape::Open(_) | Shape::Either(_) => false,
    }
}

fn is_colour(text: &str) -> bool {
    const THEME: [&str; 7] = [
        "primary",
        "secondary",
        "accent",
        "success",
        "warning",
        "error",
        "info",
    ];
    let is_hex = text
        .strip_prefix('#')
        .is_some_and(|hex| hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
    is_hex || THEME.contains(&text)
}

fn is_alike(shape: &Shape, value: &Value) -> bool {
    match shape {
        Shape::Fields(_) | Shape::Open(_) | Shape::Map(_) => value.is_object(),
        Shape::Either(shapes) => shapes.iter().any(|shape| is_alike(shape, value)),
        other => fits(other, value),
    }
}

fn name_of(shape: &Shape) -> String {
    match shape {
        Shape::Text => "string".into(),
        Shape::Flag => "boolean".into(),
        Shape::Number => "number".into(),
        Shape::Integer(least) => format!("integer of at least {least}"),
        Shape::Action => name_of(&Shape::OneOf(shapes::ACTIONS)),
        Shape::OneOf(options) => options
            .iter()
            .map(|option| format!("{option:?}"))
            .collect::<Vec<_>>()
            .join(" | "),
        Shape::Colour => "colour (#rrggbb or a theme's name)".into(),
        Shape::List(inside) => format!("list of {}", name_of(inside)),
        Shape::Map(_) | Shape::Fields(_) | Shape::Open(_) => "object".into(),
        Shape::Either(shapes) => shapes.iter().map(name_of).collect::<Vec<_>>().join(" | "),
        Shape::Any => "anything".into(),
    }
}

fn excerpt(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".into(),
        Value::Array(_) => "a list".into(),
        // Only numbers and flags are repeated: a misplaced text may be a key.
        Value::String(_) => "a string".into(),
        other => other.to_string().chars().take(60).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn wrong_values_are_taken_out_one_by_one() {
        let mut config = json!({
            "model": 5, "small_model": "p/m", "unknown": {"x": 1}, "instructions": ["a", 1],
            "permission": {"bash": {"git *": "allow", "rm *": "perhaps"}, "edit": "never", "mine": "ask"},
            "agent": {"code": {"steps": 0, "mode": "primary", "own": [1]}, "bad": "text"},
            "provider": {"p": {"options": {"baseURL": 3, "apiKey": "k", "own": 1}}, "gone": null},
            "compaction": {"auto": "yes", "tail_turns": 3}, "autoupdate": "notify", "shell": null
        });
        let found: Vec<String> = prune(&mut config).iter().map(ToString::to_string).collect();
        assert_eq!(
            config,
            json!({
                "small_model": "p/m", "unknown": {"x": 1},
                "permission": {"bash": {"git *": "allow", "rm *": "ask"}, "mine": "ask"},
                "agent": {"code": {"mode": "primary", "own": [1]}},
                "provider": {"p": {"options": {"apiKey": "k", "own": 1}}, "gone": null},
                "compaction": {"tail_turns": 3}, "autoupdate": "notify", "shell": null
            })
        );
        assert_eq!(found.len(), 8, "{found:#?}");
        assert!(found.contains(&"model: expected string, got 5".to_owned()));
        assert!(found.contains(
            &r#"permission.bash.rm *: expected "ask" | "allow" | "deny", got a string, taken as "ask""#.to_owned()
        ));
    }

    #[test]
    fn a_config_that_is_no_object_is_one_problem() {
        assert_eq!(problems(&json!([1])).len(), 1);
        assert_eq!(problems(&Value::Null).len(), 1);
        let fault = validate(&json!({"server": {"port": 0}})).unwrap_err();
        assert_eq!(
            fault.message,
            "Expected integer of at least 1, got 0\n  at [\"server\"][\"port\"]"
        );
        assert!(
            problems(&json!({"permission": "allow", "plugin": ["a", ["b", {}]], "lsp": false}))
                .is_empty()
        );
    }
}

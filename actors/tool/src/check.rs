//! The checks of a call before it runs, and the sentences that tell a model what was wrong with it.

use kilo_ports::tool::ToolSpec;
use serde_json::{Value, json};

/// Faults named in one answer; more would not help a model.
const FAULTS_MAX: usize = 5;

/// Checks a call's arguments against the tool's schema: required fields, types, enums, ranges, nested objects and lists.
/// Unknown fields pass, for models like to add some.
///
/// Errors: the whole sentence for the model, as [`invalid_arguments`] makes it.
pub fn check_input(spec: &ToolSpec, input: &Value) -> Result<(), String> {
    let mut faults = Vec::new();
    check(&spec.parameters, input, "", &mut faults);
    if faults.is_empty() {
        return Ok(());
    }
    faults.truncate(FAULTS_MAX);
    Err(invalid_arguments(spec.name, &faults.join("; ")))
}

/// The error of a call whose arguments do not fit.
pub fn invalid_arguments(tool: &str, fault: &str) -> String {
    format!(
        "The {tool} tool was called with invalid arguments: {fault}.\nCall it again with arguments that fit its schema."
    )
}

/// The error of a call to a tool that is not on offer; `offered` in the order in which they were offered.
pub fn unavailable_tool(tool: &str, offered: &[&str]) -> String {
    format!(
        "Model tried to call unavailable tool '{tool}'. Available tools: {}.",
        offered.join(", ")
    )
}

/// The input to keep, and the error, of a call whose arguments are not JSON.
pub fn not_json(tool: &str, raw: &str) -> (Value, String) {
    let why = match serde_json::from_str::<Value>(raw) {
        Err(error) => error.to_string(),
        Ok(_) => "not an object".to_owned(),
    };
    (
        json!({ "value": raw }),
        format!(
            "The arguments of the {tool} call are not valid JSON ({why}): {}",
            head(raw)
        ),
    )
}

fn head(raw: &str) -> String {
    let mut head: String = raw.chars().take(200).collect();
    if head.len() < raw.len() {
        head.push('…');
    }
    head
}

fn check(schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    if faults.len() >= FAULTS_MAX {
        return;
    }
    if let Some(options) = schema["anyOf"].as_array() {
        return check_any(options, value, at, faults);
    }
    if let Some(wanted) = schema["type"].as_str()
        && !has_type(wanted, value)
    {
        return faults.push(format!(
            "{} must be {}, not {}",
            name(at),
            article(wanted),
            article(type_of(value))
        ));
    }
    if let Some(choices) = schema["enum"].as_array()
        && !choices.contains(value)
    {
        let choices: Vec<String> = choices.iter().map(Value::to_string).collect();
        return faults.push(format!(
            "{} must be one of {}",
            name(at),
            choices.join(", ")
        ));
    }
    match value {
        Value::Object(_) => check_fields(schema, value, at, faults),
        Value::Array(items) => check_items(schema, items, at, faults),
        Value::Number(_) => check_range(schema, value, at, faults),
        _ => {}
    }
}

fn check_any(options: &[Value], value: &Value, at: &str, faults: &mut Vec<String>) {
    let mut last = Vec::new();
    for option in options {
        last.clear();
        check(option, value, at, &mut last);
        if last.is_empty() {
            return;
        }
    }
    faults.append(&mut last);
}

fn check_fields(schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let below = |field: &str| {
        if at.is_empty() {
            field.to_owned()
        } else {
            format!("{at}.{field}")
        }
    };
    for field in schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if value.get(field).is_none() {
            faults.push(format!("{} is required and missing", name(&below(field))));
        }
    }
    for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(inner) = value.get(field) {
            check(schema, inner, &below(field), faults);
        }
    }
}

fn check_items(schema: &Value, items: &[Value], at: &str, faults: &mut Vec<String>) {
    let count = items.len() as u64;
    if schema["minItems"]
        .as_u64()
        .is_some_and(|least| count < least)
    {
        faults.push(format!(
            "{} must have at least {} items",
            name(at),
            schema["minItems"]
        ));
    }
    if schema["maxItems"].as_u64().is_some_and(|most| count > most) {
        faults.push(format!(
            "{} must have at most {} items",
            name(at),
            schema["maxItems"]
        ));
    }
    let Some(item_schema) = schema.get("items") else {
        return;
    };
    for (index, item) in items.iter().enumerate() {
        check(item_schema, item, &format!("{at}[{index}]"), faults);
    }
}

fn check_range(schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let Some(number) = value.as_f64() else { return };
    if schema["minimum"]
        .as_f64()
        .is_some_and(|least| number < least)
    {
        faults.push(format!(
            "{} must be at least {}",
            name(at),
            schema["minimum"]
        ));
    } else if schema["exclusiveMinimum"]
        .as_f64()
        .is_some_and(|least| number <= least)
    {
        faults.push(format!(
            "{} must be above {}",
            name(at),
            schema["exclusiveMinimum"]
        ));
    } else if schema["maximum"].as_f64().is_some_and(|most| number > most) {
        faults.push(format!(
            "{} must be at most {}",
            name(at),
            schema["maximum"]
        ));
    }
}

fn has_type(wanted: &str, value: &Value) -> bool {
    match wanted {
        "integer" => {
            value.is_i64()
                || value.is_u64()
                || value.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        other => type_of(value) == other,
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn article(kind: &str) -> String {
    match kind {
        "null" => "null".into(),
        "array" | "object" | "integer" => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}

fn name(at: &str) -> &str {
    if at.is_empty() { "the input" } else { at }
}

#[cfg(test)]
mod tests {
    use super::{check_input, not_json, unavailable_tool};
    use crate::testing::Stage;
    use serde_json::{Value, json};

    fn fault(tool: &str, input: Value) -> String {
        let spec = Stage::new().registry.get(tool).unwrap().spec();
        check_input(&spec, &input).err().unwrap_or_default()
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

    #[test]
    fn sentences_carry_the_words_that_clients_look_for() {
        assert_eq!(
            unavailable_tool("x", &["bash", "read"]),
            "Model tried to call unavailable tool 'x'. Available tools: bash, read."
        );
        let (input, error) = not_json("read", "{\"filePath\": ");
        assert_eq!(input, json!({"value": "{\"filePath\": "}));
        assert!(error.contains("JSON"), "{error}");
    }
}

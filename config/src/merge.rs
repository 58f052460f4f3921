//! How one configuration goes on top of another.

use serde_json::{Map, Value};

/// Lists that grow from layer to layer; every other list replaces the one below it.
const GROWING: [&str; 2] = ["plugin", "instructions"];

/// Puts `over` on top of `base`: objects merge key by key, `null` deletes what is below, `plugin` and `instructions` grow
/// without doubles, anything else replaces. A key keeps the place where it was first written.
///
/// In `permission` an action stands for `{"*": action}` where an object comes on top of it, so that a project that adds
/// rules for one program does not lose the user's "ask". Known patterns keep their place, so a later `"*"` does not outrank
/// the user's rule for one program.
pub fn merge(base: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, value) in over {
        match value {
            Value::Null => {
                base.shift_remove(&key);
            }
            Value::Array(list) if GROWING.contains(&key.as_str()) => grow(base, key, list),
            value if key == "permission" => merge_rules(base, key, value),
            value => merge_value(base, key, value),
        }
    }
}

fn merge_value(base: &mut Map<String, Value>, key: String, value: Value) {
    match (base.get_mut(&key), value) {
        (_, Value::Null) => {
            base.shift_remove(&key);
        }
        (Some(Value::Object(below)), Value::Object(above)) => {
            for (key, value) in above {
                if key == "permission" {
                    merge_rules(below, key, value)
                } else {
                    merge_value(below, key, value)
                }
            }
        }
        (Some(below), above) => *below = without_nulls(above),
        (None, above) => {
            base.insert(key, without_nulls(above));
        }
    }
}

fn merge_rules(base: &mut Map<String, Value>, key: String, value: Value) {
    let above = match value {
        Value::Object(above) => above,
        // An action for everything stands after all rules below it, so none of them can matter any more.
        other => return merge_value(base, key, other),
    };
    let slot = base.entry(key).or_insert_with(|| Value::Object(Map::new()));
    make_rules(slot);
    let Value::Object(below) = slot else { return };
    for (name, rule) in above {
        if rule.is_object()
            && let Some(old) = below.get_mut(&name)
        {
            make_rules(old);
        }
        merge_value(below, name, rule);
    }
}

/// Turns the short form `"ask"` into `{"*": "ask"}`, and anything that is no rule into no rules.
fn make_rules(value: &mut Value) {
    match value.take() {
        Value::Object(rules) => *value = Value::Object(rules),
        Value::String(action) => {
            *value = Value::Object(Map::from_iter([("*".to_owned(), Value::String(action))]))
        }
        _ => *value = Value::Object(Map::new()),
    }
}

fn grow(base: &mut Map<String, Value>, key: String, list: Vec<Value>) {
    let slot = base.entry(key).or_insert_with(|| Value::Array(Vec::new()));
    if !slot.is_array() {
        *slot = Value::Array(Vec::new());
    }
    if let Value::Array(all) = slot {
        for item in list {
            if !all.contains(&item) {
                all.push(item);
            }
        }
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key, without_nulls(value)))
                .collect(),
        ),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn merged(layers: &[Value]) -> Value {
        let mut base = Map::new();
        for layer in layers {
            merge(&mut base, layer.as_object().unwrap().clone());
        }
        Value::Object(base)
    }

    #[test]
    fn objects_merge_null_deletes_and_lists_replace() {
        let result = merged(&[
            json!({"provider": {"a": {"options": {"x": 1, "y": 2}}, "b": {}}, "disabled_providers": ["p"], "model": "m"}),
            json!({"provider": {"a": {"options": {"y": null, "z": 3}}, "b": null}, "disabled_providers": ["q"], "model": null}),
        ]);
        assert_eq!(
            result,
            json!({"provider": {"a": {"options": {"x": 1, "z": 3}}}, "disabled_providers": ["q"]})
        );
    }

    #[test]
    fn plugins_and_instructions_grow_without_doubles() {
        let result = merged(&[
            json!({"instructions": ["a.md", "b.md"], "plugin": ["p"]}),
            json!({"instructions": ["b.md", "c.md"], "plugin": [["p", {}]]}),
        ]);
        assert_eq!(
            result,
            json!({"instructions": ["a.md", "b.md", "c.md"], "plugin": ["p", ["p", {}]]})
        );
    }

    #[test]
    fn an_action_and_patterns_for_the_same_permission_both_count() {
        let result = merged(&[
            json!({"permission": "ask", "agent": {"code": {"permission": {"bash": "ask"}}}}),
            json!({"permission": {"bash": {"git *": "allow"}}, "agent": {"code": {"permission": {"bash": {"ls *": "allow"}}}}}),
            json!({"permission": {"bash": "deny", "edit": "deny"}}),
            json!({"permission": {"edit": {"docs/*": "allow"}}}),
        ]);
        assert_eq!(
            serde_json::to_string(&result).unwrap(),
            r#"{"permission":{"*":"ask","bash":"deny","edit":{"*":"deny","docs/*":"allow"}},"agent":{"code":{"permission":{"bash":{"*":"ask","ls *":"allow"}}}}}"#
        );
    }
}

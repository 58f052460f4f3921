//! Keys that stand twice in one object. JSON readers take the last one and say nothing of the others, which may have been
//! what somebody forbade.

use crate::guard::Guard;
use crate::jsonc;
use jsonc_parser::ast;
use jsonc_parser::{CollectOptions, parse_to_ast};
use std::collections::HashMap;

/// Keys that are told of one text; a file of nothing else must not make a list without end.
const TOLD_MAX: usize = 16;

/// A key that stands more than once.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Doubled {
    /// The keys that lead to it, itself the last.
    pub field: Vec<String>,
    /// What the values that do not count could have forbidden.
    pub guard: Option<Guard>,
}

/// The doubled keys of a text that [`jsonc::parse`] took, outer ones first.
pub(crate) fn doubled(text: &str) -> Vec<Doubled> {
    let tree = parse_to_ast(text, &CollectOptions::default(), &jsonc::options());
    let mut found = Vec::new();
    if let Some(value) = tree.ok().and_then(|tree| tree.value) {
        visit(&value, &mut Vec::new(), &mut found);
    }
    found
}

fn visit(value: &ast::Value<'_>, at: &mut Vec<String>, found: &mut Vec<Doubled>) {
    match value {
        ast::Value::Object(object) => {
            let mut last = HashMap::new();
            for (place, property) in object.properties.iter().enumerate() {
                last.insert(property.name.as_str(), place);
            }
            for (place, property) in object.properties.iter().enumerate() {
                let name = property.name.as_str();
                at.push(name.to_owned());
                if last.get(name) == Some(&place) {
                    visit(&property.value, at, found);
                } else if found.len() < TOLD_MAX {
                    lost(at, &property.value, found);
                }
                at.pop();
            }
        }
        ast::Value::Array(list) => {
            for (place, value) in list.elements.iter().enumerate() {
                at.push(place.to_string());
                visit(value, at, found);
                at.pop();
            }
        }
        _ => {}
    }
}

/// A value that does not count. The same key may lose several.
fn lost(at: &[String], value: &ast::Value<'_>, found: &mut Vec<Doubled>) {
    let guard = if only_allows(value) { None } else { guard(at) };
    match found.iter_mut().find(|known| known.field == at) {
        Some(known) => known.guard = known.guard.take().or(guard),
        None => found.push(Doubled {
            field: at.to_vec(),
            guard,
        }),
    }
}

/// What a value at `field`, or below a rule there, could have forbidden.
fn guard(field: &[String]) -> Option<Guard> {
    let prefixes = (1..=field.len()).rev().map(|length| &field[..length]);
    prefixes.into_iter().find_map(Guard::of_field)
}

fn only_allows(value: &ast::Value<'_>) -> bool {
    match value {
        ast::Value::StringLit(text) => text.value == "allow",
        ast::Value::BooleanLit(flag) => flag.value,
        ast::Value::Object(object) => object
            .properties
            .iter()
            .all(|property| only_allows(&property.value)),
        ast::Value::NullKeyword(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{TOLD_MAX, doubled};

    fn fields(text: &str) -> Vec<(String, bool)> {
        let found = doubled(text).into_iter();
        found
            .map(|doubled| (doubled.field.join("."), doubled.guard.is_some()))
            .collect()
    }

    #[test]
    fn keys_that_stand_twice_are_found_at_every_depth() {
        let told = |name: &str, guarded| (name.to_owned(), guarded);
        for (text, expected) in [
            (r#"{"model": "a", "small_model": "a"}"#, vec![]),
            (
                r#"{"model": "a", "model": "b"}"#,
                vec![told("model", false)],
            ),
            // An escape is the same key, and a comment none.
            (
                r#"{"model": "a", /* "x": 1, "x": 2 */ "mod\u0065l": "b"}"#,
                vec![told("model", false)],
            ),
            (r#"{"a": 1, "a": 2, "a": 3}"#, vec![told("a", false)]),
            (
                r#"{"permission": {"edit": "deny"}, "permission": {"bash": "ask"}}"#,
                vec![told("permission", true)],
            ),
            (
                r#"{"permission": {"bash": {"rm *": "deny", "rm *": "allow"}}}"#,
                vec![told("permission.bash.rm *", true)],
            ),
            (
                r#"{"permission": {"bash": {"ls *": "allow", "ls *": "ask"}}}"#,
                vec![told("permission.bash.ls *", false)],
            ),
            (
                r#"{"agent": {"x": {"tools": {"bash": false}, "tools": {}}}}"#,
                vec![told("agent.x.tools", true)],
            ),
            (
                r#"{"list": [{}, {"k": 1, "k": 2}]}"#,
                vec![told("list.1.k", false)],
            ),
            ("", vec![]),
            ("[]", vec![]),
        ] {
            assert_eq!(fields(text), expected, "{text}");
        }
    }

    #[test]
    fn a_text_of_nothing_else_is_told_in_short() {
        let many: String = (0..1_000).map(|n| format!("\"k{}\": 1,", n / 2)).collect();
        assert_eq!(fields(&format!("{{{many}}}")).len(), TOLD_MAX);
    }
}

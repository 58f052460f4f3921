//! Answers of servers as lines for a model.

use crate::problems::path_of;
use serde_json::Value;
use std::fmt::Write;
use std::path::Path;

/// How deep symbols lie in one another.
const DEPTH_MAX: usize = 16;

/// The protocol's kinds of symbols, from 1.
const KINDS: [&str; 26] = [
    "file",
    "module",
    "namespace",
    "package",
    "class",
    "method",
    "property",
    "field",
    "constructor",
    "enum",
    "interface",
    "function",
    "variable",
    "constant",
    "string",
    "number",
    "boolean",
    "array",
    "object",
    "key",
    "null",
    "enum member",
    "struct",
    "event",
    "operator",
    "type parameter",
];

/// What was found, a line each; paths relative to `directory`.
pub fn text(found: &Value, directory: &Path) -> String {
    let mut text = String::new();
    match found {
        Value::Array(items) => {
            for item in items {
                add(&mut text, item, directory, 0);
            }
        }
        item => add(&mut text, item, directory, 0),
    }
    text.trim_end().to_owned()
}

fn add(text: &mut String, item: &Value, directory: &Path, depth: usize) {
    // Calls carry the other end.
    if let Some(end) = item
        .get("from")
        .or(item.get("to"))
        .filter(|end| end.is_object())
    {
        return add(text, end, directory, depth);
    }
    if let Some(contents) = item.get("contents") {
        let _ = writeln!(text, "{}", words(contents));
        return;
    }
    let uri = ["uri", "targetUri"].iter().find_map(|key| item.get(*key));
    let uri = uri
        .or(item.pointer("/location/uri"))
        .and_then(Value::as_str);
    let range = [
        "/selectionRange",
        "/targetSelectionRange",
        "/location/range",
        "/range",
    ];
    let start = range.iter().find_map(|at| item.pointer(at)?.get("start"));
    let number = |key: &str| {
        start
            .and_then(|start| start.get(key))
            .and_then(Value::as_u64)
    };
    let mut place = uri.map(|uri| shown(uri, directory)).unwrap_or_default();
    if let (Some(line), Some(character)) = (number("line"), number("character")) {
        let colon = if place.is_empty() { "" } else { ":" };
        let _ = write!(
            place,
            "{colon}{}:{}",
            line.saturating_add(1),
            character.saturating_add(1)
        );
    }
    let Some(name) = item.get("name").and_then(Value::as_str) else {
        if !place.is_empty() {
            let _ = writeln!(text, "{place}");
        }
        return;
    };
    let kind = item.get("kind").and_then(Value::as_u64).unwrap_or(0) as usize;
    let kind = KINDS.get(kind.wrapping_sub(1)).copied().unwrap_or("symbol");
    let inside = item.get("containerName").and_then(Value::as_str);
    let inside = inside.filter(|inside| !inside.is_empty());
    let inside = inside
        .map(|inside| format!(" in {inside}"))
        .unwrap_or_default();
    let _ = writeln!(text, "{}{kind} {name}{inside} {place}", "  ".repeat(depth));
    if depth < DEPTH_MAX {
        let children = item.get("children").and_then(Value::as_array);
        for child in children.into_iter().flatten() {
            add(text, child, directory, depth + 1);
        }
    }
}

fn shown(uri: &str, directory: &Path) -> String {
    match path_of(uri) {
        Some(path) => {
            let below = path.strip_prefix(directory).unwrap_or(&path);
            below.display().to_string()
        }
        None => uri.to_owned(),
    }
}

/// The text of a hover: a string, `{value}`, or a list of these.
fn words(contents: &Value) -> String {
    match contents {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join("\n"),
        other => {
            let value = other.get("value").and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        }
    }
}

/// Cuts a text to so many lines and bytes, and says so in it. True when something was cut.
pub fn cut(text: &mut String, lines_max: usize, bytes_max: usize) -> bool {
    let all = text.lines().count();
    let mut kept = 0;
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        if kept >= lines_max || end + line.len() > bytes_max {
            break;
        }
        kept += 1;
        end += line.len();
    }
    if end == text.len() {
        return false;
    }
    if kept == 0 {
        end = text.floor_char_boundary(bytes_max);
    }
    text.truncate(end);
    let _ = write!(text, "\n({} more lines are not shown)", all - kept);
    true
}

#[cfg(test)]
mod tests {
    use super::{cut, text};
    use serde_json::json;
    use std::path::Path;

    #[test]
    fn answers_are_lines() {
        let at = |line: u64| json!({"start": {"line": line, "character": 4}, "end": {"line": line, "character": 5}});
        let shown = |found| text(&found, Path::new("/p"));
        let places = json!([
            {"uri": "file:///p/a.rs", "range": at(1)},
            {"targetUri": "file:///q/b.rs", "targetRange": at(8), "targetSelectionRange": at(9)},
        ]);
        assert_eq!(shown(places), "a.rs:2:5\n/q/b.rs:10:5");
        let hover =
            json!({"contents": ["one", {"language": "rust", "value": "two"}], "range": at(1)});
        assert_eq!(shown(hover), "one\ntwo");
        let symbols = json!([{
            "name": "S", "kind": 23, "range": at(0), "selectionRange": at(1),
            "children": [{"name": "f", "kind": 6, "range": at(2), "selectionRange": at(2)}],
        }, {"name": "g", "kind": 99, "containerName": "m", "location": {"uri": "file:///p/c.rs", "range": at(3)}}]);
        assert_eq!(
            shown(symbols),
            "struct S 2:5\n  method f 3:5\nsymbol g in m c.rs:4:5"
        );
        let calls = json!([{"from": {"name": "h", "kind": 12, "uri": "file:///p/d.rs", "range": at(0), "selectionRange": at(0)}, "fromRanges": []}]);
        assert_eq!(shown(calls), "function h d.rs:1:5");
        assert_eq!(shown(json!([1, "x", {"range": 3}])), "");
    }

    #[test]
    fn long_answers_are_cut() {
        let mut long = "line\n".repeat(100);
        assert!(cut(&mut long, 10, 1_000));
        assert!(long.ends_with("line\n\n(90 more lines are not shown)"));
        let mut wide = "ü".repeat(100);
        assert!(cut(&mut wide, 10, 11) && wide.starts_with("üüüüü\n"));
        let mut short = "a\nb".to_owned();
        assert!(!cut(&mut short, 2, 3));
    }
}

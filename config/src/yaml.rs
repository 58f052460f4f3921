//! YAML as people write it in the heads of markdown files.
//!
//! A library reads it. Many files in the wild are no YAML, though their programs take them: a text with `: ` in it, a name
//! that begins with `*` or `@`, `[file] [line]`. Where the whole cannot be read, the lines that cannot be read on their own
//! get the quotes that their authors left out, and nothing else about them changes.

use serde_json::{Map, Value};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Options, alias_limits, budget, options};

const DEPTH_MAX: usize = 16;
const NODES_MAX: usize = 10_000;

/// Reads the fields of a text. The error is a sentence with the line, counted in this text.
pub(crate) fn fields(text: &str) -> Result<Map<String, Value>, String> {
    let value = match read(text) {
        Ok(value) => value,
        // What is wrong is told of what its author wrote, not of what became of it.
        Err(error) => read(&with_quotes(text)).map_err(|_| error)?,
    };
    match value {
        Value::Object(fields) => Ok(fields),
        Value::Null => Ok(Map::new()),
        _ => Err("it is not fields, each `name: value`".into()),
    }
}

fn read(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str_with_options(text, dialect()).map_err(|error| for_people(&error))
}

/// The library's sentence without its advice to programmers.
fn for_people(error: &serde_saphyr::Error) -> String {
    const ADVICE: &str = ", set DuplicateKeyPolicy in Options if acceptable";
    error.to_string().replace(ADVICE, "")
}

/// YAML 1.2, each field once: of two with one name, the one that forbids could be the one that is lost.
fn dialect() -> Options {
    options! {
        // Aliases may not make much out of little: a "billion laughs" ends here.
        budget: budget! {
            max_depth: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_events: 2 * NODES_MAX,
            max_documents: 1,
        },
        alias_limits: alias_limits! {
            max_total_replayed_events: NODES_MAX,
            max_replay_stack_depth: DEPTH_MAX,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
        underscored_numbers_as_strings: true,
        leading_zero_numbers_as_strings: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

/// The text with quotes around what is no YAML by itself, line by line.
fn with_quotes(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    let mut block: Option<usize> = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start_matches(' ').len();
        let is_empty = line.trim().is_empty();
        if block.is_some_and(|outer| is_empty || indent > outer) {
            // A line of a `|` or `>` text.
            out.push_str(line);
        } else {
            block = begins_block(line).then_some(indent);
            out.push_str(&line[..indent]);
            let rest = line[indent..].trim_end();
            match names_anchor(rest, text) {
                true => out.push_str(rest),
                false => out.push_str(&quoted_line(rest)),
            }
        }
        out.push('\n');
    }
    out
}

/// Whether the line refers to something that the text defines: it cannot be read on its own and is fine nevertheless.
fn names_anchor(line: &str, text: &str) -> bool {
    line.split('*').skip(1).any(|rest| {
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
        let name = &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())];
        !name.is_empty() && text.contains(&format!("&{name}"))
    })
}

fn begins_block(line: &str) -> bool {
    let value = split_key(line.trim()).map_or(line.trim(), |(_, value)| value);
    let mark = value.split(" #").next().unwrap_or_default().trim_end();
    mark.starts_with(['|', '>']) && mark.len() <= 3 && !mark[1..].contains(char::is_alphabetic)
}

/// One line without its indentation, with the quotes that it lacks.
fn quoted_line(line: &str) -> String {
    if let Some(rest) = line.strip_prefix("- ") {
        return format!("- {}", quoted_line(rest.trim_start()));
    }
    if line.is_empty() || line.starts_with('#') || goes_on(line) {
        return line.to_owned();
    }
    let Some((key, value)) = split_key(line) else {
        // An item of a list, or a line of a text that goes on.
        return if is_field(&format!("x: {line}")) {
            line.to_owned()
        } else {
            quoted(line)
        };
    };
    if goes_on(value) {
        return line.to_owned();
    }
    let candidates = [
        line.to_owned(),
        format!("{}: {value}", quoted(key)),
        format!("{key}: {}", quoted(value)),
        format!("{}: {}", quoted(key), quoted(value)),
    ];
    let first = candidates.iter().find(|candidate| is_field(candidate));
    first.cloned().unwrap_or_else(|| line.to_owned())
}

/// Whether a quote or bracket is open at the end, so that the value stands on further lines.
fn goes_on(value: &str) -> bool {
    match value.chars().next() {
        Some('"') => value.len() == 1 || !value[1..].contains('"'),
        Some('\'') => value.len() == 1 || !value[1..].contains('\''),
        Some('[') => !value.contains(']'),
        Some('{') => !value.contains('}'),
        _ => false,
    }
}

fn is_field(line: &str) -> bool {
    matches!(read(line), Ok(Value::Object(fields)) if fields.len() == 1)
}

/// `name: value` in two, at the first colon that a blank or the end follows.
fn split_key(line: &str) -> Option<(&str, &str)> {
    let end = line
        .find(": ")
        .or_else(|| line.strip_suffix(':').map(str::len))?;
    Some((line[..end].trim(), line[end + 1..].trim()))
}

/// In single quotes, without a comment behind it.
fn quoted(text: &str) -> String {
    let text = text.find(" #").map_or(text, |end| text[..end].trim_end());
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(text: &str) -> Value {
        Value::Object(fields(text).unwrap_or_else(|error| panic!("{error}:\n{text}")))
    }

    #[test]
    fn what_is_no_yaml_but_meant_is_read() {
        for (text, expected) in [
            (
                "a: Use when: asked # really",
                json!({"a": "Use when: asked"}),
            ),
            ("a: [file] [line]", json!({"a": "[file] [line]"})),
            ("a: [--force] # yes", json!({"a": ["--force"]})),
            (
                "a: @someone\nb: `code`\nc: %x",
                json!({"a": "@someone", "b": "`code`", "c": "%x"}),
            ),
            (
                "a: *.ts\nb: **/*.rs,*.toml",
                json!({"a": "*.ts", "b": "**/*.rs,*.toml"}),
            ),
            (
                "a:\n  *: ask\n  git *: allow\n  *.env: deny",
                json!({"a": {"*": "ask", "git *": "allow", "*.env": "deny"}}),
            ),
            ("a:\n- @x\n- - *\n- ok", json!({"a": ["@x", ["*"], "ok"]})),
            ("a: \"x\" and y", json!({"a": "\"x\" and y"})),
            ("a: it's: fine", json!({"a": "it's: fine"})),
            ("a: !important", json!({"a": "!important"})),
            (
                "a: |\n  *x: y\n  @z\nb: x: y",
                json!({"a": "*x: y\n@z\n", "b": "x: y"}),
            ),
            (
                "a: >-\n  one\n\n  two: 2\nb: @",
                json!({"a": "one\ntwo: 2", "b": "@"}),
            ),
            ("a:\tx", json!({"a": "x"})),
            ("a: &x 1\nb: *x\nc: @y", json!({"a": 1, "b": 1, "c": "@y"})),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_yaml_is_read_as_such() {
        for (text, expected) in [
            ("", json!({})),
            ("# nothing", json!({})),
            (
                "a: yes\nb: on\nc: True\nd: 1_000\ne: 007\nf: 1e3",
                json!({"a": "yes", "b": "on", "c": true, "d": "1_000", "e": "007", "f": 1000.0}),
            ),
            ("a: &x {b: 1}\nc: *x", json!({"a": {"b": 1}, "c": {"b": 1}})),
            (
                "a: &x {b: 1}\nc:\n  <<: *x\n  d: 2",
                json!({"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
            ),
            (
                "a: .nan\nb: 2024-01-31\nc: ~\nd:",
                json!({"a": ".nan", "b": "2024-01-31", "c": null, "d": null}),
            ),
            (
                "a: \"x\\ny\"\n'b c': [1, {d: 2}]",
                json!({"a": "x\ny", "b c": [1, {"d": 2}]}),
            ),
            ("1: x", json!({"1": "x"})),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
    }

    #[test]
    fn what_could_be_misread_is_refused() {
        for text in [
            "a: 1\nb: 2\na: 3",
            "a: 1\n  b: 2",
            "a:\n  b: 1\n c: 2",
            "- a",
            "just text",
            "a: \"open",
            "a: 1\n---\nb: 2",
            "a: *missing\nb: [",
        ] {
            assert!(fields(text).is_err(), "{text}: {:?}", fields(text));
        }
        assert!(fields("a: 1\n\tb: 2\nc: [").unwrap_err().contains("line"));
        let twice = fields("a: 1\na: 2").unwrap_err();
        assert!(
            twice.contains("duplicate") && !twice.contains("Options"),
            "{twice}"
        );
    }

    #[test]
    fn aliases_cannot_grow_without_bound() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..9 {
            let below = format!("*a{}", level - 1);
            let list = vec![below; 10].join(",");
            bomb.push_str(&format!("a{level}: &a{level} [{list}]\n"));
        }
        assert!(fields(&bomb).is_err());
        let deep = format!("a: {}{}", "[".repeat(100), "]".repeat(100));
        assert!(fields(&deep).is_err() || of(&deep)["a"].is_string());
    }
}

//! The head of a markdown file: YAML between two lines of `---`.

use crate::yaml;
use serde_json::{Map, Value};

/// A markdown file, taken apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// The head's fields; empty without a head.
    pub fields: Map<String, Value>,
    /// The text below it, without blank lines around.
    pub body: String,
}

/// Takes a file apart. The error is a sentence that names the line of the file.
pub fn parse(text: &str) -> Result<Document, String> {
    let text = text.replace("\r\n", "\n");
    let Some((head, body)) = split(&text)? else {
        return Ok(Document {
            fields: Map::new(),
            body: text.trim().to_owned(),
        });
    };
    // The empty line stands for the mark, so that lines are counted as in the file.
    let mut fields =
        yaml::fields(&format!("\n{head}")).map_err(|error| format!("head: {error}"))?;
    for value in fields.values_mut() {
        // The line end of a `|` or `>` text belongs to the file, not to a description.
        if let Value::String(text) = value {
            text.truncate(text.trim_end().len());
        }
    }
    Ok(Document {
        fields,
        body: body.trim().to_owned(),
    })
}

/// Head and body; `None` for a file without a head.
fn split(text: &str) -> Result<Option<(&str, &str)>, String> {
    let Some((first, rest)) = text.split_once('\n') else {
        return Ok(None);
    };
    if first.trim_end() != MARK {
        return Ok(None);
    }
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == MARK {
            return Ok(Some((&rest[..at], &rest[at + line.len()..])));
        }
        at += line.len();
    }
    // A line above a text is no head, but fields without an end are one whose rules would be lost.
    if rest.lines().next().is_some_and(is_field) {
        return Err("the head has no line `---` at its end".into());
    }
    Ok(None)
}

const MARK: &str = "---";

fn is_field(line: &str) -> bool {
    let name = line.split_once(':').map_or("", |(name, _)| name);
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-\"'".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(head: &str) -> Value {
        Value::Object(parse(&format!("---\n{head}\n---\nBody\n")).unwrap().fields)
    }

    #[test]
    fn scalars_lists_and_maps_as_people_write_them() {
        assert_eq!(
            fields(
                "description: Use when: asked # really\nmode: primary\ntemperature: 0.25\nsteps: 12\nhidden: false\nmodel:\n\
                 permission:\n  bash:\n    \"*\": ask\n    'git *': allow\n  edit: deny\n\
                 tools: {\"write\": false}\nlist: [a, b c, 3]\nnames:\n- x\n- 'y''s'\nversion: 1.2.3\ncolor: \"#ff0000\" # red\nhint: [file] [line]\nflow: [x] # y"
            ),
            json!({
                "description": "Use when: asked", "mode": "primary", "temperature": 0.25, "steps": 12, "hidden": false,
                "model": null, "permission": {"bash": {"*": "ask", "git *": "allow"}, "edit": "deny"},
                "tools": {"write": false}, "list": ["a", "b c", 3], "names": ["x", "y's"], "version": "1.2.3",
                "color": "#ff0000", "hint": "[file] [line]", "flow": ["x"]
            })
        );
    }

    #[test]
    fn blocks_and_long_texts() {
        assert_eq!(
            fields(
                "a: |\n  one\n    two\n\n  three\nb: >-\n  one\n  two\nc: one\n  two:three\nd: x"
            ),
            json!({"a": "one\n  two\n\nthree", "b": "one two", "c": "one two:three", "d": "x"})
        );
    }

    #[test]
    fn a_file_without_head_is_all_body_and_windows_lines_are_fine() {
        assert_eq!(
            parse("# T\n---\nx").unwrap(),
            Document {
                fields: Map::new(),
                body: "# T\n---\nx".into()
            }
        );
        let document = parse("---\r\na: 1\r\n---\r\n\r\nText\r\n").unwrap();
        assert_eq!(
            (document.fields["a"].clone(), document.body.as_str()),
            (json!(1), "Text")
        );
        assert_eq!(parse("---\na: 1\n---").unwrap().body, "");
    }

    #[test]
    fn what_is_not_understood_names_its_line() {
        let error = |head: &str| parse(&format!("---\n{head}\n---\n")).unwrap_err();
        assert!(error("a: 1\njust text").contains("line 3"));
        assert!(error("a: 1\n  b: 2").contains("line 3"));
        assert!(error("- a").contains("fields"));
        assert!(error("a: \"open").contains("line"));
    }

    #[test]
    fn a_head_needs_an_end_and_a_rule_above_a_text_is_none() {
        assert!(parse("---\npermission: deny\n").is_err());
        assert!(parse("---\n\"permission\": deny").is_err());
        assert_eq!(parse("---\nSome text.\n").unwrap().fields, Map::new());
        let document = parse("--- \na: 1\n---\t\nText").unwrap();
        assert_eq!(
            (document.fields["a"].clone(), document.body.as_str()),
            (json!(1), "Text")
        );
    }
}

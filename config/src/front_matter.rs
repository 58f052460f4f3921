//! The head of a markdown file: the small part of YAML that people use there.
//!
//! Understood: scalars, quoted texts, numbers, booleans, `null`, maps and lists by indentation (4 levels), `[a, b]` and
//! `{"a": 1}` on one line, `|` and `>` blocks, texts that go on in indented lines. Not understood, and reported: anchors,
//! tags, several documents. A value may hold `: ` without quotes, as many files in the wild do.

use serde_json::{Map, Value};

const DEPTH_MAX: usize = 4;

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
    let Some((head, body)) = split(&text) else {
        return Ok(Document {
            fields: Map::new(),
            body: text.trim().to_owned(),
        });
    };
    let lines: Vec<Line<'_>> = head
        .lines()
        .enumerate()
        .map(|(index, text)| Line::of(index + 2, text))
        .collect();
    let mut reader = Reader {
        lines: &lines,
        next: 0,
    };
    let fields = match reader.block(0, 0)? {
        Value::Object(fields) => fields,
        Value::Null => Map::new(),
        _ => return Err("the head is a list, not fields".into()),
    };
    match reader.peek() {
        Some(line) => Err(format!("line {}: unexpected indentation", line.number)),
        None => Ok(Document {
            fields,
            body: body.trim().to_owned(),
        }),
    }
}

fn split(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("---\n")?;
    if let Some(body) = rest.strip_prefix("---\n") {
        return Some(("", body));
    }
    match rest.find("\n---\n") {
        Some(end) => Some((&rest[..end], &rest[end + 5..])),
        None => Some((rest.strip_suffix("\n---")?, "")),
    }
}

struct Line<'a> {
    number: usize,
    indent: usize,
    raw: &'a str,
    /// Without indentation and trailing space.
    text: &'a str,
}

impl<'a> Line<'a> {
    fn of(number: usize, raw: &'a str) -> Self {
        let text = raw.trim_start_matches(' ');
        Self {
            number,
            indent: raw.len() - text.len(),
            raw,
            text: text.trim_end(),
        }
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty() || self.text.starts_with('#')
    }
}

struct Reader<'a> {
    lines: &'a [Line<'a>],
    next: usize,
}

impl<'a> Reader<'a> {
    fn peek(&mut self) -> Option<&'a Line<'a>> {
        while self.lines.get(self.next).is_some_and(Line::is_empty) {
            self.next += 1;
        }
        self.lines.get(self.next)
    }

    /// The map or list whose lines are indented by at least `indent`.
    fn block(&mut self, indent: usize, depth: usize) -> Result<Value, String> {
        let Some(first) = self.peek().filter(|line| line.indent >= indent) else {
            return Ok(Value::Null);
        };
        if depth >= DEPTH_MAX {
            return Err(format!(
                "line {}: nested deeper than {DEPTH_MAX} levels",
                first.number
            ));
        }
        if item(first.text).is_some() {
            self.list(first.indent)
        } else {
            self.map(first.indent, depth)
        }
    }

    fn list(&mut self, indent: usize) -> Result<Value, String> {
        let mut list = Vec::new();
        while let Some(line) = self.peek().filter(|line| line.indent == indent) {
            let Some(text) = item(line.text) else { break };
            self.next += 1;
            list.push(scalar(text, line.number)?);
        }
        Ok(Value::Array(list))
    }

    fn map(&mut self, indent: usize, depth: usize) -> Result<Value, String> {
        let mut fields = Map::new();
        while let Some(line) = self.peek().filter(|line| line.indent == indent) {
            let (key, rest) = key(line.text)
                .ok_or_else(|| format!("line {}: expected `name: value`", line.number))?;
            self.next += 1;
            let value = match rest {
                "" => self.below(indent, depth)?,
                "|" | "|-" | "|+" => self.literal(indent, "\n"),
                ">" | ">-" | ">+" => self.literal(indent, " "),
                rest => self.text_going_on(rest, line)?,
            };
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }

    /// What stands below `key:`. A list may stand at the key's own indentation.
    fn below(&mut self, indent: usize, depth: usize) -> Result<Value, String> {
        match self.peek() {
            Some(line) if line.indent == indent && item(line.text).is_some() => self.list(indent),
            _ => self.block(indent + 1, depth + 1),
        }
    }

    fn literal(&mut self, indent: usize, joint: &str) -> Value {
        let (mut lines, mut inner) = (Vec::new(), None);
        while let Some(line) = self.lines.get(self.next) {
            if !line.text.is_empty() && line.indent <= indent {
                break;
            }
            let cut = *inner.get_or_insert(line.indent);
            lines.push(line.raw.get(cut..).unwrap_or_default().trim_end());
            self.next += 1;
        }
        Value::String(lines.join(joint).trim_end().to_owned())
    }

    fn text_going_on(&mut self, first: &str, line: &Line<'_>) -> Result<Value, String> {
        let mut text = first.to_owned();
        while let Some(more) = self.peek().filter(|more| more.indent > line.indent) {
            // A field below a value is a mistake in the indentation, and nothing to guess about in a rule.
            if key(more.text).is_some() {
                return Err(format!("line {}: a field below a value", more.number));
            }
            text.push(' ');
            text.push_str(more.text);
            self.next += 1;
        }
        scalar(&text, line.number)
    }
}

fn item(text: &str) -> Option<&str> {
    if text == "-" {
        Some("")
    } else {
        text.strip_prefix("- ").map(str::trim)
    }
}

/// Splits `name: value`; the name may be quoted.
fn key(text: &str) -> Option<(String, &str)> {
    for quote in ['"', '\''] {
        if let Some(rest) = text.strip_prefix(quote) {
            let end = rest.find(quote)?;
            let after = rest[end + 1..].trim_start().strip_prefix(':')?;
            return Some((rest[..end].to_owned(), without_comment(after)));
        }
    }
    let end = text
        .find(": ")
        .or_else(|| text.strip_suffix(':').map(str::len))?;
    let name = text[..end].trim();
    (!name.is_empty()).then(|| (name.to_owned(), without_comment(&text[end + 1..])))
}

/// Drops a trailing ` # comment` of a value that is not quoted.
fn without_comment(value: &str) -> &str {
    let value = value.trim();
    if value.starts_with(['"', '\'']) {
        return value;
    }
    if value.starts_with(['[', '{']) {
        return value.rfind([']', '}']).map_or(value, |end| &value[..=end]);
    }
    if value.starts_with('#') {
        return "";
    }
    value
        .find(" #")
        .map_or(value, |end| value[..end].trim_end())
}

fn scalar(text: &str, line: usize) -> Result<Value, String> {
    let text = text.trim();
    let fail = |what: String| format!("line {line}: {what}");
    Ok(match text {
        "" | "~" | "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        // `[file] [line]` and the like are meant as texts; a place that wants a list or a map says so later.
        _ if text.starts_with(['{', '[']) => crate::jsonc::parse(text)
            .ok()
            .or_else(|| plain_list(text))
            .unwrap_or_else(|| Value::String(text.to_owned())),
        _ if text.starts_with('"') => {
            let end = closing(text).ok_or_else(|| fail("a quote is not closed".into()))?;
            serde_json::from_str(&text[..=end]).map_err(|error| fail(error.to_string()))?
        }
        _ if text.starts_with('\'') => {
            let inner = text[1..]
                .rfind('\'')
                .ok_or_else(|| fail("a quote is not closed".into()))?;
            Value::String(text[1..=inner].replace("''", "'"))
        }
        _ if text.starts_with(['&', '*', '!']) => {
            return Err(fail("anchors and tags are not understood".into()));
        }
        _ => number(text).unwrap_or_else(|| Value::String(text.to_owned())),
    })
}

/// The position of the quote that closes a text in double quotes.
fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

/// `[a, b c, 3]`.
fn plain_list(text: &str) -> Option<Value> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    if inside.contains(['[', ']', '{']) {
        return None;
    }
    let items = inside
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty());
    Some(Value::Array(
        items.filter_map(|item| scalar(item, 0).ok()).collect(),
    ))
}

fn number(text: &str) -> Option<Value> {
    let looks_right = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E'));
    if !looks_right || !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    serde_json::Number::from_f64(text.parse().ok()?).map(Value::Number)
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
        assert!(error("a:\n  b: 1\n c: 2").contains("line 4"));
        assert!(error("- a").contains("list"));
        assert!(error("a: &x 1").contains("line 2"));
        assert!(error("a: \"open").contains("line 2"));
        assert!(error("a:\n b:\n  c:\n   d:\n    e: 1").contains("levels"));
    }
}

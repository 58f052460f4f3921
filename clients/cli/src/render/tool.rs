//! A tool call in a few lines: a mark, what it did, how long it took; the diff of an edit, the end of a command's output.

use crate::render::diff;
use crate::terminal::{Terminal, fit, harmless};
use crate::time::duration;
use kilo_protocol::model::{ToolPart, ToolState};
use serde_json::{Map, Value};

/// How much is shown below the line itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detail {
    /// Changed lines of an edit.
    pub diff_lines: usize,
    /// Last lines of a command's output.
    pub output_lines: usize,
}

impl Detail {
    /// For a person who watches.
    pub const SHORT: Self = Self {
        diff_lines: 12,
        output_lines: 4,
    };
}

/// What a running call does, for a spinner: `bash cargo test`.
pub fn running(part: &ToolPart) -> String {
    let input = part.state.input();
    fit(
        &harmless(&format!(
            "{} {}",
            label(&part.tool),
            subject(&part.tool, input)
        )),
        200,
    )
}

/// The lines of a finished call; none while it is not finished.
pub fn lines(part: &ToolPart, detail: Detail, terminal: Terminal) -> Vec<String> {
    match &part.state {
        ToolState::Pending { .. } | ToolState::Running { .. } => Vec::new(),
        ToolState::Completed {
            input,
            output,
            title,
            metadata,
            time,
            ..
        } => {
            let failed = exit_of(metadata).is_some_and(|code| code != 0);
            let mark = if failed {
                terminal.red("✗")
            } else {
                terminal.green("✓")
            };
            let about = about(&part.tool, input, title);
            let notes = notes(metadata, time.end.saturating_sub(time.start));
            let mut lines = vec![head(&mark, &part.tool, &about, &notes, terminal)];
            lines.extend(diff::short(
                patch(metadata).unwrap_or_default(),
                detail.diff_lines,
                terminal,
            ));
            if part.tool == "bash" {
                lines.extend(tail(output, metadata, detail.output_lines, terminal));
            }
            lines
        }
        ToolState::Error {
            input, error, time, ..
        } => {
            let about = about(&part.tool, input, "");
            let took = duration(time.end.saturating_sub(time.start));
            let why = fit(&harmless(error), terminal.width.saturating_sub(6));
            vec![
                head(&terminal.red("✗"), &part.tool, &about, &took, terminal),
                format!("      {}", terminal.red(&why)),
            ]
        }
    }
}

fn head(mark: &str, tool: &str, about: &str, notes: &str, terminal: Terminal) -> String {
    let label = label(tool);
    let taken = 4 + label.chars().count() + 2 + notes.chars().count();
    let about = fit(
        &harmless(about),
        terminal.width.saturating_sub(taken).max(16),
    );
    let line = format!("  {mark} {} {about}", terminal.bold(&label));
    format!("{}  {}", line.trim_end(), terminal.dim(notes))
}

fn label(tool: &str) -> String {
    match tool {
        "bash" => "$".into(),
        "todowrite" => "Todos".into(),
        "webfetch" => "Fetch".into(),
        "apply_patch" => "Patch".into(),
        other => {
            let mut letters = other.chars();
            letters.next().map_or_else(String::new, |first| {
                first.to_uppercase().chain(letters).collect()
            })
        }
    }
}

fn about(tool: &str, input: &Value, title: &str) -> String {
    let subject = subject(tool, input);
    if tool == "bash" || title.is_empty() {
        subject
    } else {
        title.to_owned()
    }
}

/// What a call is about, from its arguments.
fn subject(tool: &str, input: &Value) -> String {
    let keys: &[&str] = match tool {
        "bash" => &["command", "description"],
        "grep" | "glob" => &["pattern", "path"],
        _ => &[
            "filePath",
            "path",
            "description",
            "url",
            "query",
            "name",
            "prompt",
        ],
    };
    let found = keys.iter().find_map(|key| input.get(*key)?.as_str());
    found.unwrap_or_default().to_owned()
}

fn notes(metadata: &Map<String, Value>, took_ms: u64) -> String {
    let mut notes = Vec::new();
    if let Some(code) = exit_of(metadata).filter(|code| *code != 0) {
        notes.push(format!("exit {code}"));
    }
    if let Some(patch) = patch(metadata) {
        let (added, removed) = diff::count(patch);
        notes.push(format!("+{added} -{removed}"));
    }
    notes.push(duration(took_ms));
    notes.join(", ")
}

/// The exit code of a command, if this was one.
pub fn exit_of(metadata: &Map<String, Value>) -> Option<i64> {
    metadata.get("exit")?.as_i64()
}

/// The unified diff of a call that changed a file.
pub fn patch(metadata: &Map<String, Value>) -> Option<&str> {
    let stored = metadata.get("filediff").and_then(|diff| diff.get("patch"));
    stored
        .or_else(|| metadata.get("diff"))?
        .as_str()
        .filter(|text| !text.is_empty())
}

fn tail(
    output: &str,
    metadata: &Map<String, Value>,
    lines_max: usize,
    terminal: Terminal,
) -> Vec<String> {
    let output = metadata
        .get("output")
        .and_then(Value::as_str)
        .unwrap_or(output);
    let all: Vec<&str> = output
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let skipped = all.len().saturating_sub(lines_max);
    let mut lines = Vec::new();
    if skipped > 0 && lines_max > 0 {
        lines.push(terminal.dim(&format!("      … {skipped} lines above")));
    }
    for line in &all[skipped..] {
        let text = harmless(line).replace('\t', "    ");
        lines.push(terminal.dim(&format!(
            "      {}",
            fit(&text, terminal.width.saturating_sub(6))
        )));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(part: Value) -> String {
        let part: ToolPart = serde_json::from_value(part).expect("a tool part");
        lines(&part, Detail::SHORT, Terminal::plain()).join("\n")
    }

    #[test]
    fn a_read_is_one_line() {
        let part = json!({"callID": "c", "tool": "read", "state": {"status": "completed", "input": {"filePath": "/p/a.sh"},
            "output": "…", "title": "a.sh", "metadata": {"truncated": false}, "time": {"start": 5, "end": 17}}});
        assert_eq!(shown(part), "  ✓ Read a.sh  12 ms");
    }

    #[test]
    fn a_failed_command_shows_its_end() {
        let part = json!({"callID": "c", "tool": "bash", "state": {"status": "completed", "input": {"command": "sh test.sh"},
            "output": "1\n2\n3\n4\n5\n", "title": "runs the tests", "metadata": {"exit": 1, "output": "1\n2\n3\n4\n5\n"},
            "time": {"start": 0, "end": 1500}}});
        assert_eq!(
            shown(part),
            "  ✗ $ sh test.sh  exit 1, 1.5 s\n      … 1 lines above\n      2\n      3\n      4\n      5"
        );
    }

    #[test]
    fn an_edit_shows_its_diff() {
        let part = json!({"callID": "c", "tool": "edit", "state": {"status": "completed", "input": {"filePath": "/p/a.sh"},
            "output": "done", "title": "a.sh",
            "metadata": {"filediff": {"patch": "--- a\n+++ a\n@@ -1,1 +1,1 @@\n-old\n+new\n"}}, "time": {"start": 0, "end": 3}}});
        assert_eq!(
            shown(part),
            "  ✓ Edit a.sh  +1 -1, 3 ms\n    1 - old\n    1 + new"
        );
    }

    #[test]
    fn a_failure_says_why_and_cannot_move_the_cursor() {
        let part = json!({"callID": "c", "tool": "webfetch", "state": {"status": "error", "input": {"url": "http://x"},
            "error": "no \u{1b}[2J such\nhost", "time": {"start": 0, "end": 3}}});
        assert_eq!(shown(part), "  ✗ Fetch http://x  3 ms\n      no ?[2J such…");
    }
}

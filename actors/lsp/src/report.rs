//! What the model and clients are told after an edit: what is new, errors first, and where else it broke something.

use crate::look::{Looked, new_ones};
use crate::problems::weight;
use lsp_types::{Diagnostic, NumberOrString};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Problems of one file that are shown.
pub const SHOWN_MAX: usize = 20;
/// Other files with new errors that are named.
pub const OTHERS_MAX: usize = 5;
/// Errors from before the edit that are named.
const OLD_MAX: usize = 3;
/// Characters of a message that are shown.
const MESSAGE_CHARS: usize = 400;

/// What came of a look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// By file (absolute): its problems as the protocol has them, errors first, at most 20; files without any are not in it.
    pub diagnostics: Map<String, Value>,
    /// For the model; `None` where there is nothing to say.
    pub note: Option<String>,
}

/// What all servers together say of one file.
#[derive(Default)]
struct Seen {
    all: Vec<Diagnostic>,
    new: Vec<Diagnostic>,
    /// It was written.
    is_written: bool,
}

/// Puts the looks of all servers together; `notes` come last.
pub fn report(directory: &Path, looks: &[Looked], notes: Vec<String>) -> Report {
    let mut files: BTreeMap<&PathBuf, Seen> = BTreeMap::new();
    for look in looks {
        for path in &look.files {
            files.entry(path).or_default().is_written = true;
        }
        for (path, list) in &look.after {
            let before = look.before.get(path);
            let new = new_ones(before.map(|list| &**list).unwrap_or_default(), list);
            let is_written = look.files.contains(path);
            if !is_written && !new.iter().any(|one| weight(one) == 1) {
                continue;
            }
            let seen = files.entry(path).or_default();
            seen.new.extend(new.into_iter().cloned());
            seen.all.extend(list.iter().cloned());
        }
    }
    let (mut diagnostics, mut texts, mut others) = (Map::new(), Vec::new(), Vec::new());
    for (path, seen) in &mut files {
        seen.all.sort_by_key(|one| (weight(one), one.range.start));
        seen.new.sort_by_key(|one| (weight(one), one.range.start));
        let shown = path
            .strip_prefix(directory)
            .unwrap_or(path)
            .display()
            .to_string();
        if !seen.is_written {
            others.push((path, shown, seen));
            continue;
        }
        add(&mut diagnostics, path, &seen.all);
        texts.extend(written(&shown, seen));
    }
    if !others.is_empty() {
        texts.push(elsewhere(&mut diagnostics, &others));
    }
    texts.extend(notes);
    Report {
        diagnostics,
        note: (!texts.is_empty()).then(|| texts.join("\n")),
    }
}

fn add(diagnostics: &mut Map<String, Value>, path: &Path, all: &[Diagnostic]) {
    let list: Vec<Value> = all
        .iter()
        .take(SHOWN_MAX)
        .filter_map(|one| serde_json::to_value(one).ok())
        .collect();
    if !list.is_empty() {
        diagnostics.insert(path.display().to_string(), list.into());
    }
}

/// What a written file has: the new errors and warnings, and that old ones are still there.
fn written(shown: &str, seen: &Seen) -> Option<String> {
    let is_told = |one: &&Diagnostic| weight(one) <= 2;
    let new: Vec<&Diagnostic> = seen.new.iter().filter(is_told).collect();
    let mut text = String::new();
    if !new.is_empty() {
        let _ = write!(text, "New problems in {shown}:");
        for one in new.iter().take(SHOWN_MAX) {
            let _ = write!(text, "\n{}", line(one));
        }
        if let Some(rest) = new.get(SHOWN_MAX..).filter(|rest| !rest.is_empty()) {
            let _ = write!(text, "\nNot shown: {}.", counted(rest));
        }
    }
    let mut left: Vec<&Diagnostic> = seen.new.iter().collect();
    let mut old: Vec<&Diagnostic> = Vec::new();
    for one in seen.all.iter().filter(is_told) {
        match left.iter().position(|new| *new == one) {
            Some(at) => {
                left.swap_remove(at);
            }
            None => old.push(one),
        }
    }
    if !old.is_empty() {
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = write!(
            text,
            "Still in {shown} from before the edit: {}.",
            counted(&old)
        );
        let errors = old.iter().filter(|one| weight(one) == 1);
        for one in errors.take(OLD_MAX) {
            let _ = write!(text, "\n{}", line(one));
        }
    }
    (!text.is_empty()).then_some(text)
}

/// Other files in which the edit made errors.
fn elsewhere(
    diagnostics: &mut Map<String, Value>,
    others: &[(&&PathBuf, String, &mut Seen)],
) -> String {
    let mut text = "The edit made errors in other files:".to_owned();
    for (path, shown, seen) in others.iter().take(OTHERS_MAX) {
        add(diagnostics, path, &seen.all);
        let errors: Vec<_> = seen.new.iter().filter(|one| weight(one) == 1).collect();
        if let Some(first) = errors.first() {
            let _ = write!(
                text,
                "\n{shown}: {}, the first: {}",
                counted(&errors),
                line(first)
            );
        }
    }
    if others.len() > OTHERS_MAX {
        let _ = write!(text, "\nAnd in {} more.", others.len() - OTHERS_MAX);
    }
    text
}

/// `error at 2:1: message [source code]`.
fn line(one: &Diagnostic) -> String {
    let kind = match weight(one) {
        1 => "error",
        2 => "warning",
        3 => "information",
        _ => "hint",
    };
    let start = one.range.start;
    let words = one.message.split_whitespace().collect::<Vec<_>>().join(" ");
    let message: String = words.chars().take(MESSAGE_CHARS).collect();
    let code = match &one.code {
        Some(NumberOrString::Number(number)) => number.to_string(),
        Some(NumberOrString::String(text)) => text.clone(),
        None => String::new(),
    };
    let source = one.source.as_deref().unwrap_or_default();
    let from = format!("{source} {code}");
    let from = match from.trim() {
        "" => String::new(),
        from => format!(" [{}]", from.chars().take(80).collect::<String>()),
    };
    let (row, column) = (
        start.line.saturating_add(1),
        start.character.saturating_add(1),
    );
    format!("{kind} at {row}:{column}: {message}{from}")
}

/// `2 errors, 1 warning`.
fn counted(list: &[&Diagnostic]) -> String {
    let errors = list.iter().filter(|one| weight(one) == 1).count();
    let parts = [(errors, "error"), (list.len() - errors, "warning")];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let named = parts.map(|(count, name)| match count {
        1 => format!("1 {name}"),
        count => format!("{count} {name}s"),
    });
    named.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::report;
    use crate::look::Looked;
    use crate::problems::{List, list_of};
    use serde_json::{Value, json};
    use std::collections::HashMap;
    use std::path::{Path, PathBuf};

    fn list(items: &[(u64, u64, &str)]) -> List {
        let item = |(line, severity, message): &(u64, u64, &str)| {
            let at = json!({"line": line, "character": 0});
            json!({"range": {"start": at, "end": at}, "severity": severity, "message": message, "source": "s", "code": 7})
        };
        list_of(Some(Value::Array(items.iter().map(item).collect())))
    }

    fn looked(before: &[(&str, List)], after: &[(&str, List)]) -> Looked {
        let map = |all: &[(&str, List)]| -> HashMap<PathBuf, List> {
            let entries = all.iter().map(|(path, list)| (path.into(), list.clone()));
            entries.collect()
        };
        Looked {
            files: vec!["/p/a.c".into()],
            before: map(before),
            after: map(after),
            busy: None,
            is_complete: true,
        }
    }

    #[test]
    fn only_what_is_new_is_listed_and_the_rest_counted() {
        let before = list(&[(1, 1, "old"), (9, 2, "unused")]);
        let after = list(&[
            (5, 1, "old"),
            (3, 2, "careless"),
            (7, 1, "new\n  error"),
            (8, 4, "hint"),
            (12, 2, "unused"),
        ]);
        let look = looked(
            &[("/p/a.c", before)],
            &[
                ("/p/a.c", after),
                ("/p/b.c", list(&[(0, 1, "broken"), (1, 1, "too")])),
                ("/p/c.c", list(&[(0, 2, "w")])),
            ],
        );
        let report = report(Path::new("/p"), &[look], vec!["A note.".into()]);
        let expected = "New problems in a.c:\nerror at 8:1: new error [s 7]\nwarning at 4:1: careless [s 7]\n\
            Still in a.c from before the edit: 1 error, 1 warning.\nerror at 6:1: old [s 7]\n\
            The edit made errors in other files:\nb.c: 2 errors, the first: error at 1:1: broken [s 7]\nA note.";
        assert_eq!(report.note.as_deref(), Some(expected));
        let keys: Vec<_> = report.diagnostics.keys().collect();
        assert_eq!(keys, ["/p/a.c", "/p/b.c"]);
        assert_eq!(report.diagnostics["/p/a.c"][0]["severity"], 1);
        assert_eq!(
            report.diagnostics["/p/a.c"].as_array().map(Vec::len),
            Some(5)
        );
    }

    #[test]
    fn many_are_cut_errors_first() {
        let mut many: Vec<(u64, u64, &str)> = (0..50).map(|line| (line, 2, "w")).collect();
        many.extend((50..55).map(|line| (line, 1, "e")));
        let look = looked(&[], &[("/p/a.c", list(&many))]);
        let report = report(Path::new("/p"), &[look], Vec::new());
        let note = report.note.expect("a note");
        assert_eq!(
            note.lines()
                .filter(|line| line.starts_with("error"))
                .count(),
            5
        );
        assert_eq!(note.lines().count(), 1 + 20 + 1);
        assert!(note.ends_with("Not shown: 35 warnings."), "{note}");
        assert_eq!(
            report.diagnostics["/p/a.c"].as_array().map(Vec::len),
            Some(20)
        );
        let clean = looked(&[("/p/a.c", list(&many))], &[]);
        assert_eq!(
            super::report(Path::new("/p"), &[clean], Vec::new()),
            super::Report::default()
        );
    }
}

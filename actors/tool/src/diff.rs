//! What a change looks like: a unified diff and its counts.

use crate::call::facts;
use serde_json::{Map, Value};
use similar::{ChangeTag, DiffOp, TextDiff};
use std::fmt::Write;
use std::time::Duration;

/// Unchanged lines around a change.
const CONTEXT_LINES: usize = 4;
/// Above this many characters on either side, a change is counted but not shown.
const SHOWN_CHARS_MAX: usize = 500_000;
/// After this long, a coarser diff must do.
const TIME_MAX: Duration = Duration::from_millis(500);

/// A file's change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The path that the diff names.
    pub file: String,
    /// The change as a unified diff behind an `Index:` line; empty when the file is too large to show it.
    pub patch: String,
    /// Lines added.
    pub additions: u64,
    /// Lines taken away.
    pub deletions: u64,
}

impl Change {
    /// Compares two texts of `file`.
    pub fn between(file: &str, old: &str, new: &str) -> Self {
        let mut change = Self {
            file: file.into(),
            ..Self::default()
        };
        let diff = TextDiff::configure().timeout(TIME_MAX).diff_lines(old, new);
        let shown = old.len().max(new.len()) <= SHOWN_CHARS_MAX;
        if shown {
            change.patch = format!(
                "Index: {file}\n{}\n--- {file}\n+++ {file}\n",
                "=".repeat(67)
            );
        }
        for group in diff.grouped_ops(CONTEXT_LINES) {
            change.add_hunk(&diff, &group, shown);
        }
        change
    }

    /// `{file, patch, additions, deletions}`.
    pub fn filediff(&self) -> Value {
        Value::Object(facts([
            ("file", self.file.clone().into()),
            ("patch", self.patch.clone().into()),
            ("additions", self.additions.into()),
            ("deletions", self.deletions.into()),
        ]))
    }

    /// What a client shows with a request for permission: `{filepath, diff, filediff}`.
    pub fn request(&self) -> Map<String, Value> {
        facts([
            ("filepath", self.file.clone().into()),
            ("diff", self.patch.clone().into()),
            ("filediff", self.filediff()),
        ])
    }

    fn add_hunk(&mut self, diff: &TextDiff<'_, '_, str>, group: &[DiffOp], shown: bool) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            return;
        };
        if shown {
            let old = range(first.old_range().start, last.old_range().end);
            let new = range(first.new_range().start, last.new_range().end);
            let _ = writeln!(self.patch, "@@ -{old} +{new} @@");
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            self.deletions += u64::from(sign == '-');
            self.additions += u64::from(sign == '+');
            if shown {
                self.add_line(sign, change.value());
            }
        }
    }

    fn add_line(&mut self, sign: char, line: &str) {
        self.patch.push(sign);
        self.patch.push_str(line);
        if !line.ends_with('\n') {
            self.patch.push_str("\n\\ No newline at end of file\n");
        }
    }
}

/// `START,COUNT`, where an empty range starts at the line before it.
fn range(start: usize, end: usize) -> String {
    let count = end - start;
    format!("{},{count}", if count == 0 { start } else { start + 1 })
}

#[cfg(test)]
mod tests {
    use super::Change;

    const RULE: &str = "===================================================================";

    #[test]
    fn a_change_reads_like_the_recording() {
        let change = Change::between(
            "/p/a.txt",
            "hello world\nsecond line\n",
            "hello there\nsecond line\n",
        );
        assert_eq!(
            change.patch,
            format!(
                "Index: /p/a.txt\n{RULE}\n--- /p/a.txt\n+++ /p/a.txt\n@@ -1,2 +1,2 @@\n-hello world\n+hello there\n second line\n"
            )
        );
        assert_eq!((change.additions, change.deletions), (1, 1));
        let added = Change::between("/p/n.txt", "", "one\ntwo\n");
        assert!(
            added
                .patch
                .ends_with("+++ /p/n.txt\n@@ -0,0 +1,2 @@\n+one\n+two\n"),
            "{}",
            added.patch
        );
    }

    #[test]
    fn a_missing_last_newline_is_said() {
        let change = Change::between("f", "a\nb", "a\nc\n");
        assert!(
            change
                .patch
                .ends_with("@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+c\n"),
            "{}",
            change.patch
        );
    }

    #[test]
    fn a_huge_change_is_only_counted() {
        let old = "line\n".repeat(200_000);
        let new = format!("first\n{old}last\n");
        let change = Change::between("f", &old, &new);
        assert_eq!(
            (change.patch.as_str(), change.additions, change.deletions),
            ("", 2, 0)
        );
    }
}

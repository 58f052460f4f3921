//! What a change looks like: a unified diff and its counts.

use crate::call::facts;
use serde_json::{Map, Value};
use similar::algorithms::{Capture, Compact, Replace, myers};
use similar::{DiffOp, DiffTag};
use std::collections::HashMap;
use std::fmt::Write;
use std::ops::Range;

/// Unchanged lines around a change.
const CONTEXT_LINES: usize = 4;
/// Above this many characters on either side, a change is counted but not shown.
const SHOWN_CHARS_MAX: usize = 500_000;

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
        let lines = Lines::of(old, new);
        let ops = lines.compare();
        for op in ops.ops().iter().filter(|op| op.tag() != DiffTag::Equal) {
            change.deletions += op.old_range().len() as u64;
            change.additions += op.new_range().len() as u64;
        }
        if old.len().max(new.len()) > SHOWN_CHARS_MAX {
            return change;
        }
        change.patch = format!(
            "Index: {file}\n{}\n--- {file}\n+++ {file}\n",
            "=".repeat(67)
        );
        for group in ops.into_grouped_ops(CONTEXT_LINES) {
            change.add_hunk(&lines, &group);
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

    fn add_hunk(&mut self, lines: &Lines<'_>, group: &[DiffOp]) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            return;
        };
        let old = range(first.old_range().start, last.old_range().end);
        let new = range(first.new_range().start, last.new_range().end);
        let _ = writeln!(self.patch, "@@ -{old} +{new} @@");
        for op in group {
            if op.tag() == DiffTag::Equal {
                self.add_lines(' ', &lines.old, op.old_range());
            } else {
                self.add_lines('-', &lines.old, op.old_range());
                self.add_lines('+', &lines.new, op.new_range());
            }
        }
    }

    fn add_lines(&mut self, sign: char, side: &Side<'_>, range: Range<usize>) {
        for line in &side.lines[range] {
            self.patch.push(sign);
            self.patch.push_str(line);
            if !line.ends_with('\n') {
                self.patch.push_str("\n\\ No newline at end of file\n");
            }
        }
    }
}

/// A text's lines, and for each a number that equal lines share.
struct Side<'a> {
    lines: Vec<&'a str>,
    numbers: Vec<u32>,
}

/// Both texts as numbers: the algorithm is compiled once, for those, and compares no text twice.
struct Lines<'a> {
    old: Side<'a>,
    new: Side<'a>,
}

impl<'a> Lines<'a> {
    fn of(old: &'a str, new: &'a str) -> Self {
        let mut known: HashMap<&'a str, u32> = HashMap::new();
        let mut side = |text: &'a str| {
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            let numbers = lines.iter().map(|line| {
                let next = known.len() as u32;
                *known.entry(line).or_insert(next)
            });
            let numbers = numbers.collect();
            Side { lines, numbers }
        };
        let (old, new) = (side(old), side(new));
        Self { old, new }
    }

    fn compare(&self) -> Capture {
        let (old, new) = (&self.old.numbers[..], &self.new.numbers[..]);
        let mut found = Compact::new(Replace::new(Capture::new()), old, new);
        let (all_old, all_new) = (0..old.len(), 0..new.len());
        // Its search is bounded by the number of lines, as git's is: beyond that a coarser diff must do, the same one
        // on every machine. What is captured cannot fail.
        let _ = myers::diff(&mut found, old, all_old, new, all_new);
        found.into_inner().into_inner()
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

    /// Texts that take a search without bounds the square of their lines: it would not end while anybody waits.
    #[test]
    fn what_is_hard_to_compare_is_compared_coarsely() {
        let lines = 40_000_u64;
        let text = |next: &dyn Fn(u64) -> u64| -> String {
            (0..lines).map(|line| format!("{}\n", next(line))).collect()
        };
        let old = text(&|line| line);
        let pairs = [
            ("in another order", text(&|line| line * 17_389 % lines)),
            ("backwards", text(&|line| lines - 1 - line)),
            ("of other lines", text(&|line| line + lines)),
            ("of few lines", text(&|line| line * line % 7)),
        ];
        for (what, new) in pairs {
            let change = Change::between("f", &old, &new);
            let same = lines - change.deletions;
            assert_eq!(lines - change.additions, same, "{what}");
            assert!(
                change.patch.lines().count() as u64 >= 4 + 2 * change.deletions,
                "{what}"
            );
        }
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

    /// A diff that looks for the shortest way would take minutes here.
    #[test]
    fn texts_with_nothing_in_common_are_compared_soon() {
        let lines = |salt: usize| -> String {
            (0..40_000)
                .map(|line| format!("{} {}\n", line * 7919 % 40_009, line % 5 * salt))
                .collect()
        };
        let change = Change::between("f", &lines(1), &lines(3));
        assert!(change.additions > 30_000, "{}", change.additions);
        assert_eq!(change.additions, change.deletions);
    }

    #[test]
    fn changes_close_together_share_their_context() {
        let old: String = (1..=30).map(|line| format!("{line}\n")).collect();
        let near = old
            .replace("\n10\n", "\nten\n")
            .replace("\n19\n", "\nnineteen\n");
        let far = old
            .replace("\n10\n", "\nten\n")
            .replace("\n20\n", "\ntwenty\n");
        let heads = |new: &str| -> Vec<String> {
            let patch = Change::between("f", &old, new).patch;
            patch
                .lines()
                .filter(|line| line.starts_with("@@"))
                .map(str::to_string)
                .collect()
        };
        assert_eq!(heads(&near), ["@@ -6,18 +6,18 @@"]);
        assert_eq!(heads(&far), ["@@ -6,9 +6,9 @@", "@@ -16,9 +16,9 @@"]);
    }

    /// Whatever is shown turns the one text into the other.
    #[test]
    fn a_change_leads_from_the_old_text_to_the_new() {
        let mut seed = 7_u64;
        let mut next = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        for _ in 0..300 {
            let old: Vec<u64> = (0..next(60)).map(|_| next(12)).collect();
            let mut new = old.clone();
            for _ in 0..next(8) {
                let at = next(new.len() as u64 + 1) as usize;
                match next(2) {
                    0 => new.insert(at, next(14)),
                    _ if at < new.len() => drop(new.remove(at)),
                    _ => {}
                }
            }
            let text = |lines: &[u64], end: &str| {
                let text: Vec<String> = lines.iter().map(u64::to_string).collect();
                text.join("\n") + end
            };
            let ends = ["", "\n"];
            let old = text(&old, ends[next(2) as usize]);
            let new = text(&new, ends[next(2) as usize]);
            assert_eq!(patched(&old, &Change::between("f", &old, &new).patch), new);
        }
    }

    fn patched(old: &str, patch: &str) -> String {
        let old: Vec<&str> = old.split_inclusive('\n').collect();
        let (mut out, mut at, mut taken_away) = (String::new(), 0, false);
        for line in patch.lines().skip(4) {
            if let Some(head) = line.strip_prefix("@@ -") {
                let (start, count) = head.split_once(' ').unwrap().0.split_once(',').unwrap();
                let start: usize = start.parse().unwrap();
                let start = if count == "0" { start } else { start - 1 };
                out.extend(old[at..start].iter().copied());
                at = start;
            } else if line.starts_with('\\') {
                if !taken_away {
                    out.pop();
                }
            } else {
                let (sign, rest) = line.split_at(1);
                taken_away = sign == "-";
                if sign != "+" {
                    assert_eq!(old[at].trim_end_matches('\n'), rest);
                    at += 1;
                }
                if sign != "-" {
                    out.push_str(rest);
                    out.push('\n');
                }
            }
        }
        out.extend(old[at..].iter().copied());
        out
    }
}

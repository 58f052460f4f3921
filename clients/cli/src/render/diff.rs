//! Short diffs: the changed lines of a unified diff, few and coloured.

use crate::terminal::{Terminal, fit, harmless};

/// Shows the changed lines of `patch`, at most `lines_max`, with their line numbers; says how many more there are.
///
/// Lines of context and file headers are left out; a gap between two places is marked by `⋮`. No change gives no lines, and
/// neither does a `lines_max` of 0.
pub fn short(patch: &str, lines_max: usize, terminal: Terminal) -> Vec<String> {
    let changes = if lines_max == 0 {
        Vec::new()
    } else {
        changes(patch)
    };
    let mut shown = Vec::new();
    let mut last_hunk = changes.first().map_or(0, |change| change.hunk);
    for change in changes.iter().take(lines_max) {
        if change.hunk != last_hunk {
            shown.push(terminal.dim("     ⋮"));
            last_hunk = change.hunk;
        }
        shown.push(show(change, terminal));
    }
    if changes.len() > lines_max {
        shown.push(terminal.dim(&format!(
            "     … {} more changed lines",
            changes.len() - lines_max
        )));
    }
    shown
}

struct Change<'a> {
    added: bool,
    number: u64,
    text: &'a str,
    hunk: usize,
}

fn show(change: &Change<'_>, terminal: Terminal) -> String {
    let mark = if change.added { '+' } else { '-' };
    let text = harmless(change.text).replace('\t', "    ");
    let line = fit(
        &format!("{:>5} {mark} {text}", change.number),
        terminal.width,
    );
    if change.added {
        terminal.green(&line)
    } else {
        terminal.red(&line)
    }
}

fn changes(patch: &str) -> Vec<Change<'_>> {
    let mut changes = Vec::new();
    let (mut old, mut new, mut hunk) = (0, 0, 0);
    for line in patch.lines() {
        if let Some((old_start, new_start)) = line.strip_prefix("@@ ").and_then(starts) {
            (old, new, hunk) = (old_start, new_start, hunk + 1);
        } else if hunk == 0 {
            continue; // file headers
        } else if let Some(text) = line.strip_prefix('+') {
            changes.push(Change {
                added: true,
                number: new,
                text,
                hunk,
            });
            new += 1;
        } else if let Some(text) = line.strip_prefix('-') {
            changes.push(Change {
                added: false,
                number: old,
                text,
                hunk,
            });
            old += 1;
        } else if line.starts_with(' ') || line.is_empty() {
            old += 1;
            new += 1;
        } else if !line.starts_with('\\') {
            hunk = 0; // the next file's headers
        }
    }
    changes
}

/// Reads `-1,3 +1,4 @@…`: where the hunk starts in the old and the new file.
fn starts(rest: &str) -> Option<(u64, u64)> {
    let mut ranges = rest.split(' ');
    let start = |range: &str, sign| range.strip_prefix(sign)?.split(',').next()?.parse().ok();
    Some((start(ranges.next()?, '-')?, start(ranges.next()?, '+')?))
}

/// Counts the lines that `patch` adds and takes away.
pub fn count(patch: &str) -> (usize, usize) {
    let changes = changes(patch);
    let added = changes.iter().filter(|change| change.added).count();
    (added, changes.len() - added)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "Index: a.sh\n===\n--- a.sh\n+++ a.sh\n@@ -1,4 +1,4 @@\n #!/bin/sh\n-for name in $*; do\n+for name in \"$@\"; do\n   echo\n done\n@@ -20,2 +20,3 @@\n x\n+\ty\n z\n\\ No newline at end of file\n";

    #[test]
    fn changed_lines_are_numbered_and_gaps_marked() {
        assert_eq!(
            short(PATCH, 10, Terminal::plain()),
            [
                "    2 - for name in $*; do",
                "    2 + for name in \"$@\"; do",
                "     ⋮",
                "   21 +     y"
            ]
        );
        assert_eq!(count(PATCH), (2, 1));
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let colourful = Terminal {
            colour: true,
            ..Terminal::plain()
        };
        assert_eq!(
            short(PATCH, 1, colourful),
            [
                "\x1b[31m    2 - for name in $*; do\x1b[0m",
                "\x1b[2m     … 2 more changed lines\x1b[0m"
            ]
        );
        assert!(short("not a diff", 5, Terminal::plain()).is_empty());
        assert!(short(PATCH, 0, Terminal::plain()).is_empty());
    }
}

//! Merges two changes of one text by lines.
//!
//! Stricter tools refuse changes that touch each other; here a line that was taken out next to one that was put in is no
//! conflict, because undoing a session's lines beside somebody else's is the usual case.

use git2::{DiffOptions, Patch};
use std::ops::Range;

/// Files over this are not merged.
const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A run of lines of the base, and the lines that replace it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Hunk<'a> {
    start: usize,
    end: usize,
    lines: Vec<&'a [u8]>,
}

impl Hunk<'_> {
    fn is_addition(&self) -> bool {
        self.start == self.end
    }
}

/// Applies to `base` both what `ours` and what `theirs` changed; nothing if they changed the same lines or are not text.
/// Where both added lines at the same place, `theirs` come first.
pub(super) fn merge(base: &[u8], ours: &[u8], theirs: &[u8]) -> Option<Vec<u8>> {
    if [base, ours, theirs]
        .iter()
        .any(|text| text.len() > TEXT_BYTES_MAX || text.contains(&0))
    {
        return None;
    }
    let mut hunks = self::hunks(base, theirs)?;
    for hunk in self::hunks(base, ours)? {
        if !hunks.contains(&hunk) {
            hunks.push(hunk); // what both did is done once
        }
    }
    // A stable sort: of two additions at one place the one that was put in first stays first.
    hunks.sort_by_key(|hunk| (hunk.start, hunk.end));
    let clash = |pair: &[Hunk<'_>]| {
        let (first, second) = (&pair[0], &pair[1]);
        second.start < first.end
            || (first.start == second.start && first.end == second.end && !first.is_addition())
    };
    if hunks.windows(2).any(clash) {
        return None;
    }
    let base = lines(base);
    let mut merged = Vec::with_capacity(ours.len().max(theirs.len()));
    let mut at = 0;
    for hunk in &hunks {
        put(&mut merged, base.get(at..hunk.start)?);
        put(&mut merged, &hunk.lines);
        at = hunk.end;
    }
    put(&mut merged, base.get(at..)?);
    Some(merged)
}

/// Adds lines. A last line without an end gets one when another follows it.
fn put(text: &mut Vec<u8>, lines: &[&[u8]]) {
    for line in lines {
        if text.last().is_some_and(|&last| last != b'\n') {
            text.push(b'\n');
        }
        text.extend_from_slice(line);
    }
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|&byte| byte == b'\n').collect()
}

fn hunks<'a>(base: &[u8], other: &'a [u8]) -> Option<Vec<Hunk<'a>>> {
    let mut options = DiffOptions::new();
    options.context_lines(0).interhunk_lines(0).force_text(true);
    let patch = Patch::from_buffers(base, None, other, None, Some(&mut options)).ok()?;
    let other = lines(other);
    let mut hunks = Vec::with_capacity(patch.num_hunks());
    for index in 0..patch.num_hunks() {
        let (hunk, _) = patch.hunk(index).ok()?;
        let old = span(hunk.old_start(), hunk.old_lines());
        let new = span(hunk.new_start(), hunk.new_lines());
        hunks.push(Hunk {
            start: old.start,
            end: old.end,
            lines: other.get(new)?.to_vec(),
        });
    }
    Some(hunks)
}

/// A hunk's lines counted from 0; an empty one names the line before it.
fn span(start: u32, count: u32) -> Range<usize> {
    let start = if count == 0 {
        start
    } else {
        start.saturating_sub(1)
    } as usize;
    start..start + count as usize
}

#[cfg(test)]
mod tests {
    use super::merge;

    fn merged(base: &str, ours: &str, theirs: &str) -> Option<String> {
        merge(base.as_bytes(), ours.as_bytes(), theirs.as_bytes())
            .map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn changes_far_apart_are_both_taken() {
        assert_eq!(
            merged("a\nb\nc\nd\n", "A\nb\nc\nd\n", "a\nb\nc\nD\n").as_deref(),
            Some("A\nb\nc\nD\n")
        );
    }

    #[test]
    fn neighbouring_lines_do_not_clash() {
        // a session added s, somebody added p after it; the session's line goes
        assert_eq!(
            merged("a\ns\n", "a\ns\np\n", "a\n").as_deref(),
            Some("a\np\n")
        );
        assert_eq!(
            merged("a\ns\n", "a\np\ns\n", "a\n").as_deref(),
            Some("a\np\n")
        );
        assert_eq!(
            merged("a\ns\nb\n", "A\ns\nB\n", "a\nb\n").as_deref(),
            Some("A\nB\n")
        );
    }

    #[test]
    fn the_same_line_clashes_unless_both_did_the_same() {
        assert_eq!(merged("a\nb\n", "a\nx\n", "a\ny\n"), None);
        assert_eq!(
            merged("a\nb\n", "a\nx\n", "a\nx\n").as_deref(),
            Some("a\nx\n")
        );
    }

    #[test]
    fn lines_added_at_the_same_place_are_both_kept() {
        assert_eq!(
            merged("a\n", "a\nx\n", "a\ny\n").as_deref(),
            Some("a\ny\nx\n")
        );
        assert_eq!(merged("", "x\n", "y").as_deref(), Some("y\nx\n"));
        assert_eq!(merged("a\n", "a\nx\n", "a\nx\n").as_deref(), Some("a\nx\n"));
    }

    #[test]
    fn line_ends_are_kept() {
        assert_eq!(
            merged("a\r\ns\r\nb", "a\r\ns\r\nb\r\np", "a\r\nb").as_deref(),
            Some("a\r\nb\r\np")
        );
        assert_eq!(
            merged("a\r\ns\r\nb\r\n", "a\r\ns\r\nb\r\np", "a\r\nb\r\n").as_deref(),
            Some("a\r\nb\r\np")
        );
    }

    #[test]
    fn binary_is_not_merged() {
        assert_eq!(merged("a\0\n", "b\0\n", "a\0\nc\n"), None);
    }
}

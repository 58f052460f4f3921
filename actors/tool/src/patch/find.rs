//! Where in a file a hunk belongs.

use super::{Hunk, PatchError};
use crate::text::indent::depth;
use std::borrow::Cow;
use std::ops::Range;

/// Where a hunk's old lines begin, at or after `from`, and how many of the file's lines they are.
///
/// A line after `@@` that has a block of its own (deeper lines below it) holds the search to that block.
pub(super) fn place(
    lines: &[&str],
    from: usize,
    path: &str,
    hunk: &Hunk,
) -> Result<(usize, usize), PatchError> {
    let old = hunk.old();
    if let Some(first) = hunk.contexts.first() {
        seek(lines, from..lines.len(), std::slice::from_ref(first))
            .ok_or_else(|| missing(path, "the line after @@", std::slice::from_ref(first)))?;
    }
    let Some((last, rest)) = old.split_last() else {
        let at = match hunk.at_end {
            false if !hunk.contexts.is_empty() => {
                narrowed(lines, from..lines.len(), &hunk.contexts, &old)
            }
            _ => Some(lines.len()),
        };
        return at
            .map(|at| (at, 0))
            .ok_or_else(|| missing(path, "these lines after @@", &hunk.contexts));
    };
    if let Some(at) = find(lines, from, hunk, &old) {
        return Ok((at, old.len()));
    }
    // An empty last line often stands for the file's final newline.
    if last.is_empty()
        && !rest.is_empty()
        && let Some(at) = lines.len().checked_sub(rest.len()).filter(|at| *at >= from)
        && find(lines, from, hunk, rest).is_some()
        && seek(lines, at..at + 1, rest).is_some()
    {
        return Ok((at, rest.len()));
    }
    let below = match hunk.contexts.as_slice() {
        [] => "these lines".to_owned(),
        contexts => format!("these lines below \"{}\"", contexts.join("\" and \"")),
    };
    Err(missing(path, &below, &old))
}

fn find(lines: &[&str], from: usize, hunk: &Hunk, old: &[String]) -> Option<usize> {
    if hunk.at_end
        && let Some(last) = lines
            .len()
            .checked_sub(old.len())
            .filter(|last| *last >= from)
        && seek(lines, last..last + 1, old).is_some()
    {
        return Some(last);
    }
    let below = narrowed(lines, from..lines.len(), &hunk.contexts, old);
    if below.is_some() || hunk.contexts.len() != 1 {
        return below;
    }
    // Other diffs name the nearest line above that looks like a head, whether or not the change is in its block. Then the
    // lines must be there once: which of several is meant, that line does not say.
    let start = 1 + seek(lines, from..lines.len(), &hunk.contexts)?;
    let at = seek(lines, start..lines.len(), old)?;
    seek(lines, at + 1..lines.len(), old)
        .is_none()
        .then_some(at)
}

/// The first place that begins in `starts`, below lines that fit `contexts` one after the other.
fn narrowed(
    lines: &[&str],
    starts: Range<usize>,
    contexts: &[String],
    old: &[String],
) -> Option<usize> {
    let Some((context, rest)) = contexts.split_first() else {
        return match old {
            [] => Some(starts.start),
            old => seek(lines, starts, old),
        };
    };
    for form in FORMS {
        let want = form(context);
        let candidates = starts
            .clone()
            .filter(|at| lines.get(*at).is_some_and(|line| form(line) == want));
        for at in candidates {
            let end = block_end(lines, at);
            let has_block = end > at + 1;
            // What follows a block directly may be its last lines' company: a change that appends to it.
            let below = if has_block {
                at + 1..end + 1
            } else {
                at + 1..lines.len()
            };
            if let Some(at) = narrowed(lines, below, rest, old) {
                return Some(at);
            }
            if !has_block {
                // Everything below was searched; what comes later is a part of that.
                break;
            }
        }
    }
    None
}

/// The line after the block that belongs to line `at`: deeper lines, and the brackets that open or close its head.
fn block_end(lines: &[&str], at: usize) -> usize {
    let own = depth(lines[at]);
    let mut end = at + 1;
    for (index, line) in lines.iter().enumerate().skip(at + 1) {
        let text = line.trim();
        if text.is_empty() {
            continue;
        }
        let depth = depth(line);
        if depth < own || (depth == own && !text.starts_with([')', ']', '{'])) {
            break;
        }
        end = index + 1;
    }
    end
}

fn missing(path: &str, what: &str, lines: &[String]) -> PatchError {
    PatchError(format!(
        "The patch does not fit {path}: {what} could not be found:\n{}",
        lines.join("\n")
    ))
}

const FORMS: [fn(&str) -> Cow<'_, str>; 4] = [
    bare,
    |line| line.trim_end().into(),
    |line| line.trim().into(),
    |line| plain(line.trim()),
];

/// The first place that begins in `starts` where `wanted` stands, in the strictest form that fits anywhere.
fn seek(lines: &[&str], starts: Range<usize>, wanted: &[String]) -> Option<usize> {
    let end = starts.end.min((lines.len() + 1).checked_sub(wanted.len())?);
    for form in FORMS {
        let wanted: Vec<Cow<'_, str>> = wanted.iter().map(|line| form(line)).collect();
        let fits = |at: &usize| {
            lines[*at..]
                .iter()
                .zip(&wanted)
                .all(|(have, want)| form(have) == *want)
        };
        let found = (starts.start..end).find(fits);
        if found.is_some() {
            return found;
        }
    }
    None
}

fn bare(line: &str) -> Cow<'_, str> {
    line.strip_suffix('\r').unwrap_or(line).into()
}

/// The line with typographic quotes, dashes and blanks as plain ones.
fn plain(line: &str) -> Cow<'_, str> {
    if line.is_ascii() {
        return line.into();
    }
    let swap = |c: char| match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{2018}'..='\u{201B}' => '\'',
        '\u{201C}'..='\u{201F}' => '"',
        '\u{A0}' | '\u{2002}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => ' ',
        other => other,
    };
    line.chars().map(swap).collect()
}

//! Finds the text that an edit means, from exact to forgiving.
//!
//! Every matcher gives byte ranges of the file; the first matcher that finds anything decides. One range is an edit,
//! several are an ambiguity: a looser matcher could not tell apart what a stricter one found twice. The reference's ninth
//! matcher, "every occurrence", is what [`exact`] gives already; it serves `replaceAll`.

use super::lines::{Line, collapse, dedent, lines_of};
use std::ops::Range;

/// Ranges that one matcher gives at most. Without `replaceAll`, two are an ambiguity already.
const RANGES_MAX: usize = 10_000;
/// Least mean similarity of the lines between two anchors.
const SIMILARITY_MIN: f64 = 0.65;
/// Least share of equal lines between two anchors of a block of the same length.
const EQUAL_MIN: f64 = 0.5;
/// Lines longer than this are compared for equality only.
const SIMILAR_CHARS_MAX: usize = 1_000;

/// Character comparisons that one search may spend on similarity.
const COMPARISONS_MAX: usize = 100_000_000;

type Matcher = fn(&Search<'_>) -> Vec<Range<usize>>;

const MATCHERS: [Matcher; 8] = [
    exact,
    line_trimmed,
    block_anchor,
    whitespace_normalised,
    indentation_flexible,
    escape_normalised,
    trimmed_boundary,
    context_aware,
];

/// What [`find`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// Places that do not overlap, in order, and whether they are the very text.
    Places {
        /// The places, in order.
        ranges: Vec<Range<usize>>,
        /// They are equal to what was searched for.
        exact: bool,
    },
}

/// Searches `text` for what `wanted` means.
pub fn find(text: &str, wanted: &str) -> Found {
    let search = Search::new(text, wanted);
    for (index, matcher) in MATCHERS.iter().enumerate() {
        let ranges = apart(matcher(&search));
        if !ranges.is_empty() {
            return Found::Places {
                ranges,
                exact: index == 0,
            };
        }
    }
    Found::Nothing
}

/// Whether a forgiving match took in far more than was asked for.
pub fn is_disproportionate(wanted: &str, matched: &str) -> bool {
    let (asked, taken) = (lines_of(wanted).len(), lines_of(matched).len());
    let too_many_lines = taken >= (asked + 3).max(2 * asked);
    let (asked_chars, taken_chars) = (wanted.chars().count(), matched.chars().count());
    too_many_lines || (asked > 1 && taken_chars > (asked_chars + 500).max(4 * asked_chars))
}

struct Search<'a> {
    text: &'a str,
    wanted: &'a str,
    /// The file's lines.
    lines: Vec<Line<'a>>,
    /// The searched lines.
    block: Vec<Line<'a>>,
}

impl<'a> Search<'a> {
    fn new(text: &'a str, wanted: &'a str) -> Self {
        Self {
            text,
            wanted,
            lines: lines_of(text),
            block: lines_of(wanted),
        }
    }

    /// The bytes of `count` lines from `first`. The last line's ending belongs to it if the searched text has one too.
    fn range(&self, first: usize, count: usize) -> Range<usize> {
        let last = &self.lines[first + count - 1];
        let end = if self.wanted.ends_with('\n') {
            last.end
        } else {
            last.start + last.text.len()
        };
        self.lines[first].start..end
    }

    /// The places of blocks with as many lines as are searched for, where `fits` holds.
    fn blocks(&self, fits: impl Fn(&[Line<'a>]) -> bool) -> Vec<Range<usize>> {
        let count = self.block.len();
        if count == 0 || self.wanted.trim().is_empty() {
            return Vec::new();
        }
        let windows = self.lines.windows(count).enumerate();
        windows
            .filter(|(_, window)| fits(window))
            .map(|(at, _)| self.range(at, count))
            .take(RANGES_MAX)
            .collect()
    }

    /// The trimmed first and last searched line, when there is something between them.
    fn anchors(&self) -> Option<(&'a str, &'a str)> {
        let [first, .., last] = self.block.as_slice() else {
            return None;
        };
        let (first, last) = (first.text.trim(), last.text.trim());
        (self.block.len() >= 3 && !first.is_empty() && !last.is_empty()).then_some((first, last))
    }
}

fn exact(search: &Search<'_>) -> Vec<Range<usize>> {
    occurrences(search.text, search.wanted)
}

fn occurrences(text: &str, wanted: &str) -> Vec<Range<usize>> {
    if wanted.is_empty() {
        return Vec::new();
    }
    text.match_indices(wanted)
        .map(|(at, _)| at..at + wanted.len())
        .take(RANGES_MAX)
        .collect()
}

/// Lines equal but for the blanks around each.
fn line_trimmed(search: &Search<'_>) -> Vec<Range<usize>> {
    search.blocks(|window| {
        window
            .iter()
            .zip(&search.block)
            .all(|(have, want)| have.text.trim() == want.text.trim())
    })
}

/// First and last line equal after a trim, a length within a quarter, and similar lines between.
fn block_anchor(search: &Search<'_>) -> Vec<Range<usize>> {
    let Some((first, last)) = search.anchors() else {
        return Vec::new();
    };
    let count = search.block.len();
    let slack = (count / 4).max(1);
    let mut best: Vec<(Range<usize>, f64)> = Vec::new();
    let mut budget = COMPARISONS_MAX;
    for (at, line) in search.lines.iter().enumerate() {
        if line.text.trim() != first {
            continue;
        }
        for length in (count - slack).max(3)..=count + slack {
            let Some(end) = search.lines.get(at + length - 1) else {
                break;
            };
            if end.text.trim() != last {
                continue;
            }
            let (have, want) = (
                &search.lines[at + 1..at + length - 1],
                &search.block[1..count - 1],
            );
            // A file made of anchors, searched for a long block, is no case for guessing.
            let Some(similarity) = similarity(have, want, &mut budget) else {
                return Vec::new();
            };
            if similarity >= SIMILARITY_MIN && best.len() < RANGES_MAX {
                best.push((search.range(at, length), similarity));
            }
        }
    }
    let top = best
        .iter()
        .map(|(_, similarity)| *similarity)
        .fold(0.0, f64::max);
    best.into_iter()
        .filter(|(_, similarity)| *similarity >= top)
        .map(|(range, _)| range)
        .collect()
}

/// The mean similarity of lines, pair by pair; `None` once the budget is spent.
fn similarity(have: &[Line<'_>], want: &[Line<'_>], budget: &mut usize) -> Option<f64> {
    let pairs = have.len().min(want.len());
    let mut sum = 0.0;
    for (have, want) in have.iter().zip(want) {
        let (have, want) = (have.text.trim(), want.text.trim());
        *budget = budget.checked_sub(
            1 + have.len().min(SIMILAR_CHARS_MAX) * want.len().min(SIMILAR_CHARS_MAX),
        )?;
        sum += line_similarity(have, want);
    }
    Some(if pairs == 0 { 1.0 } else { sum / pairs as f64 })
}

fn line_similarity(have: &str, want: &str) -> f64 {
    if have == want {
        return 1.0;
    }
    if have.len().max(want.len()) > SIMILAR_CHARS_MAX {
        return 0.0;
    }
    strsim::normalized_levenshtein(have, want)
}

/// Equal when every run of blanks counts as one; a single line may also be a piece of a longer one.
fn whitespace_normalised(search: &Search<'_>) -> Vec<Range<usize>> {
    let want: Vec<String> = search
        .block
        .iter()
        .map(|line| collapse(line.text))
        .collect();
    let whole = search.blocks(|window| {
        window
            .iter()
            .zip(&want)
            .all(|(have, want)| collapse(have.text) == *want)
    });
    if !whole.is_empty() || search.block.len() != 1 {
        return whole;
    }
    let words: Vec<String> = search
        .wanted
        .split_whitespace()
        .map(regex::escape)
        .collect();
    let Ok(pattern) = regex::Regex::new(&words.join(r"[ \t]+")) else {
        return Vec::new();
    };
    if words.is_empty() {
        return Vec::new();
    }
    pattern
        .find_iter(search.text)
        .map(|found| found.range())
        .take(RANGES_MAX)
        .collect()
}

/// Equal when the indentation that all lines share is taken off.
fn indentation_flexible(search: &Search<'_>) -> Vec<Range<usize>> {
    let want = dedent(&search.block);
    let first = search
        .block
        .first()
        .map_or("", |line| line.text.trim_start());
    search.blocks(|window| window[0].text.trim_start() == first && dedent(window) == want)
}

/// Equal when escapes such as `\n` and `\"` are taken for what they stand for, in the search or in both.
fn escape_normalised(search: &Search<'_>) -> Vec<Range<usize>> {
    let plain = unescape(search.wanted);
    if plain == search.wanted && !search.text.contains('\\') {
        return Vec::new();
    }
    let direct = occurrences(search.text, &plain);
    if !direct.is_empty() || plain.trim().is_empty() {
        return direct;
    }
    let count = lines_of(&plain).len();
    let windows = search
        .lines
        .windows(count)
        .enumerate()
        .filter(|(_, window)| {
            let range = window[0].start..window[count - 1].start + window[count - 1].text.len();
            plain.starts_with(&unescape(window[0].text))
                && unescape(&search.text[range]) == plain.trim_end_matches('\n')
        });
    windows
        .map(|(at, _)| search.range(at, count))
        .take(RANGES_MAX)
        .collect()
}

/// `text` with its escapes taken for what they stand for.
pub(super) fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let stands_for = match chars.peek() {
            Some('n') => Some('\n'),
            Some('t') => Some('\t'),
            Some('r') => Some('\r'),
            Some(&other) if matches!(other, '\'' | '"' | '`' | '\\' | '\n' | '$') => Some(other),
            _ => None,
        };
        match stands_for {
            Some(meant) if c == '\\' => {
                chars.next();
                plain.push(meant);
            }
            _ => plain.push(c),
        }
    }
    plain
}

/// Equal without the blanks and empty lines around the whole.
fn trimmed_boundary(search: &Search<'_>) -> Vec<Range<usize>> {
    let trimmed = search.wanted.trim();
    if trimmed == search.wanted {
        return Vec::new();
    }
    occurrences(search.text, trimmed)
}

/// First and last line equal after a trim, the same length, and half of the lines between equal.
fn context_aware(search: &Search<'_>) -> Vec<Range<usize>> {
    let Some((first, last)) = search.anchors() else {
        return Vec::new();
    };
    let count = search.block.len();
    search.blocks(|window| {
        let anchored = window[0].text.trim() == first && window[count - 1].text.trim() == last;
        anchored && equal_share(&window[1..count - 1], &search.block[1..count - 1]) >= EQUAL_MIN
    })
}

/// The share of equal lines among those that are not empty on both sides.
fn equal_share(have: &[Line<'_>], want: &[Line<'_>]) -> f64 {
    let pairs = have
        .iter()
        .zip(want)
        .map(|(have, want)| (have.text.trim(), want.text.trim()));
    let (mut all, mut equal) = (0_u32, 0_u32);
    for (have, want) in pairs.filter(|(have, want)| !have.is_empty() || !want.is_empty()) {
        all += 1;
        equal += u32::from(have == want);
    }
    if all == 0 {
        1.0
    } else {
        f64::from(equal) / f64::from(all)
    }
}

/// Leaves out ranges that overlap one before.
fn apart(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut end = 0;
    ranges.retain(|range| {
        let free = range.start >= end;
        if free {
            end = range.end;
        }
        free && !range.is_empty()
    });
    ranges
}

#[cfg(test)]
#[path = "matchers_tests.rs"]
mod tests;

//! The text that takes a found place: the model's, in the file's indentation.

use super::lines::{Line, collapse, lines_of};
use super::matchers::unescape;
use crate::text::already::{replaces_as_it_is, without_doubled_blanks};
use crate::text::indent::{Pair, blanks, fitted, matters, same};
use std::ops::Range;

/// What is written at `range` of `text` in place of what `wanted` found there; nothing where `new` is indented in a way
/// that cannot be carried over.
///
/// The very text (`exact`) is replaced by the very new one, but for files whose blanks carry meaning: there a kind of
/// blanks that the file does not use is put into its own.
pub fn replacement(
    text: &str,
    range: &Range<usize>,
    wanted: &str,
    new: &str,
    exact: bool,
    name: &str,
) -> Option<String> {
    let place = Passage::of(text, range);
    if exact {
        let new = without_doubled_blanks(place.own_blanks, wanted, new);
        let own = || new.to_owned();
        return Some(match matters(name) {
            true => place.fitted(wanted, new).unwrap_or_else(own),
            false => own(),
        });
    }
    // Where the lines are indented alike, the new ones are meant as they are, but for files that a tab breaks.
    let fitted = |wanted: &str, new: &str| match place.is_alike(wanted) && !matters(name) {
        true => Some(new.to_owned()),
        false => place.fitted(wanted, new),
    };
    // A model that escaped what it searched for has escaped the new text too.
    let plain = unescape(wanted);
    if plain != wanted && place.found == plain {
        return fitted(&plain, &unescape(new));
    }
    if place.found == wanted.trim() {
        return fitted(wanted.trim(), trimmed_alike(new, wanted));
    }
    if place.is_in_its_way(wanted, new) {
        return Some(new.to_owned());
    }
    fitted(wanted, new)
        .or_else(|| place.fitted_but_first(wanted, new))
        .or_else(|| place.has_its_ends(new).then(|| new.to_owned()))
}

/// `new` without the blanks and line ends around it that were left out of `wanted`.
fn trimmed_alike<'a>(new: &'a str, wanted: &str) -> &'a str {
    let new = match wanted.trim_start() {
        start if start.len() == wanted.len() => new,
        _ => new.trim_start(),
    };
    match wanted.trim_end() {
        end if end.len() == wanted.len() => new,
        _ => new.trim_end(),
    }
}

/// What was found of a text, with the text around it.
struct Passage<'a> {
    text: &'a str,
    found: &'a str,
    /// The place begins where a line does.
    begins_line: bool,
    /// What is before the place on its line, if that is blanks alone.
    own_blanks: &'a str,
}

impl<'a> Passage<'a> {
    fn of(text: &'a str, range: &Range<usize>) -> Self {
        let before = &text[..range.start];
        let line = &before[before.rfind('\n').map_or(0, |end| end + 1)..];
        Self {
            text,
            found: &text[range.clone()],
            begins_line: before.is_empty() || before.ends_with('\n'),
            own_blanks: if blanks(line) == line { line } else { "" },
        }
    }

    /// `new` in the file's indentation. Before a place that begins within a line, the line's own blanks stay.
    fn fitted(&self, wanted: &str, new: &str) -> Option<String> {
        let pairs = self.pairs(wanted);
        if self.begins_line {
            return fitted(&pairs, self.text, new);
        }
        let (first, rest) = split_first(new);
        let pairs = pairs.get(1..).unwrap_or_default();
        Some(format!("{first}{}", fitted(pairs, self.text, rest)?))
    }

    /// Whether every line that was asked for is indented as the one that was found for it.
    fn is_alike(&self, wanted: &str) -> bool {
        let pairs = self.pairs(wanted);
        let skipped = usize::from(!self.begins_line);
        let mut pairs = pairs.iter().skip(skipped);
        pairs.all(|(want, have)| same(want, have))
    }

    /// Whether `new` is written as the file is, though `wanted` is not.
    fn is_in_its_way(&self, wanted: &str, new: &str) -> bool {
        let (have, want): (Vec<&str>, Vec<&str>) =
            (self.found.lines().collect(), wanted.lines().collect());
        self.begins_line && replaces_as_it_is(&have, &want, new, self.text)
    }

    /// Whether a text begins and ends at the depths of the place.
    fn has_its_ends(&self, new: &str) -> bool {
        let ends = |text: &str| {
            let mut lines = text.lines().filter(|line| !line.trim().is_empty());
            let first = blanks(lines.next()?).to_owned();
            let last = lines.next_back().map(|line| blanks(line).to_owned());
            Some((first.clone(), last.unwrap_or(first)))
        };
        let own = ends(self.found);
        self.begins_line && own.is_some() && own == ends(new)
    }

    /// The same for a text that was copied from behind its first line's blanks.
    fn fitted_but_first(&self, wanted: &str, new: &str) -> Option<String> {
        let pairs = self.pairs(wanted);
        let (want, have) = pairs.first()?;
        let (first, rest) = split_first(new);
        let bare = |line: &str| !line.starts_with([' ', '\t']);
        if !self.begins_line || !bare(want) || !bare(first) || pairs.len() < 2 {
            return None;
        }
        let rest = fitted(&pairs[1..], self.text, rest)?;
        Some(format!("{}{first}{rest}", blanks(have)))
    }

    /// The lines that were asked for, each with the one that was found for it. Lines that are not alike, or in a block of
    /// another length, tell nothing.
    fn pairs<'b>(&'b self, wanted: &'b str) -> Vec<Pair<'b>> {
        let (want, have) = (lines_of(wanted), lines_of(self.found));
        let pairs: Vec<Pair<'b>> = if want.len() == have.len() {
            let pairs = want.iter().zip(&have);
            pairs.map(|(want, have)| (want.text, have.text)).collect()
        } else {
            let ends = [(want.first(), have.first()), (want.last(), have.last())];
            let both = |(want, have): (Option<&Line<'b>>, Option<&Line<'b>>)| {
                Some((want?.text, have?.text))
            };
            ends.into_iter().filter_map(both).collect()
        };
        let mut first = true;
        let alike = |(want, have): &Pair<'b>| {
            std::mem::take(&mut first) || collapse(want) == collapse(have)
        };
        pairs.into_iter().filter(alike).collect()
    }
}

fn split_first(text: &str) -> (&str, &str) {
    match text.find('\n') {
        Some(end) => text.split_at(end + 1),
        None => (text, ""),
    }
}

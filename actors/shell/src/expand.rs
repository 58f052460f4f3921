//! What a word may become: variables that the text itself sets, braces, a leading tilde.

use crate::plan::Variable;
use crate::word::{Piece, Word};
use std::collections::BTreeMap;
use std::path::Path;

/// Texts that one word may become, before it counts as unknown.
const TEXTS_MAX: usize = 64;
/// Variables in variables.
const DEPTH_MAX: usize = 4;

/// What the text's variables hold.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The variables that the text sets.
    pub variables: &'a BTreeMap<String, Variable>,
    /// The user's home.
    pub home: &'a Path,
}

/// What a word may become.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The texts that are known.
    pub texts: Vec<Text>,
    /// It may also become something else. `texts` then holds what is known of its beginning.
    pub unknown: bool,
}

/// A text, each character with whether it can act as a wildcard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(pub Vec<(char, bool)>);

impl Text {
    /// The characters alone.
    pub fn plain(&self) -> String {
        self.0.iter().map(|(c, _)| c).collect()
    }

    /// Whether it names several files at once.
    pub fn has_wildcard(&self) -> bool {
        self.0
            .iter()
            .any(|(c, active)| *active && matches!(c, '*' | '?' | '['))
    }
}

/// Expands a word as seen at the place `at` of the text.
pub fn expand(word: &Word, at: usize, scope: Scope<'_>) -> Expanded {
    let mut expanded = pieces(word, at, scope, 0);
    let mut texts = Vec::new();
    for text in expanded.texts {
        for text in braces(text) {
            texts.push(tilde(text, scope.home));
            if texts.len() > TEXTS_MAX {
                expanded.unknown = true;
                break;
            }
        }
    }
    texts.truncate(TEXTS_MAX);
    Expanded {
        texts,
        unknown: expanded.unknown,
    }
}

fn pieces(word: &Word, at: usize, scope: Scope<'_>, depth: usize) -> Expanded {
    let mut texts = vec![Text::default()];
    // Words that an unquoted value was split into; they stand for themselves.
    let mut split = Vec::new();
    let mut unknown = false;
    for piece in &word.pieces {
        match piece {
            Piece::Quoted(part) => append(&mut texts, part, false),
            Piece::Bare(part) => append(&mut texts, part, true),
            Piece::Dynamic { .. } | Piece::Number => unknown = true,
            Piece::Variable { name, quoted } => match value(name, at, scope, depth) {
                Some(values) => {
                    texts = combined(&texts, &values, *quoted);
                    if !quoted {
                        split.extend(texts.iter().flat_map(fields));
                    }
                }
                None => unknown = true,
            },
        }
        if unknown {
            break;
        }
        if texts.len() > TEXTS_MAX {
            texts.truncate(TEXTS_MAX);
            unknown = true;
        }
    }
    texts.extend(split);
    Expanded { texts, unknown }
}

/// Whether all that the text gives a variable before `at` are numbers.
pub fn is_number(name: &str, at: usize, scope: Scope<'_>) -> bool {
    is_number_within(name, at, scope, DEPTH_MAX)
}

fn is_number_within(name: &str, at: usize, scope: Scope<'_>, depth: usize) -> bool {
    let Some(variable) = scope.variables.get(name) else {
        return false;
    };
    if variable.unknown || variable.from >= at || depth == 0 {
        return false;
    }
    variable.values.iter().all(|word| {
        let digits = |text: &str| {
            let text = text.trim_start_matches('-');
            !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
        };
        // `{1..9}` of a loop.
        let range = word.source.starts_with('{')
            && word
                .source
                .chars()
                .all(|c| c.is_ascii_digit() || "{},.-".contains(c));
        match word.with_numbers() {
            Some(text) => digits(&text),
            None if range => true,
            None => match word.pieces.as_slice() {
                [Piece::Variable { name, .. }] => is_number_within(name, at, scope, depth - 1),
                _ => false,
            },
        }
    })
}

fn append(texts: &mut [Text], part: &str, active: bool) {
    for text in texts {
        text.0.extend(part.chars().map(|c| (c, active)));
    }
}

fn combined(texts: &[Text], values: &[Text], quoted: bool) -> Vec<Text> {
    let mut all = Vec::new();
    for text in texts {
        for value in values {
            // A loop's words had their wildcards expanded before, so quotes do not take those back.
            let value = value.0.iter().map(|(c, active)| (*c, *active || !quoted));
            all.push(Text(text.0.iter().copied().chain(value).collect()));
        }
    }
    all
}

/// The words of a value with blanks; none when there is no blank.
fn fields(text: &Text) -> Vec<Text> {
    let blank = |(c, active): &(char, bool)| *active && c.is_whitespace();
    if !text.0.iter().any(blank) {
        return Vec::new();
    }
    text.0
        .split(blank)
        .filter(|part| !part.is_empty())
        .map(|part| Text(part.to_vec()))
        .collect()
}

fn value(name: &str, at: usize, scope: Scope<'_>, depth: usize) -> Option<Vec<Text>> {
    let text = |plain: &str| Text(plain.chars().map(|c| (c, false)).collect());
    let Some(variable) = scope.variables.get(name) else {
        return match name {
            "HOME" => Some(vec![text(&scope.home.to_string_lossy())]),
            // Wherever that is, a path that begins there is the one that begins with a dot.
            "PWD" => Some(vec![text(".")]),
            _ => None,
        };
    };
    if variable.unknown || variable.from >= at || depth >= DEPTH_MAX {
        return None;
    }
    let mut values = Vec::new();
    for word in &variable.values {
        let expanded = pieces(word, at, scope, depth + 1);
        if expanded.unknown {
            return None;
        }
        values.extend(
            expanded
                .texts
                .into_iter()
                .flat_map(braces)
                .map(|text| tilde(text, scope.home)),
        );
    }
    Some(values)
}

/// `a{b,c}d` becomes `abd` and `acd`; anything else stays.
fn braces(text: Text) -> Vec<Text> {
    let mut done = Vec::new();
    let mut open = vec![text];
    while let Some(text) = open.pop() {
        match first_brace(&text) {
            Some(parts) if done.len() + open.len() + parts.len() <= TEXTS_MAX * 2 => {
                open.extend(parts)
            }
            _ => done.push(text),
        }
    }
    done
}

fn first_brace(text: &Text) -> Option<Vec<Text>> {
    let active = |index: usize, wanted: char| text.0.get(index) == Some(&(wanted, true));
    for start in (0..text.0.len()).filter(|index| active(*index, '{')) {
        let mut level = 0_usize;
        let mut commas = vec![start];
        for index in start + 1..text.0.len() {
            match text.0.get(index) {
                Some(('{', true)) => level += 1,
                Some(('}', true)) if level > 0 => level -= 1,
                Some(('}', true)) if commas.len() > 1 => {
                    commas.push(index);
                    return Some(alternatives(text, &commas));
                }
                Some(('}', true)) => break,
                Some((',', true)) if level == 0 => commas.push(index),
                _ => {}
            }
        }
    }
    None
}

fn alternatives(text: &Text, marks: &[usize]) -> Vec<Text> {
    let (Some(start), Some(end)) = (marks.first(), marks.last()) else {
        return Vec::new();
    };
    let part = |from: usize, to: usize| text.0.get(from..to).unwrap_or_default().iter().copied();
    marks
        .windows(2)
        .filter_map(|pair| Some((*pair.first()?, *pair.last()?)))
        .map(|(from, to)| {
            Text(
                part(0, *start)
                    .chain(part(from + 1, to))
                    .chain(part(end + 1, text.0.len()))
                    .collect(),
            )
        })
        .collect()
}

/// `~` is home; `~NAME` is somebody's home, elsewhere in any case.
fn tilde(text: Text, home: &Path) -> Text {
    if text.0.first() != Some(&('~', true)) {
        return text;
    }
    let end = text
        .0
        .iter()
        .position(|(c, _)| *c == '/')
        .unwrap_or(text.0.len());
    let name: String = text
        .0
        .get(1..end)
        .unwrap_or_default()
        .iter()
        .map(|(c, _)| c)
        .collect();
    let folder = match name.as_str() {
        "" => home.to_string_lossy().into_owned(),
        "root" => "/root".to_owned(),
        name => format!("/home/{name}"),
    };
    Text(
        folder
            .chars()
            .map(|c| (c, false))
            .chain(text.0.iter().skip(end).copied())
            .collect(),
    )
}

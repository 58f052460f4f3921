//! Finds text in files, and files by parts of their names, in the shapes of the `/find` routes.
//!
//! Everything here blocks, and stops after 10 seconds with what it has. Ignored files and `.git` are passed over, hidden
//! files are not.

use crate::stamp::kernel_now_ns;
use grep_matcher::Matcher;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder, Sink, SinkMatch};
use ignore::{DirEntry, WalkBuilder};
use serde::Serialize;
use std::io;
use std::path::Path;

/// How long one search may take.
const SEARCH_NS_MAX: i64 = 10_000_000_000;
/// Matches of one answer.
const MATCHES_MAX: usize = 1_000;
/// Matches of one line.
const SUBMATCHES_MAX: usize = 1_000;
/// Bytes of a line that is shown.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// Files and folders that a name is looked for in.
const NAMES_MAX: usize = 200_000;
/// Bytes of a query.
const QUERY_BYTES_MAX: usize = 256;
/// Folders in folders.
const DEPTH_MAX: usize = 128;

/// The pattern is no regular expression.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadPattern(String);

/// A text in an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Text {
    /// The text.
    pub text: String,
}

/// An entry of `GET /find`: a line with matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TextMatch {
    /// The file, relative to the directory.
    pub path: Text,
    /// The line, its newline included; cut after 16 KiB.
    pub lines: Text,
    /// Counted from 1.
    pub line_number: u64,
    /// Where the line begins, in bytes.
    pub absolute_offset: u64,
    /// Where in the line the pattern is.
    pub submatches: Vec<Submatch>,
}

/// One place in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Submatch {
    /// What matched.
    #[serde(rename = "match")]
    pub found: Text,
    /// In bytes from the line's begin.
    pub start: usize,
    /// In bytes; not part of the match.
    pub end: usize,
}

/// What [`files`] looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// Files and folders.
    Any,
    /// Files only.
    File,
    /// Folders only.
    Folder,
}

/// Finds the lines below `directory` that the regular expression `pattern` matches, by path; at most `limit` (and 1,000).
pub fn text(directory: &Path, pattern: &str, limit: usize) -> Result<Vec<TextMatch>, BadPattern> {
    let matcher = RegexMatcherBuilder::new()
        .line_terminator(Some(b'\n'))
        .size_limit(16 << 20)
        .build(pattern)
        .map_err(|error| BadPattern(error.to_string()))?;
    let mut searcher = SearcherBuilder::new()
        .line_number(true)
        .binary_detection(BinaryDetection::quit(0))
        .build();
    let mut hits = Hits {
        matcher: &matcher,
        path: String::new(),
        limit: limit.min(MATCHES_MAX),
        found: Vec::new(),
    };
    let deadline_ns = kernel_now_ns() + SEARCH_NS_MAX;
    for entry in walk(directory, true) {
        if hits.found.len() >= hits.limit || kernel_now_ns() > deadline_ns {
            break;
        }
        if entry.file_type().is_some_and(|kind| kind.is_file()) {
            hits.path = shown(directory, entry.path());
            // a file that cannot be read has no matches
            let _ = search(&mut searcher, &matcher, entry.path(), &mut hits);
        }
    }
    Ok(hits.found)
}

/// Finds files and folders below `directory` whose path holds the letters of `query` in order, best first; at most
/// `limit` (and 1,000). Folders end in `/`. An empty query finds those nearest to the top.
pub fn files(directory: &Path, query: &str, kind: NameKind, limit: usize) -> Vec<String> {
    let mut end = query.len().min(QUERY_BYTES_MAX);
    while !query.is_char_boundary(end) {
        end -= 1;
    }
    let wanted = Wanted::new(&query[..end]);
    let deadline_ns = kernel_now_ns() + SEARCH_NS_MAX;
    let mut ranked = Vec::new();
    for (count, entry) in walk(directory, false).enumerate().take(NAMES_MAX) {
        if count % 256 == 0 && kernel_now_ns() > deadline_ns {
            break;
        }
        let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
        if matches!(
            (kind, is_folder),
            (NameKind::File, true) | (NameKind::Folder, false)
        ) {
            continue;
        }
        let mut path = shown(directory, entry.path());
        if is_folder {
            path.push('/');
        }
        if let Some(score) = wanted.score(&path) {
            ranked.push((std::cmp::Reverse(score), path));
        }
    }
    let limit = limit.min(MATCHES_MAX);
    if ranked.len() > limit && limit > 0 {
        ranked.select_nth_unstable(limit - 1);
    }
    ranked.truncate(limit);
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, path)| path).collect()
}

fn walk(directory: &Path, sorted: bool) -> impl Iterator<Item = DirEntry> {
    let mut walk = WalkBuilder::new(directory);
    walk.hidden(false)
        .max_depth(Some(DEPTH_MAX))
        .filter_entry(|entry| entry.file_name() != ".git");
    if sorted {
        walk.sort_by_file_name(|a, b| a.cmp(b));
    }
    walk.build().flatten().filter(|entry| entry.depth() > 0)
}

fn shown(directory: &Path, path: &Path) -> String {
    path.strip_prefix(directory)
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned()
}

fn search(
    searcher: &mut Searcher,
    matcher: &RegexMatcher,
    path: &Path,
    hits: &mut Hits<'_>,
) -> io::Result<()> {
    searcher.search_path(matcher, path, hits)
}

/// Collects one answer's matches.
struct Hits<'a> {
    matcher: &'a RegexMatcher,
    path: String,
    limit: usize,
    found: Vec<TextMatch>,
}

impl Sink for Hits<'_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, line: &SinkMatch<'_>) -> Result<bool, io::Error> {
        let bytes = &line.bytes()[..line.bytes().len().min(LINE_BYTES_MAX)];
        let mut submatches = Vec::new();
        self.matcher.find_iter(bytes, |found| {
            let text = String::from_utf8_lossy(&bytes[found]).into_owned();
            submatches.push(Submatch {
                found: Text { text },
                start: found.start(),
                end: found.end(),
            });
            submatches.len() < SUBMATCHES_MAX
        })?;
        self.found.push(TextMatch {
            path: Text {
                text: self.path.clone(),
            },
            lines: Text {
                text: String::from_utf8_lossy(bytes).into_owned(),
            },
            line_number: line.line_number().unwrap_or(1),
            absolute_offset: line.absolute_byte_offset(),
            submatches,
        });
        Ok(self.found.len() < self.limit)
    }
}

/// A query, ready to be compared.
struct Wanted {
    letters: Vec<char>,
    whole: String,
}

impl Wanted {
    fn new(query: &str) -> Self {
        let whole = query.trim().to_lowercase();
        Self {
            letters: whole
                .chars()
                .filter(|letter| !letter.is_whitespace())
                .collect(),
            whole,
        }
    }

    /// How well `path` fits; nothing if a letter is missing. Greater is better.
    fn score(&self, path: &str) -> Option<i64> {
        let depth = path.trim_end_matches('/').matches('/').count() as i64;
        let hidden = path.split('/').any(|name| name.starts_with('.'));
        let near = -(path.len() as i64) - 8 * depth - if hidden { 200 } else { 0 };
        if self.letters.is_empty() {
            return Some(-1_000 * depth + near);
        }
        let lower = path.to_lowercase();
        let name = lower
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or_default();
        let stem = name.split('.').next().unwrap_or_default();
        let whole = match name {
            _ if name == self.whole || lower == self.whole => 4_000,
            _ if stem == self.whole => 3_500,
            _ if name.starts_with(&self.whole) => 3_000,
            _ if name.contains(&self.whole) => 2_000,
            _ if lower.contains(&self.whole) => 1_500,
            _ => 0,
        };
        Some(whole + self.scattered(&lower)? + near)
    }

    /// Points for letters that follow each other or begin a word, matched from the end so that names win over folders.
    fn scattered(&self, path: &str) -> Option<i64> {
        let path: Vec<char> = path.chars().collect();
        let mut points = 0;
        let mut end = path.len();
        let mut last = usize::MAX;
        for letter in self.letters.iter().rev() {
            let at = path[..end].iter().rposition(|known| known == letter)?;
            let begins_word = at == 0 || !path[at - 1].is_alphanumeric();
            points += if begins_word { 30 } else { 0 } + if at + 1 == last { 20 } else { 0 };
            (end, last) = (at, at);
        }
        Some(points)
    }
}

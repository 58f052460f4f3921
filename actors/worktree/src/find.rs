//! Finds text in files, and files by parts of their names, in the shapes of the `/find` routes.
//!
//! Everything here blocks, and stops after 10 seconds with what it has. Ignored files and `.git` are passed over, hidden
//! files are not.

mod names;
mod score;
mod walk;

pub use names::{NameKind, Names};

use crate::stamp::kernel_now_ns;
use grep_matcher::Matcher;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder, Sink, SinkMatch};
use serde::Serialize;
use std::io;
use std::path::Path;
use walk::{SEARCH_NS_MAX, shown, walk};

/// Matches of one answer.
const MATCHES_MAX: usize = 1_000;
/// Matches of one line.
const SUBMATCHES_MAX: usize = 1_000;
/// Bytes of a line that is shown.
const LINE_BYTES_MAX: usize = 16 * 1024;

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

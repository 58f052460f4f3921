//! The matches in one file.

use grep_matcher::Matcher;
use grep_regex::RegexMatcher;
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder, Sink, SinkContext, SinkMatch};
use std::io::Read;
use tokio_util::sync::CancellationToken;

/// Bytes that one line may have before its file is given up.
const HEAP_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of one file's lines that are kept.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

/// A line of the output.
pub(super) enum Found {
    Match(u64, String),
    Context(u64, String),
    /// Lines were left out between two groups.
    Gap,
}

/// What one file gave.
#[derive(Default)]
pub(super) struct Hits {
    /// All matching lines.
    pub matches: usize,
    /// The first of them, with the lines around them.
    pub lines: Vec<Found>,
    /// Bytes of those.
    pub bytes: usize,
}

/// Searches one file. Files that cannot be read, and the rest of files that turn out binary, give nothing.
pub(super) fn search(
    file: impl Read,
    matcher: &RegexMatcher,
    context: usize,
    limit: usize,
    cancel: &CancellationToken,
) -> Hits {
    let ends = matcher.line_terminator().unwrap_or_default();
    let mut searcher = SearcherBuilder::new()
        .line_terminator(ends)
        .line_number(true)
        .binary_detection(BinaryDetection::quit(0))
        .heap_limit(Some(HEAP_BYTES_MAX))
        .before_context(context)
        .after_context(context)
        .build();
    let mut gather = Gather {
        hits: Hits::default(),
        limit,
        cancel,
    };
    if let Err(error) = searcher.search_reader(matcher, file, &mut gather) {
        tracing::debug!(%error, "file left out of a search");
    }
    gather.hits
}

struct Gather<'a> {
    hits: Hits,
    limit: usize,
    cancel: &'a CancellationToken,
}

impl Gather<'_> {
    fn is_full(&self) -> bool {
        self.hits.matches > self.limit || self.hits.bytes > KEPT_BYTES_MAX
    }

    fn shown(&mut self, line: &[u8]) -> String {
        let text = kilo_ports::cut::line(line);
        self.hits.bytes += text.len();
        text
    }
}

impl Sink for Gather<'_> {
    type Error = std::io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> Result<bool, Self::Error> {
        self.hits.matches += 1;
        if !self.is_full() {
            let line = self.shown(found.bytes());
            self.hits
                .lines
                .push(Found::Match(found.line_number().unwrap_or(0), line));
        }
        Ok(!self.cancel.is_cancelled())
    }

    fn context(&mut self, _: &Searcher, line: &SinkContext<'_>) -> Result<bool, Self::Error> {
        if !self.is_full() {
            let text = self.shown(line.bytes());
            self.hits
                .lines
                .push(Found::Context(line.line_number().unwrap_or(0), text));
        }
        Ok(true)
    }

    fn context_break(&mut self, _: &Searcher) -> Result<bool, Self::Error> {
        if !self.is_full() {
            self.hits.lines.push(Found::Gap);
        }
        Ok(true)
    }

    fn binary_data(&mut self, _: &Searcher, _: u64) -> Result<bool, Self::Error> {
        self.hits = Hits::default();
        Ok(false)
    }
}

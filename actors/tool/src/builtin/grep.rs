//! `grep`: finds lines of files.

mod file;

use crate::call::{self, ask_any, facts};
use crate::place::Place;
use crate::rules;
use crate::schema::{self, Positive, Whole};
use crate::search::{Dated, PathPattern, Searches, walk};
use file::{Found, Hits};
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use kilo_ports::BoxFuture;
use kilo_ports::files::Kind;
use kilo_ports::tool::{Access, Tool, ToolCx, ToolError, ToolOutput, ToolSpec};
use kilo_protocol::model::Rule;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Matches shown without a `limit`.
const LIMIT_DEFAULT: usize = 100;
/// The largest `limit`.
const LIMIT_MAX: usize = 5_000;
/// Lines around a match, at most.
const CONTEXT_MAX: usize = 50;
/// Matches after which a search ends.
const MATCHES_MAX: usize = 50_000;
/// Bytes of lines after which a search ends.
const KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The largest compiled pattern.
const PATTERN_BYTES_MAX: usize = 10 * 1024 * 1024;

/// Searches the lines of files below a folder, or of one file. Ignored and binary files are left out.
///
/// Files come newest first, their matches in order. A file whose reading a rule does not simply allow (a `.env`) is left
/// out and counted; named as the path itself, it is asked for as `read` asks.
pub struct Grep {
    searches: Searches,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct GrepInput {
    /// The regular expression
    pattern: String,
    /// The folder or file to search (default: the working folder)
    path: Option<String>,
    /// A pattern for the files, such as *.{ts,tsx}
    include: Option<String>,
    /// Lines to show around each match (default 0)
    #[schemars(with = "Option<Whole>")]
    context: Option<f64>,
    /// Matches to show (default 100)
    #[schemars(with = "Option<Positive>")]
    limit: Option<f64>,
    /// Search for the pattern as plain text
    #[serde(default)]
    literal: bool,
    /// Upper and lower case are the same
    #[serde(default)]
    ignore_case: bool,
}

impl Grep {
    /// The tool, with the permits that all searches share.
    pub fn new(searches: Searches) -> Self {
        Self { searches }
    }
}

impl Tool for Grep {
    fn spec(&self) -> ToolSpec {
        schema::spec::<GrepInput>("grep", include_str!("descriptions/grep.md"), Access::Reads)
    }

    fn run(&self, input: Value, cx: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        let searches = self.searches.clone();
        Box::pin(async move { grep(call::arguments("grep", input)?, &cx, &searches).await })
    }
}

async fn grep(input: GrepInput, cx: &ToolCx, searches: &Searches) -> Result<ToolOutput, ToolError> {
    let search = Search {
        matcher: matcher(&input)?,
        include: input
            .include
            .as_deref()
            .filter(|include| !include.is_empty())
            .map(PathPattern::new)
            .transpose()?,
        context: input
            .context
            .map_or(0, |context| (context as usize).min(CONTEXT_MAX)),
        limit: input
            .limit
            .map_or(LIMIT_DEFAULT, |limit| (limit as usize).clamp(1, LIMIT_MAX)),
        rules: cx.host.rules(),
        place: Place::find(cx, super::folder_or_here(input.path.as_deref())).await?,
    };
    search.place.admit(cx).await?;
    let mut request = facts([("pattern", input.pattern.clone().into())]);
    let more = [("path", input.path), ("include", input.include)];
    request.extend(
        more.into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?.into()))),
    );
    call::ask(cx, ask_any("grep", vec![input.pattern.clone()], request)).await?;
    if !search.place.is_folder().await? {
        let request = facts([("filepath", search.place.shown().into())]);
        call::ask(cx, ask_any("read", search.place.patterns(), request)).await?;
    }
    let cancel = cx.cancel.clone();
    searches
        .run(cx, move || {
            Ok(search.run(&cancel)?.shown(input.pattern, search.limit))
        })
        .await
}

fn matcher(input: &GrepInput) -> Result<RegexMatcher, ToolError> {
    let pattern = if input.literal {
        regex::escape(&input.pattern)
    } else {
        input.pattern.clone()
    };
    let mut builder = RegexMatcherBuilder::new();
    builder
        .multi_line(true)
        .case_insensitive(input.ignore_case)
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_BYTES_MAX);
    // With `crlf` a `$` stands before `\r\n` too, but then a pattern may not look for `\r` itself.
    builder
        .crlf(true)
        .build(&pattern)
        .or_else(|_| {
            builder.crlf(false).line_terminator(Some(b'\n'));
            builder.build(&pattern)
        })
        .map_err(|error| {
            ToolError::failed(format!(
                "The pattern is not valid: {error}\nSet literal to search for it as plain text."
            ))
        })
}

struct Search {
    matcher: RegexMatcher,
    include: Option<PathPattern>,
    context: usize,
    limit: usize,
    rules: Vec<Rule>,
    place: Place,
}

/// What a search has found.
#[derive(Default)]
struct Outcome {
    files: Vec<(Dated, Hits)>,
    /// Files left out because a rule does not simply allow to read them.
    withheld: usize,
    /// The search ended early.
    ended_early: bool,
}

impl Search {
    fn run(&self, cancel: &tokio_util::sync::CancellationToken) -> Result<Outcome, ToolError> {
        let facts = self.place.spot.facts();
        if !facts.is_ok_and(|facts| facts.kind != Kind::Missing) {
            return Err(ToolError::failed(format!(
                "Path not found: {}",
                self.place.shown()
            )));
        }
        let outcome = Mutex::new(Outcome::default());
        let (matches, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let whole = walk(&self.place, cancel, |below| {
            let single = below.as_os_str().is_empty();
            if self
                .include
                .as_ref()
                .is_some_and(|include| !single && !include.fits(below))
            {
                return true;
            }
            if !single && !self.may_show(below) {
                outcome.lock().withheld += 1;
                return true;
            }
            let Ok(mut file) = self.place.spot.below(below) else {
                return true;
            };
            let hits = file::search(&mut file, &self.matcher, self.context, self.limit, cancel);
            if hits.matches == 0 {
                return true;
            }
            let found = matches.fetch_add(hits.matches, Ordering::Relaxed) + hits.matches;
            let kept = bytes.fetch_add(hits.bytes, Ordering::Relaxed) + hits.bytes;
            let file = Dated::of(file.facts().unwrap_or_default(), self.place.named(below));
            outcome.lock().files.push((file, hits));
            found < MATCHES_MAX && kept < KEPT_BYTES_MAX
        })?;
        let mut outcome = outcome.into_inner();
        outcome.ended_early = !whole;
        Ok(outcome)
    }

    fn may_show(&self, below: &Path) -> bool {
        let paths = self.place.patterns_of(below);
        paths.iter().all(|path| rules::may_read(&self.rules, path))
    }
}

impl Outcome {
    fn shown(mut self, pattern: String, limit: usize) -> ToolOutput {
        self.files
            .sort_unstable_by(|(one, _), (two, _)| one.order(two));
        let total: usize = self.files.iter().map(|(_, hits)| hits.matches).sum();
        let truncated = total > limit || self.ended_early;
        let mut output = if total == 0 {
            "No files found".to_owned()
        } else {
            format!("Found {total} matches")
        };
        if truncated && total > 0 {
            output.push_str(&format!(
                " (the first {} are shown; raise limit or narrow the search for more)",
                limit.min(total)
            ));
        }
        if total > 0 {
            output.push('\n');
        }
        let mut left = limit;
        let mut first = true;
        for (file, hits) in self.files {
            if left == 0 {
                break;
            }
            output.push_str(&format!(
                "{}{}:\n",
                if first { "" } else { "\n" },
                file.path.display()
            ));
            first = false;
            left -= write_lines(&mut output, hits.lines, left);
        }
        if self.withheld > 0 {
            output.push_str(&format!(
                "\n({} files were left out because reading them needs permission, such as .env files; use read for them.)",
                self.withheld
            ));
        }
        let metadata = facts([("matches", total.into()), ("truncated", truncated.into())]);
        ToolOutput {
            title: pattern,
            output,
            metadata,
            ..ToolOutput::default()
        }
    }
}

/// Writes a file's lines up to `limit` matches, and tells how many matches those were.
fn write_lines(output: &mut String, lines: Vec<Found>, limit: usize) -> usize {
    let mut matches = 0;
    for line in lines {
        match line {
            Found::Match(number, text) if matches < limit => {
                matches += 1;
                output.push_str(&format!("  Line {number}: {text}\n"));
            }
            Found::Match(..) => break,
            Found::Context(number, text) => output.push_str(&format!("  Line {number}- {text}\n")),
            Found::Gap => output.push_str("  --\n"),
        }
    }
    matches
}

#[cfg(test)]
#[path = "grep/grep_tests.rs"]
mod tests;

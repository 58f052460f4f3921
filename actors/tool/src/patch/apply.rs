use super::{Hunk, PatchError, Step};
use crate::text::ending::Ending;
use std::borrow::Cow;

/// Carries out a file's hunks from top to bottom, each below the one before, and gives the new text.
///
/// Lines are compared exactly, then without blanks at their ends, then without blanks around them, then with the
/// typographic characters that models like to swap taken for plain ones. Lines that stay, stay as the file has them.
///
/// Errors: the hunk whose lines are not there.
pub fn apply(text: &str, path: &str, hunks: &[Hunk]) -> Result<String, PatchError> {
    let ending = Ending::of(text);
    let mut lines: Vec<&str> = text.split('\n').collect();
    // The piece after the last newline is no line.
    let ends_with_newline = lines.last() == Some(&"");
    if ends_with_newline {
        lines.pop();
    }
    let mut result: Vec<Cow<'_, str>> = Vec::with_capacity(lines.len());
    let mut done = 0;
    for hunk in hunks {
        let (at, count) = place(&lines, done, path, hunk)?;
        result.extend(lines[done..at].iter().map(|&line| Cow::Borrowed(line)));
        carry_out(hunk, &lines[at..at + count], ending, &mut result);
        done = at + count;
    }
    result.extend(lines[done..].iter().map(|&line| Cow::Borrowed(line)));
    let mut new = result.join("\n");
    if !result.is_empty() && (ends_with_newline || text.is_empty()) {
        new.push('\n');
    }
    Ok(new)
}

/// Adds a hunk's outcome to `result`; `have` are the file's lines that it covers.
fn carry_out<'a>(hunk: &'a Hunk, have: &[&'a str], ending: Ending, result: &mut Vec<Cow<'a, str>>) {
    let mut have = have.iter();
    for step in &hunk.lines {
        match step {
            Step::Keep(_) => result.extend(have.next().map(|&line| Cow::Borrowed(line))),
            Step::Remove(_) => {
                have.next();
            }
            Step::Add(line) if ending == Ending::CrLf => {
                result.push(Cow::Owned(format!("{line}\r")))
            }
            Step::Add(line) => result.push(Cow::Borrowed(line)),
        }
    }
}

/// Where a hunk's old lines begin, and how many of the file's lines they are.
fn place(
    lines: &[&str],
    from: usize,
    path: &str,
    hunk: &Hunk,
) -> Result<(usize, usize), PatchError> {
    let mut start = from;
    if let Some(context) = &hunk.context {
        let found = seek(lines, from, std::slice::from_ref(context), false);
        start = 1 + found
            .ok_or_else(|| missing(path, "the line after @@", std::slice::from_ref(context)))?;
    }
    let old = hunk.old();
    let Some((last, rest)) = old.split_last() else {
        return Ok((
            if hunk.context.is_some() && !hunk.at_end {
                start
            } else {
                lines.len()
            },
            0,
        ));
    };
    if let Some(at) = seek(lines, start, &old, hunk.at_end) {
        return Ok((at, old.len()));
    }
    // An empty last line often stands for the file's final newline.
    if last.is_empty()
        && !rest.is_empty()
        && let Some(at) = seek(lines, start, rest, true)
        && at + rest.len() == lines.len()
    {
        return Ok((at, rest.len()));
    }
    Err(missing(path, "these lines", &old))
}

fn missing(path: &str, what: &str, lines: &[String]) -> PatchError {
    PatchError(format!(
        "The patch does not fit {path}: {what} could not be found:\n{}",
        lines.join("\n")
    ))
}

/// The first place at or after `from` where `wanted` stands; with `at_end`, the file's end is tried first.
fn seek(lines: &[&str], from: usize, wanted: &[String], at_end: bool) -> Option<usize> {
    const FORMS: [fn(&str) -> Cow<'_, str>; 4] = [
        bare,
        |line| line.trim_end().into(),
        |line| line.trim().into(),
        |line| plain(line.trim()),
    ];
    let last = lines.len().checked_sub(wanted.len())?;
    if from > last {
        return None;
    }
    for form in FORMS {
        let wanted: Vec<Cow<'_, str>> = wanted.iter().map(|line| form(line)).collect();
        let fits = |at: &usize| {
            lines[*at..]
                .iter()
                .zip(&wanted)
                .all(|(have, want)| form(have) == *want)
        };
        let found = if at_end && fits(&last) {
            Some(last)
        } else {
            (from..=last).find(fits)
        };
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

#[cfg(test)]
mod tests {
    use super::super::{Section, parse};
    use super::apply;

    fn patched(text: &str, body: &str) -> Result<String, String> {
        let sections = parse(&format!(
            "*** Begin Patch\n*** Update File: f\n{body}\n*** End Patch"
        ))
        .unwrap();
        let Section::Update { hunks, .. } = &sections[0] else {
            panic!()
        };
        apply(text, "f", hunks).map_err(|error| error.0)
    }

    #[test]
    fn hunks_follow_each_other() {
        let text = "a\nb\nc\nb\nd\n";
        assert_eq!(
            patched(text, "@@\n-b\n+1\n@@\n-b\n+2"),
            Ok("a\n1\nc\n2\nd\n".into())
        );
        assert_eq!(patched(text, "@@ c\n-b\n+2"), Ok("a\nb\nc\n2\nd\n".into()));
        assert_eq!(
            patched("x\nx\n", "@@\n-x\n+y\n*** End of File"),
            Ok("x\ny\n".into())
        );
    }

    #[test]
    fn lines_are_added() {
        assert_eq!(patched("a\nb\n", "@@\n+c"), Ok("a\nb\nc\n".into()));
        assert_eq!(patched("a\nb\n", "@@ a\n+c"), Ok("a\nc\nb\n".into()));
        assert_eq!(patched("", "@@\n+c"), Ok("c\n".into()));
    }

    #[test]
    fn endings_are_kept() {
        assert_eq!(patched("a\r\nb\r\n", "@@\n-b\n+c"), Ok("a\r\nc\r\n".into()));
        assert_eq!(patched("a\nb", "@@\n-a\n+c"), Ok("c\nb".into()));
        assert_eq!(
            patched("a\nb\r\nc\nd\n", "@@\n-d\n+e"),
            Ok("a\nb\r\nc\ne\n".into())
        );
    }

    #[test]
    fn blanks_and_typography_are_forgiven() {
        assert_eq!(patched("  a  \nb\n", "@@\n-a\n+x"), Ok("x\nb\n".into()));
        assert_eq!(
            patched("  a  \nb\n", "@@\n a\n-b\n+x"),
            Ok("  a  \nx\n".into())
        );
        assert_eq!(
            patched("say “hi” – now\n", "@@\n-say \"hi\" - now\n+x"),
            Ok("x\n".into())
        );
    }

    #[test]
    fn what_is_not_there_is_told() {
        assert!(
            patched("a\n", "@@\n-q\n+x")
                .unwrap_err()
                .contains("could not be found:\nq")
        );
        assert!(
            patched("a\n", "@@ q\n-a\n+x")
                .unwrap_err()
                .contains("the line after @@")
        );
        assert!(patched("a\nb\n", "@@\n-b\n+x\n@@\n-a\n+y").is_err());
    }
}

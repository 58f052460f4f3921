//! Cutting texts to a bound, always between two characters: the one place for it, so that all outputs are cut alike.

use std::borrow::Cow;

/// Characters of one line that a model or a client gets.
pub const LINE_CHARS_MAX: usize = 2_000;
/// What stands at the end of a line that was cut there.
pub const LINE_CUT: &str = "… (line cut at 2000 characters)";

/// The longest beginning of `text` within both bounds, on whole lines where its first line allows it.
pub fn head(text: &str, lines_max: usize, bytes_max: usize) -> &str {
    let mut end = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if index >= lines_max || end + line.len() > bytes_max + usize::from(line.ends_with('\n')) {
            break;
        }
        end += line.len();
    }
    if end == text.len() {
        return text;
    }
    if end == 0 && lines_max > 0 {
        end = text.floor_char_boundary(bytes_max.min(text.len()));
        return &text[..end];
    }
    text[..end].trim_end_matches('\n')
}

/// The longest end of `text` within both bounds, on whole lines where its last line allows it.
pub fn tail(text: &str, lines_max: usize, bytes_max: usize) -> &str {
    let mut start = text.len();
    for line in text.split_inclusive('\n').rev().take(lines_max) {
        if text.len() - start + line.len() > bytes_max {
            break;
        }
        start -= line.len();
    }
    if start == text.len() {
        start = text.ceil_char_boundary(text.len().saturating_sub(bytes_max));
    }
    text.get(start..).unwrap_or_default()
}

/// The last characters of `text`, so many at most.
pub fn last_chars(text: &str, chars_max: usize) -> &str {
    match text.char_indices().rev().nth(chars_max.saturating_sub(1)) {
        Some((start, _)) => text.get(start..).unwrap_or(text),
        None => text,
    }
}

/// The beginning of `text`, of so many bytes at most.
pub fn start(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// The beginning and the end of `text`, with a word on what was left out between them, where it is over `bytes_max`.
pub fn ends(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }
    let head = text.floor_char_boundary(bytes_max / 2);
    let tail = text.ceil_char_boundary(text.len() - bytes_max / 2);
    Cow::Owned(format!(
        "{}\n(… {} bytes left out …)\n{}",
        &text[..head],
        tail - head,
        &text[tail..]
    ))
}

/// A line as it is shown: without its ending, what is no text replaced, cut at [`LINE_CHARS_MAX`].
pub fn line(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // No character is longer than four bytes.
    let head = &line[..line.len().min(4 * LINE_CHARS_MAX)];
    let mut text: String = String::from_utf8_lossy(head)
        .chars()
        .take(LINE_CHARS_MAX)
        .collect();
    let is_longer = || String::from_utf8_lossy(line).chars().nth(LINE_CHARS_MAX);
    if text.len() < line.len() && is_longer().is_some() {
        text.push_str(LINE_CUT);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{LINE_CUT, ends, head, last_chars, line, start, tail};

    #[test]
    fn heads_end_on_lines_and_characters() {
        assert_eq!(head("a\nb\nc\n", 3, 100), "a\nb\nc\n");
        assert_eq!(head("a\nb\nc", 2, 100), "a\nb");
        assert_eq!(head("aaa\nbbb\nccc", 9, 7), "aaa\nbbb");
        assert_eq!(head("aaa\nbbb\nccc", 9, 6), "aaa");
        assert_eq!(head("☃☃☃", 9, 4), "☃");
        assert_eq!(head("", 9, 4), "");
        assert_eq!(start("☃☃☃", 4), "☃");
    }

    #[test]
    fn both_ends_are_kept_with_a_word_between() {
        assert_eq!(ends("abcdef", 6), "abcdef");
        assert_eq!(ends("☃abcdef☃", 8), "☃a\n(… 4 bytes left out …)\nf☃");
    }

    #[test]
    fn lines_are_cut_by_characters() {
        assert_eq!(line(b"a\r\n"), "a");
        let long = "☃".repeat(2_000);
        assert_eq!(line(long.as_bytes()), long);
        let longer = format!("{long}x\n");
        assert_eq!(line(longer.as_bytes()), format!("{long}{LINE_CUT}"));
    }

    #[test]
    fn tails_begin_on_lines_and_characters() {
        assert_eq!(tail("a\nb\nc\n", 2, 100), "b\nc\n");
        assert_eq!(tail("aaa\nbbb\nccc", 9, 7), "bbb\nccc");
        assert_eq!(tail("aaa\nbbb\nccc", 9, 6), "ccc");
        assert_eq!(tail("☃☃☃", 9, 4), "☃");
        assert_eq!(
            (last_chars("a☃b", 2), last_chars("a", 2), last_chars("", 2)),
            ("☃b", "a", "")
        );
    }
}

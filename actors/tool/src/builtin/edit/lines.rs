//! Lines with their places, and the forms in which matchers compare them.

/// A line of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Without its ending.
    pub text: &'a str,
    /// Its first byte.
    pub start: usize,
    /// The byte after its ending.
    pub end: usize,
}

/// The lines of `text`; an ending at its very end starts no further line.
pub fn lines_of(text: &str) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut start = 0;
    for whole in text.split_inclusive('\n') {
        let end = start + whole.len();
        let bare = whole
            .strip_suffix('\n')
            .map_or(whole, |bare| bare.strip_suffix('\r').unwrap_or(bare));
        lines.push(Line {
            text: bare,
            start,
            end,
        });
        start = end;
    }
    lines
}

/// The line with every run of blanks as one space, and none around it.
pub fn collapse(line: &str) -> String {
    let mut collapsed = String::with_capacity(line.len());
    for word in line.split_whitespace() {
        if !collapsed.is_empty() {
            collapsed.push(' ');
        }
        collapsed.push_str(word);
    }
    collapsed
}

/// The lines without the indentation that all of them share; lines of blanks count as empty.
pub fn dedent<'a>(lines: &[Line<'a>]) -> Vec<&'a str> {
    let indent = |text: &str| text.len() - text.trim_start().len();
    let shared = lines
        .iter()
        .map(|line| line.text)
        .filter(|text| !text.trim().is_empty())
        .map(indent)
        .min()
        .unwrap_or(0);
    let cut = |line: &Line<'a>| {
        if line.text.trim().is_empty() {
            ""
        } else {
            line.text.get(shared..).unwrap_or(line.text)
        }
    };
    lines.iter().map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::{collapse, dedent, lines_of};

    #[test]
    fn lines_know_their_bytes() {
        let lines: Vec<_> = lines_of("a\r\nbc\n\nd")
            .iter()
            .map(|line| (line.text, line.start, line.end))
            .collect();
        assert_eq!(lines, [("a", 0, 3), ("bc", 3, 6), ("", 6, 7), ("d", 7, 8)]);
        assert!(lines_of("").is_empty());
    }

    #[test]
    fn comparable_forms() {
        assert_eq!(collapse("  a \t b  "), "a b");
        assert_eq!(
            dedent(&lines_of("    a\n      b\n  \n    c")),
            ["a", "  b", "", "c"]
        );
    }
}

//! Indentation: a text that was written with another one than the file has is put into the file's.

/// A line as it was asked for, and the file's line that was found for it.
pub type Pair<'a> = (&'a str, &'a str);

/// How indentation is carried over from a model's text to a file's.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Indent {
    /// It is the same.
    Same,
    /// The file has this in front of every line.
    More(String),
    /// The text has this in front of every line.
    Less(String),
    /// The text has other steps: each of its `from` columns is one `to` of the file, `levels` deeper or less deep.
    Steps {
        /// Columns of one step of the text.
        from: usize,
        /// One step of the file.
        to: String,
        /// Steps that the file has more.
        levels: isize,
    },
}

/// `new` in the indentation of the file `text`, where `pairs` show how the two differ; nothing where they show no one way.
///
/// Blanks of a kind that the file does not use are only written where it has no indentation to go by.
pub fn fitted(pairs: &[Pair<'_>], text: &str, new: &str) -> Option<String> {
    Indent::ways(pairs, text)
        .iter()
        .filter_map(|way| way.text(new))
        .find(|carried| fits(text, carried))
}

/// Whether `new` is indented with the kind of blanks that the file `text` uses.
pub fn fits(text: &str, new: &str) -> bool {
    let kind = Kind::of(text);
    new.lines().all(|line| kind.has(blanks(line)))
}

/// Whether blanks before a line carry meaning in files of this name, so that the wrong kind breaks them.
pub fn matters(name: &str) -> bool {
    const ENDINGS: [&str; 14] = [
        ".py", ".pyi", ".pyx", ".yaml", ".yml", ".mk", ".sass", ".pug", ".haml", ".slim",
        ".coffee", ".nim", ".fs", ".hs",
    ];
    let name = name.to_ascii_lowercase();
    ENDINGS.iter().any(|ending| name.ends_with(ending)) || name.ends_with("makefile")
}

/// The blanks that a file's lines begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tabs,
    Spaces,
    /// Both, or none.
    Any,
}

impl Kind {
    fn of(text: &str) -> Self {
        let begins = |c| move |line: &&str| line.starts_with(c) && !line.trim().is_empty();
        // A comment's second line begins with one blank in files of tabs too.
        let two = |line: &&str| line.starts_with("  ") && !line.trim().is_empty();
        let (tabs, spaces) = (
            text.lines().any(|line| begins('\t')(&line)),
            text.lines().any(|line| two(&line)),
        );
        match (tabs, spaces) {
            (true, false) => Self::Tabs,
            (false, true) => Self::Spaces,
            _ => Self::Any,
        }
    }

    fn has(self, blanks: &str) -> bool {
        match self {
            Self::Tabs => !blanks.starts_with("  "),
            Self::Spaces => !blanks.contains('\t'),
            Self::Any => true,
        }
    }
}

impl Indent {
    /// The ways that carry every pair over, in the file `text`, the likeliest first.
    fn ways(pairs: &[Pair<'_>], text: &str) -> Vec<Self> {
        let pairs: Vec<Pair<'_>> = pairs
            .iter()
            .filter(|(want, have)| !want.trim().is_empty() && !have.trim().is_empty())
            .map(|(want, have)| (blanks(want), blanks(have)))
            .collect();
        let mut ways = vec![Self::Same];
        if let Some((want, have)) = pairs.first() {
            let more = have.strip_suffix(want).map(|more| Self::More(more.into()));
            let less = want.strip_suffix(have).map(|less| Self::Less(less.into()));
            ways.extend(more.into_iter().chain(less));
        }
        let steps = step_of(text).into_iter();
        ways.extend(steps.flat_map(|to| Self::steps(&pairs, &to)));
        let carries =
            |way: &Self, (want, have): &Pair<'_>| way.carry(want).as_deref() == Some(*have);
        ways.retain(|way| pairs.iter().all(|pair| carries(way, pair)));
        ways
    }

    /// Ways by steps that might do: those at the same depth first.
    fn steps(pairs: &[Pair<'_>], to: &str) -> Vec<Self> {
        let mut ways = Vec::new();
        for levels in [0, 1, -1, 2, -2, 3, -3] {
            for from in [4, 2, 8, 3, 1] {
                ways.push(Self::Steps {
                    from,
                    to: to.to_owned(),
                    levels,
                });
            }
        }
        // A step of the text is no wider than its narrowest line, unless that has none.
        let narrowest = pairs
            .iter()
            .map(|(want, _)| columns(want, 4))
            .filter(|wide| *wide > 0);
        let narrowest = narrowest.min().unwrap_or(8);
        ways.retain(|way| matches!(way, Self::Steps { from, .. } if *from <= narrowest));
        ways
    }

    /// The indentation `blanks` in the file's way; nothing where it would have to be less than none.
    fn carry(&self, blanks: &str) -> Option<String> {
        match self {
            Self::Same => Some(blanks.to_owned()),
            Self::More(more) => Some(format!("{more}{blanks}")),
            Self::Less(less) => blanks.strip_prefix(less.as_str()).map(str::to_owned),
            Self::Steps { from, to, levels } => {
                let wide = columns(blanks, *from);
                // What is less than one step is alignment only behind a step.
                if wide > 0 && wide < *from {
                    return None;
                }
                let level = isize::try_from(wide / from).ok()? + levels;
                let level = usize::try_from(level).ok()?;
                Some(format!("{}{}", to.repeat(level), " ".repeat(wide % from)))
            }
        }
    }

    /// A line in the file's way. An empty one stays; nothing where the line cannot be carried over.
    fn line(&self, line: &str) -> Option<String> {
        if line.trim().is_empty() {
            return Some(line.to_owned());
        }
        let own = blanks(line);
        Some(format!("{}{}", self.carry(own)?, &line[own.len()..]))
    }

    /// A text in the file's way, line by line.
    fn text(&self, text: &str) -> Option<String> {
        text.split_inclusive('\n')
            .map(|line| self.line(line))
            .collect()
    }
}

/// Whether two lines are indented alike, or one of them is empty.
pub fn same(one: &str, two: &str) -> bool {
    one.trim().is_empty() || two.trim().is_empty() || blanks(one) == blanks(two)
}

/// How deep a line is indented.
pub fn depth(line: &str) -> usize {
    columns(blanks(line), 4)
}

/// The blanks before a line.
pub fn blanks(line: &str) -> &str {
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// How wide blanks are where a tab is `tab` columns.
fn columns(blanks: &str, tab: usize) -> usize {
    blanks.chars().fold(0, |wide, c| match c {
        '\t' => (wide / tab + 1) * tab,
        _ => wide + 1,
    })
}

/// What one step of a file's indentation may be, the likeliest first; none where no line has any.
pub fn step_of(text: &str) -> Vec<String> {
    let (mut tabs, mut spaces) = (0, 0);
    let mut narrowest = usize::MAX;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match blanks(line) {
            "" => {}
            blanks if blanks.starts_with('\t') => tabs += 1,
            blanks => {
                spaces += 1;
                // A single blank is a comment's second line more often than a step.
                if blanks.len() > 1 {
                    narrowest = narrowest.min(blanks.len());
                }
            }
        }
    }
    if tabs > spaces {
        return vec!["\t".into()];
    }
    let by_width = [narrowest, 4, 2, 8];
    let usable = by_width.iter().filter(|wide| (1..=8).contains(*wide));
    usable.map(|wide| " ".repeat(*wide)).collect()
}

#[cfg(test)]
mod tests {
    use super::{fitted, matters};

    /// The text `new` in the way of the file, by the lines that were found.
    fn carried(pairs: &[(&str, &str)], file: &str, new: &str) -> Option<String> {
        fitted(pairs, file, new)
    }

    #[test]
    fn a_text_without_indentation_gets_the_files() {
        let file = "class A:\n    def f(self):\n        return 1\n";
        let pairs = [
            ("def f(self):", "    def f(self):"),
            ("    return 1", "        return 1"),
        ];
        assert_eq!(
            carried(
                &pairs,
                file,
                "def f(self):\n    if x:\n        return 2\n\n"
            )
            .as_deref(),
            Some("    def f(self):\n        if x:\n            return 2\n\n")
        );
        // And one with too much loses it, as far as every line has it.
        let pairs = [("        def f():", "    def f():")];
        assert_eq!(
            carried(&pairs, file, "        def g():\n            pass").as_deref(),
            Some("    def g():\n        pass")
        );
        assert_eq!(carried(&pairs, file, "  def g():"), None);
    }

    #[test]
    fn spaces_become_tabs_and_tabs_spaces() {
        let tabs = "func f() {\n\tif x {\n\t\ty()\n\t}\n}\n";
        for step in ["    ", "  "] {
            let one = format!("{step}if x {{");
            let two = format!("{step}{step}y()");
            let pairs = [(one.as_str(), "\tif x {"), (two.as_str(), "\t\ty()")];
            let new = format!("{step}if z {{\n{step}{step}{step}w()\n{step}}}\n");
            assert_eq!(
                carried(&pairs, tabs, &new).as_deref(),
                Some("\tif z {\n\t\t\tw()\n\t}\n")
            );
        }
        let spaces = "def f():\n  if x:\n    y()\n";
        let pairs = [("\tif x:", "  if x:")];
        assert_eq!(
            carried(&pairs, spaces, "\tif x:\n\t\tz()").as_deref(),
            Some("  if x:\n    z()")
        );
        let four = "def f():\n    if x:\n        y()\n";
        let pairs = [("  if x:", "    if x:"), ("    y()", "        y()")];
        assert_eq!(
            carried(&pairs, four, "  if x:\n    z()\n    if w:\n      v()").as_deref(),
            Some("    if x:\n        z()\n        if w:\n            v()")
        );
        // Tabs, and a level less deep than the file at once.
        let pairs = [("if x {", "\tif x {"), ("    y()", "\t\ty()")];
        assert_eq!(carried(&pairs, tabs, "    z()").as_deref(), Some("\t\tz()"));
    }

    #[test]
    fn no_blanks_come_in_that_the_file_does_not_use() {
        let four = "class A:\n    def f():\n        return 1\n";
        let pairs = [("def f():", "    def f():")];
        assert_eq!(
            carried(&pairs, four, "def f():\n\treturn 2").as_deref(),
            Some("    def f():\n        return 2")
        );
        let tabs = "def f():\n\treturn 1\n";
        let same = [("def f():", "def f():")];
        assert_eq!(
            carried(&same, tabs, "def f():\n    x()\n    if y:\n        z()").as_deref(),
            Some("def f():\n\tx()\n\tif y:\n\t\tz()")
        );
        assert!(matters("a/b.py") && matters("GNUmakefile") && !matters("a.rs"));
    }

    #[test]
    fn what_follows_no_rule_is_not_guessed() {
        let file = "a\n    b\n        c\n";
        let pairs = [("b", "    b"), ("c", "        c")];
        assert_eq!(carried(&pairs, file, "d"), None);
        assert_eq!(carried(&[("b", "b")], file, "  d").as_deref(), Some("  d"));
    }
}

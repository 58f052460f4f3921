//! Line endings: an edit speaks the file's own.

/// How lines end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// `\n`.
    Lf,
    /// `\r\n`.
    CrLf,
}

impl Ending {
    /// The ending of most lines; of none, [`Ending::Lf`].
    pub fn of(text: &str) -> Self {
        let lines = text.matches('\n').count();
        let windows = text.matches("\r\n").count();
        if windows * 2 > lines {
            Self::CrLf
        } else {
            Self::Lf
        }
    }

    /// `text` with this ending on every line.
    pub fn apply(self, text: &str) -> String {
        let plain = text.replace("\r\n", "\n");
        match self {
            Self::Lf => plain,
            Self::CrLf => plain.replace('\n', "\r\n"),
        }
    }
}

/// A new whole text for a file that had `old`: a file with nothing but `\r\n` keeps it, unless the new text brings its own.
pub fn keep(old: &str, new: &str) -> String {
    let windows = old.matches("\r\n").count();
    let uniform = windows > 0 && windows == old.matches('\n').count();
    if uniform && !new.contains("\r\n") {
        Ending::CrLf.apply(new)
    } else {
        new.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::{Ending, keep};

    #[test]
    fn endings_are_seen_and_kept() {
        assert_eq!(Ending::of("a\r\nb\r\nc\n"), Ending::CrLf);
        assert_eq!(Ending::of("a"), Ending::Lf);
        assert_eq!(Ending::CrLf.apply("a\nb\r\n"), "a\r\nb\r\n");
        assert_eq!(keep("a\r\n", "b\nc\n"), "b\r\nc\r\n");
        assert_eq!(keep("a\r\nb\n", "c\n"), "c\n");
        assert_eq!(keep("", "c\n"), "c\n");
    }
}

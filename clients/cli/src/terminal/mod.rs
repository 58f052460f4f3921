//! What the program may show: colours, width, and lines that never panic on a closed pipe.

pub mod keys;
pub mod screen;
pub mod table;

use kilo_config::Environment;
use std::io::{IsTerminal, Write};

const WIDTH_DEFAULT: usize = 100;
const WIDTH_MIN: usize = 40;

/// What an output can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// It is a terminal: spinners and live text make sense.
    pub live: bool,
    /// It shows colours and they are wanted.
    pub colour: bool,
    /// Columns.
    pub width: usize,
}

impl Terminal {
    /// What standard output can show. `NO_COLOR` and `TERM=dumb` switch colours off.
    pub fn of_stdout(env: &Environment) -> Self {
        Self::of(
            std::io::stdout().is_terminal(),
            width(&std::io::stdout()),
            env,
        )
    }

    /// What standard error can show.
    pub fn of_stderr(env: &Environment) -> Self {
        Self::of(
            std::io::stderr().is_terminal(),
            width(&std::io::stderr()),
            env,
        )
    }

    /// An output that is no terminal.
    #[cfg(test)]
    pub const fn plain() -> Self {
        Self {
            live: false,
            colour: false,
            width: WIDTH_DEFAULT,
        }
    }

    fn of(live: bool, width: Option<usize>, env: &Environment) -> Self {
        let dumb = env.get("TERM") == Some("dumb");
        let colour = live && !dumb && env.get("NO_COLOR").is_none();
        Self {
            live: live && !dumb,
            colour,
            width: width.unwrap_or(WIDTH_DEFAULT).max(WIDTH_MIN),
        }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// Text that matters most.
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// Text that matters least.
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// Failure, removed lines.
    pub fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// Success, added lines.
    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Something that waits for an answer.
    pub fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// Headings.
    pub fn cyan(self, text: &str) -> String {
        self.paint("36", text)
    }
}

fn width(out: &impl std::os::fd::AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(out).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// Writes a line to standard output. A reader that went away is no reason to fail.
pub fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Writes a line to standard error.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Cuts `text` to one line of at most `width` columns, with `…` where something is missing.
pub fn fit(text: &str, width: usize) -> String {
    let first = text.lines().next().unwrap_or_default();
    let more = first.len() < text.trim_end().len();
    if first.chars().count() <= width && !more {
        return first.to_owned();
    }
    let mut cut: String = first.chars().take(width.saturating_sub(1)).collect();
    cut.truncate(cut.trim_end().len());
    cut.push('…');
    cut
}

/// Replaces what could move the cursor or change colours by `?`: text from files and models is not trusted with a
/// terminal. Newlines and tabs stay.
pub fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && !matches!(c, '\n' | '\t') {
                '?'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_only_for_terminals_that_want_them() {
        let mut env = Environment::default();
        assert!(Terminal::of(true, Some(80), &env).colour);
        assert!(!Terminal::of(false, None, &env).colour);
        env.vars.insert("NO_COLOR".into(), "1".into());
        assert!(!Terminal::of(true, Some(80), &env).colour);
        assert_eq!(Terminal::plain().red("x"), "x");
    }

    #[test]
    fn long_and_many_lines_are_cut() {
        assert_eq!(fit("short", 10), "short");
        assert_eq!(fit("a longer line", 9), "a longer…");
        assert_eq!(fit("first\nsecond", 20), "first…");
    }

    #[test]
    fn escape_sequences_lose_their_power() {
        assert_eq!(harmless("a\x1b[2Jb\tc\r\n"), "a?[2Jb\tc?\n");
    }
}

//! Text that arrives in pieces, whole lines between it, and a spinner below: without getting into each other's way.

use crate::terminal::{Terminal, fit};
use std::io::Write;

const FRAMES: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// An output that remembers where its cursor is. Failures to write are ignored: a closed pipe ends the program elsewhere.
pub struct Screen<W: Write> {
    out: W,
    /// What the output can show.
    pub terminal: Terminal,
    at_line_start: bool,
    /// Line ends at the end of running text: written once more text comes, so that a text never ends in blank lines.
    held_ends: usize,
    spinner: Option<String>,
    spinner_shown: bool,
    frame: usize,
}

impl<W: Write> Screen<W> {
    /// An empty screen.
    pub fn new(out: W, terminal: Terminal) -> Self {
        Self {
            out,
            terminal,
            at_line_start: true,
            held_ends: 0,
            spinner: None,
            spinner_shown: false,
            frame: 0,
        }
    }

    /// Writes a piece of running text. Line ends at its end wait for the next piece.
    pub fn text(&mut self, piece: &str) {
        let body = piece.trim_end_matches('\n');
        let ends = piece.len() - body.len();
        if !body.is_empty() {
            self.hide();
            let held = "\n".repeat(std::mem::take(&mut self.held_ends));
            self.put(&format!("{held}{body}"));
            self.at_line_start = false;
        }
        self.held_ends += ends;
    }

    /// Writes a whole line, on a line of its own.
    pub fn line(&mut self, line: &str) {
        self.end_text();
        self.put(line);
        self.put("\n");
        self.at_line_start = true;
    }

    /// Ends running text with a newline, if it needs one.
    pub fn end_text(&mut self) {
        self.hide();
        self.held_ends = 0;
        if !self.at_line_start {
            self.put("\n");
            self.at_line_start = true;
        }
    }

    /// Says what is being waited for; shown by the next [`Screen::tick`] on a terminal.
    pub fn wait_for(&mut self, what: &str) {
        self.spinner = Some(what.to_owned());
    }

    /// Waits for nothing any more.
    pub fn stop_waiting(&mut self) {
        self.hide();
        self.spinner = None;
    }

    /// Moves the spinner on. It stays away while running text is in the middle of a line.
    pub fn tick(&mut self) {
        let Some(what) = &self.spinner else { return };
        if !self.terminal.live || !self.at_line_start {
            return;
        }
        let mark = FRAMES[self.frame % FRAMES.len()];
        self.frame += 1;
        let what = self
            .terminal
            .dim(&fit(what, self.terminal.width.saturating_sub(3)));
        let shown = format!("\r\x1b[2K{} {what}", self.terminal.cyan(mark));
        self.spinner_shown = true;
        self.put(&shown);
    }

    fn hide(&mut self) {
        if self.spinner_shown {
            self.spinner_shown = false;
            self.put("\r\x1b[2K");
        }
    }

    fn put(&mut self, text: &str) {
        let _ = self
            .out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush());
    }

    /// Ends and gives the output back.
    #[cfg(test)]
    pub fn into_inner(mut self) -> W {
        self.end_text();
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(terminal: Terminal, script: impl FnOnce(&mut Screen<Vec<u8>>)) -> String {
        let mut screen = Screen::new(Vec::new(), terminal);
        script(&mut screen);
        String::from_utf8(screen.into_inner()).expect("text")
    }

    #[test]
    fn lines_do_not_run_into_text() {
        let out = shown(Terminal::plain(), |screen| {
            screen.text("half a ");
            screen.text("sentence");
            screen.line("a line");
            screen.tick();
            screen.text("done\n");
        });
        assert_eq!(out, "half a sentence\na line\ndone\n");
    }

    #[test]
    fn blank_lines_stay_between_texts_and_not_at_their_end() {
        let out = shown(Terminal::plain(), |screen| {
            for piece in ["one\n", "\n", "two", "\n\n", "\n"] {
                screen.text(piece);
            }
            screen.end_text();
            screen.line("a line");
        });
        assert_eq!(out, "one\n\ntwo\na line\n");
    }

    #[test]
    fn the_spinner_vanishes_before_anything_else_is_written() {
        let live = Terminal {
            live: true,
            colour: false,
            width: 40,
        };
        let out = shown(live, |screen| {
            screen.wait_for("thinking");
            screen.tick();
            screen.tick();
            screen.text("hi");
            screen.tick();
        });
        assert_eq!(out, "\r\x1b[2K⠋ thinking\r\x1b[2K⠙ thinking\r\x1b[2Khi\n");
    }
}

//! The screen that a text makes, and the text that makes this screen.

use super::modes::Modes;
use super::sequence::{self, Kind};
use avt::{Color, Line, Pen};
use kilo_ports::sandbox::TerminalSize;
use std::fmt::Write as _;

/// Cells of lines that scrolled off which are kept, and lines.
const SCROLLBACK_CELLS_MAX: usize = 100_000;
const SCROLLBACK_LINES_MAX: usize = 1_000;
/// Bytes that the emulator gets at a time. A few may mean a lot of work (`repeat this 65,535 times`).
const STEP_BYTES: usize = 64;
/// Bytes of an unfinished sequence that are waited for; a longer one is taken piece by piece.
const UNFINISHED_BYTES_MAX: usize = 8 * 1024;

/// An emulator's state.
pub struct Screen {
    emulator: avt::Terminal,
    modes: Modes,
    size: TerminalSize,
    /// Inside a long sequence that was begun.
    inside: Option<Kind>,
}

impl Screen {
    /// An empty one.
    pub fn new(size: TerminalSize) -> Option<Self> {
        let columns = usize::from(size.columns.max(1));
        let lines = SCROLLBACK_LINES_MAX.min(SCROLLBACK_CELLS_MAX / columns);
        let rows = usize::from(size.rows.max(1));
        Some(Self {
            emulator: avt::Terminal::with_scrollback(columns, rows, Some(lines)).ok()?,
            modes: Modes::default(),
            size,
            inside: None,
        })
    }

    /// Takes the beginning of a text, up to a place between two sequences or characters; gives its bytes. `0`: an
    /// unfinished sequence needs more. A step is small: whoever has much to feed comes back.
    pub fn feed(&mut self, text: &str) -> usize {
        let bytes = text.as_bytes();
        let taken = match (self.inside, memchr::memchr(0x1b, bytes)) {
            (Some(kind), _) => self.end_of_long(bytes, kind),
            (None, Some(0)) => self.one_sequence(text),
            (None, at) => text.floor_char_boundary(at.unwrap_or(bytes.len()).min(STEP_BYTES)),
        };
        self.emulator.feed(text.get(..taken).unwrap_or_default());
        taken
    }

    fn one_sequence(&mut self, text: &str) -> usize {
        if let Some((kind, length)) = sequence::complete(text.as_bytes()) {
            self.modes
                .take(kind, text.get(..length).unwrap_or_default());
            return length;
        }
        if text.len() < UNFINISHED_BYTES_MAX {
            return 0;
        }
        self.inside = match text.as_bytes().get(1) {
            Some(b'[') => Some(Kind::Csi),
            Some(b']') => Some(Kind::Osc),
            _ => Some(Kind::String),
        };
        2
    }

    fn end_of_long(&mut self, bytes: &[u8], kind: Kind) -> usize {
        let end = match kind {
            Kind::Osc | Kind::String => sequence::string_end(bytes, kind),
            _ => bytes
                .iter()
                .position(|byte| !(0x20..0x40).contains(byte))
                .map(|at| {
                    if bytes[at] < 0x80 && bytes[at] != 0x1b {
                        at + 1
                    } else {
                        at
                    }
                }),
        };
        match end {
            Some(end) => {
                self.inside = None;
                end
            }
            // An ESC at the end may be half of the terminator.
            None => bytes.len() - usize::from(bytes.last() == Some(&0x1b)),
        }
    }

    /// Changes the size.
    pub fn resize(&mut self, size: TerminalSize) {
        self.size = size;
        self.emulator.resize(
            usize::from(size.columns.max(1)),
            usize::from(size.rows.max(1)),
        );
    }

    /// A text that makes a terminal of this size what this one is, whatever it was before.
    pub fn restore(&self) -> String {
        let mut out = String::from("\x1bc");
        self.scrolled_off(&mut out);
        self.modes.restore(&mut out);
        portable(&self.emulator.dump(), &mut out);
        out
    }

    /// Writes the lines that scrolled off, then pushes them up and away.
    fn scrolled_off(&self, out: &mut String) {
        let primary = self.emulator.primary_screen();
        let rows = usize::from(self.size.rows.max(1));
        let all = primary.all_lines().count();
        let count = all.saturating_sub(rows);
        if count == 0 {
            return;
        }
        let (mut pen, mut goes_on) = (Pen::default(), false);
        for (at, line) in primary.all_lines().take(count).enumerate() {
            let start = out.len();
            pen = write_cells(line, pen, out);
            // A line that goes on in the next one wraps by itself; the last ends, for the cursor to be below it.
            if line.is_wrapped() && at + 1 < count {
                let blank = usize::from(self.size.columns).saturating_sub(line.cells().len());
                out.extend(std::iter::repeat_n(' ', blank));
                goes_on = true;
                continue;
            }
            // Blanks at its end need not be sent, unless they are what makes the line before wrap.
            if pen.is_default() && !goes_on {
                out.truncate(start + out[start..].trim_end_matches(' ').len());
            }
            out.push_str("\r\n");
            goes_on = false;
        }
        out.push_str("\x1b[m");
        let _ = write!(out, "\x1b[{rows};1H");
        out.extend(std::iter::repeat_n('\n', count.min(rows - 1)));
        out.push_str("\x1b[H");
    }
}

/// Copies the emulator's words and puts those that not every terminal knows (repeat, tab stops by cursor, one name of
/// the other screen) as others.
fn portable(dump: &str, out: &mut String) {
    let mut rest = dump;
    while let Some(at) = rest.find('\x1b') {
        let (text, from) = rest.split_at(at);
        out.push_str(text);
        let Some((_, length)) = sequence::complete(from.as_bytes()) else {
            rest = from;
            break;
        };
        let (word, behind) = from.split_at(length);
        let inside = word.get(2..length - 1).unwrap_or_default();
        match (
            word.ends_with('b'),
            inside.parse::<usize>(),
            out.chars().next_back(),
        ) {
            (true, Ok(times), Some(last)) => out.extend(std::iter::repeat_n(last, times)),
            _ => out.push_str(match word {
                "\x1b[0W" => "\x1bH",
                "\x1b[5W" => "\x1b[3g",
                "\x1b[?1047h" => "\x1b[?47h\x1b[?1047h",
                "\x1b[?1047l" => "\x1b[?47l\x1b[?1047l",
                word => word,
            }),
        }
        rest = behind;
    }
    out.push_str(rest);
}

/// Writes what is in a line; gives the pen at its end.
fn write_cells(line: &Line, mut pen: Pen, out: &mut String) -> Pen {
    for cells in line.chunks(|one, other| one.pen() != other.pen()) {
        let Some(first) = cells.first() else { continue };
        if *first.pen() != pen {
            pen = *first.pen();
            write_pen(&pen, out);
        }
        out.extend(cells.iter().map(|cell| cell.char()));
    }
    pen
}

fn write_pen(pen: &Pen, out: &mut String) {
    out.push_str("\x1b[0");
    for (on, code) in [
        (pen.is_bold(), 1),
        (pen.is_faint(), 2),
        (pen.is_italic(), 3),
        (pen.is_underline(), 4),
        (pen.is_blink(), 5),
        (pen.is_inverse(), 7),
        (pen.is_strikethrough(), 9),
    ] {
        if on {
            let _ = write!(out, ";{code}");
        }
    }
    for (color, base) in [(pen.foreground(), 38), (pen.background(), 48)] {
        match color {
            Some(Color::Indexed(index)) => {
                let _ = write!(out, ";{base};5;{index}");
            }
            Some(Color::RGB(rgb)) => {
                let _ = write!(out, ";{base};2;{};{};{}", rgb.r, rgb.g, rgb.b);
            }
            None => {}
        }
    }
    out.push('m');
}

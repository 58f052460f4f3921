//! What programs set in a terminal beside its screen: how keys and the mouse are reported, the cursor's form, the title.
//!
//! The emulator does not keep these, and a client that comes late needs them to type as the program expects.

use super::sequence::Kind;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Private modes that are off in a new terminal and change no text: reverse video, blinking, reverse wrap, keypad, mouse,
/// focus, alternate scroll, bracketed paste, colour scheme reports.
const KEPT: [u16; 17] = [
    5, 9, 12, 45, 66, 1000, 1002, 1003, 1004, 1005, 1006, 1007, 1015, 1016, 1034, 2004, 2031,
];
/// Bytes of a title that are kept.
const TITLE_BYTES_MAX: usize = 256;
/// Levels of keyboard flags that are kept.
const KEYBOARD_LEVELS_MAX: usize = 8;

/// What is set.
#[derive(Debug, Default)]
pub struct Modes {
    on: BTreeSet<u16>,
    /// `ESC =`.
    keypad: bool,
    /// Of `CSI n SP q`.
    cursor: Option<u16>,
    title: Option<String>,
    /// Of `CSI > n u`, the newest last.
    keyboard: Vec<u16>,
    /// Of `CSI > 4 ; n m`.
    other_keys: Option<u16>,
}

impl Modes {
    /// Takes a whole sequence.
    pub fn take(&mut self, kind: Kind, sequence: &str) {
        match kind {
            Kind::Escape => match sequence.as_bytes().get(1) {
                Some(b'=') => self.keypad = true,
                Some(b'>') => self.keypad = false,
                Some(b'c') => *self = Self::default(),
                _ => {}
            },
            Kind::Csi => self.take_csi(sequence.get(2..).unwrap_or_default()),
            Kind::Osc => self.take_osc(sequence.get(2..).unwrap_or_default()),
            Kind::String => {}
        }
    }

    fn take_csi(&mut self, inside: &str) {
        let Some(end) = inside.chars().next_back() else {
            return;
        };
        let inside = &inside[..inside.len() - end.len_utf8()];
        match (inside.chars().next(), end) {
            (Some('?'), 'h' | 'l') => self.set(numbers(&inside[1..]), end == 'h'),
            (Some('!'), 'p') => {
                self.keypad = false;
                self.cursor = None;
            }
            (_, 'q') if inside.ends_with(' ') => {
                self.cursor = numbers(inside.trim_end()).next().filter(|form| *form > 0);
            }
            (Some('>'), 'u') => {
                if self.keyboard.len() >= KEYBOARD_LEVELS_MAX {
                    self.keyboard.remove(0);
                }
                self.keyboard
                    .push(numbers(&inside[1..]).next().unwrap_or(0));
            }
            (Some('<'), 'u') => {
                let levels = usize::from(numbers(&inside[1..]).next().unwrap_or(1).max(1));
                let left = self.keyboard.len().saturating_sub(levels);
                self.keyboard.truncate(left);
            }
            (Some('>'), 'm') => {
                let mut given = numbers(&inside[1..]);
                if given.next() == Some(4) {
                    self.other_keys = given.next().filter(|level| *level > 0);
                }
            }
            _ => {}
        }
    }

    fn set(&mut self, modes: impl Iterator<Item = u16>, on: bool) {
        for mode in modes.filter(|mode| KEPT.contains(mode)) {
            match on {
                true => self.on.insert(mode),
                false => self.on.remove(&mode),
            };
        }
    }

    fn take_osc(&mut self, inside: &str) {
        let inside = inside.trim_end_matches(['\u{7}', '\u{1b}', '\\']);
        let Some(("0" | "2", title)) = inside.split_once(';') else {
            return;
        };
        let title = &title[..title.floor_char_boundary(TITLE_BYTES_MAX)];
        let plain = title.chars().filter(|character| !character.is_control());
        self.title = Some(plain.collect()).filter(|title: &String| !title.is_empty());
    }

    /// What sets the same in a new terminal.
    pub fn restore(&self, out: &mut String) {
        for mode in &self.on {
            let _ = write!(out, "\x1b[?{mode}h");
        }
        if self.keypad {
            out.push_str("\x1b=");
        }
        if let Some(form) = self.cursor {
            let _ = write!(out, "\x1b[{form} q");
        }
        if let Some(level) = self.other_keys {
            let _ = write!(out, "\x1b[>4;{level}m");
        }
        for flags in &self.keyboard {
            let _ = write!(out, "\x1b[>{flags}u");
        }
        if let Some(title) = &self.title {
            let _ = write!(out, "\x1b]2;{title}\x07");
        }
    }
}

fn numbers(text: &str) -> impl Iterator<Item = u16> + '_ {
    text.split(';').filter_map(|number| number.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::super::sequence::complete;
    use super::*;

    fn after(text: &str) -> String {
        let (mut modes, mut rest) = (Modes::default(), text);
        while let Some(at) = rest.find('\x1b') {
            rest = &rest[at..];
            let (kind, length) = complete(rest.as_bytes()).unwrap();
            modes.take(kind, &rest[..length]);
            rest = &rest[length..];
        }
        let mut out = String::new();
        modes.restore(&mut out);
        out
    }

    #[test]
    fn what_is_set_is_set_again() {
        for (text, expected) in [
            (
                "\x1b[?1000;1006h\x1b[?2004h",
                "\x1b[?1000h\x1b[?1006h\x1b[?2004h",
            ),
            ("\x1b[?1000;1006h\x1b[?1000l", "\x1b[?1006h"),
            // The emulator's own, and one that would clear the screen.
            ("\x1b[?1049h\x1b[?25l\x1b[?3h", ""),
            ("\x1b=\x1b[5 q", "\x1b=\x1b[5 q"),
            ("\x1b=\x1b[5 q\x1b[!p", ""),
            ("\x1b[5 q\x1b[0 q", ""),
            ("\x1b[>1u\x1b[>5u\x1b[<u", "\x1b[>1u"),
            ("\x1b[>4;2m", "\x1b[>4;2m"),
            ("\x1b[>4;2m\x1b[>4;0m", ""),
            ("\x1b]0;one\x07\x1b]2;two\x1b\\", "\x1b]2;two\x07"),
            ("\x1b]2;a\nb\x07\x1b]7;file:///\x07", "\x1b]2;ab\x07"),
            ("\x1b[?2004h\x1b]2;t\x07\x1bc", ""),
        ] {
            assert_eq!(after(text), expected, "{text:?}");
        }
    }
}

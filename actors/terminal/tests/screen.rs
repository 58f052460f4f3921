//! A client that comes late sees the screen that one sees who saw everything, whatever the program wrote, wherever the
//! old text was cut, and whatever sizes the terminal had. Checked with the emulator that the crate uses itself (whole
//! state, scrolled-off lines too) and with another one (what is seen).

#![allow(clippy::unwrap_used, reason = "tests")]

use avt::Terminal as Emulator;
use kilo_ports::sandbox::TerminalSize;
use kilo_terminal::{Output, Room};

/// A little chance that is the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }
}

/// What programs really write.
fn sane(chance: &mut Chance) -> String {
    let number = |chance: &mut Chance| chance.below(30) + 1;
    match chance.below(16) {
        0..=4 => chance
            .pick(&[
                "word ",
                "a",
                "line of some text",
                "0123456789",
                "é€",
                "界世",
                "\t",
            ])
            .to_owned(),
        5..=6 => "\r\n".to_owned(),
        7 => format!("\x1b[{};{}H", number(chance), number(chance)),
        8 => format!(
            "\x1b[{}m",
            chance.pick(&["0", "1", "7", "31", "1;32", "38;5;99", "48;2;1;2;3"])
        ),
        9 => chance
            .pick(&[
                "\x1b[K", "\x1b[1K", "\x1b[2K", "\x1b[J", "\x1b[1J", "\r", "\x08",
            ])
            .to_owned(),
        10 => format!(
            "\x1b[{}{}",
            number(chance),
            chance.pick(&["A", "B", "C", "D", "P", "X", "@"])
        ),
        11 => format!("\x1b[{}{}", chance.below(4) + 1, chance.pick(&["L", "M"])),
        12 => chance
            .pick(&["\x1b7", "\x1b8", "\x1b[s", "\x1b[u"])
            .to_owned(),
        13 => chance
            .pick(&[
                "\x1b[?25l",
                "\x1b[?25h",
                "\x1b[?2004h",
                "\x1b[?1000h",
                "\x1b]0;a title\x07",
            ])
            .to_owned(),
        14 => {
            let top = chance.below(5) + 1;
            format!("\x1b[{top};{}r", top + 2 + chance.below(6))
        }
        _ => chance
            .pick(&["\x1b[?1049h", "\x1b[?1049l", "\x1b[r", "\x1bM"])
            .to_owned(),
    }
}

/// What every emulator reads alike: no saved cursors, no margins, no wide characters at the edge.
fn simple(chance: &mut Chance) -> String {
    loop {
        let piece = sane(chance);
        let disputed = ["\x1b7", "\x1b8", "[s", "[u", "界", "\x1bM", "\t"];
        if !piece.ends_with(['r', '@', 'L', 'M'])
            && !disputed.iter().any(|text| piece.contains(text))
        {
            return piece;
        }
    }
}

/// Anything at all.
fn wild(chance: &mut Chance) -> String {
    if chance.below(3) > 0 {
        return sane(chance);
    }
    let length = chance.below(12);
    (0..length)
        .map(|_| match chance.below(4) {
            0 => '\x1b',
            1 => char::from_u32(chance.below(0x20) as u32).unwrap_or(' '),
            2 => chance
                .pick(&[
                    "[", "]", "P", "?", ";", ":", "m", "h", "r", "8", "\u{9b}", "\u{9d}", "界",
                ])
                .chars()
                .next()
                .unwrap_or(' '),
            _ => char::from_u32(0x20 + chance.below(0x60) as u32).unwrap_or(' '),
        })
        .collect()
}

fn small_size(chance: &mut Chance) -> TerminalSize {
    TerminalSize {
        rows: chance.below(12) as u16 + 8,
        columns: chance.below(30) as u16 + 10,
    }
}

/// What a late client is sent.
fn replay(output: &Output) -> String {
    let restored = output.restore();
    let (mut text, mut at) = (restored.text, restored.from);
    while let Some((piece, next)) = output.read(at) {
        text.push_str(&piece);
        at = next;
    }
    text
}

fn emulator(size: TerminalSize, lines: usize) -> Emulator {
    Emulator::with_scrollback(size.columns.into(), size.rows.into(), Some(lines)).unwrap()
}

/// The output after a random program, and one who saw it all.
fn played(
    seed: u64,
    of: fn(&mut Chance) -> String,
    resizes: bool,
) -> (Output, Emulator, String, TerminalSize) {
    let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut size = small_size(&mut chance);
    let room = Room {
        kept_bytes_max: chance.below(1_500) as usize,
        step_bytes: chance.below(200) as usize + 1,
    };
    let mut output = Output::new(size, room);
    let mut saw_all = emulator(size, 1_000);
    let mut whole = String::new();
    for _ in 0..chance.below(400) {
        let piece = of(&mut chance);
        // As it comes from a program: cut anywhere.
        let cut = piece.floor_char_boundary(chance.below(piece.len() as u64 + 1) as usize);
        for part in [&piece[..cut], &piece[cut..]] {
            output.push(part);
            while output.trim() {}
        }
        saw_all.feed(piece.as_str());
        whole.push_str(&piece);
        if resizes && chance.below(60) == 0 {
            while output.settle() {}
            size = small_size(&mut chance);
            output.resize(size);
            saw_all.resize(size.columns.into(), size.rows.into());
        }
    }
    (output, saw_all, whole, size)
}

fn assert_same(seed: u64, output: &Output, saw_all: &Emulator, size: TerminalSize) {
    let mut late = emulator(size, 1_000);
    late.feed("rubbish of before\x1b[?1049h\x1b[31m");
    let text = replay(output);
    if !output.restore().text.is_empty() {
        late.feed(text.as_str());
    } else {
        late = emulator(size, 1_000);
        late.feed(text.as_str());
    }
    assert_eq!(late.dump(), saw_all.dump(), "seed {seed}");
    assert_eq!(rows(&late), rows(saw_all), "seed {seed}, lines above");
}

/// All rows, those that scrolled off too.
fn rows(emulator: &Emulator) -> Vec<String> {
    let lines = emulator.primary_screen().all_lines();
    lines
        .map(|line| line.text().trim_end().to_owned())
        .collect()
}

#[test]
fn a_late_client_has_the_state_of_one_that_saw_everything() {
    for seed in 0..400 {
        let (output, saw_all, _, size) = played(seed, sane, false);
        assert_same(seed, &output, &saw_all, size);
    }
}

#[test]
fn sequences_that_are_cut_or_rubbish_do_not_break_the_screen() {
    for seed in 0..400 {
        let (output, saw_all, _, size) = played(seed, wild, false);
        assert_same(seed, &output, &saw_all, size);
    }
}

#[test]
fn a_late_client_has_the_screen_after_any_changes_of_size() {
    for seed in 0..400 {
        let (output, saw_all, _, size) = played(seed, sane, true);
        assert_same(seed, &output, &saw_all, size);
    }
}

/// The two read some programs differently: those say nothing.
#[test]
fn another_emulator_shows_a_late_client_the_same() {
    let mut compared = 0;
    for seed in 0..600 {
        let (output, saw_all, whole, size) = played(seed, simple, false);
        let other = other_emulator(size, &whole);
        let seen = |screen: &vt100::Screen| {
            let rows = screen.rows(0, size.columns);
            rows.map(|row| row.trim_end().to_owned())
                .collect::<Vec<_>>()
        };
        let lines = saw_all.screen().visible_lines();
        let own: Vec<_> = lines
            .map(|line| line.text().trim_end().to_owned())
            .collect();
        let position = saw_all.cursor().position().unwrap_or_default();
        let (row, column) = other.screen().cursor_position();
        if own != seen(other.screen()) || position != (column.into(), row.into()) {
            continue;
        }
        compared += 1;
        let late = other_emulator(size, &replay(&output));
        assert_eq!(seen(late.screen()), own, "seed {seed}");
        assert_eq!(
            late.screen().bracketed_paste(),
            other.screen().bracketed_paste(),
            "seed {seed}"
        );
        assert_eq!(
            late.screen().mouse_protocol_mode(),
            other.screen().mouse_protocol_mode(),
            "seed {seed}"
        );
    }
    assert!(compared > 100, "only {compared} programs could be compared");
}

fn other_emulator(size: TerminalSize, text: &str) -> vt100::Parser {
    let (rows, columns) = (size.rows.try_into(), size.columns.try_into());
    let mut parser = vt100::Parser::new(rows.unwrap(), columns.unwrap(), 0);
    parser.process(text.as_bytes());
    parser
}

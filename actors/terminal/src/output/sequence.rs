//! Where a control sequence ends.

/// What a sequence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `ESC` and one or more characters.
    Escape,
    /// `ESC [ … final`.
    Csi,
    /// `ESC ] … BEL`, or up to `ESC \`.
    Osc,
    /// `ESC P`, `ESC X`, `ESC ^` or `ESC _` up to `ESC \`.
    String,
}

/// The sequence at the beginning of `bytes`, which is an ESC: its kind and length. None: it is not complete.
///
/// One that is broken off by another ESC, by CAN or by SUB ends before that.
pub fn complete(bytes: &[u8]) -> Option<(Kind, usize)> {
    let kind = match bytes.get(1)? {
        b'[' => Kind::Csi,
        b']' => Kind::Osc,
        b'P' | b'X' | b'^' | b'_' => Kind::String,
        _ => Kind::Escape,
    };
    let length = match kind {
        Kind::Escape => escape_end(bytes)?,
        Kind::Csi => csi_end(bytes)?,
        Kind::Osc | Kind::String => 2 + string_end(bytes.get(2..)?, kind)?,
    };
    Some((kind, length))
}

/// The end of an Osc or String whose inside `bytes` is.
pub fn string_end(bytes: &[u8], kind: Kind) -> Option<usize> {
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            0x07 if kind == Kind::Osc => return Some(at + 1),
            0x18 | 0x1a => return Some(at),
            0x1b => match bytes.get(at + 1)? {
                b'\\' => return Some(at + 2),
                _ => return Some(at),
            },
            _ => {}
        }
    }
    None
}

fn escape_end(bytes: &[u8]) -> Option<usize> {
    for (at, byte) in bytes.iter().enumerate().skip(1) {
        match byte {
            0x1b | 0x18 | 0x1a => return Some(at),
            // Intermediates, and controls that take effect inside.
            0x00..=0x2f => {}
            0x30..=0x7f => return Some(at + 1),
            // Text; the sequence is void.
            _ => return Some(at),
        }
    }
    None
}

fn csi_end(bytes: &[u8]) -> Option<usize> {
    for (at, byte) in bytes.iter().enumerate().skip(2) {
        match byte {
            0x1b | 0x18 | 0x1a => return Some(at),
            0x40..=0x7e => return Some(at + 1),
            0x80.. => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_ends_with_its_final_or_what_breaks_it_off() {
        for (text, expected) in [
            ("\x1b", None),
            ("\x1b[", None),
            ("\x1b[3;4", None),
            ("\x1b[3;4Hx", Some((Kind::Csi, 6))),
            ("\x1b[3\n4Hx", Some((Kind::Csi, 6))),
            ("\x1b[3\x1b[H", Some((Kind::Csi, 3))),
            ("\x1b7x", Some((Kind::Escape, 2))),
            ("\x1b(", None),
            ("\x1b(0x", Some((Kind::Escape, 3))),
            ("\x1b]0;title\x07x", Some((Kind::Osc, 10))),
            ("\x1b]0;title\x1b", None),
            ("\x1b]0;title\x1b\\x", Some((Kind::Osc, 11))),
            ("\x1bPq#0\x07\x1b\\x", Some((Kind::String, 8))),
            ("\x1bPq#0\x18x", Some((Kind::String, 5))),
        ] {
            assert_eq!(complete(text.as_bytes()), expected, "{text:?}");
        }
    }
}

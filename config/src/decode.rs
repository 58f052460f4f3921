//! Bytes of a file as text, whatever encoding people's editors left.

use chardetng::EncodingDetector;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// Turns the bytes of a file, or its beginning if not `is_whole`, into text without a byte order mark.
///
/// The encoding is named by the mark, else it is UTF-8 where the bytes allow it, UTF-16 where there are zero bytes, else
/// the likeliest by statistics. `None` for what is no text: half a text would be read as if it were all of it.
pub(crate) fn decode(bytes: &[u8], is_whole: bool) -> Option<String> {
    let (encoding, mark_bytes) = Encoding::for_bom(bytes).unwrap_or_else(|| (guess(bytes), 0));
    let body = &bytes[mark_bytes..];
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut text = String::with_capacity(decoder.max_utf8_buffer_length(body.len())?);
    let (_, _, had_errors) = decoder.decode_to_string(body, &mut text, is_whole);
    (!had_errors && !text.contains(is_foreign)).then_some(text)
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    if bytes.contains(&0) {
        return wide(bytes);
    }
    match std::str::from_utf8(bytes) {
        Ok(_) => UTF_8,
        // A character that the bound of reading cut; in a whole file the decoder finds it.
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => UTF_8,
        Err(_) => {
            let mut detector = EncodingDetector::new();
            detector.feed(bytes, true);
            detector.guess(None, false)
        }
    }
}

/// UTF-16 without a mark: blanks and line ends tell which byte comes first.
fn wide(bytes: &[u8]) -> &'static Encoding {
    let count = |is_it: fn(&[u8]) -> bool| bytes.chunks_exact(2).filter(|pair| is_it(pair)).count();
    let little = count(|pair| pair[1] == 0 && is_common(pair[0]));
    let big = count(|pair| pair[0] == 0 && is_common(pair[1]));
    if big > little { UTF_16BE } else { UTF_16LE }
}

fn is_common(byte: u8) -> bool {
    byte.is_ascii_graphic() || matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// A character that no text has: the bytes are a picture, a program, or in an encoding that was not recognised.
fn is_foreign(character: char) -> bool {
    let is_layout = matches!(
        character,
        '\n' | '\r' | '\t' | '\u{b}' | '\u{c}' | '\u{1b}' | '\u{85}'
    );
    character.is_control() && !is_layout
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::{SHIFT_JIS, WINDOWS_1251, WINDOWS_1252};

    fn wide_bytes(text: &str, to: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to).collect()
    }

    #[test]
    fn every_usual_encoding_is_read() {
        let german = "Prüfe die Änderung über größere Dateien, bevor du schließt.\n";
        let russian = "Съешь же ещё этих мягких французских булок, да выпей чаю.\n";
        let japanese = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\n";
        for text in [german, russian, japanese] {
            let marked = format!("\u{feff}{text}");
            for bytes in [
                text.as_bytes().to_vec(),
                marked.as_bytes().to_vec(),
                wide_bytes(&marked, u16::to_le_bytes),
                wide_bytes(&marked, u16::to_be_bytes),
                wide_bytes(text, u16::to_le_bytes),
                wide_bytes(text, u16::to_be_bytes),
            ] {
                assert_eq!(decode(&bytes, true).as_deref(), Some(text), "{bytes:x?}");
            }
        }
        for (encoding, text) in [
            (WINDOWS_1252, german),
            (WINDOWS_1251, russian),
            (SHIFT_JIS, japanese),
        ] {
            let (bytes, _, _) = encoding.encode(text);
            assert_eq!(decode(&bytes, true).as_deref(), Some(text));
        }
        assert_eq!(decode(b"", true).as_deref(), Some(""));
    }

    #[test]
    fn a_cut_character_is_left_out_of_a_beginning_and_damages_a_whole() {
        assert_eq!(decode(&"aé".as_bytes()[..2], false).as_deref(), Some("a"));
        assert_eq!(decode(&"aé".as_bytes()[..2], true), None);
        let wide = wide_bytes("\u{feff}ab", u16::to_le_bytes);
        assert_eq!(decode(&wide[..5], false).as_deref(), Some("a"));
    }

    #[test]
    fn what_is_no_text_is_refused() {
        assert_eq!(
            decode(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0", true),
            None
        );
        assert_eq!(decode(b"\xFF\xFE\x00\xD8", true), None);
        assert_eq!(decode(b"a\0b", true), None);
        assert_eq!(decode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", true), None);
    }
}

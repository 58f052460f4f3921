//! Encodings: a file goes back to disk in the one it came in.

use chardetng::EncodingDetector;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// How a file's text is laid out in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// The encoding.
    pub encoding: &'static Encoding,
    /// It begins with a byte order mark.
    pub bom: bool,
}

/// UTF-8 without a mark: what a new file gets.
pub const PLAIN: Format = Format {
    encoding: UTF_8,
    bom: false,
};

/// A text that cannot be turned into bytes, or bytes that cannot be turned into text, without a loss.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodingError {
    /// The bytes are not what their encoding allows.
    #[error("the file is not valid {0} text, so writing it back would damage it")]
    Damaged(&'static str),
    /// The encoding lacks a character.
    #[error("the file is in {0}, which has no character for some of the new text")]
    Missing(&'static str),
}

/// Names the encoding by the mark, else UTF-8 where the bytes allow it, else by their statistics.
///
/// `sample` may be the file's beginning only: a character cut at its end does not count against UTF-8.
pub fn detect(sample: &[u8]) -> Format {
    if let Some((encoding, _)) = Encoding::for_bom(sample) {
        return Format {
            encoding,
            bom: true,
        };
    }
    match std::str::from_utf8(sample) {
        Ok(_) => PLAIN,
        Err(error) if error.error_len().is_none() => PLAIN,
        Err(_) => Format {
            encoding: guess(sample),
            bom: false,
        },
    }
}

fn guess(sample: &[u8]) -> &'static Encoding {
    let mut detector = EncodingDetector::new();
    detector.feed(sample, true);
    detector.guess(None, false)
}

/// Turns a whole file into text.
///
/// Errors: [`EncodingError::Damaged`] when [`encode`] could not give the same bytes back.
pub fn decode(bytes: &[u8]) -> Result<(String, Format), EncodingError> {
    let mut format = detect(bytes);
    if format == PLAIN && std::str::from_utf8(bytes).is_err() {
        format.encoding = guess(bytes);
    }
    let damaged = || EncodingError::Damaged(format.encoding.name());
    let body = if format.bom {
        &bytes[mark(format.encoding).len()..]
    } else {
        bytes
    };
    let (text, had_errors) = format.encoding.decode_without_bom_handling(body);
    if had_errors || encode(&text, format).as_deref() != Ok(bytes) {
        return Err(damaged());
    }
    Ok((text.into_owned(), format))
}

/// Turns a text into a file's bytes.
///
/// Errors: [`EncodingError::Missing`] for a character that the encoding lacks.
pub fn encode(text: &str, format: Format) -> Result<Vec<u8>, EncodingError> {
    let mut bytes = if format.bom {
        mark(format.encoding).to_vec()
    } else {
        Vec::new()
    };
    if format.encoding == UTF_16LE {
        bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    } else if format.encoding == UTF_16BE {
        bytes.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
    } else {
        let (body, _, unmappable) = format.encoding.encode(text);
        if unmappable {
            return Err(EncodingError::Missing(format.encoding.name()));
        }
        bytes.extend_from_slice(&body);
    }
    Ok(bytes)
}

fn mark(encoding: &'static Encoding) -> &'static [u8] {
    if encoding == UTF_16LE {
        &[0xFF, 0xFE]
    } else if encoding == UTF_16BE {
        &[0xFE, 0xFF]
    } else {
        &[0xEF, 0xBB, 0xBF]
    }
}

#[cfg(test)]
mod tests {
    use super::{EncodingError, PLAIN, decode, detect, encode};
    use encoding_rs::{SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1251, WINDOWS_1252};

    #[test]
    fn every_encoding_comes_back_byte_for_byte() {
        let utf16 = |bom: [u8; 2], units: &mut dyn FnMut(u16) -> [u8; 2]| -> Vec<u8> {
            bom.into_iter()
                .chain("héllo\r\n☃".encode_utf16().flat_map(&mut *units))
                .collect()
        };
        let russian = "Съешь же ещё этих мягких французских булок, да выпей чаю.\n".repeat(3);
        let japanese = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\n";
        let samples = [
            ("plain".as_bytes().to_vec(), UTF_8, false),
            ("\u{feff}mark ☃".as_bytes().to_vec(), UTF_8, true),
            (utf16([0xFF, 0xFE], &mut u16::to_le_bytes), UTF_16LE, true),
            (utf16([0xFE, 0xFF], &mut u16::to_be_bytes), UTF_16BE, true),
            (
                b"d\xE9j\xE0 vu, na\xEFve caf\xE9\n".to_vec(),
                WINDOWS_1252,
                false,
            ),
            (
                WINDOWS_1251.encode(&russian).0.into_owned(),
                WINDOWS_1251,
                false,
            ),
            (SHIFT_JIS.encode(japanese).0.into_owned(), SHIFT_JIS, false),
        ];
        for (bytes, encoding, bom) in samples {
            let (text, format) = decode(&bytes).unwrap();
            assert_eq!((format.encoding, format.bom), (encoding, bom));
            assert!(!text.starts_with('\u{feff}'));
            assert_eq!(encode(&text, format).unwrap(), bytes);
        }
    }

    #[test]
    fn losses_are_errors() {
        assert!(matches!(
            decode(&[0xFF, 0xFE, 0x00, 0xD8]),
            Err(EncodingError::Damaged("UTF-16LE"))
        ));
        let (_, format) = decode(b"caf\xE9 d\xE9j\xE0\n").unwrap();
        assert!(matches!(
            encode("☃", format),
            Err(EncodingError::Missing(_))
        ));
    }

    #[test]
    fn a_character_cut_by_the_sample_is_still_utf8() {
        assert_eq!(detect(&"ab☃".as_bytes()[..4]), PLAIN);
    }
}

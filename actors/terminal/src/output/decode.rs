//! Text of bytes that may be cut anywhere.

/// Makes text of a stream of bytes. What is no UTF-8 becomes U+FFFD; a character that is cut waits for its rest.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The beginning of a character: three bytes at most.
    cut: Vec<u8>,
}

impl Decoder {
    /// The text of the next bytes.
    pub fn decode(&mut self, bytes: &[u8]) -> String {
        if self.cut.is_empty()
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            return text.to_owned();
        }
        let mut joined = std::mem::take(&mut self.cut);
        joined.extend_from_slice(bytes);
        let mut text = String::with_capacity(joined.len());
        let mut chunks = joined.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            let invalid = chunk.invalid();
            if invalid.is_empty() {
                continue;
            }
            if chunks.peek().is_none() && is_cut(invalid) {
                self.cut = invalid.to_vec();
            } else {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        text
    }

    /// The text of what still waits, when nothing follows.
    pub fn finish(&mut self) -> &'static str {
        match std::mem::take(&mut self.cut).is_empty() {
            true => "",
            false => "\u{fffd}",
        }
    }
}

/// Whether these bytes begin a character and could go on.
fn is_cut(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_may_be_cut_anywhere() {
        let text = "aé€😀\u{fffd}z";
        for size in 1..text.len() {
            let mut decoder = Decoder::default();
            let pieces = text.as_bytes().chunks(size);
            let whole: String = pieces.map(|piece| decoder.decode(piece)).collect();
            assert_eq!(whole, text, "{size}");
            assert_eq!(decoder.finish(), "");
        }
    }

    #[test]
    fn what_is_no_text_is_replaced_as_a_whole_stream_would_be() {
        let bytes = b"a\xffb\xe2\x82c\xf0\x9f\x98";
        for size in 1..bytes.len() {
            let mut decoder = Decoder::default();
            let mut whole: String = bytes
                .chunks(size)
                .map(|piece| decoder.decode(piece))
                .collect();
            whole.push_str(decoder.finish());
            assert_eq!(whole, String::from_utf8_lossy(bytes), "{size}");
        }
    }
}

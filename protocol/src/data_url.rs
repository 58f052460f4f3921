//! Files within an address: `data:image/png;base64,…` (RFC 2397).

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// Takes base64 with and without padding, as browsers do.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An address that holds its content, not yet decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataUrl<'a> {
    /// The media type without parameters; `text/plain` where it names none.
    pub mime: &'a str,
    is_base64: bool,
    data: &'a str,
}

impl<'a> DataUrl<'a> {
    /// Reads an address; nothing if it is of another kind.
    pub fn parse(url: &'a str) -> Option<Self> {
        let url = url.trim_start();
        let scheme = url.get(..5)?;
        if !scheme.eq_ignore_ascii_case("data:") {
            return None;
        }
        let (head, data) = url[5..].split_once(',')?;
        let mut pieces = head.split(';').map(str::trim);
        let mime = pieces.next().filter(|mime| !mime.is_empty());
        let is_base64 = pieces
            .next_back()
            .is_some_and(|last| last.eq_ignore_ascii_case("base64"));
        Some(Self {
            mime: mime.unwrap_or("text/plain"),
            is_base64,
            data,
        })
    }

    /// Its content in base64, as model servers take it: without copying where it stands there already.
    pub fn base64(&self) -> Cow<'a, str> {
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        if self.is_base64 && self.data.len().is_multiple_of(4) && self.data.bytes().all(is_plain) {
            return Cow::Borrowed(self.data);
        }
        match self.decode() {
            Some(bytes) => Cow::Owned(STANDARD.encode(bytes)),
            None => Cow::Borrowed(self.data),
        }
    }

    /// Its content; nothing if it is no base64 but says so.
    pub fn decode(&self) -> Option<Vec<u8>> {
        let bytes: Vec<u8> = percent_decode_str(self.data).collect();
        if !self.is_base64 {
            return Some(bytes);
        }
        let bytes = bytes.into_iter().filter(|byte| !byte.is_ascii_whitespace());
        LENIENT.decode(bytes.collect::<Vec<u8>>()).ok()
    }
}

/// The address of content that is base64 already.
pub fn of_base64(mime: &str, data: &str) -> String {
    format!("data:{mime};base64,{data}")
}

/// The address of these bytes.
pub fn of_bytes(mime: &str, bytes: &[u8]) -> String {
    of_base64(mime, &STANDARD.encode(bytes))
}

/// The media type of what models can look at, by its first bytes; `None` for everything else.
pub fn shown_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xFF, 0xD8, 0xFF, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'%', b'P', b'D', b'F', b'-', ..] => Some("application/pdf"),
        _ if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{DataUrl, of_bytes};

    fn read(url: &str) -> (String, String, Option<Vec<u8>>) {
        let url = DataUrl::parse(url).unwrap();
        (url.mime.into(), url.base64().into_owned(), url.decode())
    }

    #[test]
    fn content_comes_in_all_spellings() {
        for (url, mime, base64, bytes) in [
            (
                "data:image/png;base64,iVBORw==",
                "image/png",
                "iVBORw==",
                "\x1bPNG",
            ),
            ("data:a/b;base64,aGk=", "a/b", "aGk=", "hi"),
            ("DATA:a/b;charset=x;BASE64,aGk=", "a/b", "aGk=", "hi"),
            ("data:a/b;base64,aGk", "a/b", "aGk=", "hi"),
            ("data:a/b;base64,aG%6b%3D", "a/b", "aGk=", "hi"),
            ("data:a/b;base64,aG\n k=", "a/b", "aGk=", "hi"),
            ("data:,hi%20%C3%A9", "text/plain", "aGkgw6k=", "hi é"),
            ("data:text/html,a,b", "text/html", "YSxi", "a,b"),
        ] {
            let read = read(url);
            assert_eq!((read.0.as_str(), read.1.as_str()), (mime, base64), "{url}");
            if mime != "image/png" {
                assert_eq!(read.2.as_deref(), Some(bytes.as_bytes()), "{url}");
            }
        }
        assert_eq!(
            of_bytes("image/png", b"\x89PNG"),
            "data:image/png;base64,iVBORw=="
        );
    }

    #[test]
    fn what_is_none_is_nothing() {
        for url in [
            "",
            "dat",
            "data:",
            "data:image/png;base64",
            "file:///a,b",
            "däta:,",
        ] {
            assert_eq!(DataUrl::parse(url), None, "{url}");
        }
        assert_eq!(read("data:a/b;base64,*").2, None);
    }
}

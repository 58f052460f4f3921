//! A page's body as text: in which encoding it is, and whether it is HTML.

use super::fetch::Page;
use encoding_rs::{Encoding, UTF_8};

/// The page's text: by its mark, its server's word, its own word, or a guess; nothing for what is no text.
pub fn text_of(page: &Page) -> Option<String> {
    let body = page.body.as_slice();
    let kind = page.mime.split('/').next().unwrap_or_default();
    let is_drawing = page.mime == "image/svg+xml";
    if matches!(kind, "image" | "audio" | "video" | "font") && !is_drawing {
        return None;
    }
    let named = page.charset.as_deref().map(str::as_bytes);
    let named = named.or_else(|| charset_within(body));
    let encoding = named.and_then(Encoding::for_label);
    let encoding = match encoding {
        Some(encoding) => encoding,
        None if std::str::from_utf8(body).is_ok() => UTF_8,
        None => guess(body),
    };
    let (text, used, _) = encoding.decode(body);
    let is_wide = matches!(used.name(), "UTF-16LE" | "UTF-16BE");
    (is_wide || !body.contains(&0)).then(|| text.into_owned())
}

fn guess(body: &[u8]) -> &'static Encoding {
    let mut detector = chardetng::EncodingDetector::new();
    detector.feed(body, true);
    detector.guess(None, true)
}

/// The encoding that a page names itself, in its first kilobyte as browsers look for it.
fn charset_within(body: &[u8]) -> Option<&[u8]> {
    let head = &body[..body.len().min(1_024)];
    let at = head
        .windows(8)
        .position(|word| word.eq_ignore_ascii_case(b"charset="))?;
    // A page can speak of a charset in its text; only a tag counts.
    let tag = head[..at].iter().rposition(|byte| *byte == b'<')?;
    let in_meta = head[tag..].get(..5)?.eq_ignore_ascii_case(b"<meta");
    let value = head[at + 8..].trim_ascii_start();
    let value = value
        .strip_prefix(b"\"")
        .or(value.strip_prefix(b"'"))
        .unwrap_or(value);
    let ends = |byte: &u8| !byte.is_ascii_alphanumeric() && !b"-_:.".contains(byte);
    let end = value.iter().position(ends).unwrap_or(value.len());
    in_meta.then_some(&value[..end])
}

/// Whether it is a page of HTML: as its server says, or by its beginning where that says nothing.
pub fn is_html(page: &Page, text: &str) -> bool {
    match page.mime.as_str() {
        "text/html" | "application/xhtml+xml" => true,
        "" => {
            let head = text.trim_start().as_bytes();
            let begins = |word: &str| {
                let head = head.get(..word.len());
                head.is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes()))
            };
            begins("<!doctype html") || begins("<html")
        }
        _ => false,
    }
}

//! Reads HTML as a flat row of tokens.
//!
//! No tree is built: hostile pages (a million open tags) cost one pass and no stack.

use std::borrow::Cow;

/// Longest tag or entity that is taken for one.
const NAME_BYTES_MAX: usize = 32;

/// A piece of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// Text, entities resolved.
    Text(Cow<'a, str>),
    /// A start tag: its name in lower case, and its raw attributes.
    Open(String, &'a str),
    /// An end tag.
    Close(String),
}

/// Tags without an end, or with a quote that never closes, before quotes are no longer minded.
const BROKEN_MAX: usize = 32;

/// The tokens of a page; comments, declarations and what browsers do not show are left out.
pub struct Tokens<'a> {
    rest: &'a str,
    broken: usize,
    /// There is no `>` in what is left.
    no_tags: bool,
}

/// Elements whose content is not for readers.
const UNSHOWN: [&str; 9] = [
    "script", "style", "noscript", "template", "iframe", "object", "svg", "title", "select",
];

impl<'a> Tokens<'a> {
    /// Reads `page`.
    pub fn new(page: &'a str) -> Self {
        Self {
            rest: page,
            broken: 0,
            no_tags: false,
        }
    }

    /// Goes on behind the end tag of `name`, or to the end of the page.
    fn skip(&mut self, name: &str) {
        while let Some(at) = self.rest.find("</") {
            let after = &self.rest[at + 2..];
            let is_end = after
                .get(..name.len())
                .is_some_and(|text| text.eq_ignore_ascii_case(name));
            self.rest = after;
            if is_end {
                self.rest = after.find('>').map_or("", |end| &after[end + 1..]);
                return;
            }
        }
        self.rest = "";
    }

    /// The tag at the start of the rest (behind `<`), if it is one.
    fn tag(&mut self) -> Option<Token<'a>> {
        let inner = &self.rest[1..];
        let (closes, inner) = inner
            .strip_prefix('/')
            .map_or((false, inner), |inner| (true, inner));
        if !inner.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        let name_len = inner
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .unwrap_or(inner.len());
        let end = self.end_of(inner)?;
        let name = inner[..name_len.min(end)].to_ascii_lowercase();
        let attributes = &inner[name_len.min(end)..end];
        self.rest = &inner[end + 1..];
        if closes {
            return Some(Token::Close(name));
        }
        if UNSHOWN.contains(&name.as_str()) && !attributes.ends_with('/') {
            self.skip(&name);
        }
        Some(Token::Open(name, attributes))
    }

    /// The place of the `>` that ends a tag: the first outside quotes, or the first at all. Pages that make this search
    /// run to their end again and again lose the courtesy.
    fn end_of(&mut self, tag: &str) -> Option<usize> {
        if self.no_tags {
            return None;
        }
        if self.broken < BROKEN_MAX {
            if let Some(end) = unquoted_end(tag) {
                return Some(end);
            }
            self.broken += 1;
        }
        let end = tag.find('>');
        self.no_tags = end.is_none();
        end
    }

    /// Skips a comment or declaration at the start of the rest, if there is one.
    fn skip_declaration(&mut self) -> bool {
        let end = if let Some(comment) = self.rest.strip_prefix("<!--") {
            comment.find("-->").map(|end| end + 7)
        } else if self.rest.starts_with("<!") || self.rest.starts_with("<?") {
            self.rest.find('>').map(|end| end + 1)
        } else {
            return false;
        };
        self.rest = end.map_or("", |end| &self.rest[end..]);
        true
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            if self.rest.starts_with('<') {
                if self.skip_declaration() {
                    continue;
                }
                if let Some(tag) = self.tag() {
                    return Some(tag);
                }
            }
            // A `<` that begins no tag is text.
            let from = usize::from(self.rest.starts_with('<'));
            let end = self.rest[from..]
                .find('<')
                .map_or(self.rest.len(), |at| from + at);
            let (text, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Some(Token::Text(resolve(text)));
        }
    }
}

/// The place of the first `>` outside quotes.
fn unquoted_end(tag: &str) -> Option<usize> {
    let mut quote = None;
    let mut after_equals = false;
    for (at, byte) in tag.bytes().enumerate() {
        match (quote, byte) {
            (Some(open), _) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') if after_equals => quote = Some(byte),
            (None, b'>') => return Some(at),
            _ => {}
        }
        after_equals = byte == b'=' || (after_equals && byte.is_ascii_whitespace());
    }
    None
}

/// An attribute's value.
pub fn attribute(attributes: &str, name: &str) -> Option<String> {
    let mut rest = attributes;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        let key_end = rest
            .find(|c: char| c.is_whitespace() || c == '=' || c == '/')
            .unwrap_or(rest.len());
        if key_end == 0 && !rest.starts_with('=') {
            return None;
        }
        let key = &rest[..key_end];
        rest = rest[key_end..].trim_start();
        let mut value = "";
        if let Some(after) = rest.strip_prefix('=') {
            (value, rest) = split_value(after.trim_start());
        }
        if key.eq_ignore_ascii_case(name) {
            return Some(resolve(value).into_owned());
        }
    }
}

fn split_value(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote) {
            return inner.split_once(quote).unwrap_or((inner, ""));
        }
    }
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

/// The text with its entities as the characters they stand for.
fn resolve(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        resolved.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest
            .bytes()
            .take(NAME_BYTES_MAX)
            .position(|byte| byte == b';');
        match end.and_then(|end| Some((entity(&rest[1..end])?, end))) {
            Some((character, end)) => {
                resolved.push(character);
                rest = &rest[end + 1..];
            }
            None => {
                resolved.push('&');
                rest = &rest[1..];
            }
        }
    }
    resolved.push_str(rest);
    Cow::Owned(resolved)
}

fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code);
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "copy" => '©',
        "reg" => '®',
        "trade" => '™',
        "hellip" => '…',
        "mdash" => '—',
        "ndash" => '–',
        "lsquo" => '‘',
        "rsquo" => '’',
        "ldquo" => '“',
        "rdquo" => '”',
        "laquo" => '«',
        "raquo" => '»',
        "bull" => '•',
        "middot" => '·',
        "times" => '×',
        "rarr" => '→',
        "larr" => '←',
        "deg" => '°',
        "para" => '¶',
        "sect" => '§',
        "euro" => '€',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{Token, Tokens, attribute};

    fn shown(page: &str) -> Vec<String> {
        let show = |token| match token {
            Token::Text(text) => text.into_owned(),
            Token::Open(name, _) => format!("<{name}>"),
            Token::Close(name) => format!("</{name}>"),
        };
        Tokens::new(page).map(show).collect()
    }

    #[test]
    fn tags_text_and_entities() {
        assert_eq!(
            shown(
                "<!doctype html><P class='a>b'>1 &lt; 2 &amp; &#x41;&bogus; a < b</p><!-- <b> --><br/>"
            ),
            ["<p>", "1 < 2 & A&bogus; a ", "< b", "</p>", "<br>"]
        );
    }

    #[test]
    fn what_is_not_shown_is_left_out() {
        assert_eq!(
            shown("<script>if (a < b) '</b>'</SCRIPT>x<style>y</style>"),
            ["<script>", "x", "<style>"]
        );
        assert_eq!(
            shown("<head><title>t</title><body>x"),
            ["<head>", "<title>", "<body>", "x"]
        );
        assert_eq!(shown("<script>never ends"), ["<script>"]);
    }

    #[test]
    fn attributes() {
        let tag = " data-x=1 HREF = \"/a?b=1&amp;c=2\" title='t' disabled";
        assert_eq!(attribute(tag, "href").as_deref(), Some("/a?b=1&c=2"));
        assert_eq!(attribute(tag, "title").as_deref(), Some("t"));
        assert_eq!(attribute(tag, "disabled").as_deref(), Some(""));
        assert_eq!(attribute(tag, "none"), None);
    }

    #[test]
    fn garbage_ends() {
        for page in [
            "<",
            "</",
            "<a",
            "<a href=\"",
            "&",
            "&#xFFFFFFFF;",
            "<!--",
            "<!",
            "<a =>",
            "<a ='>'>x",
            "é<é>",
        ] {
            assert!(Tokens::new(page).count() <= 4, "{page}");
            let _ = attribute(page, "x");
        }
    }
}

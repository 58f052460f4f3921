//! Reads HTML as a flat row of tokens.
//!
//! No tree is built: of open tags a tree's cost grows with the square, and of open marks (`<b><i>…<p>`) its size does, so a
//! hostile page of a few megabytes would take all memory. A row costs one pass, and keeps two attributes of a tag.

use html5gum::emitters::callback::{Callback, CallbackEmitter, CallbackEvent};
use html5gum::{Span, Tokenizer};

/// A piece of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// Text, entities resolved.
    Text(String),
    /// A start tag: its name in lower case, and what counts of its attributes.
    Open(String, Attributes),
    /// An end tag.
    Close(String),
}

/// The attributes that are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Where a link leads.
    pub href: Option<String>,
    /// What an image shows.
    pub alt: Option<String>,
}

/// Elements whose content is not for readers.
const UNSHOWN: [&str; 9] = [
    "script", "style", "noscript", "template", "iframe", "object", "svg", "title", "select",
];

/// The tokens of a page; comments, declarations and what browsers do not show are left out.
pub fn tokens(page: &str) -> impl Iterator<Item = Token> {
    let mut emitter = CallbackEmitter::new(Reader::default());
    // Script and style are texts, whatever stands in them.
    emitter.naively_switch_states(true);
    Tokenizer::new_with_emitter(page, emitter).filter_map(Result::ok)
}

#[derive(Default)]
struct Reader {
    name: String,
    attributes: Attributes,
    /// The attribute whose value comes.
    attribute: Option<Known>,
    /// The element that is not shown; all up to its end is left out.
    unshown: Option<String>,
}

#[derive(Clone, Copy)]
enum Known {
    Href,
    Alt,
}

impl Callback<Token, ()> for Reader {
    fn handle_event(&mut self, event: CallbackEvent<'_>, _: Span<()>) -> Option<Token> {
        match event {
            CallbackEvent::OpenStartTag { name } => {
                self.name = text(name);
                self.attributes = Attributes::default();
                None
            }
            CallbackEvent::AttributeName { name } => {
                self.attribute = match name {
                    b"href" if self.attributes.href.is_none() => Some(Known::Href),
                    b"alt" if self.attributes.alt.is_none() => Some(Known::Alt),
                    _ => None,
                };
                self.value(&[]);
                None
            }
            CallbackEvent::AttributeValue { value } => {
                self.value(value);
                None
            }
            CallbackEvent::CloseStartTag { self_closing } => self.opened(self_closing),
            CallbackEvent::EndTag { name } => self.closed(text(name)),
            CallbackEvent::String { value } if self.unshown.is_none() => {
                Some(Token::Text(text(value)))
            }
            _ => None,
        }
    }
}

impl Reader {
    fn value(&mut self, value: &[u8]) {
        let known = match self.attribute {
            Some(Known::Href) => &mut self.attributes.href,
            Some(Known::Alt) => &mut self.attributes.alt,
            None => return,
        };
        known.get_or_insert_default().push_str(&text(value));
    }

    fn opened(&mut self, self_closing: bool) -> Option<Token> {
        if self.unshown.is_some() {
            return None;
        }
        if UNSHOWN.contains(&self.name.as_str()) && !self_closing {
            self.unshown = Some(self.name.clone());
        }
        let name = std::mem::take(&mut self.name);
        Some(Token::Open(name, std::mem::take(&mut self.attributes)))
    }

    fn closed(&mut self, name: String) -> Option<Token> {
        match &self.unshown {
            Some(unshown) if *unshown == name => {
                self.unshown = None;
                None
            }
            Some(_) => None,
            None => Some(Token::Close(name)),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Attributes, Token, tokens};

    fn shown(page: &str) -> Vec<String> {
        let show = |token| match token {
            Token::Text(text) => text,
            Token::Open(name, _) => format!("<{name}>"),
            Token::Close(name) => format!("</{name}>"),
        };
        tokens(page).map(show).collect()
    }

    fn attributes(tag: &str) -> Attributes {
        match tokens(tag).next() {
            Some(Token::Open(_, attributes)) => attributes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tags_text_and_entities() {
        assert_eq!(
            shown(
                "<!doctype html><P class='a>b'>1 &lt; 2 &amp; &#x41;&bogus; a < b &eacute;&nbsp;&sum;</p><!-- <b> --><br/>"
            ),
            ["<p>", "1 < 2 & A&bogus; a < b é\u{a0}∑", "</p>", "<br>"]
        );
    }

    #[test]
    fn what_is_not_shown_is_left_out() {
        assert_eq!(
            shown("<script>if (a < b) '</b>'</SCRIPT>x<style>y</style>"),
            ["<script>", "x", "<style>"]
        );
        assert_eq!(
            shown("<head><title>t &amp; <b></title><body>x"),
            ["<head>", "<title>", "<body>", "x"]
        );
        assert_eq!(
            shown("<svg><path/><text>a</text></svg><svg/>b"),
            ["<svg>", "<svg>", "b"]
        );
        assert_eq!(shown("<script>never ends"), ["<script>"]);
    }

    #[test]
    fn only_what_is_shown_is_kept_of_attributes() {
        let tag = "<a data-x=1 HREF = \"/a?b=1&amp;c=2\" title='t' href=/other disabled>";
        assert_eq!(attributes(tag).href.as_deref(), Some("/a?b=1&c=2"));
        assert_eq!(
            attributes("<img alt='a &gt; b'>").alt.as_deref(),
            Some("a > b")
        );
        assert_eq!(attributes("<img alt>").alt.as_deref(), Some(""));
        assert_eq!(attributes("<a title=t>"), Attributes::default());
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
            "&#0;",
            "<!--",
            "<!",
            "<a =>",
            "<a ='>'>x",
            "é<é>",
            "\0<\0>",
            "<![CDATA[x]]>",
            "<svg><style><!--</style>",
            "<textarea></b>",
            "<plaintext>x</plaintext>",
        ] {
            let _ = shown(page);
        }
    }
}

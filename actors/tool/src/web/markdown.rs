//! HTML as Markdown, or as plain text, in one pass.

use super::html::{Attributes, Token, tokens};
use url::Url;

/// Depth of lists and quotes that is still shown.
const DEPTH_MAX: usize = 16;
/// Bytes of an output: quotes and whole links make it longer than the page, a hostile one without end.
const OUTPUT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The page as Markdown; links relative to `base` become whole.
pub fn to_markdown(page: &str, base: Option<&Url>) -> String {
    Writer::new(true, base).write(page)
}

/// The page as plain text.
pub fn to_text(page: &str) -> String {
    Writer::new(false, None).write(page)
}

/// A list that is open: `Some` counts its items.
type List = Option<u64>;

struct Writer<'a> {
    marks: bool,
    base: Option<&'a Url>,
    out: String,
    /// Line breaks owed before the next text.
    breaks: usize,
    /// A blank is owed before the next text.
    space: bool,
    preformatted: usize,
    quotes: usize,
    lists: Vec<List>,
    /// Targets of open links, and where their text begins.
    links: Vec<(Option<String>, usize)>,
    /// Cells of the open table row; the row is the table's first.
    cells: Option<usize>,
    first_row: bool,
}

impl<'a> Writer<'a> {
    fn new(marks: bool, base: Option<&'a Url>) -> Self {
        Self {
            marks,
            base,
            out: String::new(),
            breaks: 0,
            space: false,
            preformatted: 0,
            quotes: 0,
            lists: Vec::new(),
            links: Vec::new(),
            cells: None,
            first_row: false,
        }
    }

    fn write(mut self, page: &str) -> String {
        for token in tokens(page) {
            if self.out.len() > OUTPUT_BYTES_MAX {
                break;
            }
            match token {
                Token::Text(text) if self.preformatted > 0 => self.verbatim(&text),
                Token::Text(text) => self.text(&text),
                Token::Open(name, attributes) => self.open(&name, &attributes),
                Token::Close(name) => self.close(&name),
            }
        }
        let end = self.out.trim_end().len();
        self.out.truncate(end);
        self.out
    }

    fn open(&mut self, name: &str, attributes: &Attributes) {
        match name {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.block(2);
                let level = usize::from(name.as_bytes()[1] - b'0');
                self.mark(&format!("{} ", "#".repeat(level)));
            }
            "p" | "div" | "section" | "article" | "main" | "header" | "footer" | "nav"
            | "aside" | "figure" | "form" | "dl" | "address" => {
                self.block(if name == "p" { 2 } else { 1 })
            }
            "br" | "dt" | "dd" | "figcaption" | "option" => self.block(1),
            "hr" => {
                self.block(2);
                self.mark("---");
                self.block(2);
            }
            "ul" | "ol" => {
                self.block(if self.lists.is_empty() { 2 } else { 1 });
                if self.lists.len() < DEPTH_MAX {
                    self.lists.push((name == "ol").then_some(0));
                }
            }
            "li" => self.item(),
            "blockquote" => {
                self.block(2);
                self.quotes = (self.quotes + 1).min(DEPTH_MAX);
            }
            "pre" => {
                self.block(2);
                self.mark("```\n");
                self.preformatted += 1;
            }
            "code" | "kbd" | "samp" | "tt" if self.preformatted == 0 => self.mark("`"),
            "strong" | "b" => self.mark("**"),
            "em" | "i" => self.mark("_"),
            "a" if self.links.len() < DEPTH_MAX => self.open_link(attributes),
            "img" => self.image(attributes),
            "table" => {
                self.block(2);
                self.first_row = true;
            }
            "tr" => {
                self.block(1);
                self.cells = Some(0);
            }
            "td" | "th" => self.cell(),
            _ => {}
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "p" | "table" | "dl" => self.block(2),
            "div" | "section" | "article" | "main" | "header" | "footer" | "nav" | "aside"
            | "figure" | "form" | "li" => {
                self.block(1);
            }
            "ul" | "ol" => {
                self.lists.pop();
                self.block(if self.lists.is_empty() { 2 } else { 1 });
            }
            "blockquote" => {
                self.quotes = self.quotes.saturating_sub(1);
                self.block(2);
            }
            "pre" if self.preformatted > 0 => {
                self.preformatted -= 1;
                let fence = if self.out.ends_with('\n') {
                    "```"
                } else {
                    "\n```"
                };
                if self.marks {
                    self.out.push_str(fence);
                }
                self.block(2);
            }
            "code" | "kbd" | "samp" | "tt" if self.preformatted == 0 => self.end_mark("`"),
            "strong" | "b" => self.end_mark("**"),
            "em" | "i" => self.end_mark("_"),
            "a" => self.close_link(),
            "tr" => self.end_row(),
            _ => {}
        }
    }

    /// Owes at least `breaks` line breaks.
    fn block(&mut self, breaks: usize) {
        if !self.out.is_empty() {
            self.breaks = self.breaks.max(breaks);
        }
        self.space = false;
    }

    /// Pays what is owed.
    fn settle(&mut self) {
        if self.breaks > 0 && self.cells.is_none_or(|cells| cells == 0) {
            let quote = "> ".repeat(self.quotes);
            for _ in 0..self.breaks {
                self.out.push('\n');
                self.out.push_str(if self.marks { &quote } else { "" });
            }
        } else if self.out.is_empty() && self.marks {
            self.out.push_str(&"> ".repeat(self.quotes));
        } else if (self.space || self.breaks > 0) && !self.out.ends_with([' ', '\n']) {
            self.out.push(' ');
        }
        self.breaks = 0;
        self.space = false;
    }

    fn text(&mut self, text: &str) {
        if text.starts_with(char::is_whitespace) {
            self.space = self.space || self.breaks == 0;
        }
        for word in text.split_whitespace() {
            self.settle();
            self.out.push_str(word);
            self.space = true;
        }
        self.space = self.breaks == 0
            && !self.out.is_empty()
            && (self.space && text.ends_with(char::is_whitespace));
    }

    fn verbatim(&mut self, text: &str) {
        if self.marks || self.breaks == 0 {
            self.breaks = 0;
        } else {
            self.settle();
        }
        self.out.push_str(text);
    }

    fn mark(&mut self, mark: &str) {
        if self.marks {
            self.settle();
            self.out.push_str(mark);
        }
    }

    /// A closing mark stands at the word before it; one that closes nothing goes with what it opened.
    fn end_mark(&mut self, mark: &str) {
        if !self.marks {
            return;
        }
        if self.out.ends_with(mark) {
            self.out.truncate(self.out.len() - mark.len());
        } else {
            self.out.push_str(mark);
        }
    }

    fn item(&mut self) {
        self.block(1);
        let indent = "  ".repeat(self.lists.len().saturating_sub(1));
        let mark = match self.lists.last_mut() {
            Some(Some(count)) => {
                *count += 1;
                format!("{indent}{count}. ")
            }
            _ => format!("{indent}- "),
        };
        self.settle();
        self.out.push_str(&mark);
    }

    fn open_link(&mut self, attributes: &Attributes) {
        let target = attributes
            .href
            .clone()
            .filter(|target| !target.is_empty() && !target.starts_with('#'));
        let target = target.filter(|target| !target.starts_with("javascript:"));
        let whole = |target: String| {
            self.base
                .and_then(|base| base.join(&target).ok())
                .map_or(target, String::from)
        };
        let target = target.map(whole).filter(|_| self.marks);
        if target.is_some() {
            self.mark("[");
        }
        self.links.push((target, self.out.len()));
    }

    fn close_link(&mut self) {
        let Some((Some(target), start)) = self.links.pop() else {
            return;
        };
        if self.out.len() <= start {
            // A link without text shows nothing.
            self.out.truncate(start.saturating_sub(1));
            return;
        }
        self.out
            .push_str(&format!("]({})", target.replace([' ', ')'], "%20")));
    }

    fn image(&mut self, attributes: &Attributes) {
        let text = attributes.alt.as_deref().unwrap_or_default().trim();
        if text.is_empty() {
            return;
        }
        self.settle();
        let shown = if self.marks {
            format!("![{text}]")
        } else {
            text.to_owned()
        };
        self.out.push_str(&shown);
    }

    fn cell(&mut self) {
        let Some(cells) = self.cells else { return };
        if cells == 0 {
            self.settle();
            self.out.push_str(if self.marks { "| " } else { "" });
        } else {
            self.breaks = 0;
            self.space = false;
            self.out.push_str(" | ");
        }
        self.cells = Some(cells + 1);
    }

    fn end_row(&mut self) {
        let Some(cells) = self.cells.take() else {
            return;
        };
        if cells > 0 && self.marks {
            self.out.push_str(" |");
            if self.first_row {
                self.out.push_str(&format!("\n|{}", " --- |".repeat(cells)));
            }
        }
        self.first_row = false;
        self.breaks = 0;
        self.block(1);
    }
}

#[cfg(test)]
mod tests {
    use super::{to_markdown, to_text};
    use url::Url;

    fn markdown(page: &str) -> String {
        to_markdown(page, Some(&Url::parse("http://h.test/a/b").unwrap()))
    }

    #[test]
    fn blocks_and_marks() {
        let page = "<html><head><title>no</title></head><body><h1>Title &amp; more</h1>\n<p>Some <b>bold</b>,\n <em>soft</em> \
                    <a href='../c'>link</a> and <code>x &lt; y</code>.</p><hr><blockquote><p>said</p></blockquote>end</body>";
        assert_eq!(
            markdown(page),
            "# Title & more\n\nSome **bold**, _soft_ [link](http://h.test/c) and `x < y`.\n\n---\n> \n> said\n\nend"
        );
    }

    #[test]
    fn lists_code_and_tables() {
        let page = "<ul><li>a<ol><li>one</li><li>two</li></ol></li><li>b</li></ul><pre><code>fn x() {\n    y\n}</code></pre>\
                    <table><tr><th>k</th><th>v</th></tr><tr><td>1</td><td> 2 </td></tr></table>";
        assert_eq!(
            markdown(page),
            "- a\n  1. one\n  2. two\n- b\n\n```\nfn x() {\n    y\n}\n```\n\n| k | v |\n| --- | --- |\n| 1 | 2 |"
        );
    }

    #[test]
    fn plain_text() {
        let page = "<h1>T</h1><p>a <b>b</b>c <a href='x'>d</a></p><ul><li>e</li></ul><script>no</script><pre>f\n  g</pre>";
        assert_eq!(to_text(page), "T\n\na bc d\n\n- e\n\nf\n  g");
    }

    #[test]
    fn empty_links_and_marks_vanish() {
        assert_eq!(markdown("<p>a<a href='/x'></a><b></b> z</p>"), "a z");
    }

    #[test]
    fn a_page_that_grows_without_end_is_cut() {
        let base = Url::parse(&format!("http://h.test/{}/", "x".repeat(100_000))).unwrap();
        let links = "<a href=y>l</a>".repeat(10_000);
        let written = to_markdown(&links, Some(&base));
        assert!(written.len() < 9 * 1024 * 1024, "{}", written.len());
        let quoted = format!("{}{}", "<blockquote>".repeat(16), "<p>a".repeat(1_000_000));
        let written = to_markdown(&quoted, None);
        assert!(written.len() < 9 * 1024 * 1024, "{}", written.len());
    }

    #[test]
    fn hostile_pages_cost_one_pass() {
        let deep = "<div><b><ul><li><blockquote><a href=x>".repeat(50_000);
        assert!(markdown(&deep).len() < 40 * deep.len());
        let open = "<a href=\"".repeat(20_000);
        assert!(markdown(&open).len() < 40 * open.len());
        let quoted = "<a x=\">\" ".repeat(20_000);
        assert!(markdown(&quoted).len() < 40 * quoted.len());
    }
}

//! A second look at a parsed text: does the tree account for everything that bash would expand?
//!
//! The grammar is not bash. Where it takes for plain text what bash takes for a command, the judge would be silent; so
//! every sign of an expansion must be where the tree has one, or where the text is certainly quoted.

use std::collections::HashSet;
use tree_sitter::{Node, Tree};

/// Whether bash may see more in the text than the tree does.
pub fn doubtful(tree: &Tree, text: &str) -> bool {
    let mut seen = Seen::default();
    let mut cursor = tree.walk();
    loop {
        if seen.visit(cursor.node(), text).is_none() {
            return true;
        }
        if cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return !seen.accounts_for(text);
            }
        }
    }
}

#[derive(Default)]
struct Seen {
    /// Where expansions begin, and where those in back quotes end.
    expansions: HashSet<usize>,
    /// Text that bash leaves alone.
    quoted: Vec<(usize, usize)>,
    /// Text in which `<(` compares.
    unsubstituted: Vec<(usize, usize)>,
    /// Commands in back quotes.
    back_quoted: Vec<(usize, usize)>,
}

impl Seen {
    /// `None` where the node alone is reason to doubt.
    fn visit(&mut self, node: Node<'_>, text: &str) -> Option<()> {
        let raw = text.get(node.byte_range()).unwrap_or_default();
        let range = (node.start_byte(), node.end_byte());
        match node.kind() {
            "command_substitution" if raw.starts_with('`') => {
                self.expansions.extend([range.0, range.1 - 1]);
                self.back_quoted.push(range);
            }
            "command_substitution"
            | "arithmetic_expansion"
            | "expansion"
            | "process_substitution" => {
                self.expansions.insert(range.0);
                if node.kind() == "arithmetic_expansion" {
                    self.unsubstituted.push(range);
                }
            }
            "raw_string" | "ansi_c_string" if !is_in_double_quotes(node) => self.quoted.push(range),
            "string" | "heredoc_body" | "test_command" => {
                self.unsubstituted.push(range);
                if node.kind() == "heredoc_body" {
                    heredoc(node, text)?;
                }
            }
            "compound_statement" if raw.starts_with("((") => self.unsubstituted.push(range),
            "c_style_for_statement" => self.unsubstituted.push(range),
            "heredoc_redirect" if is_quoted_heredoc(node, text) => {
                let mut cursor = node.walk();
                let body = node
                    .named_children(&mut cursor)
                    .find(|child| child.kind() == "heredoc_body");
                self.quoted
                    .extend(body.map(|body| (body.start_byte(), body.end_byte())));
            }
            "comment" => {
                begins_word(text, range.0).then_some(())?;
                self.quoted.push(range);
            }
            "word" | "regex" | "extglob_pattern" | "variable_name" | "test_operator"
                if node.child_count() == 0 =>
            {
                is_one_word(raw, node.kind() == "word").then_some(())?;
            }
            _ => {}
        }
        Some(())
    }

    fn accounts_for(&mut self, text: &str) -> bool {
        let bytes = text.as_bytes();
        self.quoted.sort_unstable();
        let mut quoted = self.quoted.iter().peekable();
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            while quoted.next_if(|(_, end)| *end <= at).is_some() {}
            if let Some((_, end)) = quoted.next_if(|(start, _)| *start <= at) {
                at = *end;
                continue;
            }
            let next = bytes.get(at + 1);
            let in_back_quotes = || within(&self.back_quoted, at);
            let known = match (byte, next) {
                // In back quotes a backslash is taken off before the text inside is read.
                (b'\\', Some(b'$' | b'`' | b'\\')) if in_back_quotes() => false,
                (b'\\', _) => {
                    at += 2;
                    continue;
                }
                (b'`', _) => self.expansions.contains(&at),
                (b'$', Some(b'(' | b'{' | b'[')) => self.expansions.contains(&at),
                (b'<' | b'>', Some(b'(')) => {
                    self.expansions.contains(&at) || within(&self.unsubstituted, at)
                }
                _ => true,
            };
            if !known {
                return false;
            }
            at += 1;
        }
        true
    }
}

fn within(ranges: &[(usize, usize)], at: usize) -> bool {
    ranges
        .iter()
        .any(|(start, end)| (*start..*end).contains(&at))
}

/// Whether single quotes quote nothing here: between double quotes, in arithmetic, in a here-document.
fn is_in_double_quotes(node: Node<'_>) -> bool {
    let mut above = node.parent();
    while let Some(node) = above {
        match node.kind() {
            "string"
            | "heredoc_body"
            | "arithmetic_expansion"
            | "subscript"
            | "c_style_for_statement" => return true,
            "command_substitution" | "process_substitution" => return false,
            _ => above = node.parent(),
        }
    }
    false
}

fn start_of(node: Node<'_>, text: &str) -> Option<String> {
    let mut cursor = node.walk();
    let start = node
        .named_children(&mut cursor)
        .find(|child| child.kind() == "heredoc_start")?;
    text.get(start.byte_range()).map(str::to_owned)
}

fn is_quoted_heredoc(node: Node<'_>, text: &str) -> bool {
    start_of(node, text).is_some_and(|start| start.contains(['\'', '"', '\\']))
}

/// A here-document ends at the first line that is its delimiter; `None` where the tree found another end.
fn heredoc(body: Node<'_>, text: &str) -> Option<()> {
    let redirect = body.parent()?;
    let start = start_of(redirect, text)?;
    let delimiter: String = start.chars().filter(|c| !"'\"\\".contains(*c)).collect();
    let strips_tabs = text.get(redirect.byte_range()).is_some_and(|raw| {
        raw.trim_start_matches(|c: char| c.is_ascii_digit())
            .starts_with("<<-")
    });
    let inside = text.get(body.byte_range())?;
    let is_end = |line: &str| {
        let line = if strips_tabs {
            line.trim_start_matches('\t')
        } else {
            line
        };
        line == delimiter
    };
    // Continued lines are joined before they are compared, unless the delimiter is quoted.
    let joined = inside.replace("\\\n", "");
    (!inside.lines().any(is_end) && !joined.lines().any(is_end)).then_some(())?;
    let rest = text.get(body.end_byte()..)?;
    let mut after = rest.strip_prefix('\n').unwrap_or(rest).lines();
    after.next().is_none_or(is_end).then_some(())
}

/// Whether a comment can begin here: at the beginning of a word.
fn begins_word(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    match before.chars().next_back() {
        None => true,
        Some(c) if c.is_whitespace() || ";&|()<>".contains(c) => {
            // A blank that is quoted, or a joined line, goes on with the word.
            let head = before
                .get(..before.len() - c.len_utf8())
                .unwrap_or_default();
            let slashes = head.len() - head.trim_end_matches('\\').len();
            slashes % 2 == 0
        }
        Some(c) => c == '`',
    }
}

/// Whether nothing in a plain piece of text would end it for bash.
fn is_one_word(raw: &str, strict: bool) -> bool {
    let mut chars = raw.chars();
    let (mut single, mut double) = (0, 0);
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '\'' => single += 1,
            '"' => double += 1,
            ';' | '&' | '|' | '<' | '>' | '\n' if strict => return false,
            _ => {}
        }
    }
    if strict {
        single + double == 0
    } else {
        single % 2 == 0 && double % 2 == 0
    }
}

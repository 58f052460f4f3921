//! One word of a shell text, as far as the text alone tells what it becomes.

use tree_sitter::Node;

/// A word as written, in pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// The text, with continued lines joined.
    pub source: String,
    /// What it is made of.
    pub pieces: Vec<Piece>,
}

/// A piece of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text that stands for itself.
    Quoted(String),
    /// Text in which wildcards, braces and a leading tilde work.
    Bare(String),
    /// A variable's value; unquoted values are split and may hold wildcards.
    Variable {
        /// Its name.
        name: String,
        /// Whether it stands between quotes.
        quoted: bool,
    },
    /// A number that only the running shell knows.
    Number,
    /// What only the running shell knows; split into words where it is not quoted.
    Dynamic {
        /// Whether it stands between quotes.
        quoted: bool,
    },
}

impl Word {
    /// A word that stands for itself.
    pub fn quoted(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            source: text.clone(),
            pieces: vec![Piece::Quoted(text)],
        }
    }

    /// A number that only the running shell knows.
    pub fn number() -> Self {
        Self {
            source: String::new(),
            pieces: vec![Piece::Number],
        }
    }

    /// The word with a number for each that is not known, if nothing else in it is.
    pub fn with_numbers(&self) -> Option<String> {
        let known = Self {
            source: self.source.clone(),
            pieces: self
                .pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Number => Piece::Quoted("0".into()),
                    other => other.clone(),
                })
                .collect(),
        };
        known.literal()
    }

    /// Reads a node of the syntax tree.
    pub fn read(node: Node<'_>, text: &str) -> Self {
        let mut pieces = Vec::new();
        read(node, text, &mut pieces);
        Self {
            source: source(node, text),
            pieces: merged(pieces),
        }
    }

    /// What the word becomes, if it is one text whatever happens.
    pub fn literal(&self) -> Option<String> {
        let mut text = String::new();
        for (index, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Quoted(part) => text.push_str(part),
                Piece::Bare(part) if !is_active(part, index == 0) => text.push_str(part),
                _ => return None,
            }
        }
        Some(text)
    }

    /// The word without its first `count` bytes, if those stand in its first piece.
    pub fn without_prefix(&self, count: usize) -> Option<Self> {
        let (first, rest) = self.pieces.split_first()?;
        let cut = match first {
            Piece::Quoted(text) => Piece::Quoted(text.get(count..)?.to_owned()),
            Piece::Bare(text) => Piece::Bare(text.get(count..)?.to_owned()),
            _ => return None,
        };
        let source = self.source.get(count..).unwrap_or(&self.source).to_owned();
        Some(Self {
            source,
            pieces: std::iter::once(cut).chain(rest.iter().cloned()).collect(),
        })
    }

    /// The text that the word certainly begins with.
    pub fn head(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Quoted(text) | Piece::Bare(text)) => text,
            _ => "",
        }
    }

    /// The word with `placeholder` put in when it runs, which begins with `lead`. A text of several words is left: it is for a shell to read.
    pub fn filled(&self, placeholder: &str, lead: &str) -> Self {
        let Some(text) = self.literal().filter(|text| !text.contains(' ')) else {
            return self.clone();
        };
        let Some(at) = text.find(placeholder).filter(|_| !placeholder.is_empty()) else {
            return self.clone();
        };
        let before = format!("{}{lead}", text.get(..at).unwrap_or_default());
        let mut pieces = vec![Piece::Quoted(before.clone())];
        pieces.retain(|_| !before.is_empty());
        pieces.push(Piece::Dynamic { quoted: true });
        Self {
            source: self.source.clone(),
            pieces,
        }
    }

    /// Whether it may become several words, or none, when it runs.
    pub fn splits(&self) -> bool {
        self.pieces.iter().any(|piece| {
            matches!(
                piece,
                Piece::Variable { quoted: false, .. } | Piece::Dynamic { quoted: false }
            )
        })
    }

    /// The word with `hole` for what is not known, wildcards included.
    pub fn shape(&self, hole: char) -> String {
        let mut shape = String::new();
        for (index, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Quoted(text) => shape.push_str(text),
                Piece::Bare(text) if !is_active(text, index == 0) => shape.push_str(text),
                Piece::Bare(text) => {
                    let plain = text.find(['*', '?', '[', '{', '~']).unwrap_or(text.len());
                    shape.push_str(text.get(..plain).unwrap_or_default());
                    shape.push(hole);
                }
                Piece::Variable { .. } | Piece::Dynamic { .. } | Piece::Number => shape.push(hole),
            }
        }
        shape
    }

    /// The variables in it, if nothing else in it is unknown.
    pub fn variables(&self) -> Option<Vec<String>> {
        let unknown = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Variable { name, .. } => Some(Some(name.clone())),
            Piece::Dynamic { .. } => Some(None),
            Piece::Quoted(_) | Piece::Bare(_) | Piece::Number => None,
        });
        unknown.collect()
    }

    /// The word as a permission pattern shows it: without quotes that change nothing.
    pub fn canonical(&self) -> String {
        let computed = ["$(", "$[", "<(", ">("]
            .iter()
            .any(|sign| self.source.contains(sign));
        match self.literal() {
            Some(text) if !computed && !text.is_empty() && text.chars().all(is_plain) => text,
            _ => self.source.clone(),
        }
    }
}

/// The name and value of a word that reads `NAME=VALUE`.
pub fn assignment(word: &Word) -> Option<(String, Word)> {
    let (name, _) = word.head().split_once('=')?;
    is_name(name).then_some(())?;
    Some((name.to_owned(), word.without_prefix(name.len() + 1)?))
}

/// The words as one permission pattern.
pub fn pattern(words: &[Word], redirections: &str) -> String {
    let words: Vec<String> = words.iter().map(Word::canonical).collect();
    format!("{}{redirections}", words.join(" "))
}

/// The grammar cuts `{}` and `[ab]` into pieces; what is bare stays together.
fn merged(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut merged: Vec<Piece> = Vec::new();
    for piece in pieces {
        match (merged.last_mut(), piece) {
            (Some(Piece::Bare(before)), Piece::Bare(part)) => before.push_str(&part),
            (Some(Piece::Quoted(before)), Piece::Quoted(part)) => before.push_str(&part),
            (_, piece) => merged.push(piece),
        }
    }
    merged
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c)
}

fn is_active(bare: &str, first: bool) -> bool {
    let braces = bare.contains('{') && (bare.contains(',') || bare.contains(".."));
    (first && bare.starts_with('~')) || braces || bare.contains(['*', '?', '['])
}

/// The node's text with continued lines joined.
pub fn source(node: Node<'_>, text: &str) -> String {
    let source = text.get(node.byte_range()).unwrap_or_default();
    if source.contains("\\\n") {
        source.replace("\\\n", "")
    } else {
        source.to_owned()
    }
}

fn read(node: Node<'_>, text: &str, pieces: &mut Vec<Piece>) {
    let raw = text.get(node.byte_range()).unwrap_or_default();
    match node.kind() {
        "word" | "number" | "extglob_pattern" | "variable_name" => bare(raw, pieces),
        "raw_string" => pieces.push(Piece::Quoted(inside(raw, 1).to_owned())),
        "ansi_c_string" => match unescape(inside(raw.strip_prefix('$').unwrap_or(raw), 1)) {
            Some(decoded) => pieces.push(Piece::Quoted(decoded)),
            None => pieces.push(Piece::Dynamic { quoted: true }),
        },
        "string" => string(node, text, pieces),
        "simple_expansion" | "expansion" => pieces.push(variable(raw, false)),
        "arithmetic_expansion" => pieces.push(Piece::Number),
        "process_substitution" => pieces.push(Piece::Quoted("/dev/fd/63".into())),
        "brace_expression" => bare(raw, pieces),
        "command_name" | "concatenation" | "translated_string" if node.child_count() > 0 => {
            parts(node, text, pieces)
        }
        _ => pieces.push(Piece::Dynamic { quoted: false }),
    }
}

fn parts(node: Node<'_>, text: &str, pieces: &mut Vec<Piece>) {
    let mut cursor = node.walk();
    for child in node.children(&mut cursor) {
        if child.is_named() {
            read(child, text, pieces);
        } else if child.kind() != "$" || node.kind() != "translated_string" {
            bare(text.get(child.byte_range()).unwrap_or_default(), pieces);
        }
    }
}

/// A backslash outside quotes quotes the next character.
fn bare(raw: &str, pieces: &mut Vec<Piece>) {
    let mut plain = String::new();
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        let Some(next) = chars.next().filter(|next| *next != '\n') else {
            continue;
        };
        if !plain.is_empty() {
            pieces.push(Piece::Bare(std::mem::take(&mut plain)));
        }
        pieces.push(Piece::Quoted(next.to_string()));
    }
    if !plain.is_empty() {
        pieces.push(Piece::Bare(plain));
    }
}

/// Between double quotes: whatever is no expansion stands for itself.
fn string(node: Node<'_>, text: &str, pieces: &mut Vec<Piece>) {
    let mut at = node.start_byte() + 1;
    let end = node.end_byte().saturating_sub(1);
    let mut cursor = node.walk();
    for child in node.named_children(&mut cursor) {
        if child.kind() == "string_content" {
            continue;
        }
        quoted(text.get(at..child.start_byte()).unwrap_or_default(), pieces);
        match child.kind() {
            "simple_expansion" | "expansion" => {
                pieces.push(variable(
                    text.get(child.byte_range()).unwrap_or_default(),
                    true,
                ));
            }
            "arithmetic_expansion" => pieces.push(Piece::Number),
            _ => pieces.push(Piece::Dynamic { quoted: true }),
        }
        at = child.end_byte();
    }
    quoted(text.get(at..end).unwrap_or_default(), pieces);
    if pieces.is_empty() {
        pieces.push(Piece::Quoted(String::new()));
    }
}

fn quoted(raw: &str, pieces: &mut Vec<Piece>) {
    if raw.is_empty() {
        return;
    }
    let mut plain = String::new();
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some('\n')) => drop(chars.next()),
            ('\\', Some('"' | '\\' | '$' | '`')) => plain.extend(chars.next()),
            _ => plain.push(c),
        }
    }
    pieces.push(Piece::Quoted(plain));
}

/// `$NAME` and `${NAME}`; every other form is only known to the running shell.
fn variable(raw: &str, quoted: bool) -> Piece {
    let name = raw
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .or_else(|| raw.strip_prefix('$'));
    match name.filter(|name| is_name(name)) {
        Some(name) => Piece::Variable {
            name: name.into(),
            quoted,
        },
        None if matches!(name, Some("?" | "#" | "$" | "!")) => Piece::Number,
        None => Piece::Dynamic { quoted },
    }
}

/// Whether `text` can be a variable's name.
pub fn is_name(text: &str) -> bool {
    let first = text
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn inside(raw: &str, quotes: usize) -> &str {
    raw.get(quotes..raw.len().saturating_sub(quotes))
        .unwrap_or_default()
}

/// `$'...'`; `None` where a byte is made that is no character.
fn unescape(raw: &str) -> Option<String> {
    let mut text = String::new();
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        text.push(match chars.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'e' | 'E' => '\u{1b}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            'x' => code(&mut chars, 16, 2).filter(char::is_ascii)?,
            'u' => code(&mut chars, 16, 4)?,
            'U' => code(&mut chars, 16, 8)?,
            'c' => char::from(u8::try_from(chars.next()?).ok()? & 0x1f),
            digit @ '0'..='7' => octal(digit, &mut chars).filter(char::is_ascii)?,
            other @ ('\\' | '\'' | '"' | '?') => other,
            _ => return None,
        });
    }
    Some(text)
}

fn code(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    radix: u32,
    most: usize,
) -> Option<char> {
    let mut value = None;
    for _ in 0..most {
        let Some(digit) = chars.peek().and_then(|c| c.to_digit(radix)) else {
            break;
        };
        value = Some(
            value
                .unwrap_or(0_u32)
                .checked_mul(radix)?
                .checked_add(digit)?,
        );
        chars.next();
    }
    value.and_then(char::from_u32)
}

fn octal(first: char, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    let mut value = first.to_digit(8)?;
    for _ in 0..2 {
        let Some(digit) = chars.peek().and_then(|c| c.to_digit(8)) else {
            break;
        };
        value = value * 8 + digit;
        chars.next();
    }
    char::from_u32(value)
}

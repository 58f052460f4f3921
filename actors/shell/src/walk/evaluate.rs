//! What bash evaluates without there being a command: arithmetic, subscripts, tests, the odd forms of `${…}`.

use super::state::Walker;
use crate::arithmetic;
use crate::plan::{Evaluated, Why};
use crate::word::{Word, is_name, source};
use tree_sitter::Node;

/// Operators of `[[` and `test` whose sides are arithmetic in `[[`.
const NUMERIC: [&str; 6] = ["-eq", "-ne", "-lt", "-le", "-gt", "-ge"];

impl Walker {
    /// Notes what a node evaluates by itself; what is below it is walked as usual.
    pub(super) fn evaluate(&mut self, node: Node<'_>, text: &str) {
        let raw = source(node, text);
        match node.kind() {
            "arithmetic_expansion" => {
                let inner = raw
                    .strip_prefix("$((")
                    .and_then(|rest| rest.strip_suffix("))"))
                    .or_else(|| {
                        raw.strip_prefix("$[")
                            .and_then(|rest| rest.strip_suffix(']'))
                    })
                    .or_else(|| {
                        raw.strip_prefix("((")
                            .and_then(|rest| rest.strip_suffix("))"))
                    });
                self.arithmetic(inner, &raw);
            }
            "compound_statement" if raw.starts_with("((") => {
                let inner = raw
                    .strip_prefix("((")
                    .and_then(|rest| rest.strip_suffix("))"));
                self.arithmetic(inner, &raw);
            }
            "c_style_for_statement" => self.counting_loop(&raw),
            "expansion" => self.expansion(&raw),
            "subscript"
                if node
                    .parent()
                    .is_none_or(|above| above.kind() != "expansion") =>
            {
                self.subscript(&raw)
            }
            "test_command" => self.condition(&raw),
            "array" => self.elements(node, text),
            _ => {}
        }
    }

    /// An expression; `whole` is what a person gets to see.
    pub(super) fn arithmetic(&mut self, expression: Option<&str>, whole: &str) {
        match expression.and_then(arithmetic::read) {
            Some(found) => {
                // What is read has its value from before.
                if !found.reads.is_empty() {
                    self.note(whole, Why::Evaluates, Some(found.reads));
                }
                for name in &found.writes {
                    self.set_variable(name, Some(vec![Word::number()]), whole);
                }
            }
            None => self.note(whole, Why::Evaluates, None),
        }
    }

    /// Something that may run anything; with `numbers`, only unless all those variables are numbers.
    pub(super) fn note(&mut self, text: &str, why: Why, numbers: Option<Vec<String>>) {
        let at = self.tick();
        self.plan.evaluated.push(Evaluated {
            text: text.to_owned(),
            why,
            numbers,
            at,
        });
    }

    /// `for ((A; B; C))`: the parts run in an order of their own, so that what `A` sets is set for all.
    fn counting_loop(&mut self, raw: &str) {
        let head = raw
            .split_once("((")
            .and_then(|(_, rest)| rest.split_once("))"))
            .map(|(head, _)| head);
        let expression = head.map(|head| head.replace(';', ","));
        let shown = head.map_or_else(|| raw.to_owned(), |head| format!("for (({head}))"));
        self.arithmetic(expression.as_deref(), &shown);
    }

    /// `${…}` in all its forms.
    fn expansion(&mut self, raw: &str) {
        let Some(inner) = raw
            .strip_prefix("${")
            .and_then(|rest| rest.strip_suffix('}'))
        else {
            return self.note(raw, Why::Evaluates, None);
        };
        if let Some(name) = inner.strip_prefix('!') {
            let keys = name
                .strip_suffix("[@]")
                .or_else(|| name.strip_suffix("[*]"))
                .or_else(|| name.strip_suffix('@'))
                .or_else(|| name.strip_suffix('*'));
            if !keys.is_some_and(is_name) {
                self.note(raw, Why::Evaluates, None);
            }
            return;
        }
        let inner = inner
            .strip_prefix('#')
            .filter(|rest| !rest.is_empty())
            .unwrap_or(inner);
        let name_end = inner
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(inner.len());
        // One of the special parameters: `$@`, `$*`, `$?` and their like.
        let name_end = if name_end == 0 {
            inner.chars().next().map_or(0, char::len_utf8)
        } else {
            name_end
        };
        let (name, mut rest) = inner.split_at(name_end);
        if rest.starts_with('[') {
            let Some(close) = matching_bracket(rest) else {
                return self.note(raw, Why::Evaluates, None);
            };
            self.index(name, rest.get(1..close).unwrap_or_default(), raw);
            rest = rest.get(close + 1..).unwrap_or_default();
        }
        if rest.starts_with("@P") {
            self.note(raw, Why::Evaluates, None);
        }
        if let Some(offset) = rest.strip_prefix(':')
            && !offset.starts_with(['-', '=', '?', '+'])
        {
            self.arithmetic(Some(&offset.replace(':', ",")), raw);
        }
        let sets = rest.starts_with('=') || rest.starts_with(":=");
        if sets {
            self.set_variable(name, None, raw);
        }
    }

    fn subscript(&mut self, raw: &str) {
        match (raw.find('['), matching_bracket_of(raw)) {
            (Some(open), Some(close)) if close + 1 == raw.len() => {
                let (name, index) = (raw.get(..open), raw.get(open + 1..close));
                self.index(name.unwrap_or_default(), index.unwrap_or_default(), raw);
            }
            _ => self.note(raw, Why::Evaluates, None),
        }
    }

    /// An index: a number of a list, or the key of a map that the text itself makes one.
    fn index(&mut self, name: &str, index: &str, whole: &str) {
        let plain = index.trim_matches(['"', '\'']);
        let is_key = self.plan.maps.contains(name)
            && plain
                .chars()
                .all(|c| c.is_alphanumeric() || "_-./ $".contains(c))
            && !self.plan.variables.contains_key(plain);
        if matches!(index, "@" | "*") || is_key {
            return;
        }
        self.arithmetic(Some(index.trim_matches('"')), whole);
    }

    /// `([INDEX]=VALUE …)`.
    fn elements(&mut self, node: Node<'_>, text: &str) {
        let name = node
            .parent()
            .and_then(|parent| parent.child_by_field_name("name"))
            .map(|name| source(name, text))
            .unwrap_or_default();
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            let raw = source(child, text);
            if raw.starts_with('[') {
                let close = matching_bracket(&raw);
                let index = close.and_then(|close| raw.get(1..close));
                match index {
                    Some(index) => self.index(&name, index, &raw),
                    None => self.note(&raw, Why::Evaluates, None),
                }
            }
        }
    }

    /// `[[ … ]]`, and `[ … ]` with what it shares with `test`.
    fn condition(&mut self, raw: &str) {
        if !raw.starts_with("[[") {
            return self.old_condition(raw);
        }
        let words: Vec<&str> = raw.split_whitespace().collect();
        for (at, word) in words.iter().enumerate() {
            let side = |at: Option<usize>| at.and_then(|at| words.get(at)).copied().unwrap_or("?[");
            if matches!(*word, "-v" | "-R") {
                let name = side(Some(at + 1)).trim_matches(['"', '\'', ')']);
                if !is_name(name) {
                    self.note(raw, Why::Evaluates, None);
                }
            } else if NUMERIC.contains(word) {
                for operand in [side(at.checked_sub(1)), side(Some(at + 1))] {
                    let bare = operand.trim_start_matches(['(', '!']).trim_end_matches(')');
                    let bare = bare
                        .strip_prefix('"')
                        .and_then(|bare| bare.strip_suffix('"'))
                        .unwrap_or(bare);
                    self.arithmetic(Some(bare), raw);
                }
            }
        }
    }

    fn old_condition(&mut self, raw: &str) {
        let inner = raw
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let words = inner.and_then(|inner| words_of(&format!("test {inner}")));
        match words {
            Some(words) => self.test_words(words.get(1..).unwrap_or_default(), raw),
            None => self.note(raw, Why::Evaluates, None),
        }
    }

    /// The operands of `test`: `-v` evaluates a subscript, and an operand that only the running shell knows may become
    /// an operator where it is not quoted, or where the operator should stand.
    pub(super) fn test_words(&mut self, words: &[Word], whole: &str) {
        for (at, word) in words.iter().enumerate() {
            let named = || words.get(at + 1).and_then(Word::literal);
            let odd = match word.literal().as_deref() {
                Some("-v" | "-R") => !named().is_some_and(|name| is_name(&name)),
                Some(_) => false,
                None => word.splits(),
            };
            if odd {
                let numbers = word.literal().is_none().then(|| word.variables());
                self.note(whole, Why::Evaluates, numbers.flatten());
            }
        }
        let is_operator = |word: &Word| word.literal().is_some_and(|text| text.starts_with('-'));
        if let [operator, operand] = words
            && operator.literal().is_none()
            && !is_operator(operand)
        {
            self.note(whole, Why::Evaluates, operator.variables());
        }
    }
}

/// The words of a text that is one simple command.
fn words_of(text: &str) -> Option<Vec<Word>> {
    let tree = crate::tree::tree(text)?;
    let root = tree.root_node();
    let command = root
        .named_child(0)
        .filter(|node| node.kind() == "command")?;
    if root.has_error() || root.named_child_count() != 1 {
        return None;
    }
    let mut cursor = command.walk();
    let words = command.named_children(&mut cursor);
    Some(words.map(|word| Word::read(word, text)).collect())
}

/// Where the bracket ends with which the text begins.
fn matching_bracket(text: &str) -> Option<usize> {
    let mut level = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '[' => level += 1,
            ']' => {
                level = level.checked_sub(1)?;
                if level == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

fn matching_bracket_of(text: &str) -> Option<usize> {
    let open = text.find('[')?;
    matching_bracket(text.get(open..)?).map(|close| open + close)
}

//! Variables that the text sets.

use super::state::{Flow, Walker};
use crate::plan::{Cwd, SimpleCommand, Variable, Via, Why};
use crate::prefix;
use crate::word::{Piece, Word, is_name, pattern, source};
use tree_sitter::Node;

impl Walker {
    /// Assignments that stand alone.
    pub(super) fn assignments(&mut self, node: Node<'_>, text: &str, cwds: &[Cwd]) -> Flow {
        self.values(node, text, cwds);
        self.assignments_below(node, text);
        Flow::same(cwds)
    }

    /// `export`, `declare` and their kin, with the words behind them.
    pub(super) fn declaration(&mut self, node: Node<'_>, text: &str, cwds: &[Cwd]) -> Flow {
        let mut words = Vec::new();
        let mut cursor = node.walk();
        for child in node.children(&mut cursor) {
            if child.kind() == "variable_assignment" {
                words.push(assignment_word(child, text));
            } else {
                words.push(Word::read(child, text));
            }
        }
        if let Some(keyword) = words.first_mut() {
            *keyword = Word::quoted(keyword.source.clone());
        }
        // Maps must be known before their elements are looked at.
        self.note_maps(&words);
        self.values(node, text, cwds);
        self.assignments_below(node, text);
        self.declared(&words, &source(node, text), cwds);
        Flow::same(cwds)
    }

    /// Substitutions in the values of assignments.
    pub(super) fn values(&mut self, node: Node<'_>, text: &str, cwds: &[Cwd]) {
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            if child.kind() == "variable_assignment" {
                self.values(child, text, cwds);
            } else {
                self.inside(child, text, cwds);
            }
        }
    }

    fn assignments_below(&mut self, node: Node<'_>, text: &str) {
        if node.kind() == "variable_assignment" {
            let name = node
                .child_by_field_name("name")
                .and_then(|name| text.get(name.byte_range()))
                .unwrap_or_default();
            let appended = text
                .get(node.byte_range())
                .unwrap_or_default()
                .contains("+=");
            let value = node
                .child_by_field_name("value")
                .map(|value| Word::read(value, text))
                .unwrap_or_default();
            let name = name.split('[').next().unwrap_or_default();
            let whole = node.parent().filter(|parent| {
                matches!(
                    parent.kind(),
                    "declaration_command" | "variable_assignments"
                )
            });
            let shown = source(whole.unwrap_or(node), text);
            self.set_variable(name, (!appended).then(|| vec![value]), &shown);
            return;
        }
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            if child.kind() == "variable_assignment" {
                self.assignments_below(child, text);
            }
        }
    }

    pub(super) fn unset(&mut self, node: Node<'_>, text: &str, cwds: &[Cwd]) -> Flow {
        let whole = source(node, text);
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            self.inside(child, text, cwds);
            self.named(&Word::read(child, text), &whole);
        }
        Flow::same(cwds)
    }

    /// A word by which a builtin names a variable: a subscript in it is evaluated, and so is one that comes when it runs.
    fn named(&mut self, word: &Word, whole: &str) {
        match word.literal() {
            Some(name) if is_name(&name) => self.set_variable(&name, None, whole),
            Some(option) if option.starts_with('-') => {}
            _ => self.note(whole, Why::Evaluates, None),
        }
    }

    /// `None`: to something that the text does not tell. `shown` is what a person sees where the name is a weighty one.
    pub(super) fn set_variable(&mut self, name: &str, values: Option<Vec<Word>>, shown: &str) {
        let from = self.tick();
        if prefix::is_weighty_variable(name) && !self.notes_already(shown) {
            self.note(shown, Why::Redirects, None);
        }
        let entry = self
            .plan
            .variables
            .entry(name.to_owned())
            .or_insert_with(|| Variable {
                from,
                ..Variable::default()
            });
        match values {
            Some(values) => entry.values.extend(values),
            None => entry.unknown = true,
        }
    }

    fn notes_already(&self, shown: &str) -> bool {
        self.plan
            .evaluated
            .last()
            .is_some_and(|last| last.text == shown && last.why == Why::Redirects)
    }

    fn note_maps(&mut self, words: &[Word]) {
        let is_map = words
            .iter()
            .any(|word| word.head().starts_with('-') && word.head().contains('A'));
        if is_map {
            let names = words.iter().map(|word| {
                let head = word.head();
                head.split(['=', '+']).next().unwrap_or_default().to_owned()
            });
            self.plan.maps.extend(names.filter(|name| is_name(name)));
        }
    }

    /// `export` and its kin from their words.
    pub(super) fn declared(&mut self, words: &[Word], whole: &str, cwds: &[Cwd]) {
        let keyword = words.first().and_then(Word::literal).unwrap_or_default();
        let mut letters = String::new();
        let mut exported = false;
        for word in words.iter().skip(1) {
            let Some(name) = declared_name(word) else {
                self.note(whole, Why::Evaluates, None);
                continue;
            };
            if name.starts_with(['-', '+']) {
                letters.push_str(&name);
                continue;
            }
            exported |= !prefix::is_harmless_variable(&name) && word.head().contains('=');
            if !is_name(&name) || rereads(word, &letters) {
                self.note(whole, Why::Evaluates, None);
            } else if word.head() == name {
                // It stays what it was, but others may see it now.
                exported |= !prefix::is_harmless_variable(&name);
            } else if !self.plan.variables.contains_key(&name) {
                self.set_variable(&name, None, whole);
            }
        }
        // `export -n` only takes a name back from the environment.
        let refers = letters.contains('n') && keyword != "export";
        if refers || letters.contains('i') {
            self.note(whole, Why::Evaluates, None);
        }
        let exports = keyword == "export" || letters.contains('x');
        if exports && exported && !self.notes_already(whole) {
            self.remark(whole, cwds);
        }
    }

    /// A command that is none, under its text.
    fn remark(&mut self, text: &str, cwds: &[Cwd]) {
        let at = self.tick();
        let words = vec![Word::quoted(text)];
        self.plan.commands.push(SimpleCommand {
            text: pattern(&words, ""),
            program: None,
            words,
            redirections: String::new(),
            settings: Vec::new(),
            weighty: false,
            open_ended: false,
            direct: false,
            via: Via::Itself,
            cwds: cwds.to_vec(),
            at,
        });
    }

    /// Builtins that set variables.
    pub(super) fn set_by_command(&mut self, program: &str, words: &[Word], cwds: &[Cwd]) {
        let whole = pattern(words, "");
        let rest = words.get(1..).unwrap_or_default();
        match program {
            "read" => self.named_behind(rest, "adinNptu", "a", &whole),
            "mapfile" | "readarray" => self.named_behind(rest, "dnOsuCc", "", &whole),
            "getopts" => self.named_behind(rest.get(1..).unwrap_or_default(), "", "", &whole),
            "coproc" => {
                if let Some(name) = rest.first().and_then(Word::literal) {
                    self.set_variable(&name, None, &whole);
                }
            }
            "env" => self.named_by_option(rest, 'u', &whole),
            "printf" => self.named_by_option(rest, 'v', &whole),
            "wait" => self.named_by_option(rest, 'p', &whole),
            "let" => {
                for word in rest {
                    self.arithmetic(word.literal().as_deref(), &whole);
                }
            }
            "unset" => {
                for word in rest {
                    self.named(word, &whole);
                }
            }
            "export" | "declare" | "typeset" | "readonly" | "local" => {
                self.note_maps(words);
                self.declared(words, &whole, cwds);
            }
            "test" | "[" => self.test_words(rest, &whole),
            // A program's name gets another meaning for what follows.
            "hash" if has_letter(rest, 'p') => self.note(&whole, Why::Redirects, None),
            "enable" if has_letter(rest, 'f') => self.note(&whole, Why::Unknown, None),
            "set" if has_letter(rest, 'k') => self.note(&whole, Why::Redirects, None),
            "alias" if rest.iter().any(|word| word.source.contains('=')) => {
                self.note(&whole, Why::Redirects, None)
            }
            _ => {}
        }
    }

    /// Names that follow a builtin's options: `letters` are those with values, `names` those whose value is a name.
    fn named_behind(&mut self, rest: &[Word], letters: &str, names: &str, whole: &str) {
        let mut index = 0;
        while let Some(word) = rest.get(index) {
            index += 1;
            let text = word.literal().unwrap_or_default();
            if !text.starts_with('-') || text == "-" {
                self.named(word, whole);
                continue;
            }
            let last = text.chars().next_back().unwrap_or_default();
            if names.contains(last) {
                continue;
            }
            index += usize::from(letters.contains(last) && text.len() > 1);
        }
    }

    fn named_by_option(&mut self, rest: &[Word], letter: char, whole: &str) {
        for (at, word) in rest.iter().enumerate() {
            let Some(text) = word.literal().filter(|text| text.starts_with('-')) else {
                // What is no option may still become one, unless it is quoted text or follows the format.
                if at == 0 && word.literal().is_none() {
                    self.note(whole, Why::Evaluates, word.variables());
                }
                return;
            };
            let Some(glued) = text
                .strip_prefix('-')
                .and_then(|text| text.strip_prefix(letter))
            else {
                continue;
            };
            if glued.is_empty() {
                match rest.get(at + 1) {
                    Some(name) => self.named(name, whole),
                    None => return,
                }
            } else {
                self.named(&Word::quoted(glued), whole);
            }
            return;
        }
    }
}

fn has_letter(rest: &[Word], letter: char) -> bool {
    rest.iter().any(|word| {
        let head = word.head();
        head.starts_with('-') && !head.starts_with("--") && head.contains(letter)
    })
}

/// `NAME=VALUE` as one word.
fn assignment_word(node: Node<'_>, text: &str) -> Word {
    let whole = source(node, text);
    let value = node.child_by_field_name("value");
    let head_end = value.map_or(node.end_byte(), |value| value.start_byte());
    let head = text.get(node.start_byte()..head_end).unwrap_or_default();
    let mut pieces = vec![Piece::Quoted(head.to_owned())];
    if let Some(value) = value {
        pieces.extend(Word::read(value, text).pieces);
    }
    Word {
        source: whole,
        pieces,
    }
}

/// The name that a word of a declaration declares, or the option that it is; `None` where only the running shell knows.
fn declared_name(word: &Word) -> Option<String> {
    if let Some((name, _)) = word.head().split_once('=') {
        return Some(name.trim_end_matches('+').to_owned());
    }
    word.literal()
}

/// Whether bash reads the value as a list once more: one in quotes, or one that only the running shell knows, for a
/// variable that is declared as a list.
fn rereads(word: &Word, letters: &str) -> bool {
    let Some((_, value)) = word.source.split_once('=') else {
        return false;
    };
    let is_list = letters.contains(['a', 'A']);
    let quoted = value.trim_start_matches(['"', '\'', '$', '\\']);
    // One in quotes as a whole is no list yet.
    let plain_list = value.starts_with('(') && !word.source.starts_with(['"', '\'', '$', '\\']);
    !plain_list && (quoted.starts_with('(') || (is_list && word.literal().is_none()))
}

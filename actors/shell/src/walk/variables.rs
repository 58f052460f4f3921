//! Variables that the text sets.

use super::state::{Flow, Walker};
use crate::plan::{Cwd, SimpleCommand, Variable, Via};
use crate::prefix;
use crate::word::{Word, is_name, pattern, source};
use tree_sitter::Node;

impl Walker {
    /// Assignments that stand alone, or behind `export` and its kin.
    pub(super) fn assignments(
        &mut self,
        node: Node<'_>,
        text: &str,
        cwds: &[Cwd],
        declared: bool,
    ) -> Flow {
        self.values(node, text, cwds);
        self.assignments_below(node, text);
        let words: Vec<&str> = text
            .get(node.byte_range())
            .unwrap_or_default()
            .split_ascii_whitespace()
            .collect();
        let names = words
            .iter()
            .filter_map(|word| word.split(['=', '+']).next())
            .filter(|name| is_name(name));
        let exported = declared
            && words
                .iter()
                .any(|word| *word == "export" || is_export_option(word));
        let weighty = if exported {
            names
                .skip(1)
                .any(|name| !prefix::is_harmless_variable(name))
        } else {
            names.into_iter().any(prefix::is_weighty_variable)
        };
        if weighty {
            let at = self.tick();
            let word = Word::quoted(source(node, text));
            let words = vec![word];
            self.plan.commands.push(SimpleCommand {
                text: pattern(&words, ""),
                program: None,
                words,
                redirections: String::new(),
                settings: Vec::new(),
                via: Via::Itself,
                cwds: cwds.to_vec(),
                at,
            });
        }
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

    pub(super) fn assignments_below(&mut self, node: Node<'_>, text: &str) {
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
            self.set_variable(name, (!appended).then(|| vec![value]));
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
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            self.set_variable(text.get(child.byte_range()).unwrap_or_default(), None);
        }
        Flow::same(cwds)
    }

    /// `${NAME:=VALUE}` sets a variable.
    pub(super) fn assigned_by_expansion(&mut self, node: Node<'_>, text: &str) {
        let raw = text.get(node.byte_range()).unwrap_or_default();
        if raw.contains('=')
            && let Some(name) = raw
                .strip_prefix("${")
                .and_then(|rest| rest.split([':', '=']).next())
        {
            self.set_variable(name, None);
        }
    }

    /// `None`: to something that the text does not tell.
    pub(super) fn set_variable(&mut self, name: &str, values: Option<Vec<Word>>) {
        let from = self.tick();
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

    /// Builtins that set variables.
    pub(super) fn set_by_command(&mut self, program: &str, words: &[Word]) {
        if !matches!(
            program,
            "read" | "mapfile" | "readarray" | "printf" | "getopts" | "let" | "export" | "declare"
        ) {
            return;
        }
        for word in words.iter().skip(1) {
            let text = word.literal().unwrap_or_default();
            let name: String = text
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            if is_name(&name) {
                self.set_variable(&name, None);
            }
        }
    }
}

/// `-x` of `declare` and `typeset`, alone or among others.
fn is_export_option(word: &str) -> bool {
    word.starts_with('-') && !word.starts_with("--") && word.contains('x')
}

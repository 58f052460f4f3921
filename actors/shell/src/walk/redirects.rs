//! Redirections, here-documents included.

use super::state::{Extras, Walker};
use crate::disk;
use crate::plan::{Cwd, Redirect};
use crate::word::Word;
use tree_sitter::Node;

impl Walker {
    pub(super) fn redirections(&mut self, nodes: &[Node<'_>], text: &str, cwds: &[Cwd]) {
        for node in nodes {
            let mut extras = Extras::default();
            let first = self.plan.redirects.len();
            self.redirection(*node, text, cwds, &mut extras);
            for redirect in self.plan.redirects.iter_mut().skip(first) {
                redirect.alone = Some(extras.redirections.trim().to_owned());
            }
        }
    }

    /// Notes a redirection; gives the words that the grammar hung on it by mistake.
    pub(super) fn redirection(
        &mut self,
        node: Node<'_>,
        text: &str,
        cwds: &[Cwd],
        extras: &mut Extras,
    ) -> Vec<Word> {
        match node.kind() {
            "file_redirect" => self.file_redirect(node, text, cwds, extras),
            "herestring_redirect" => {
                self.inside(node, text, cwds);
                let mut cursor = node.walk();
                let word = node
                    .named_children(&mut cursor)
                    .last()
                    .map(|word| Word::read(word, text));
                extras.stdin = word.and_then(|word| word.literal());
                Vec::new()
            }
            "heredoc_redirect" => self.heredoc(node, text, cwds, extras),
            _ => {
                self.walk(node, text, cwds, &[]);
                Vec::new()
            }
        }
    }

    /// `> FILE` and its kin. The grammar takes further words of the command (`> FILE ARGUMENT`) for further targets.
    pub(super) fn file_redirect(
        &mut self,
        node: Node<'_>,
        text: &str,
        cwds: &[Cwd],
        extras: &mut Extras,
    ) -> Vec<Word> {
        let mut cursor = node.walk();
        let operator = node
            .children(&mut cursor)
            .find(|child| !child.is_named())
            .map_or("", |child| child.kind());
        let descriptor = node
            .child_by_field_name("descriptor")
            .and_then(|fd| text.get(fd.byte_range()))
            .unwrap_or_default();
        let mut targets = node.children_by_field_name("destination", &mut cursor);
        let Some(target) = targets.next() else {
            return Vec::new();
        };
        let rest: Vec<Node<'_>> = targets.collect();
        self.inside(target, text, cwds);
        let target_word = Word::read(target, text);
        if !(operator.ends_with('&') && is_descriptor(&target_word)) {
            let at = self.tick();
            let free = target_word
                .literal()
                .is_some_and(|path| disk::is_device(&path));
            if !free {
                extras.redirections.push_str(&format!(
                    " {descriptor}{operator} {}",
                    target_word.canonical()
                ));
            }
            let writes = operator.contains('>');
            self.plan.redirects.push(Redirect {
                target: target_word,
                writes,
                alone: None,
                cwds: cwds.to_vec(),
                at,
            });
        }
        let mut words = Vec::new();
        for word in rest {
            self.inside(word, text, cwds);
            words.push(Word::read(word, text));
        }
        words
    }

    pub(super) fn heredoc(
        &mut self,
        node: Node<'_>,
        text: &str,
        cwds: &[Cwd],
        extras: &mut Extras,
    ) -> Vec<Word> {
        let mut words = Vec::new();
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            match child.kind() {
                "heredoc_start" | "heredoc_end" | "file_descriptor" => {}
                "heredoc_body" => {
                    self.inside(child, text, cwds);
                    let body = text.get(child.byte_range()).unwrap_or_default();
                    extras.stdin = is_verbatim(node, text, body).then(|| body.to_owned());
                }
                "file_redirect" | "herestring_redirect" => {
                    words.extend(self.redirection(child, text, cwds, extras));
                }
                kind if kind.ends_with("word")
                    || kind.ends_with("string")
                    || kind == "concatenation" =>
                {
                    self.inside(child, text, cwds);
                    words.push(Word::read(child, text));
                }
                _ => drop(self.walk(child, text, cwds, &[])),
            }
        }
        words
    }
}

/// Whether a here-document arrives as it stands.
fn is_verbatim(node: Node<'_>, text: &str, body: &str) -> bool {
    let mut cursor = node.walk();
    let quoted = node
        .named_children(&mut cursor)
        .filter(|child| child.kind() == "heredoc_start")
        .any(|start| {
            text.get(start.byte_range())
                .is_some_and(|start| start.contains(['\'', '"', '\\']))
        });
    quoted || !body.contains(['$', '`', '\\'])
}

fn is_descriptor(word: &Word) -> bool {
    word.literal().is_some_and(|text| {
        text.trim_end_matches('-')
            .chars()
            .all(|c| c.is_ascii_digit())
    })
}

//! Simple commands: noted, looked into, and followed where they move the shell.

use super::state::{COMMANDS_MAX, DEPTH_MAX, Extras, Flow, LEAVES_FOLDERS_ALONE, Walker};
use crate::plan::{Cwd, FolderChange, Move, SimpleCommand, Via, Why};
use crate::prefix;
use crate::unwrap::{self, Inner};
use crate::word::{Word, assignment, pattern, source};
use tree_sitter::Node;

/// Whether a shell's text has something put into it that only the running shell knows.
fn is_spliced(inner: Option<&Inner>, extras: &Extras) -> bool {
    let (Some(Inner::Text(text) | Inner::Here(text)), Some(placeholder)) =
        (inner, &extras.placeholder)
    else {
        return false;
    };
    text.contains(placeholder.as_str())
}

impl Walker {
    pub(super) fn command(
        &mut self,
        node: Node<'_>,
        text: &str,
        cwds: &[Cwd],
        tail: &[Node<'_>],
    ) -> Flow {
        let mut words = Vec::new();
        let mut redirects = Vec::new();
        let mut extras = Extras {
            direct: self.texts == 1,
            ..Extras::default()
        };
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            match child.kind() {
                "file_redirect" | "heredoc_redirect" | "herestring_redirect" => {
                    redirects.push(child)
                }
                "variable_assignment" => self.setting(child, text, cwds, &mut extras),
                kind => {
                    self.inside(child, text, cwds);
                    if kind != "comment" {
                        words.push(Word::read(child, text));
                    }
                }
            }
        }
        redirects.extend_from_slice(tail);
        for redirect in &redirects {
            words.extend(self.redirection(*redirect, text, cwds, &mut extras));
        }
        self.simple(&words, &extras, cwds)
    }

    /// Substitutions inside a word.
    pub(super) fn inside(&mut self, node: Node<'_>, text: &str, cwds: &[Cwd]) {
        if node.named_child_count() > 0 {
            self.walk(node, text, cwds, &[]);
        }
    }

    /// `NAME=VALUE` before a command.
    pub(super) fn setting(
        &mut self,
        node: Node<'_>,
        text: &str,
        cwds: &[Cwd],
        extras: &mut Extras,
    ) {
        self.values(node, text, cwds);
        let name = node
            .child_by_field_name("name")
            .and_then(|name| text.get(name.byte_range()))
            .unwrap_or_default();
        if !prefix::is_harmless_variable(name) {
            extras.settings.push(source(node, text));
        }
        extras.weighty |= prefix::is_weighty_variable(name.split('[').next().unwrap_or(name));
    }

    /// A command from its words: it is noted, looked into, and followed if it moves the shell.
    pub(super) fn simple(&mut self, words: &[Word], extras: &Extras, cwds: &[Cwd]) -> Flow {
        let Some(first) = words.first() else {
            return Flow::same(cwds);
        };
        let program = first.literal();
        let name = program.as_deref().unwrap_or_default();
        let at = self.tick();
        self.set_by_command(name, words, cwds);
        let inner = if self.depth < DEPTH_MAX {
            unwrap::inner(words, extras.stdin.as_deref())
        } else {
            None
        };
        let via = match (&inner, name) {
            (Some(Inner::Transparent(_)), _) => Via::Wrapper,
            (_, "cd" | "pushd" | "popd") => Via::Cd,
            _ => Via::Itself,
        };
        self.stirred |= via == Via::Itself
            && (!LEAVES_FOLDERS_ALONE.contains(&name) || !extras.redirections.is_empty());
        self.plan.commands.push(SimpleCommand {
            text: pattern(words, &extras.redirections),
            program: program.clone(),
            words: words.to_vec(),
            redirections: extras.redirections.clone(),
            settings: extras.settings.clone(),
            weighty: extras.weighty,
            open_ended: extras.open_ended,
            direct: extras.direct,
            via,
            cwds: cwds.to_vec(),
            at,
        });
        if unwrap::hides(words, inner.as_ref()) || is_spliced(inner.as_ref(), extras) {
            self.note(&pattern(words, &extras.redirections), Why::Unknown, None);
        }
        let anywhere = [Cwd::unknown()];
        let cwds = if unwrap::moves(words) {
            &anywhere[..]
        } else {
            cwds
        };
        match inner {
            Some(Inner::Transparent(inner)) => self.nested(&inner, extras, cwds),
            Some(Inner::Command(inner)) => {
                self.fed(words, &inner, extras, cwds);
                Flow::same(cwds)
            }
            Some(Inner::Commands(all)) => {
                for inner in all {
                    self.fed(words, &inner, &Extras::default(), cwds);
                }
                Flow::same(cwds)
            }
            Some(Inner::Text(inner)) => {
                self.inner_text(&inner, cwds);
                Flow::same(cwds)
            }
            Some(Inner::Here(inner)) => Flow::same(&self.inner_text(&inner, cwds)),
            None if via == Via::Cd => self.cd(name, words, cwds, at),
            None if self.movers.contains(name) => Flow::same(&[Cwd::unknown()]),
            None => Flow::same(cwds),
        }
    }

    /// A command that another one runs, maybe with words of its own finding.
    fn fed(&mut self, outer: &[Word], inner: &[Word], extras: &Extras, cwds: &[Cwd]) {
        let (placeholder, open_ended) = unwrap::input(outer);
        let extras = Extras {
            stdin: None,
            open_ended: open_ended || extras.open_ended,
            placeholder: placeholder.or_else(|| extras.placeholder.clone()),
            ..extras.clone()
        };
        let words: Vec<Word> = match &extras.placeholder {
            Some(text) => inner
                .iter()
                .map(|word| word.filled(text, unwrap::leads(outer)))
                .collect(),
            None => inner.to_vec(),
        };
        self.nested(&words, &extras, cwds);
    }

    pub(super) fn nested(&mut self, words: &[Word], extras: &Extras, cwds: &[Cwd]) -> Flow {
        if self.depth >= DEPTH_MAX || self.plan.commands.len() >= COMMANDS_MAX {
            self.plan.parse_error = true;
            return Flow::same(cwds);
        }
        self.depth += 1;
        let settings = words
            .iter()
            .take_while(|word| assignment(word).is_some())
            .count();
        let (before, words) = words.split_at(settings);
        let mut extras = extras.clone();
        extras.direct = false;
        for word in before {
            if let Some((name, _)) = assignment(word)
                && !prefix::is_harmless_variable(&name)
            {
                extras.settings.push(word.source.clone());
                extras.weighty |= prefix::is_weighty_variable(&name);
            }
        }
        let flow = self.simple(words, &extras, cwds);
        self.depth -= 1;
        flow
    }

    pub(super) fn cd(&mut self, name: &str, words: &[Word], cwds: &[Cwd], at: usize) -> Flow {
        let arguments = words.get(1..).unwrap_or_default();
        let plain: Vec<&Word> = arguments
            .iter()
            .filter(|word| !matches!(word.head(), "-L" | "--"))
            .collect();
        let odd = name != "cd"
            || plain.len() > 1
            || plain.iter().any(|word| word.head().starts_with('-'));
        let target = plain.first().map(|word| (*word).clone());
        if !odd || name == "pushd" {
            self.plan.visits.push(FolderChange {
                target: target.clone(),
                cwds: cwds.to_vec(),
                at,
            });
        }
        if odd {
            return Flow {
                ok: vec![Cwd::unknown()],
                failed: cwds.to_vec(),
            };
        }
        let ok = cwds
            .iter()
            .map(|cwd| cwd.then(Move::To(target.clone(), at)))
            .collect();
        let stay = |cwd: &Cwd| {
            if self.stirred {
                cwd.clone()
            } else {
                cwd.then(Move::Missing(target.clone(), at))
            }
        };
        Flow {
            ok,
            failed: cwds.iter().map(stay).collect(),
        }
    }
}

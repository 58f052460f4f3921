//! Walks a syntax tree in the order in which a shell would, and keeps track of its folder.

mod commands;
mod evaluate;
mod inert;
mod redirects;
mod state;
mod variables;

use crate::doubt::doubtful;
use crate::plan::{Cwd, ShellPlan};
use crate::tree::tree;
use crate::word::Word;
use state::{COMMANDS_MAX, DEPTH_MAX, Flow, TEXTS_MAX, Walker, union};
use tree_sitter::Node;

/// Parses a text.
pub fn parse(text: &str) -> ShellPlan {
    let mut walker = Walker::default();
    walker.inner_text(text, &[Cwd::start()]);
    walker.plan
}

impl Walker {
    fn inner_text(&mut self, text: &str, cwds: &[Cwd]) -> Vec<Cwd> {
        if self.texts >= TEXTS_MAX {
            self.plan.parse_error = true;
            return vec![Cwd::unknown()];
        }
        let Some(tree) = tree(text) else {
            self.plan.parse_error = true;
            return vec![Cwd::unknown()];
        };
        self.plan.parse_error |= tree.root_node().has_error() || doubtful(&tree, text);
        self.plan.acts |= !inert::is_inert(tree.root_node(), text);
        self.texts += 1;
        let flow = self.walk(tree.root_node(), text, cwds, &[]);
        self.texts -= 1;
        flow.either()
    }

    /// `tail` holds redirections of the statement around this one that belong to the last command of this one.
    fn walk(&mut self, node: Node<'_>, text: &str, cwds: &[Cwd], tail: &[Node<'_>]) -> Flow {
        if self.depth >= DEPTH_MAX || self.plan.commands.len() >= COMMANDS_MAX {
            self.plan.parse_error = true;
            return Flow::same(cwds);
        }
        self.depth += 1;
        self.evaluate(node, text);
        let flow = self.walk_kind(node, text, cwds, tail);
        self.depth -= 1;
        flow
    }

    fn walk_kind(&mut self, node: Node<'_>, text: &str, cwds: &[Cwd], tail: &[Node<'_>]) -> Flow {
        match node.kind() {
            "command" => self.command(node, text, cwds, tail),
            "redirected_statement" => self.redirected(node, text, cwds, tail),
            "list" => self.list(node, text, cwds, tail),
            "pipeline" => self.pipeline(node, text, cwds, tail),
            "negated_command" => {
                let flow = self.sequence(node, text, cwds, tail);
                Flow {
                    ok: flow.failed,
                    failed: flow.ok,
                }
            }
            _ => {
                let flow = self.compound(node, text, cwds);
                self.redirections(tail, text, cwds);
                flow
            }
        }
    }

    fn compound(&mut self, node: Node<'_>, text: &str, cwds: &[Cwd]) -> Flow {
        match node.kind() {
            "program" | "compound_statement" | "do_group" => self.sequence(node, text, cwds, &[]),
            "if_statement" | "elif_clause" | "else_clause" => self.branches(node, text, cwds),
            "case_statement" => self.cases(node, text, cwds),
            "for_statement" | "while_statement" | "c_style_for_statement" => {
                self.repeated(node, text, cwds)
            }
            "function_definition" => self.function(node, text, cwds),
            "variable_assignment" | "variable_assignments" => self.assignments(node, text, cwds),
            "declaration_command" => self.declaration(node, text, cwds),
            "unset_command" => self.unset(node, text, cwds),
            "file_redirect" | "herestring_redirect" | "heredoc_redirect" => {
                self.redirections(&[node], text, cwds);
                Flow::same(cwds)
            }
            // A subshell, a substitution, a test, a word: what happens inside stays inside.
            _ => {
                self.sequence(node, text, cwds, &[]);
                Flow::same(cwds)
            }
        }
    }

    /// One statement after the other; one that ends with `&` runs aside.
    fn sequence(&mut self, node: Node<'_>, text: &str, cwds: &[Cwd], tail: &[Node<'_>]) -> Flow {
        let mut cursor = node.walk();
        let children: Vec<Node<'_>> = node.children(&mut cursor).collect();
        let last = children.iter().rposition(Node::is_named);
        let mut flow = Flow::same(cwds);
        for (index, child) in children
            .iter()
            .enumerate()
            .filter(|(_, child)| child.is_named())
        {
            let now = flow.either();
            let tail = if Some(index) == last { tail } else { &[] };
            let after = self.walk(*child, text, &now, tail);
            let aside = children
                .get(index + 1)
                .is_some_and(|next| next.kind() == "&");
            flow = if aside { Flow::same(&now) } else { after };
        }
        flow
    }

    fn list(&mut self, node: Node<'_>, text: &str, cwds: &[Cwd], tail: &[Node<'_>]) -> Flow {
        let mut cursor = node.walk();
        let children: Vec<Node<'_>> = node.children(&mut cursor).collect();
        let last = children.iter().rposition(Node::is_named);
        let mut flow: Option<Flow> = None;
        let mut operator = "";
        for (index, child) in children.iter().enumerate() {
            if !child.is_named() {
                operator = child.kind();
                continue;
            }
            let tail = if Some(index) == last { tail } else { &[] };
            flow = Some(match (flow.take(), operator) {
                (None, _) => self.walk(*child, text, cwds, tail),
                (Some(left), "&&") => {
                    let right = self.walk(*child, text, &left.ok, tail);
                    Flow {
                        ok: right.ok,
                        failed: union(left.failed, right.failed),
                    }
                }
                (Some(left), "||") => {
                    let right = self.walk(*child, text, &left.failed, tail);
                    Flow {
                        ok: union(left.ok, right.ok),
                        failed: right.failed,
                    }
                }
                (Some(left), _) => self.walk(*child, text, &left.either(), tail),
            });
        }
        flow.unwrap_or_else(|| Flow::same(cwds))
    }

    fn pipeline(&mut self, node: Node<'_>, text: &str, cwds: &[Cwd], tail: &[Node<'_>]) -> Flow {
        let mut cursor = node.walk();
        let children: Vec<Node<'_>> = node.named_children(&mut cursor).collect();
        for (index, child) in children.iter().enumerate() {
            let tail = if index + 1 == children.len() {
                tail
            } else {
                &[]
            };
            self.walk(*child, text, cwds, tail);
        }
        Flow::same(cwds)
    }

    fn redirected(&mut self, node: Node<'_>, text: &str, cwds: &[Cwd], tail: &[Node<'_>]) -> Flow {
        let mut cursor = node.walk();
        let body = node.child_by_field_name("body");
        let mut redirects: Vec<Node<'_>> = node
            .named_children(&mut cursor)
            .filter(|child| Some(*child) != body)
            .collect();
        redirects.extend_from_slice(tail);
        match body {
            Some(body) => self.walk(body, text, cwds, &redirects),
            None => {
                self.redirections(&redirects, text, cwds);
                Flow::same(cwds)
            }
        }
    }

    /// `if`, `elif`, `else`: conditions run on, bodies branch off.
    fn branches(&mut self, node: Node<'_>, text: &str, cwds: &[Cwd]) -> Flow {
        let mut cursor = node.walk();
        let children: Vec<Node<'_>> = node.children(&mut cursor).collect();
        let in_condition = |kind: &str| matches!(kind, "if" | "elif");
        let mut condition = false;
        let mut body = Flow::same(cwds).ok;
        let mut otherwise = cwds.to_vec();
        let mut ends: Vec<Cwd> = Vec::new();
        let mut has_else = node.kind() == "else_clause";
        for child in children {
            match child.kind() {
                kind if !child.is_named() => {
                    if in_condition(kind) {
                        condition = true;
                    } else if kind == "then" {
                        condition = false;
                    }
                }
                "elif_clause" | "else_clause" => {
                    has_else |= child.kind() == "else_clause";
                    let flow = self.walk(child, text, &otherwise, &[]);
                    ends = union(ends, flow.ok);
                    otherwise = flow.failed;
                }
                _ if condition => {
                    let flow = self.walk(child, text, &body, &[]);
                    body = flow.ok;
                    otherwise = flow.failed;
                }
                _ => body = self.walk(child, text, &body, &[]).either(),
            }
        }
        let ends = union(ends, body);
        match node.kind() {
            // The statement around it goes on with what an unmet condition leaves.
            "elif_clause" => Flow {
                ok: ends,
                failed: otherwise,
            },
            _ if has_else => Flow::same(&ends),
            _ => Flow::same(&union(ends, otherwise)),
        }
    }

    fn cases(&mut self, node: Node<'_>, text: &str, cwds: &[Cwd]) -> Flow {
        let mut cursor = node.walk();
        let mut ends = cwds.to_vec();
        for child in node.named_children(&mut cursor) {
            let inside = self.sequence_of(child, text, cwds);
            if child.kind() == "case_item" {
                ends = union(ends, inside);
            }
        }
        Flow::same(&ends)
    }

    fn sequence_of(&mut self, node: Node<'_>, text: &str, cwds: &[Cwd]) -> Vec<Cwd> {
        match node.kind() {
            "case_item" => self.sequence(node, text, cwds, &[]).either(),
            _ => self.walk(node, text, cwds, &[]).either(),
        }
    }

    /// A body that changes the folder may start anywhere the second time.
    fn repeated(&mut self, node: Node<'_>, text: &str, cwds: &[Cwd]) -> Flow {
        if let Some(name) = node.child_by_field_name("variable") {
            let name = text.get(name.byte_range()).unwrap_or_default().to_owned();
            let mut cursor = node.walk();
            let values: Vec<Word> = node
                .children_by_field_name("value", &mut cursor)
                .map(|value| Word::read(value, text))
                .collect();
            let words: Vec<&str> = values.iter().map(|value| value.source.as_str()).collect();
            let shown = format!("for {name} in {}", words.join(" "));
            self.set_variable(&name, (!values.is_empty()).then_some(values), &shown);
        }
        let before = (
            self.plan.commands.len(),
            self.plan.redirects.len(),
            self.plan.visits.len(),
            self.plan.evaluated.len(),
        );
        let after = self.sequence(node, text, cwds, &[]).either();
        if after == cwds {
            return Flow::same(cwds);
        }
        self.plan.commands.truncate(before.0);
        self.plan.redirects.truncate(before.1);
        self.plan.visits.truncate(before.2);
        self.plan.evaluated.truncate(before.3);
        let anywhere = [Cwd::unknown()];
        self.sequence(node, text, &anywhere, &[]);
        Flow::same(&anywhere)
    }

    fn function(&mut self, node: Node<'_>, text: &str, cwds: &[Cwd]) -> Flow {
        let body = text.get(node.byte_range()).unwrap_or_default();
        let moves = body.contains("cd") || body.contains("pushd") || body.contains("popd");
        // It runs where it is called, and that may be anywhere if the text moves at all.
        let anywhere = [Cwd::unknown()];
        let inside = if moves || text.contains("cd ") || text.contains("pushd") {
            &anywhere[..]
        } else {
            cwds
        };
        if moves && let Some(name) = node.child_by_field_name("name") {
            self.movers
                .insert(text.get(name.byte_range()).unwrap_or_default().to_owned());
        }
        self.sequence(node, text, inside, &[]);
        Flow::same(cwds)
    }
}

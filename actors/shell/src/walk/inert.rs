//! Texts without a command that change nothing that anybody could be asked about: `X=1`, `cd src`, a comment.

use super::state::DEPTH_MAX;
use crate::prefix;
use tree_sitter::Node;

/// Whether the tree holds only what is known to run nothing: a list of what is harmless, so that whatever the grammar
/// or bash learns later is asked about.
pub fn is_inert(node: Node<'_>, text: &str) -> bool {
    inert(node, text, DEPTH_MAX)
}

fn inert(node: Node<'_>, text: &str, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else {
        return false;
    };
    let below = |node| below(node, text, depth);
    let raw = text.get(node.byte_range()).unwrap_or_default();
    match node.kind() {
        "comment"
        | "word"
        | "number"
        | "raw_string"
        | "string_content"
        | "variable_name"
        | "special_variable_name" => true,
        // `((…))` has the same kind and is arithmetic.
        "compound_statement" => !raw.starts_with("((") && below(node),
        "program"
        | "list"
        | "subshell"
        | "string"
        | "concatenation"
        | "command_name"
        | "simple_expansion"
        | "variable_assignments" => below(node),
        "command" => node
            .child_by_field_name("name")
            .and_then(|name| text.get(name.byte_range()))
            .is_some_and(|name| name == "cd" && below(node)),
        "variable_assignment" => {
            let name = node.child_by_field_name("name");
            let name = name.filter(|name| name.kind() == "variable_name");
            name.and_then(|name| text.get(name.byte_range()))
                .is_some_and(|name| !prefix::is_weighty_variable(name) && below(node))
        }
        "declaration_command" => is_plain_declaration(node, text, depth),
        _ => false,
    }
}

fn below(node: Node<'_>, text: &str, depth: usize) -> bool {
    let mut cursor = node.walk();
    let mut children = node.named_children(&mut cursor);
    children.all(|child| inert(child, text, depth))
}

/// `declare -A m`, `export CI=1`: no attribute that makes bash evaluate values, no quoted assignment that it reads anew.
fn is_plain_declaration(node: Node<'_>, text: &str, depth: usize) -> bool {
    let mut cursor = node.walk();
    let mut children = node.named_children(&mut cursor);
    children.all(|child| match child.kind() {
        "word" => matches!(
            text.get(child.byte_range()).unwrap_or_default(),
            "-A" | "-a" | "-g" | "-r" | "-x"
        ),
        "variable_name" => true,
        "variable_assignment" => inert(child, text, depth),
        _ => false,
    })
}

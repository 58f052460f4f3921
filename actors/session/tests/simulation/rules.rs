//! An oracle for permissions, written apart from the program's own rules.

use kilo_protocol::model::{Action, Rule};

pub fn rule(permission: &str, pattern: &str, action: Action) -> Rule {
    Rule {
        permission: permission.to_owned().into(),
        pattern: pattern.to_owned().into(),
        action,
    }
}

/// What the last matching rule says; a person is asked where none matches.
pub fn judge(rules: &[Rule], permission: &str, pattern: &str) -> Action {
    let newest = rules.iter().rev().find(|rule| {
        (rule.permission == "*" || rule.permission == permission) && covers(&rule.pattern, pattern)
    });
    newest.map_or(Action::Ask, |rule| rule.action)
}

/// `*` covers everything, `rm *` covers `rm` and whatever begins with `rm `.
pub fn covers(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        None => pattern == text,
        Some(start) => text.starts_with(start) || text == start.trim_end(),
    }
}

//! What rules say about a command of which a part is known only when it runs.

use kilo_config::permission::matches;
use kilo_protocol::model::{Action, Rule};

/// Stands in a shape for text that only the running shell knows. A private character: a text that holds it itself is
/// taken for less known than it is, never for more.
pub const HOLE: char = '\u{f8ff}';
/// Characters that an expansion cannot bring in: a rule against them is one against syntax, and syntax is in the text.
const SYNTAX: &str = "|;&$`<>\n()";
/// Characters of a shape that is still compared with rules piece by piece.
const SHAPE_CHARS_MAX: usize = 4_000;

/// The rules in force, asked about shapes.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Those of the agent and the session.
    own: &'a [Rule],
    /// Those that users saved: they count only where the others ask.
    saved: &'a [Rule],
}

/// What rules say about all that a shape may become.
#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    Allowed,
    Asked,
    Denied,
}

impl<'a> Rules<'a> {
    /// The rules of the agent and the session, and those that users saved.
    pub fn new(own: &'a [Rule], saved: &'a [Rule]) -> Self {
        Self { own, saved }
    }

    /// Whether the rules allow everything that `shape` may become.
    pub fn allow_all_of(self, permission: &str, shape: &str) -> bool {
        match verdict(self.own, permission, shape) {
            Verdict::Allowed => true,
            Verdict::Denied => false,
            Verdict::Asked => verdict(self.saved, permission, shape) == Verdict::Allowed,
        }
    }

    /// Whether nothing of this permission is asked about or denied.
    pub fn allow_everything(self, permission: &str) -> bool {
        for rule in of(self.own, permission).rev() {
            if rule.action != Action::Allow {
                return false;
            }
            if rule.pattern == "*" {
                return true;
            }
        }
        false
    }

    /// Whether any rule allows `text`, whatever others say.
    pub fn may_allow(self, permission: &str, text: &str) -> bool {
        self.allow_with(permission, text, "")
    }

    /// Whether a rule that names `part` allows `text`, as an answer "always" to a request for both does.
    pub fn allow_with(self, permission: &str, text: &str, part: &str) -> bool {
        let rules = of(self.own, permission).chain(of(self.saved, permission));
        let mut allowing = rules.filter(|rule| rule.action == Action::Allow);
        !self.deny(permission, text)
            && allowing.any(|rule| rule.pattern.contains(part) && matches(&rule.pattern, text))
    }

    /// Whether the last word on `text` is a rule for everything that allows it.
    pub fn allow_as_everything(self, permission: &str, text: &str) -> bool {
        last(self.own, permission, text)
            .is_some_and(|rule| rule.action == Action::Allow && rule.pattern == "*")
    }

    /// Whether the rules deny `text`.
    pub fn deny(self, permission: &str, text: &str) -> bool {
        match last(self.own, permission, text).map(|rule| rule.action) {
            Some(Action::Deny) => true,
            Some(Action::Allow) => false,
            _ => last(self.saved, permission, text).is_some_and(|rule| rule.action == Action::Deny),
        }
    }

    /// Whether a rule that names certain texts denies this one.
    pub fn forbid(self, permission: &str, text: &str) -> bool {
        last(self.own, permission, text)
            .is_some_and(|rule| rule.action == Action::Deny && rule.pattern != "*")
    }

    /// Whether there are rules that deny certain texts.
    pub fn forbid_something(self, permission: &str) -> bool {
        of(self.own, permission).any(|rule| rule.action == Action::Deny && rule.pattern != "*")
    }

    /// Whether a rule that does not allow speaks of `text`: it denies it, or it names certain texts and this is one.
    pub fn guard(self, permission: &str, text: &str) -> bool {
        let named = self.saved.iter().chain(self.own).any(|rule| {
            rule.permission == permission
                && rule.pattern != "*"
                && rule.action != Action::Allow
                && matches(&rule.pattern, text)
        });
        named || self.deny(permission, text)
    }

    /// Whether rules that do not allow name certain texts besides those with secrets.
    pub fn guards(self, permission: &str) -> bool {
        self.saved.iter().chain(self.own).any(|rule| {
            rule.permission == permission
                && rule.action != Action::Allow
                && !matches!(&*rule.pattern, "*" | "*.env" | "*.env.*")
        })
    }

    /// Whether a rule names a program.
    pub fn speak_of(self, permission: &str, program: &str) -> bool {
        of(self.own, permission).any(|rule| rule.pattern.split(' ').next() == Some(program))
    }
}

fn of<'r>(rules: &'r [Rule], permission: &'r str) -> impl DoubleEndedIterator<Item = &'r Rule> {
    rules
        .iter()
        .filter(move |rule| matches(&rule.permission, permission))
}

fn last<'r>(rules: &'r [Rule], permission: &'r str, text: &str) -> Option<&'r Rule> {
    of(rules, permission)
        .rev()
        .find(|rule| matches(&rule.pattern, text))
}

/// The last rule that covers all of the shape decides, unless a later one that says less may fit a part of it.
fn verdict(rules: &[Rule], permission: &str, shape: &str) -> Verdict {
    let mut asked = false;
    for rule in of(rules, permission).rev() {
        let whole = covers(&rule.pattern, shape);
        match rule.action {
            Action::Allow if whole && !asked => return Verdict::Allowed,
            Action::Allow | Action::Ask if whole => return Verdict::Asked,
            Action::Allow => {}
            Action::Deny if whole || may_fit(&rule.pattern, shape) => return Verdict::Denied,
            Action::Ask if may_fit(&rule.pattern, shape) => asked = true,
            Action::Ask | Action::Deny => {}
        }
    }
    Verdict::Asked
}

fn covers(pattern: &str, shape: &str) -> bool {
    // A `?` is one character, a hole any number of them.
    let whole = pattern == "*" || !shape.contains(HOLE) || !pattern.contains('?');
    whole && matches(pattern, shape)
}

/// Whether `pattern` fits something that `shape` may become.
fn may_fit(pattern: &str, shape: &str) -> bool {
    if !shape.contains(HOLE) {
        return matches(pattern, shape);
    }
    let shape: Vec<char> = shape.chars().collect();
    if shape.len() > SHAPE_CHARS_MAX {
        return true;
    }
    meets(pattern, &shape)
        || pattern
            .strip_suffix(" *")
            .is_some_and(|start| meets(start, &shape))
}

/// Walks both patterns at once: row after row of what was read of `pattern`, with the places reached in `shape`.
fn meets(pattern: &str, shape: &[char]) -> bool {
    let mut reached = vec![false; shape.len() + 1];
    reached[0] = true;
    skip_holes(&mut reached, shape);
    for wanted in pattern.chars() {
        let mut next = vec![false; shape.len() + 1];
        for (at, _) in reached.iter().enumerate().filter(|(_, reached)| **reached) {
            let found = shape.get(at).copied();
            match (wanted, found) {
                ('*', _) => next[at] = true,
                (_, Some(HOLE)) => next[at] |= !SYNTAX.contains(wanted),
                ('?', Some(_)) => next[at + 1] = true,
                (wanted, Some(found)) if wanted == found => next[at + 1] = true,
                _ => {}
            }
        }
        if wanted == '*' {
            let first = next.iter().position(|reached| *reached);
            if let Some(first) = first {
                next[first..].fill(true);
            }
        }
        reached = next;
        skip_holes(&mut reached, shape);
    }
    reached[shape.len()]
}

/// A hole may also be nothing.
fn skip_holes(reached: &mut [bool], shape: &[char]) {
    for (at, found) in shape.iter().enumerate() {
        if reached[at] && *found == HOLE {
            reached[at + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{HOLE, Rules, may_fit};
    use kilo_protocol::model::{Action, Rule};

    fn shape(text: &str) -> String {
        text.replace('_', &HOLE.to_string())
    }

    #[test]
    fn a_hole_may_become_what_a_rule_names() {
        for (pattern, text, fits) in [
            ("git push *", "_ push", true),
            ("git push *", "_", true),
            ("git push *", "git _", true),
            ("git push *", "git pu_", true),
            ("git push *", "git _ origin", true),
            ("git push *", "echo _", false),
            ("git push *", "git pull _", false),
            ("*--force*", "git push _", true),
            ("*|*", "cat _", false),
            ("rm ?", "rm _", true),
            ("rm ?", "rm a", true),
            ("rm ?", "_m ab", false),
        ] {
            assert_eq!(may_fit(pattern, &shape(text)), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn only_what_every_outcome_is_allowed_is_allowed() {
        let rules = |pairs: &[(&'static str, Action)]| -> Vec<Rule> {
            pairs
                .iter()
                .map(|(pattern, action)| Rule {
                    permission: "bash".into(),
                    pattern: (*pattern).into(),
                    action: *action,
                })
                .collect()
        };
        let all_but_push = rules(&[("*", Action::Allow), ("git push *", Action::Deny)]);
        let some = rules(&[("*", Action::Ask), ("rm *", Action::Allow)]);
        let everything = rules(&[("*", Action::Ask), ("*", Action::Allow)]);
        let allowed =
            |rules: &[Rule], text| Rules::new(rules, &[]).allow_all_of("bash", &shape(text));
        assert!(!allowed(&all_but_push, "_ push"));
        assert!(allowed(&all_but_push, "ls _"));
        assert!(allowed(&some, "rm _"));
        assert!(!allowed(&some, "_ x"));
        assert!(allowed(&everything, "_"));
        assert!(Rules::new(&everything, &[]).allow_everything("bash"));
        assert!(!Rules::new(&all_but_push, &[]).allow_everything("bash"));
        assert!(!Rules::new(&some, &[]).allow_everything("bash"));
    }
}

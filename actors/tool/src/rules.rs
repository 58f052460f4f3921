//! Reads permission rules: which files a search may show without asking for each.

use kilo_protocol::model::{Action, Rule};

/// Whether reading `path` is allowed without a question. Where no rule speaks, it is.
pub fn may_read(rules: &[Rule], path: &str) -> bool {
    let last = rules
        .iter()
        .rev()
        .find(|rule| matches(&rule.permission, "read") && matches(&rule.pattern, path));
    last.is_none_or(|rule| rule.action == Action::Allow)
}

/// Whether the last rule that speaks about `text` denies it.
pub fn denies(rules: &[Rule], permission: &str, text: &str) -> bool {
    let last = rules
        .iter()
        .rev()
        .find(|rule| matches(&rule.permission, permission) && matches(&rule.pattern, text));
    last.is_some_and(|rule| rule.action == Action::Deny)
}

/// Whether `text` fits `pattern`: `*` stands for any run of characters, `?` for one.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, taken)) = star else {
                    return false;
                };
                star = Some((at, taken + 1));
                p = at + 1;
                t = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|&rest| rest == '*')
}

#[cfg(test)]
mod tests {
    use super::{matches, may_read};
    use kilo_protocol::model::{Action, Rule};

    #[test]
    fn stars_and_marks() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("*.env", "a/b/.env", true),
            ("*.env", ".env.local", false),
            ("a?c*e", "abcde", true),
            ("a?c", "ac", false),
            ("*a*b", "xaxbxb", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn the_last_rule_that_fits_decides() {
        let rule = |pattern: &str, action| Rule {
            permission: "read".into(),
            pattern: pattern.into(),
            action,
        };
        let rules = [
            rule("*", Action::Allow),
            rule("*.env", Action::Ask),
            rule("*.env.*", Action::Deny),
            rule("x.env", Action::Allow),
        ];
        assert!(may_read(&rules, "src/a.rs"));
        assert!(!may_read(&rules, "deep/.env"));
        assert!(may_read(&rules, "x.env"));
        assert!(may_read(&[], ".env"));
    }
}

//! Permission rules: how they are written, which one wins.
//!
//! A rule is (permission, pattern, action). All rules stand in one list, from the program's defaults to what was said
//! last; **the last rule that matches wins**, and where none matches a person is asked.

use crate::env::expand_home;
use kilo_protocol::model::{Action, Rule};
use serde_json::Value;

/// What the rules say about one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What to do.
    pub action: Action,
    /// The rule that said so; `permission * ask` where none matched.
    pub rule: Rule,
    /// The layer that has the rule; the number of layers where none matched.
    pub layer: usize,
}

/// Reads the written form of rules, in written order: `"allow"`, or `{"bash": {"git *": "allow"}, "edit": "ask"}`.
///
/// `~` and `$HOME` at the start of a pattern become `home`, but not in patterns of `bash`, which are commands. What is no
/// rule is left out.
pub fn rules(config: Option<&Value>, home: &str) -> Vec<Rule> {
    let mut rules = Vec::new();
    match config {
        Some(Value::String(word)) => push(&mut rules, "*", "*", word),
        Some(Value::Object(permissions)) => {
            for (permission, value) in permissions {
                match value {
                    Value::String(word) => push(&mut rules, permission, "*", word),
                    Value::Object(patterns) => {
                        for (pattern, word) in patterns {
                            let is_path = permission != "bash";
                            let pattern = if is_path {
                                expand_home(pattern, home)
                            } else {
                                pattern.clone()
                            };
                            push(
                                &mut rules,
                                permission,
                                &pattern,
                                word.as_str().unwrap_or_default(),
                            );
                        }
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
    rules
}

/// Reads the old form: `{"bash": false}` denies a tool, `true` allows it.
pub fn tool_rules(tools: Option<&Value>) -> Vec<Rule> {
    let entries = tools.and_then(Value::as_object).into_iter().flatten();
    entries
        .filter_map(|(tool, on)| {
            let action = if on.as_bool()? {
                Action::Allow
            } else {
                Action::Deny
            };
            Some(Rule {
                permission: of_tool(tool).to_owned().into(),
                pattern: "*".into(),
                action,
            })
        })
        .collect()
}

/// The permission that a tool asks for: `edit` for all tools that change files, else the tool's own name.
pub fn of_tool(tool: &str) -> &str {
    match tool {
        "write" | "edit" | "patch" | "apply_patch" | "multiedit" => "edit",
        other => other,
    }
}

/// Says what holds for `permission` on `pattern` (a path, a command, `*`). Layers stand from weak to strong.
pub fn evaluate(permission: &str, pattern: &str, layers: &[&[Rule]]) -> Decision {
    let found = last(layers, |rule| {
        matches(&rule.permission, permission) && matches(&rule.pattern, pattern)
    });
    match found {
        Some((layer, rule)) => Decision {
            action: rule.action,
            rule: rule.clone(),
            layer,
        },
        None => {
            let rule = Rule {
                permission: permission.to_owned().into(),
                pattern: "*".into(),
                action: Action::Ask,
            };
            Decision {
                action: Action::Ask,
                rule,
                layer: layers.len(),
            }
        }
    }
}

/// Whether a tool with this permission is not offered at all: the last rule for it denies every pattern.
pub fn is_hidden(permission: &str, layers: &[&[Rule]]) -> bool {
    last(layers, |rule| matches(&rule.permission, permission))
        .is_some_and(|(_, rule)| rule.pattern == "*" && rule.action == Action::Deny)
}

fn last<'a>(layers: &[&'a [Rule]], is_it: impl Fn(&Rule) -> bool) -> Option<(usize, &'a Rule)> {
    for (layer, rules) in layers.iter().enumerate().rev() {
        if let Some(rule) = rules.iter().rev().find(|rule| is_it(rule)) {
            return Some((layer, rule));
        }
    }
    None
}

/// Whether `pattern` covers the whole of `text`: `*` stands for any characters (slashes and line ends too), `?` for one.
/// A pattern that ends in ` *` also covers the text before it, so `ls *` allows a bare `ls`.
pub fn matches(pattern: &str, text: &str) -> bool {
    if pattern == "*" || pattern == text {
        return true;
    }
    covers(pattern.as_bytes(), text.as_bytes())
        || pattern
            .strip_suffix(" *")
            .is_some_and(|start| covers(start.as_bytes(), text.as_bytes()))
}

/// Goes back only to the newest `*`, so the cost is at most pattern times text.
fn covers(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b'?') => {
                p += 1;
                t = next_char(text, t);
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

fn next_char(text: &[u8], at: usize) -> usize {
    let is_inside = |byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
    at + 1
        + text[at + 1..]
            .iter()
            .take_while(|byte| is_inside(byte))
            .count()
}

fn push(rules: &mut Vec<Rule>, permission: &str, pattern: &str, word: &str) {
    let action = match word {
        "allow" => Action::Allow,
        "ask" => Action::Ask,
        "deny" => Action::Deny,
        _ => return,
    };
    rules.push(Rule {
        permission: permission.to_owned().into(),
        pattern: pattern.to_owned().into(),
        action,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Vec<Rule> {
        rules(Some(&value), "/home/u")
    }

    #[test]
    fn patterns_cover_whole_texts() {
        for (pattern, text) in [
            ("*", ""),
            ("ls *", "ls"),
            ("ls *", "ls -la"),
            ("*.env", "a/b.env"),
            ("a?c", "aéc"),
            ("*\n*", "a\nb"),
            ("git * --force*", "git push --force-with-lease"),
            ("**", "x"),
            ("sort * -o *", "sort a -o"),
        ] {
            assert!(matches(pattern, text), "{pattern:?} should cover {text:?}");
        }
        for (pattern, text) in [
            ("ls *", "lsof"),
            ("ls *", "als"),
            ("*.env", "a.env.x"),
            ("a?c", "ac"),
            ("", "x"),
            ("git log*", "git"),
            ("a", "ab"),
            ("[a-z]", "a"),
        ] {
            assert!(
                !matches(pattern, text),
                "{pattern:?} should not cover {text:?}"
            );
        }
    }

    #[test]
    fn a_hostile_pattern_stays_cheap() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!matches(&pattern, &"a".repeat(20_000)));
    }

    #[test]
    fn every_written_form_keeps_its_order() {
        let all = |permission: &'static str, pattern: &'static str, action| Rule {
            permission: permission.into(),
            pattern: pattern.into(),
            action,
        };
        assert_eq!(read(json!("allow")), [all("*", "*", Action::Allow)]);
        assert_eq!(
            read(
                json!({"*": "ask", "bash": {"git *": "allow", "~/x *": "deny"}, "external_directory": {"~/x/*": "allow", "$HOME": "deny"}, "bad": 1})
            ),
            [
                all("*", "*", Action::Ask),
                all("bash", "git *", Action::Allow),
                all("bash", "~/x *", Action::Deny),
                all("external_directory", "/home/u/x/*", Action::Allow),
                all("external_directory", "/home/u", Action::Deny),
            ]
        );
        assert_eq!(
            tool_rules(Some(&json!({"write": false, "bash": true}))),
            [
                all("edit", "*", Action::Deny),
                all("bash", "*", Action::Allow)
            ]
        );
    }

    #[test]
    fn the_last_match_over_all_layers_wins() {
        let (low, high) = (
            read(json!({"bash": {"*": "deny", "ls *": "allow"}})),
            read(json!({"bash": {"ls -R *": "ask"}})),
        );
        let decide = |text: &str| {
            let decision = evaluate("bash", text, &[&low, &high]);
            (decision.action, decision.rule.pattern, decision.layer)
        };
        assert_eq!(decide("ls"), (Action::Allow, "ls *".into(), 0));
        assert_eq!(decide("ls -R /"), (Action::Ask, "ls -R *".into(), 1));
        assert_eq!(decide("rm"), (Action::Deny, "*".into(), 0));
        let none = evaluate("edit", "x", &[&low, &high]);
        assert_eq!(
            (none.action, &*none.rule.permission, none.layer),
            (Action::Ask, "edit", 2)
        );
    }

    #[test]
    fn a_tool_is_hidden_only_if_everything_is_denied() {
        let hidden =
            |value: Value| is_hidden(of_tool("write"), &[&read(json!("allow")), &read(value)]);
        assert!(hidden(json!({"edit": "deny"})));
        assert!(hidden(json!("deny")));
        assert!(!hidden(json!({"edit": {"*": "deny", "docs/*": "allow"}})));
        assert!(!hidden(json!({"edit": {"*.rs": "deny"}})));
        assert!(!hidden(json!({"write": "deny"})));
    }
}

//! What a fault in the configuration could have forbidden.
//!
//! A file that cannot be read may have held denials, a rule with a wrong action may have been one. Leaving such a thing out
//! must not allow more than the person wanted, so until it is put right whatever it could have forbidden asks.

use crate::permission::{matches, of_tool};
use kilo_protocol::model::{Action, Rule};
use serde_json::Value;

/// The words that end the warning about such a fault; who runs without a person to ask looks for them.
pub const ASKS: &str = "until this is right, what it could have forbidden is asked";

const ALL: &str = "*";

/// Calls that a fault could have forbidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Of this agent; of every agent without one.
    pub agent: Option<String>,
    /// With this permission; `*` for every one.
    pub permission: String,
}

impl Guard {
    /// Whatever there is: what a whole file could have forbidden.
    pub fn everything() -> Self {
        Self::of(None, ALL)
    }

    /// All calls of one agent.
    pub(crate) fn of_agent(name: &str) -> Self {
        Self::of(Some(name), ALL)
    }

    fn of(agent: Option<&str>, permission: &str) -> Self {
        Self {
            agent: agent.map(str::to_owned),
            permission: permission.to_owned(),
        }
    }

    /// What a wrong value at `field` could have forbidden; `None` where it cannot have been a rule.
    pub(crate) fn of_field(field: &[String]) -> Option<Self> {
        let keys: Vec<&str> = field.iter().map(String::as_str).collect();
        Some(match keys[..] {
            // Without its `default_agent` a session runs the usual one, which may do more.
            [] | ["permission" | "tools" | "agent" | "mode" | "default_agent"] => {
                Self::everything()
            }
            ["permission", permission] => Self::of(None, permission),
            ["tools", tool] => Self::of(None, of_tool(tool)),
            ["agent" | "mode", agent]
            | ["agent" | "mode", agent, "permission" | "tools" | "disable"] => {
                Self::of(Some(agent), ALL)
            }
            ["agent" | "mode", agent, "permission", permission] => {
                Self::of(Some(agent), permission)
            }
            ["agent" | "mode", agent, "tools", tool] => Self::of(Some(agent), of_tool(tool)),
            _ => return None,
        })
    }

    /// What a misspelt key could have forbidden, `nearest` being what was meant; `None` where its value only allows.
    pub(crate) fn of_misspelt(field: &[String], nearest: &str, value: &Value) -> Option<Self> {
        let mut meant = field.to_vec();
        meant.pop();
        meant.push(nearest.to_owned());
        Self::of_field(&meant).filter(|_| !only_allows(value))
    }

    /// Whether it is about this agent's calls.
    pub fn covers(&self, agent: &str) -> bool {
        self.agent.as_deref().is_none_or(|own| own == agent)
    }

    /// Makes every rule that allows such a call ask instead. Rules that deny stay.
    pub(crate) fn clamp(&self, rules: &mut Vec<Rule>) {
        let mut clamped = Vec::with_capacity(rules.len());
        for rule in rules.drain(..) {
            if rule.action != Action::Allow || !overlaps(&rule.permission, &self.permission) {
                clamped.push(rule);
            } else if self.permission == ALL || rule.permission == self.permission {
                clamped.push(Rule {
                    action: Action::Ask,
                    ..rule
                });
            } else {
                // It allows other permissions too, which have done nothing wrong.
                let asked = Rule {
                    permission: self.permission.clone().into(),
                    pattern: rule.pattern.clone(),
                    action: Action::Ask,
                };
                clamped.extend([rule, asked]);
            }
        }
        *rules = clamped;
    }
}

fn overlaps(rule: &str, permission: &str) -> bool {
    permission == ALL || matches(rule, permission) || matches(permission, rule)
}

fn only_allows(value: &Value) -> bool {
    match value {
        Value::String(action) => action == "allow",
        Value::Bool(on) => *on,
        Value::Object(fields) => fields.values().all(only_allows),
        Value::Null => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permission::{evaluate, rules};
    use serde_json::json;

    #[test]
    fn a_clamp_turns_allow_into_ask_for_its_permission_alone() {
        let list = || {
            rules(
                Some(
                    &json!({"*": "allow", "bash": {"*": "ask", "ls *": "allow", "rm *": "deny"}, "edit": "allow"}),
                ),
                "/home/u",
            )
        };
        let decide = |guard: &Guard, permission: &str, pattern: &str| {
            let mut rules = list();
            guard.clamp(&mut rules);
            evaluate(permission, pattern, &[&rules]).action
        };
        let bash = Guard::of(None, "bash");
        assert_eq!(decide(&bash, "bash", "ls"), Action::Ask);
        assert_eq!(decide(&bash, "bash", "rm x"), Action::Deny);
        assert_eq!(decide(&bash, "edit", "x"), Action::Allow);
        assert_eq!(decide(&bash, "webfetch", "x"), Action::Allow);
        let webfetch = Guard::of(None, "webfetch");
        assert_eq!(decide(&webfetch, "webfetch", "x"), Action::Ask);
        assert_eq!(decide(&webfetch, "bash", "ls"), Action::Allow);
        let all = Guard::everything();
        assert_eq!(decide(&all, "edit", "x"), Action::Ask);
        assert_eq!(decide(&all, "mcp_tool", "x"), Action::Ask);
        assert_eq!(decide(&all, "bash", "rm x"), Action::Deny);
    }
}

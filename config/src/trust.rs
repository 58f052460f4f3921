//! What in a project's files could act by itself, against the wish of the person who only cloned the repository.
//!
//! Nothing is taken out here: [`crate::load::Loaded::project_keys`] lists it, and [`crate::load::Loaded::trusted`] is the
//! configuration without the project's files, so that whoever starts programs or sends keys can ask first.

use serde::Serialize;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// What a key could do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Power {
    /// It starts a program.
    Executes,
    /// It sends prompts, code or keys to another place, or brings text in from there.
    Redirects,
    /// It allows an agent more than the user's own rules do.
    Widens,
}

/// A key of a project's file that needs the user's consent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProjectKey {
    /// The keys that lead to it, joined by dots: `mcp.tools`, `provider.x.options.baseURL`.
    pub key: String,
    /// What it could do.
    pub power: Power,
    /// The file that has it.
    pub file: PathBuf,
}

/// The keys of one file of a project that need consent, in the file's order.
pub(crate) fn scan(config: &Map<String, Value>, file: &Path) -> Vec<ProjectKey> {
    let mut found = Found {
        file,
        keys: Vec::new(),
    };
    for (key, value) in config {
        match key.as_str() {
            "mcp" => found.each(key, value, |found, at, server| {
                let is_remote = server.get("url").is_some() && server.get("command").is_none();
                found.push(
                    at,
                    if is_remote {
                        Power::Redirects
                    } else {
                        Power::Executes
                    },
                );
            }),
            "plugin" | "shell" => found.push(key.clone(), Power::Executes),
            "formatter" | "lsp" if value == &Value::Bool(true) => {
                found.push(key.clone(), Power::Executes)
            }
            "formatter" | "lsp" => found.each(key, value, |found, at, tool| {
                if tool.get("command").is_some() {
                    found.push(at, Power::Executes);
                }
            }),
            "command" => found.each(key, value, |found, at, command| {
                if text(command, "template").contains("!`") {
                    found.push(at, Power::Executes);
                }
            }),
            "provider" => found.each(key, value, |found, at, provider| {
                found.provider(&at, provider)
            }),
            "agent" | "mode" => found.each(key, value, |found, at, agent| found.rules(&at, agent)),
            "permission" | "tools" => {}
            "instructions" => {
                let is_far = |item: &Value| item.as_str().is_some_and(is_url);
                if value.as_array().is_some_and(|list| list.iter().any(is_far)) {
                    found.push(key.clone(), Power::Redirects);
                }
            }
            "skills" if value.get("urls").is_some() => {
                found.push("skills.urls".into(), Power::Redirects)
            }
            "share" if value == "auto" => found.push(key.clone(), Power::Redirects),
            "autoshare" | "remote_control" if value == &Value::Bool(true) => {
                found.push(key.clone(), Power::Redirects)
            }
            "enterprise" | "server" | "indexing" | "experimental" => {
                found.push(key.clone(), Power::Redirects)
            }
            "sandbox" | "session" | "reference" | "references" => {
                found.push(key.clone(), Power::Widens)
            }
            _ => {}
        }
    }
    found.rules("", &Value::Object(config.clone()));
    found.keys
}

/// Whether an entry of `instructions` is to be fetched.
pub(crate) fn is_url(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

struct Found<'a> {
    file: &'a Path,
    keys: Vec<ProjectKey>,
}

impl Found<'_> {
    fn push(&mut self, key: String, power: Power) {
        self.keys.push(ProjectKey {
            key,
            power,
            file: self.file.to_owned(),
        });
    }

    fn each(&mut self, key: &str, value: &Value, visit: impl Fn(&mut Self, String, &Value)) {
        for (name, entry) in value.as_object().into_iter().flatten() {
            visit(self, format!("{key}.{name}"), entry);
        }
    }

    /// A provider may name the address that gets the prompts and the variables whose keys go with them.
    fn provider(&mut self, at: &str, provider: &Value) {
        for key in ["api", "env", "npm"] {
            if provider.get(key).is_some() {
                self.push(format!("{at}.{key}"), Power::Redirects);
            }
        }
        for key in ["baseURL", "enterpriseUrl"] {
            if provider
                .get("options")
                .is_some_and(|options| options.get(key).is_some())
            {
                self.push(format!("{at}.options.{key}"), Power::Redirects);
            }
        }
        for (name, model) in provider
            .get("models")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            if model.get("provider").is_some() {
                self.push(format!("{at}.models.{name}.provider"), Power::Redirects);
            }
        }
    }

    /// Rules that allow, in the short and the long form, and tools that are switched on.
    fn rules(&mut self, at: &str, holder: &Value) {
        let path = |key: &str| {
            if at.is_empty() {
                key.to_owned()
            } else {
                format!("{at}.{key}")
            }
        };
        if holder.get("permission").is_some_and(allows) {
            self.push(path("permission"), Power::Widens);
        }
        let tools = holder.get("tools").and_then(Value::as_object);
        if tools.is_some_and(|tools| tools.values().any(|on| on == &Value::Bool(true))) {
            self.push(path("tools"), Power::Widens);
        }
    }
}

fn allows(rules: &Value) -> bool {
    match rules {
        Value::String(action) => action == "allow",
        Value::Object(rules) => rules.values().any(allows),
        _ => false,
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_key_that_runs_or_redirects_or_widens_is_found() {
        let config = json!({
            "model": "a/b", "shell": "/bin/evil", "plugin": ["x"],
            "mcp": {"l": {"type": "local", "command": ["x"]}, "r": {"type": "remote", "url": "http://x"}},
            "formatter": {"f": {"command": ["x"]}, "off": {"disabled": true}}, "lsp": false,
            "command": {"safe": {"template": "say hello"}, "runs": {"template": "see !`id`"}},
            "provider": {"p": {"env": ["KEY"], "options": {"baseURL": "http://x", "apiKey": "k"},
                               "models": {"m": {"provider": {"api": "http://x"}}}}},
            "instructions": ["a.md", "https://x/y.md"], "sandbox": {"enabled": false}, "share": "auto",
            "agent": {"a": {"permission": {"bash": {"*": "allow"}}}, "b": {"permission": {"bash": "deny"}}},
            "permission": {"edit": "ask"}, "tools": {"bash": true}
        });
        let keys: Vec<String> = scan(config.as_object().unwrap(), Path::new("/p/kilo.json"))
            .iter()
            .map(|key| format!("{:?} {}", key.power, key.key))
            .collect();
        assert_eq!(
            keys,
            [
                "Executes shell",
                "Executes plugin",
                "Executes mcp.l",
                "Redirects mcp.r",
                "Executes formatter.f",
                "Executes command.runs",
                "Redirects provider.p.env",
                "Redirects provider.p.options.baseURL",
                "Redirects provider.p.models.m.provider",
                "Redirects instructions",
                "Widens sandbox",
                "Redirects share",
                "Widens agent.a.permission",
                "Widens tools",
            ]
        );
    }
}

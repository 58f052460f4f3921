//! Keys that mean nothing here, with the known key that was most likely meant.

use super::Shape;
use super::shapes;
use serde_json::{Map, Value};

/// Names of permissions that a rule may be for. Tools of MCP servers add their own, so others are fine too.
const PERMISSIONS: &[&str] = &[
    "bash",
    "doom_loop",
    "edit",
    "external_directory",
    "glob",
    "grep",
    "list",
    "local_network",
    "lsp",
    "question",
    "read",
    "skill",
    "task",
    "todoread",
    "todowrite",
    "webfetch",
    "websearch",
];

/// A key that is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The keys that lead to it, itself the last.
    pub field: Vec<String>,
    /// The known key that is spelt almost so, or that covers it.
    pub nearest: Option<&'static str>,
}

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: unknown key", self.field.join("."))?;
        match self.nearest {
            Some(nearest) => write!(f, ", did you mean {nearest:?}?"),
            None => Ok(()),
        }
    }
}

/// The keys of `config` that mean nothing, in the file's order. Where any key is allowed (fields of an agent that go to
/// the provider, names of permissions) only those that are almost a known one are told.
pub fn unknown(config: &Value) -> Vec<Unknown> {
    let mut found = Vec::new();
    visit(
        config,
        &Shape::Fields(shapes::ROOT),
        &mut Vec::new(),
        &mut found,
    );
    found
}

fn visit(value: &Value, shape: &Shape, at: &mut Vec<String>, found: &mut Vec<Unknown>) {
    let Value::Object(object) = value else { return };
    if at.last().is_some_and(|key| key == "permission") {
        return permissions(object, at, found);
    }
    match shape {
        Shape::Fields(fields) => each(object, fields, false, at, found),
        Shape::Open(fields) => each(object, fields, true, at, found),
        Shape::Map(inner) => {
            for (name, value) in object {
                below(name, value, inner, at, found);
            }
        }
        Shape::Either(shapes) => {
            let inner = shapes.iter().find(|shape| super::is_alike(shape, value));
            if let Some(inner) = inner {
                visit(value, inner, at, found);
            }
        }
        _ => {}
    }
}

fn each(
    object: &Map<String, Value>,
    fields: &'static [(&'static str, Shape)],
    is_open: bool,
    at: &mut Vec<String>,
    found: &mut Vec<Unknown>,
) {
    for (name, value) in object {
        if let Some((_, shape)) = fields.iter().find(|(known, _)| known == name) {
            below(name, value, shape, at, found);
            continue;
        }
        let nearest = nearest(name, fields.iter().map(|(known, _)| *known));
        if !is_open || nearest.is_some() {
            push(name, nearest, at, found);
        }
    }
}

fn below(name: &str, value: &Value, shape: &Shape, at: &mut Vec<String>, found: &mut Vec<Unknown>) {
    at.push(name.to_owned());
    visit(value, shape, at, found);
    at.pop();
}

/// Names of tools that stand where the permission they ask for should, and misspelt permissions.
fn permissions(object: &Map<String, Value>, at: &[String], found: &mut Vec<Unknown>) {
    for name in object.keys() {
        let covering = crate::permission::of_tool(name);
        if PERMISSIONS.contains(&name.as_str()) || name.contains(['*', '?']) {
            continue;
        }
        let nearest = if covering == name {
            PERMISSIONS
                .iter()
                .copied()
                .find(|known| is_typo(name, known))
        } else {
            PERMISSIONS.iter().copied().find(|known| *known == covering)
        };
        if nearest.is_some() {
            push(name, nearest, at, found);
        }
    }
}

fn push(name: &str, nearest: Option<&'static str>, at: &[String], found: &mut Vec<Unknown>) {
    let mut field = at.to_vec();
    field.push(name.to_owned());
    found.push(Unknown { field, nearest });
}

/// The known name that `name` was most likely meant to be: a slip of a key or two, or a shorter form (`perms`).
fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    const ALIKE: f64 = 0.88;
    let written = plain(name);
    known
        .filter(|known| {
            is_typo(name, known) || strsim::jaro_winkler(&written, &plain(known)) >= ALIKE
        })
        .min_by_key(|known| {
            let slips = strsim::damerau_levenshtein(&written, &plain(known));
            // Of two at the same distance, exchanged letters are likelier than a missing one.
            (slips, written.len().abs_diff(plain(known).len()))
        })
}

fn is_typo(name: &str, known: &str) -> bool {
    let (name, known) = (plain(name), plain(known));
    let slips = if known.len() < 6 { 1 } else { 2 };
    strsim::damerau_levenshtein(&name, &known) <= slips
}

fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn misspelt_keys_name_the_nearest_known_one_at_every_level() {
        let config = json!({
            "permissions": "deny", "Model": "a/b", "theme": "dark", "tool": {}, "perms": 1, "agents": {},
            "agent": {"code": {"permision": {}, "reasoningEffort": "high", "tols": {}}},
            "provider": {"p": {"option": {}, "options": {"baseUrl": "x", "own": 1}, "models": {"m": {"limits": {}}}}},
            "permission": {"Bash": "deny", "edti": "ask", "write": "deny", "server_tool": "deny", "*": "ask",
                           "bash": {"anything": "deny"}},
            "compaction": {"treshold_percent": 3}, "mcp": {"x": {"comand": []}}, "experimental": {"y": {"z": 1}},
        });
        let found: Vec<String> = unknown(&config).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "permissions: unknown key, did you mean \"permission\"?",
                "Model: unknown key, did you mean \"model\"?",
                "theme: unknown key",
                "tool: unknown key, did you mean \"tools\"?",
                "perms: unknown key, did you mean \"permission\"?",
                "agents: unknown key, did you mean \"agent\"?",
                "agent.code.permision: unknown key, did you mean \"permission\"?",
                "agent.code.tols: unknown key, did you mean \"tools\"?",
                "provider.p.option: unknown key, did you mean \"options\"?",
                "provider.p.options.baseUrl: unknown key, did you mean \"baseURL\"?",
                "provider.p.models.m.limits: unknown key, did you mean \"limit\"?",
                "permission.Bash: unknown key, did you mean \"bash\"?",
                "permission.edti: unknown key, did you mean \"edit\"?",
                "permission.write: unknown key, did you mean \"edit\"?",
                "compaction.treshold_percent: unknown key, did you mean \"threshold_percent\"?",
                "mcp.x.comand: unknown key, did you mean \"command\"?",
            ]
        );
    }
}

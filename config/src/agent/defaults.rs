//! The built-in agents, read from `defaults/agents.json`.
//!
//! A list of rules there holds `"@name"` for a named list, and objects `{"allow bash": ["ls *"]}`: action and permission,
//! then one pattern or several. `<home>`, `<config>`, `<data>`, `<temp>` and `<relative data>` (seen from the worktree, as
//! patterns of `edit` are) stand for folders.

use super::Mode;
use crate::paths::{Paths, relative};
use kilo_protocol::model::{Action, Rule};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::LazyLock;

/// A built-in agent before the configuration.
pub(super) struct Builtin {
    pub name: String,
    pub mode: Mode,
    pub description: Option<String>,
    pub temperature: Option<f64>,
    pub hidden: bool,
    pub deprecated: bool,
    /// It changes nothing, whatever the user's rules allow.
    pub is_guarded: bool,
    rules: Vec<Rule>,
}

impl Builtin {
    /// Its rules, with real folders.
    pub fn rules(&self, places: &Places) -> Vec<Rule> {
        places.fill(&self.rules)
    }
}

/// The folders that rules speak of.
pub(super) struct Places {
    pub home: String,
    names: [(&'static str, String); 5],
}

impl Places {
    /// The folders of a user in a worktree.
    pub fn of(paths: &Paths, worktree: &Path) -> Self {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Self {
            home: text(&paths.home),
            names: [
                ("<home>", text(&paths.home)),
                ("<config>", text(&paths.config)),
                ("<data>", text(&paths.data)),
                ("<temp>", text(&paths.temp)),
                ("<relative data>", relative(worktree, &paths.data)),
            ],
        }
    }

    fn fill(&self, rules: &[Rule]) -> Vec<Rule> {
        let fill = |rule: &Rule| {
            let mut rule = rule.clone();
            if let Some((name, folder)) = self
                .names
                .iter()
                .find(|(name, _)| rule.pattern.starts_with(name))
            {
                rule.pattern = format!("{folder}{}", &rule.pattern[name.len()..]).into();
            }
            rule
        };
        rules.iter().map(fill).collect()
    }
}

/// The built-in agents.
pub(super) fn all() -> &'static [Builtin] {
    &TABLE.agents
}

/// The rules below every agent that the configuration adds.
pub(super) fn base(places: &Places) -> Vec<Rule> {
    places.fill(&TABLE.base)
}

/// The rules that let an agent read tool outputs that were cut.
pub(super) fn output(places: &Places) -> Vec<Rule> {
    places.fill(&TABLE.output)
}

struct Table {
    agents: Vec<Builtin>,
    base: Vec<Rule>,
    output: Vec<Rule>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    // A damaged table leaves no agents and no rules, so that everything is asked; a test holds the table.
    let source: Value =
        serde_json::from_str(include_str!("../../defaults/agents.json")).unwrap_or_default();
    let named = &source["rules"];
    let agents = source["agents"].as_array().into_iter().flatten();
    let mut texts = Texts::default();
    Table {
        agents: agents
            .filter_map(|entry| builtin(entry, named, &mut texts))
            .collect(),
        base: expand(&named["base"], named, &mut texts, 0),
        output: expand(&named["output"], named, &mut texts, 0),
    }
});

/// What is kept while the table is made: the texts of its rules, once and for good since every agent of every folder shows
/// them, and the lists that have a name, since most agents have most of them.
#[derive(Default)]
struct Texts {
    texts: HashSet<&'static str>,
    lists: HashMap<String, Vec<Rule>>,
}

impl Texts {
    fn keep(&mut self, text: &str) -> Cow<'static, str> {
        if let Some(kept) = self.texts.get(text) {
            return Cow::Borrowed(kept);
        }
        let kept: &'static str = text.to_owned().leak();
        self.texts.insert(kept);
        Cow::Borrowed(kept)
    }
}

fn builtin(entry: &Value, named: &Value, texts: &mut Texts) -> Option<Builtin> {
    let flag = |key: &str| entry[key].as_bool().unwrap_or(false);
    Some(Builtin {
        name: entry["name"].as_str()?.to_owned(),
        mode: super::mode(&entry["mode"])?,
        description: entry["description"].as_str().map(str::to_owned),
        temperature: entry["temperature"].as_f64(),
        hidden: flag("hidden"),
        deprecated: flag("deprecated"),
        is_guarded: flag("is_guarded"),
        rules: expand(&entry["rules"], named, texts, 0),
    })
}

fn expand(list: &Value, named: &Value, texts: &mut Texts, depth: usize) -> Vec<Rule> {
    const DEPTH_MAX: usize = 4;
    let mut rules = Vec::new();
    for item in list.as_array().into_iter().flatten() {
        match item {
            Value::String(name) if depth < DEPTH_MAX => {
                if !texts.lists.contains_key(name) {
                    let list = &named[name.trim_start_matches('@')];
                    let expanded = expand(list, named, texts, depth + 1);
                    texts.lists.insert(name.clone(), expanded);
                }
                rules.extend_from_slice(&texts.lists[name]);
            }
            Value::Object(groups) => {
                for (head, patterns) in groups {
                    rules.extend(group(head, patterns, texts));
                }
            }
            _ => {}
        }
    }
    rules
}

fn group(head: &str, patterns: &Value, texts: &mut Texts) -> Vec<Rule> {
    let Some((action, permission)) = head.split_once(' ') else {
        return Vec::new();
    };
    let action = match action {
        "allow" => Action::Allow,
        "deny" => Action::Deny,
        _ => Action::Ask,
    };
    let one = patterns.as_str().into_iter();
    let several = patterns
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    one.chain(several)
        .map(|pattern| Rule {
            permission: texts.keep(permission),
            pattern: texts.keep(pattern),
            action,
        })
        .collect()
}

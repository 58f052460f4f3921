//! Agents: the built-in ones, what the configuration makes of them, and those it adds.

mod defaults;

use crate::env::Environment;
use crate::load::Loaded;
use crate::paths::Paths;
use crate::permission;
use crate::view::split_model;
use defaults::{Builtin, Places};
use kilo_protocol::model::{Action, Rule};
use serde::Serialize;
use serde_json::{Map, Value};

/// The agent of sessions that name none.
pub const DEFAULT: &str = "code";
/// Its old name.
const DEFAULT_OLD: &str = "build";

/// An agent, in the shape of `GET /agent`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    /// What users call it by.
    pub name: String,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Where it comes from, where its file says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When to use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// It is there for old habits only.
    #[serde(skip_serializing_if = "is_false")]
    pub deprecated: bool,
    /// Who may start it.
    pub mode: Mode,
    /// It is built in.
    pub native: bool,
    /// It is not shown to users.
    #[serde(skip_serializing_if = "is_false")]
    pub hidden: bool,
    /// The nucleus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// The temperature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// `#rrggbb` or a theme's colour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// Its rules, the user's among them; a session's own rules come after.
    pub permission: Vec<Rule>,
    /// Its model, if it has one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<AgentModel>,
    /// Its variant (reasoning effort).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The user's prompt; it replaces the built-in one. Built-in prompts are not shown here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Further fields for the provider's request.
    pub options: Map<String, Value>,
    /// Model calls that one turn may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
}

/// Who may start an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A user.
    Primary,
    /// Another agent.
    Subagent,
    /// Both.
    All,
}

/// An agent's model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgentModel {
    /// The model's id within its provider.
    #[serde(rename = "modelID")]
    pub model_id: String,
    /// The provider.
    #[serde(rename = "providerID")]
    pub provider_id: String,
}

/// Why there is no default agent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DefaultAgentError {
    /// No agent has this name.
    #[error("default agent {0:?} not found")]
    Missing(String),
    /// It can only be started by other agents.
    #[error("default agent {0:?} is a subagent")]
    Subagent(String),
    /// It is one of the program's own.
    #[error("default agent {0:?} is hidden")]
    Hidden(String),
    /// Every agent is switched off.
    #[error("no primary agent is enabled")]
    None,
}

/// All agents that are not switched off: the default one first, then by name.
pub fn agents(_env: &Environment, paths: &Paths, loaded: &Loaded) -> Vec<Agent> {
    let places = Places::of(paths, &loaded.worktree);
    let mut agents: Vec<Agent> = defaults::all()
        .iter()
        .map(|builtin| from_builtin(builtin, &places, &loaded.config.permission))
        .collect();
    for (name, fields) in &loaded.config.agents {
        let Some(fields) = fields.as_object() else {
            continue;
        };
        let name = real_name(name);
        if fields.get("disable") == Some(&Value::Bool(true)) {
            agents.retain(|agent| agent.name != name);
            continue;
        }
        match agents.iter_mut().find(|agent| agent.name == name) {
            Some(agent) => change(agent, fields, &places.home),
            None => {
                let mut agent = new(name, &places, &loaded.config.permission);
                change(&mut agent, fields, &places.home);
                agents.push(agent);
            }
        }
    }
    for agent in &mut agents {
        keep_outputs_readable(agent, &places);
        for guard in &loaded.guards {
            if guard.covers(&agent.name) || (agent.name == DEFAULT && guard.covers(DEFAULT_OLD)) {
                guard.clamp(&mut agent.permission);
            }
        }
    }
    let first = default_agent(loaded, &agents)
        .map_or(DEFAULT, |agent| &agent.name)
        .to_owned();
    agents.sort_by(|a, b| (a.name != first, &a.name).cmp(&(b.name != first, &b.name)));
    agents
}

/// The agent of sessions that name none: the configuration's `default_agent`, else `code`, else the first one that a user
/// may start.
pub fn default_agent<'a>(
    loaded: &Loaded,
    agents: &'a [Agent],
) -> Result<&'a Agent, DefaultAgentError> {
    let Some(name) = &loaded.config.default_agent else {
        let usual = find(agents, DEFAULT).filter(|agent| is_startable(agent));
        return usual
            .or_else(|| agents.iter().find(|agent| is_startable(agent)))
            .ok_or(DefaultAgentError::None);
    };
    match find(agents, name) {
        None => Err(DefaultAgentError::Missing(name.clone())),
        Some(agent) if agent.mode == Mode::Subagent => {
            Err(DefaultAgentError::Subagent(name.clone()))
        }
        Some(agent) if agent.hidden => Err(DefaultAgentError::Hidden(name.clone())),
        Some(agent) => Ok(agent),
    }
}

/// The agent of that name; `build` is the old name of `code`.
pub fn find<'a>(agents: &'a [Agent], name: &str) -> Option<&'a Agent> {
    let name = real_name(name);
    agents.iter().find(|agent| agent.name == name)
}

fn real_name(name: &str) -> &str {
    if name == DEFAULT_OLD { DEFAULT } else { name }
}

fn is_startable(agent: &Agent) -> bool {
    agent.mode != Mode::Subagent && !agent.hidden
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn from_builtin(builtin: &Builtin, places: &Places, user: &[Rule]) -> Agent {
    let own = builtin.rules(places);
    let mut permission = own.clone();
    // The program's own hidden agents call no tools, whatever a user allows.
    if !builtin.hidden {
        permission.extend(user.iter().cloned());
        if builtin.is_guarded {
            permission.extend(guard(&own, user));
        }
    }
    Agent {
        name: builtin.name.clone(),
        description: builtin.description.clone(),
        deprecated: builtin.deprecated,
        mode: builtin.mode,
        native: true,
        hidden: builtin.hidden,
        temperature: builtin.temperature,
        permission,
        ..empty()
    }
}

fn new(name: &str, places: &Places, user: &[Rule]) -> Agent {
    let mut permission = defaults::base(places);
    permission.extend(user.iter().cloned());
    Agent {
        name: name.to_owned(),
        permission,
        ..empty()
    }
}

fn empty() -> Agent {
    Agent {
        name: String::new(),
        display_name: None,
        source: None,
        description: None,
        deprecated: false,
        mode: Mode::All,
        native: false,
        hidden: false,
        top_p: None,
        temperature: None,
        color: None,
        permission: Vec::new(),
        model: None,
        variant: None,
        prompt: None,
        options: Map::new(),
        steps: None,
    }
}

/// The rules that an agent which changes nothing puts after the user's: its own once more, each no laxer than the user's
/// word on the same pattern, then what the user narrowed. So a user's `allow` cannot make `plan` write, and a user's
/// `deny` or `ask` still holds in it.
fn guard(own: &[Rule], user: &[Rule]) -> Vec<Rule> {
    if user.is_empty() {
        return Vec::new();
    }
    let clamp = |rule: &Rule| {
        let said = permission::evaluate(&rule.permission, &rule.pattern, &[user]);
        let action = if said.layer == 0 {
            stricter(rule.action, said.action)
        } else {
            rule.action
        };
        Rule {
            action,
            ..rule.clone()
        }
    };
    let narrows = |rule: &&Rule| {
        let is_narrow = rule.pattern != "*" && rule.action != Action::Allow;
        let held = permission::evaluate(&rule.permission, &rule.pattern, &[own]).action;
        is_narrow && stricter(held, rule.action) == rule.action
    };
    own.iter()
        .map(clamp)
        .chain(user.iter().filter(narrows).cloned())
        .collect()
}

fn stricter(a: Action, b: Action) -> Action {
    match (a, b) {
        (Action::Deny, _) | (_, Action::Deny) => Action::Deny,
        (Action::Ask, _) | (_, Action::Ask) => Action::Ask,
        _ => Action::Allow,
    }
}

/// Puts the configuration's fields on an agent. Fields that are not ours go to the provider as options.
fn change(agent: &mut Agent, fields: &Map<String, Value>, home: &str) {
    for (key, value) in fields {
        let text = || value.as_str().map(str::to_owned);
        match key.as_str() {
            "model" => agent.model = value.as_str().and_then(model),
            "variant" => agent.variant = text(),
            "prompt" => agent.prompt = text().filter(|prompt| !prompt.trim().is_empty()),
            "description" => agent.description = text(),
            "displayName" => agent.display_name = text(),
            "source" => agent.source = text(),
            "color" => agent.color = text(),
            "temperature" => agent.temperature = value.as_f64(),
            "top_p" => agent.top_p = value.as_f64(),
            "mode" => agent.mode = mode(value).unwrap_or(agent.mode),
            "hidden" => agent.hidden = value.as_bool().unwrap_or(agent.hidden),
            "steps" | "maxSteps" => agent.steps = value.as_u64().or(agent.steps),
            "options" => agent
                .options
                .extend(value.as_object().cloned().unwrap_or_default()),
            "tools" | "permission" | "disable" | "name" => {}
            _ => {
                agent.options.insert(key.clone(), value.clone());
            }
        }
    }
    agent
        .permission
        .extend(permission::tool_rules(fields.get("tools")));
    agent
        .permission
        .extend(permission::rules(fields.get("permission"), home));
}

/// Outputs that were cut for the model stay readable, unless the very pattern was denied by the user.
fn keep_outputs_readable(agent: &mut Agent, places: &Places) {
    if agent.native && agent.hidden {
        return;
    }
    for rule in defaults::output(places) {
        let is_denied = |old: &Rule| {
            old.permission == rule.permission
                && old.pattern == rule.pattern
                && old.action == Action::Deny
        };
        if !agent.permission.iter().any(is_denied) && agent.permission.last() != Some(&rule) {
            agent.permission.push(rule);
        }
    }
}

fn model(text: &str) -> Option<AgentModel> {
    let (provider, model) = split_model(text)?;
    Some(AgentModel {
        model_id: model.to_owned(),
        provider_id: provider.to_owned(),
    })
}

fn mode(value: &Value) -> Option<Mode> {
    match value.as_str()? {
        "primary" => Some(Mode::Primary),
        "subagent" => Some(Mode::Subagent),
        "all" => Some(Mode::All),
        _ => None,
    }
}

//! The configuration with types and defaults.

use crate::permission;
use kilo_protocol::model::Rule;
use serde_json::{Map, Value};
use std::path::Path;

/// What the engine reads from the configuration. Everything here has passed [`crate::check`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// `provider/model` of new sessions.
    pub model: Option<String>,
    /// `provider/model` for titles and the like.
    pub small_model: Option<String>,
    /// The agent of new sessions.
    pub default_agent: Option<String>,
    /// Whether checkpoints are made; default true.
    pub snapshot: bool,
    /// What new worktrees get.
    pub worktree: Worktree,
    /// What to do with a turn that a crash cut off.
    pub resume: Resume,
    /// The rules of `tools` and `permission`, in written order.
    pub permission: Vec<Rule>,
    /// Agents by name, as written; those of the old key `mode` are here too.
    pub agents: Map<String, Value>,
    /// Commands by name, as written.
    pub commands: Map<String, Value>,
    /// Providers by id, as written.
    pub provider: Map<String, Value>,
    /// Instruction files: paths, globs, URLs.
    pub instructions: Vec<String>,
    /// Further folders with skills.
    pub skill_paths: Vec<String>,
    /// When and how a conversation is compacted.
    pub compaction: Compaction,
    /// How much of a tool's output the model gets.
    pub tool_output: ToolOutput,
    /// Providers that are off.
    pub disabled_providers: Vec<String>,
    /// If given, only these providers are on.
    pub enabled_providers: Option<Vec<String>>,
}

/// What new worktrees get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Worktree {
    /// Patterns of files of the top folder that are copied; default `.env*`.
    pub copy: Option<Vec<String>>,
    /// Ignored folders that are shared, such as `node_modules`.
    pub folders: Vec<String>,
    /// Share them by hard links where the file system has no reflinks.
    pub hardlink: bool,
    /// Seconds that set-up scripts may take.
    pub setup_timeout_s: Option<u64>,
}

/// What to do with a turn that a crash cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resume {
    /// Go on by itself.
    Auto,
    /// Ask the user.
    #[default]
    Ask,
    /// Close it.
    Off,
}

/// When and how a conversation is compacted.
#[derive(Clone, Debug, PartialEq)]
pub struct Compaction {
    /// By itself, when the context is nearly full; default true.
    pub auto: bool,
    /// At this part of the context, if that comes first; above 0, at most 100.
    pub threshold_percent: Option<f64>,
}

impl Default for Compaction {
    fn default() -> Self {
        Self {
            auto: true,
            threshold_percent: None,
        }
    }
}

/// How much of a tool's output the model gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToolOutput {
    /// Lines; default 2,000.
    pub max_lines: usize,
    /// Bytes; default 51,200.
    pub max_bytes: usize,
}

impl Default for ToolOutput {
    fn default() -> Self {
        Self {
            max_lines: 2_000,
            max_bytes: 51_200,
        }
    }
}

impl Config {
    /// Reads a merged configuration. What is missing or of the wrong type gets its default.
    pub fn view(merged: &Value, home: &Path) -> Self {
        let text = |key: &str| merged.get(key).and_then(Value::as_str).map(str::to_owned);
        let object = |key: &str| {
            merged
                .get(key)
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default()
        };
        let home = home.to_string_lossy();
        let mut rules = permission::tool_rules(merged.get("tools"));
        rules.extend(permission::rules(merged.get("permission"), &home));
        Self {
            model: text("model"),
            small_model: text("small_model"),
            default_agent: text("default_agent"),
            snapshot: merged
                .get("snapshot")
                .and_then(Value::as_bool)
                .unwrap_or(true),
            worktree: worktree(merged.get("worktree")),
            resume: resume(merged),
            permission: rules,
            agents: agents(merged),
            commands: object("command"),
            provider: object("provider"),
            instructions: texts(merged.get("instructions")),
            skill_paths: texts(merged.get("skills").and_then(|skills| skills.get("paths"))),
            compaction: compaction(merged.get("compaction")),
            tool_output: tool_output(merged.get("tool_output")),
            disabled_providers: texts(merged.get("disabled_providers")),
            enabled_providers: merged
                .get("enabled_providers")
                .map(|list| texts(Some(list))),
        }
    }
}

/// Splits `provider/model`; the model's own name may hold further slashes.
pub fn split_model(model: &str) -> Option<(&str, &str)> {
    model
        .split_once('/')
        .filter(|(provider, model)| !provider.is_empty() && !model.is_empty())
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

/// `mode` is the old name of `agent`; its entries are primary agents, and `agent` goes on top.
fn agents(merged: &Value) -> Map<String, Value> {
    let mut agents = Map::new();
    for (name, fields) in merged
        .get("mode")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let mut fields = fields.as_object().cloned().unwrap_or_default();
        fields.insert("mode".into(), "primary".into());
        agents.insert(name.clone(), Value::Object(fields));
    }
    if let Some(newer) = merged.get("agent").and_then(Value::as_object) {
        crate::merge::merge(&mut agents, newer.clone());
    }
    agents
}

fn resume(merged: &Value) -> Resume {
    match merged
        .get("session")
        .and_then(|session| session.get("resume"))
        .and_then(Value::as_str)
    {
        Some("auto") => Resume::Auto,
        Some("off") => Resume::Off,
        _ => Resume::Ask,
    }
}

fn worktree(value: Option<&Value>) -> Worktree {
    let field = |key: &str| value.and_then(|value| value.get(key));
    Worktree {
        copy: field("copy").map(|list| texts(Some(list))),
        folders: texts(field("folders")),
        hardlink: field("link").and_then(Value::as_str) == Some("hardlink"),
        setup_timeout_s: field("setup_timeout").and_then(Value::as_u64),
    }
}

fn compaction(value: Option<&Value>) -> Compaction {
    let field = |key: &str| value.and_then(|value| value.get(key));
    let percent = field("threshold_percent").and_then(Value::as_f64);
    Compaction {
        auto: field("auto").and_then(Value::as_bool).unwrap_or(true),
        threshold_percent: percent.filter(|percent| *percent > 0.0 && *percent <= 100.0),
    }
}

fn tool_output(value: Option<&Value>) -> ToolOutput {
    let default = ToolOutput::default();
    let whole = |key: &str| {
        value
            .and_then(|value| value.get(key))
            .and_then(Value::as_u64)
            .map(|n| n as usize)
    };
    ToolOutput {
        max_lines: whole("max_lines").unwrap_or(default.max_lines),
        max_bytes: whole("max_bytes").unwrap_or(default.max_bytes),
    }
}

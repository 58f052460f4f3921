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
    /// `provider/model` of subagents.
    pub subagent_model: Option<String>,
    /// How deep subagents may start subagents.
    pub subagent_depth: Option<u64>,
    /// The agent of new sessions.
    pub default_agent: Option<String>,
    /// The user's name.
    pub username: Option<String>,
    /// Whether checkpoints are made; default true.
    pub snapshot: bool,
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
    /// MCP servers by name, as written.
    pub mcp: Map<String, Value>,
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
    /// When sessions are shared.
    pub share: Share,
    /// The shell of commands; the system's if none.
    pub shell: Option<String>,
    /// `DEBUG`, `INFO`, `WARN` or `ERROR`.
    pub log_level: Option<String>,
    /// The daemon's own options.
    pub server: Server,
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

/// When sessions are shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Share {
    /// When the user says so.
    #[default]
    Manual,
    /// Always.
    Auto,
    /// Never.
    Disabled,
}

/// When and how a conversation is compacted.
#[derive(Clone, Debug, PartialEq)]
pub struct Compaction {
    /// By itself, when the context is nearly full; default true.
    pub auto: bool,
    /// At this part of the context, if that comes first; above 0, at most 100.
    pub threshold_percent: Option<f64>,
    /// Turns that stay as they are; default 2.
    pub tail_turns: u64,
    /// Tokens that these turns may have; worked out from the model if not given.
    pub preserve_recent_tokens: Option<u64>,
    /// Tokens to keep free.
    pub reserved: Option<u64>,
    /// Whether old tool outputs are dropped; default false.
    pub prune: bool,
}

impl Default for Compaction {
    fn default() -> Self {
        Self {
            auto: true,
            threshold_percent: None,
            tail_turns: 2,
            preserve_recent_tokens: None,
            reserved: None,
            prune: false,
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

/// The daemon's own options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// The port to listen on.
    pub port: Option<u16>,
    /// The address to listen on.
    pub hostname: Option<String>,
    /// Further origins that browsers may call from.
    pub cors: Vec<String>,
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
            subagent_model: text("subagent_model"),
            subagent_depth: merged.get("subagent_depth").and_then(Value::as_u64),
            default_agent: text("default_agent"),
            username: text("username"),
            snapshot: merged
                .get("snapshot")
                .and_then(Value::as_bool)
                .unwrap_or(true),
            resume: resume(merged),
            permission: rules,
            agents: agents(merged),
            commands: object("command"),
            provider: object("provider"),
            mcp: object("mcp"),
            instructions: texts(merged.get("instructions")),
            skill_paths: texts(merged.get("skills").and_then(|skills| skills.get("paths"))),
            compaction: compaction(merged.get("compaction")),
            tool_output: tool_output(merged.get("tool_output")),
            disabled_providers: texts(merged.get("disabled_providers")),
            enabled_providers: merged
                .get("enabled_providers")
                .map(|list| texts(Some(list))),
            share: share(merged),
            shell: text("shell"),
            log_level: text("logLevel"),
            server: server(merged.get("server")),
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

fn share(merged: &Value) -> Share {
    match merged.get("share").and_then(Value::as_str) {
        Some("auto") => Share::Auto,
        Some("disabled") => Share::Disabled,
        Some(_) => Share::Manual,
        None if merged.get("autoshare") == Some(&Value::Bool(true)) => Share::Auto,
        None => Share::Manual,
    }
}

fn compaction(value: Option<&Value>) -> Compaction {
    let default = Compaction::default();
    let Some(value) = value else { return default };
    let whole = |key: &str| value.get(key).and_then(Value::as_u64);
    let flag = |key: &str, default| value.get(key).and_then(Value::as_bool).unwrap_or(default);
    let percent = value.get("threshold_percent").and_then(Value::as_f64);
    Compaction {
        auto: flag("auto", default.auto),
        threshold_percent: percent.filter(|percent| *percent > 0.0 && *percent <= 100.0),
        tail_turns: whole("tail_turns").unwrap_or(default.tail_turns),
        preserve_recent_tokens: whole("preserve_recent_tokens"),
        reserved: whole("reserved"),
        prune: flag("prune", default.prune),
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

fn server(value: Option<&Value>) -> Server {
    let Some(value) = value else {
        return Server::default();
    };
    Server {
        port: value
            .get("port")
            .and_then(Value::as_u64)
            .and_then(|port| u16::try_from(port).ok()),
        hostname: value
            .get("hostname")
            .and_then(Value::as_str)
            .map(str::to_owned),
        cors: texts(value.get("cors")),
    }
}

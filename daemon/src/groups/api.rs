//! The second generation's lists (`/api/*`): the same agents, commands and files, in an envelope `{location, data}`.

mod models;
mod pty;

use super::{Answer, routes};
use crate::daemon::Daemon;
use kilo_config::agent::Agent;
use kilo_config::commands::Command;
use kilo_edge::{Reply, Request};
use kilo_protocol::{Fault, secrets};
use kilo_worktree::{files, find};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::sync::Arc;

/// Names in one answer of `/api/fs/find`, when the client names no limit.
const NAMES_MAX: u64 = 10;
/// The colours of an agent that have names.
const COLOURS: [&str; 7] = [
    "primary",
    "secondary",
    "accent",
    "success",
    "warning",
    "error",
    "info",
];

routes! {
    "v2.health.get" => health;
    "v2.location.get" => location;
    "v2.agent.list" => agents;
    "v2.model.list" => models::models;
    "v2.provider.list" => models::providers;
    "v2.provider.get" => models::provider;
    "v2.integration.list" => models::integrations;
    "v2.fs.list" => list_files;
    "v2.fs.find" => find_files;
    "v2.command.list" => commands;
    "v2.skill.list" => skills;
    "v2.pty.list" => pty::list;
    "v2.pty.create" => pty::create;
    "v2.pty.get" => pty::get;
    "v2.pty.update" => pty::update;
    "v2.pty.remove" => pty::remove;
    "v2.pty.connectToken" => pty::connect_token;
    "v2.pty.connect" => super::pty::socket::connect;
    "v2.reference.list" => references;
}

/// Where a request is.
pub(super) async fn place(daemon: &Daemon, request: &Request) -> Result<Value, Fault> {
    let instance = daemon.instance(request).await?;
    Ok(json!({
        "directory": daemon.directory(request),
        "project": {"id": instance.facts.project_id, "directory": instance.facts.worktree},
    }))
}

/// `data` with its place.
pub(super) async fn envelope(
    daemon: &Daemon,
    request: &Request,
    data: impl serde::Serialize,
) -> Answer {
    Reply::json(&json!({"location": place(daemon, request).await?, "data": data}))
}

/// An object without its nulls.
pub(super) fn present(value: Value) -> Value {
    match value {
        Value::Object(mut fields) => {
            fields.retain(|_, value| !value.is_null());
            Value::Object(fields)
        }
        other => other,
    }
}

async fn health(_: Arc<Daemon>, _: Request) -> Answer {
    Reply::json(&json!({"healthy": true}))
}

async fn location(daemon: Arc<Daemon>, request: Request) -> Answer {
    Reply::json(&place(&daemon, &request).await?)
}

async fn agents(daemon: Arc<Daemon>, request: Request) -> Answer {
    let folder = daemon.instance(&request).await?.folder;
    let agents = folder.agents.iter().map(agent);
    let agents: Vec<Value> = agents.map(|agent| secrets::masked(&agent)).collect();
    envelope(&daemon, &request, agents).await
}

fn agent(agent: &Agent) -> Value {
    let rule = |rule: &kilo_protocol::model::Rule| json!({"action": rule.permission, "resource": rule.pattern, "effect": rule.action});
    let model = agent.model.as_ref().map(|model| {
        present(json!({"id": model.model_id, "providerID": model.provider_id, "variant": agent.variant}))
    });
    present(json!({
        "id": agent.name,
        "model": model,
        "request": {"headers": {}, "body": request_body(agent)},
        "system": agent.prompt,
        "description": agent.description,
        "mode": agent.mode,
        "hidden": agent.hidden,
        "color": agent.color.as_deref().filter(|colour| is_colour(colour)),
        "steps": agent.steps.filter(|steps| *steps > 0),
        "permissions": agent.permission.iter().map(rule).collect::<Vec<_>>(),
    }))
}

fn request_body(agent: &Agent) -> Map<String, Value> {
    let mut body = agent.options.clone();
    for (name, value) in [("temperature", agent.temperature), ("top_p", agent.top_p)] {
        if let Some(value) = value {
            body.insert(name.into(), json!(value));
        }
    }
    body
}

/// `#rrggbb` or a name of the theme; other colours have no place in the shape.
fn is_colour(colour: &str) -> bool {
    let is_hex = |hex: &str| hex.len() == 6 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    COLOURS.contains(&colour) || colour.strip_prefix('#').is_some_and(is_hex)
}

async fn commands(daemon: Arc<Daemon>, request: Request) -> Answer {
    let commands = super::catalog::of_folder(&daemon, &request).await?;
    let commands: Vec<Value> = commands.iter().map(command).collect();
    envelope(&daemon, &request, commands).await
}

fn command(command: &Command) -> Value {
    let model = command
        .model
        .as_deref()
        .and_then(|model| model.split_once('/'));
    present(json!({
        "name": command.name,
        "template": command.template,
        "description": command.description,
        "agent": command.agent,
        "model": model.map(|(provider, model)| json!({"providerID": provider, "id": model})),
        "variant": command.variant,
        "subtask": command.subtask,
    }))
}

async fn skills(daemon: Arc<Daemon>, request: Request) -> Answer {
    let folder = daemon.instance(&request).await?.folder;
    let (environment, paths) = (Arc::clone(&daemon.environment), Arc::clone(&daemon.paths));
    let skills = daemon
        .blocking(move || {
            Ok(kilo_config::skills::skills(
                &environment,
                &paths,
                &folder.loaded,
            ))
        })
        .await?;
    let skills: Vec<Value> = skills
        .iter()
        .map(|skill| {
            present(json!({
                "name": skill.name,
                "description": skill.description,
                "location": skill.location,
                "content": skill.content,
            }))
        })
        .collect();
    envelope(&daemon, &request, skills).await
}

/// No reference repositories are read, so there are none.
async fn references(daemon: Arc<Daemon>, request: Request) -> Answer {
    envelope(&daemon, &request, Vec::<Value>::new()).await
}

fn entry(path: &str, is_folder: bool) -> Value {
    json!({"path": path, "type": if is_folder { "directory" } else { "file" }})
}

async fn find_files(daemon: Arc<Daemon>, request: Request) -> Answer {
    let query = request.query.require("query")?.to_string();
    let limit = request.query.number("limit")?.unwrap_or(NAMES_MAX) as usize;
    let kind = match request.query.get("type") {
        Some("file") => find::NameKind::File,
        Some("directory") => find::NameKind::Folder,
        None => find::NameKind::Any,
        Some(_) => return Err(Fault::bad_query("\"file\" | \"directory\"", "type")),
    };
    let (folder, names) = (
        PathBuf::from(daemon.directory(&request)),
        Arc::clone(&daemon.names),
    );
    let found = daemon
        .blocking(move || Ok(names.files(&folder, &query, kind, limit)))
        .await?;
    let found: Vec<Value> = found
        .iter()
        .map(|path| entry(path, path.ends_with('/')))
        .collect();
    envelope(&daemon, &request, found).await
}

async fn list_files(daemon: Arc<Daemon>, request: Request) -> Answer {
    let path = request.query.get("path").unwrap_or_default().to_string();
    let folder = PathBuf::from(daemon.directory(&request));
    let nodes = daemon
        .blocking(move || files::list(&folder, &path).map_err(super::workspace::file_fault))
        .await?;
    let nodes: Vec<Value> = nodes
        .iter()
        .map(|node| entry(&node.path, node.kind == "directory"))
        .collect();
    envelope(&daemon, &request, nodes).await
}

//! Routes that may still change: the tools, worktrees, and the sessions of all projects.

mod worktree;

use super::mcp::LIST_WAIT;
use super::session::filter;
use super::{Answer, routes};
use crate::daemon::Daemon;
use bytes::Bytes;
use kilo_edge::{Reply, Request};
use kilo_mcp::ServerError;
use kilo_protocol::model::Project;
use kilo_protocol::requests::{CallTool, ReadResource};
use kilo_protocol::{Fault, FaultKind, Millis};
use kilo_session::Engine;
use kilo_session::catalog::Filter;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;

routes! {
    "tool.list" => tools;
    "tool.ids" => tool_ids;
    "experimental.session.list" => sessions;
    "experimental.controlPlane.moveSession" => super::trees::move_session;
    "worktree.list" => worktree::list;
    "worktree.create" => worktree::create;
    "worktree.remove" => worktree::remove;
    "worktree.reset" => worktree::reset;
    "worktree.diff" => worktree::diff;
    "worktree.diffSummary" => worktree::summary;
    "worktree.diffFile" => worktree::file;
    "experimental.resource.list" => resources;
    "mcp.readResource" => read_resource;
    "mcp.callTool" => call_tool;
}

/// The resources of the folder's MCP servers, by `SERVER:URI`.
async fn resources(daemon: Arc<Daemon>, request: Request) -> Answer {
    let servers = daemon.instance(&request).await?.servers;
    servers.ready(LIST_WAIT).await;
    let mut all = Map::new();
    for (server, resource) in servers.resources() {
        let key = format!("{server}:{}", resource.uri);
        let mut shown = json!(resource);
        shown["client"] = server.into();
        all.insert(key, shown);
    }
    Reply::json(&all)
}

/// 404 as the reference has it here.
fn nothing_there() -> Fault {
    let mut fault = Fault::tagged(FaultKind::NotFound, "NotFound", "", json!({}));
    fault.body = json!({"_tag": "NotFound"});
    fault
}

fn failed(error: ServerError) -> Fault {
    match error {
        ServerError::Unknown => nothing_there(),
        ServerError::Failed(why) => Fault::bad_request("Payload", why),
    }
}

/// The first contents of a resource.
async fn read_resource(daemon: Arc<Daemon>, request: Request) -> Answer {
    let ReadResource { server, uri } = request.json()?;
    let servers = daemon.instance(&request).await?.servers;
    let contents = servers.read(&server, &uri).await.map_err(failed)?;
    let first = contents.into_iter().next().ok_or_else(nothing_there)?;
    Reply::json(&first)
}

/// Calls a tool for a client, which has asked its user already.
async fn call_tool(daemon: Arc<Daemon>, request: Request) -> Answer {
    let CallTool {
        server,
        name,
        arguments,
    } = request.json()?;
    let servers = daemon.instance(&request).await?.servers;
    let calling = async {
        servers
            .call(&server, &name, arguments)
            .await
            .map_err(failed)
    };
    Reply::json(&request.unless_left(calling).await?)
}

async fn tool_ids(daemon: Arc<Daemon>, request: Request) -> Answer {
    let folder = daemon.instance(&request).await?.folder;
    folder.tools.ready().await;
    Reply::json(&folder.tools.ids())
}

async fn tools(daemon: Arc<Daemon>, request: Request) -> Answer {
    let model = request.query.require("model")?;
    let folder = daemon.instance(&request).await?.folder;
    folder.tools.ready().await;
    let tools: Vec<Value> = folder
        .tools
        .offered(model)
        .into_iter()
        .map(|tool| {
            let spec = tool.spec();
            let mut shown = json!({"id": spec.name, "description": spec.description, "parameters": spec.parameters});
            if let Some(source) = spec.source.wire() {
                shown["source"] = source;
            }
            shown
        })
        .collect();
    Reply::json(&tools)
}

/// A page of the sessions of all projects. If there are more, the header `x-next-cursor` has the `cursor` of the next page.
async fn sessions(daemon: Arc<Daemon>, request: Request) -> Answer {
    let mut filter = filter(&request)?;
    filter.archived = request.query.flag("archived");
    filter.before = request.query.number("cursor")?;
    filter.project = request.query.get("projectID").map(str::to_string);
    if request.query.flag("current") {
        filter.project = Some(daemon.instance(&request).await?.facts.project_id);
    }
    let engine = daemon.engine().await?;
    let reader = Arc::clone(&daemon);
    let (body, cursor) = daemon
        .blocking(move || Ok(page(&reader, &engine, filter)))
        .await?;
    let reply = Reply::Json { status: 200, body };
    Ok(match cursor {
        Some(cursor) => Reply::With(Box::new(reply), vec![("x-next-cursor", cursor.to_string())]),
        None => reply,
    })
}

/// The sessions as a JSON array, and where the next page begins. Reads heads from the disk, and folders.
fn page(daemon: &Daemon, engine: &Engine, mut filter: Filter) -> (Bytes, Option<Millis>) {
    let limit = filter.limit.unwrap_or(usize::MAX);
    filter.limit = Some(limit.saturating_add(1));
    let catalog = engine.core().ledger.catalog();
    let mut found = catalog.list(&filter);
    let is_last = found.len() <= limit;
    found.truncate(limit);
    let mut projects = Projects::of(daemon, engine);
    let mut cursor = None;
    let mut out = vec![b'['];
    for id in found {
        let (Some(listed), Ok(head)) = (catalog.get(&id), engine.queries().head(&id)) else {
            continue;
        };
        let Some(fields) = head.strip_suffix(b"}") else {
            continue;
        };
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(fields);
        out.extend_from_slice(b",\"project\":");
        out.extend_from_slice(
            projects
                .shown(&listed.project, &listed.directory)
                .as_bytes(),
        );
        out.push(b'}');
        cursor = Some(listed.updated);
    }
    out.push(b']');
    (out.into(), cursor.filter(|_| !is_last))
}

/// The projects of a list of sessions, each looked up once.
struct Projects<'a> {
    daemon: &'a Daemon,
    /// What clients told of them, by id.
    stored: HashMap<String, Bytes>,
    /// Their JSON, by id and folder.
    shown: HashMap<(String, Arc<str>), String>,
}

impl<'a> Projects<'a> {
    fn of(daemon: &'a Daemon, engine: &Engine) -> Self {
        let store = engine.core().ledger.store();
        Self {
            daemon,
            stored: store.scan("project").into_iter().collect(),
            shown: HashMap::new(),
        }
    }

    /// `{id, name?, worktree}` of a session's project.
    fn shown(&mut self, id: &str, directory: &Arc<str>) -> &str {
        let stored = self.stored.get(id);
        let key = (id.to_owned(), Arc::clone(directory));
        self.shown.entry(key).or_insert_with(|| {
            let known = stored.and_then(|body| serde_json::from_slice::<Project>(body).ok());
            let (name, worktree) = match known {
                Some(project) => (project.name, project.worktree),
                None => (None, self.daemon.folders.main_worktree(directory)),
            };
            let mut project = json!({"id": id, "worktree": worktree});
            if let Some(name) = name {
                project["name"] = name.into();
            }
            project.to_string()
        })
    }
}

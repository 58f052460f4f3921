//! Routes that may still change: the tools, worktrees, and the sessions of all projects.

mod worktree;

use super::session::filter;
use super::{Answer, routes};
use crate::daemon::Daemon;
use kilo_edge::{Reply, Request};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;

routes! {
    "tool.list" => tools;
    "tool.ids" => tool_ids;
    "experimental.session.list" => sessions;
    "worktree.list" => worktree::list;
    "worktree.create" => worktree::create;
    "worktree.remove" => worktree::remove;
    "worktree.reset" => worktree::reset;
    "worktree.diff" => worktree::diff;
    "worktree.diffSummary" => worktree::summary;
    "worktree.diffFile" => worktree::file;
}

async fn tool_ids(daemon: Arc<Daemon>, request: Request) -> Answer {
    let folder = daemon.instance(&request).await?.folder;
    Reply::json(&folder.tools.ids())
}

async fn tools(daemon: Arc<Daemon>, request: Request) -> Answer {
    let model = request.query.require("model")?;
    let folder = daemon.instance(&request).await?.folder;
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

async fn sessions(daemon: Arc<Daemon>, request: Request) -> Answer {
    let mut filter = filter(&request)?;
    filter.archived = request.query.flag("archived");
    filter.before = request.query.number("cursor")?;
    filter.project = request.query.get("projectID").map(str::to_string);
    if request.query.flag("current") {
        filter.project = Some(daemon.instance(&request).await?.facts.project_id);
    }
    let engine = daemon.engine().await?;
    let projects: HashMap<String, Value> = engine
        .core()
        .ledger
        .store()
        .scan("project")
        .into_iter()
        .filter_map(|(id, body)| Some((id, serde_json::from_slice(&body).ok()?)))
        .collect();
    let mut sessions = Vec::new();
    for id in engine.core().ledger.catalog().list(&filter) {
        let Ok(head) = engine.queries().head(&id) else {
            continue;
        };
        let Ok(mut session) = serde_json::from_slice::<Map<String, Value>>(&head) else {
            continue;
        };
        let project_id = session
            .get("projectID")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_string();
        let project = match projects.get(&project_id) {
            Some(project) => {
                json!({"id": project["id"], "name": project.get("name"), "worktree": project["worktree"]})
            }
            None => {
                let directory = session
                    .get("directory")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_string();
                let worktree = match daemon.folders.instance(&directory).await {
                    Ok(instance) => instance.facts.main_worktree.display().to_string(),
                    Err(_) => directory,
                };
                json!({"id": project_id, "worktree": worktree})
            }
        };
        let mut project = project;
        if let Some(fields) = project.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        session.insert("project".into(), project);
        sessions.push(session);
    }
    Reply::json(&sessions)
}

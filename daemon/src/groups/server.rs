//! The daemon itself: health, document, log, instances, paths, projects, credentials.

use super::routes;
use crate::daemon::{Daemon, text};
use bytes::Bytes;
use kilo_config::auth::AuthError;
use kilo_edge::{Reply, Request, Router};
use kilo_protocol::model::{Project, ProjectTime};
use kilo_protocol::{Fault, VERSION, openapi};
use serde_json::{Value, json};
use std::sync::Arc;

type Answer = Result<Reply, Fault>;

pub fn mount(router: Router, daemon: &Arc<Daemon>) -> Router {
    routes! { router, daemon,
        "global.health" => health;
        "v2.health.get" => health_v2;
        "doc.get" => document;
        "app.log" => log;
        "path.get" => path;
        "instance.dispose" => dispose;
        "instance.reload" => reload;
        "global.dispose" => dispose_all;
        "project.list" => projects;
        "project.current" => project;
        "project.update" => update_project;
        "project.directories" => project_directories;
        "auth.set" => set_auth;
        "auth.remove" => remove_auth;
        "experimental.capabilities.get" => capabilities;
    }
}

async fn health(_: Arc<Daemon>, _: Request) -> Answer {
    Reply::json(&json!({"healthy": true, "version": VERSION}))
}

async fn health_v2(_: Arc<Daemon>, _: Request) -> Answer {
    Reply::json(&json!({"healthy": true}))
}

async fn document(daemon: Arc<Daemon>, _: Request) -> Answer {
    let body = match daemon.document.get() {
        Some(body) => body.clone(),
        None => {
            let router = super::router(&daemon);
            let text = openapi::document(|id| router.implemented(id))
                .map_err(|error| Fault::unknown(format!("the document cannot be made: {error}")))?;
            daemon.document.get_or_init(|| Bytes::from(text)).clone()
        }
    };
    Ok(Reply::Json { status: 200, body })
}

async fn log(_: Arc<Daemon>, request: Request) -> Answer {
    let body = request.value()?;
    let service = text(&body, "service").ok_or_else(|| Fault::bad_field("a string", "service"))?;
    let message = text(&body, "message").ok_or_else(|| Fault::bad_field("a string", "message"))?;
    match text(&body, "level") {
        Some("debug") => tracing::debug!(target: "client", service, message),
        Some("info") => tracing::info!(target: "client", service, message),
        Some("warn") => tracing::warn!(target: "client", service, message),
        Some("error") => tracing::error!(target: "client", service, message),
        _ => {
            return Err(Fault::bad_field(
                "\"debug\" | \"info\" | \"warn\" | \"error\"",
                "level",
            ));
        }
    }
    Reply::json(&true)
}

async fn path(daemon: Arc<Daemon>, request: Request) -> Answer {
    let instance = daemon.instance(&request).await?;
    let worktree = if instance.folder.is_git {
        instance.facts.worktree.display().to_string()
    } else {
        "/".into()
    };
    Reply::json(&json!({
        "home": daemon.paths.home,
        "state": daemon.paths.state,
        "config": daemon.paths.config,
        "worktree": worktree,
        "directory": daemon.directory(&request),
    }))
}

async fn dispose(daemon: Arc<Daemon>, request: Request) -> Answer {
    daemon.dispose(&daemon.directory(&request)).await?;
    Reply::json(&true)
}

async fn reload(daemon: Arc<Daemon>, request: Request) -> Answer {
    let directory = daemon.directory(&request);
    daemon.folders.forget(&directory);
    daemon.folders.instance(&directory).await?;
    Reply::json(&true)
}

async fn dispose_all(daemon: Arc<Daemon>, _: Request) -> Answer {
    daemon.dispose_all().await?;
    daemon
        .engine()
        .await?
        .publish(None, None, "global.disposed", &json!({}), false);
    Reply::json(&true)
}

/// The project of a request's directory, stored when it is seen for the first time.
async fn current(daemon: &Daemon, request: &Request) -> Result<Project, Fault> {
    let instance = daemon.instance(request).await?;
    let engine = daemon.engine().await?;
    let id = instance.facts.project_id.clone();
    if let Some(project) = stored(engine.store().get("project", &id)) {
        return Ok(project);
    }
    let now = daemon.clock.now();
    let project = Project {
        id,
        worktree: instance.facts.main_worktree.display().to_string(),
        vcs: instance.facts.vcs.map(str::to_string),
        name: None,
        icon: None,
        commands: None,
        time: ProjectTime {
            created: now,
            updated: now,
            initialized: None,
        },
        sandboxes: Vec::new(),
    };
    keep(daemon, &engine, &project)?;
    Ok(project)
}

fn stored(body: Option<Bytes>) -> Option<Project> {
    serde_json::from_slice(&body?).ok()
}

fn keep(daemon: &Daemon, engine: &kilo_session::Engine, project: &Project) -> Result<(), Fault> {
    let body = serde_json::to_vec(project).map_err(|error| Fault::unknown(error.to_string()))?;
    Ok(engine
        .store()
        .put("project", &project.id, &body, daemon.clock.now())?)
}

async fn projects(daemon: Arc<Daemon>, request: Request) -> Answer {
    current(&daemon, &request).await?;
    let engine = daemon.engine().await?;
    let projects: Vec<Project> = engine
        .store()
        .scan("project")
        .into_iter()
        .filter_map(|(_, body)| stored(Some(body)))
        .collect();
    Reply::json(&projects)
}

async fn project(daemon: Arc<Daemon>, request: Request) -> Answer {
    Reply::json(&current(&daemon, &request).await?)
}

async fn update_project(daemon: Arc<Daemon>, request: Request) -> Answer {
    let engine = daemon.engine().await?;
    let id = request.params.get("projectID");
    current(&daemon, &request).await?;
    let mut project =
        stored(engine.store().get("project", id)).ok_or_else(|| Fault::not_found("Project", id))?;
    let body = request.value()?;
    if let Some(name) = text(&body, "name") {
        project.name = Some(name.to_string());
    }
    if let Some(icon) = body.get("icon") {
        project.icon = Some(icon.clone());
    }
    if let Some(commands) = body.get("commands") {
        project.commands = Some(commands.clone());
    }
    project.time.updated = daemon.clock.now();
    keep(&daemon, &engine, &project)?;
    let properties = serde_json::to_value(&project).unwrap_or(Value::Null);
    engine.publish(None, None, "project.updated", &properties, false);
    Reply::json(&project)
}

async fn project_directories(daemon: Arc<Daemon>, request: Request) -> Answer {
    let engine = daemon.engine().await?;
    let id = request.params.get("projectID");
    let project = match stored(engine.store().get("project", id)) {
        Some(project) => project,
        None => current(&daemon, &request).await?,
    };
    Reply::json(&json!([{"directory": project.worktree}]))
}

fn auth_fault(error: AuthError) -> Fault {
    match error {
        AuthError::BadEntry(why) => Fault::bad_request("Payload", why),
        other => Fault::unknown(other.to_string()),
    }
}

async fn set_auth(daemon: Arc<Daemon>, request: Request) -> Answer {
    let provider = request.params.get("providerID").to_string();
    let entry = request.value()?;
    let writer = Arc::clone(&daemon);
    daemon
        .blocking(move || {
            writer
                .folders
                .auth()
                .put(&provider, entry)
                .map_err(auth_fault)
        })
        .await?;
    daemon.dispose_all().await?;
    Reply::json(&true)
}

async fn remove_auth(daemon: Arc<Daemon>, request: Request) -> Answer {
    let provider = request.params.get("providerID").to_string();
    let writer = Arc::clone(&daemon);
    daemon
        .blocking(move || writer.folders.auth().remove(&provider).map_err(auth_fault))
        .await?;
    daemon.dispose_all().await?;
    Reply::json(&true)
}

async fn capabilities(_: Arc<Daemon>, _: Request) -> Answer {
    Reply::json(&json!({"backgroundSubagents": false}))
}

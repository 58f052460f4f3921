//! Projects: where they lie and what they are called.

use super::super::Answer;
use crate::daemon::Daemon;
use bytes::Bytes;
use kilo_edge::{Reply, Request};
use kilo_protocol::model::{Project, ProjectTime};
use kilo_protocol::requests::UpdateProject;
use kilo_protocol::{Event, Fault};
use serde_json::json;
use std::borrow::Cow;
use std::sync::Arc;

/// The project of a request's directory, stored when it is seen for the first time.
async fn current(daemon: &Daemon, request: &Request) -> Result<Project, Fault> {
    let instance = daemon.instance(request).await?;
    let engine = daemon.engine().await?;
    let id = instance.facts.project_id.clone();
    if let Some(project) = stored(engine.core().ledger.store().get("project", &id)) {
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
    announce(&engine, &project);
    Ok(project)
}

fn announce(engine: &kilo_session::Engine, project: &Project) {
    let event = Event::ProjectUpdated(Cow::Borrowed(project));
    engine.core().publish(None, &event);
}

fn stored(body: Option<Bytes>) -> Option<Project> {
    serde_json::from_slice(&body?).ok()
}

fn keep(daemon: &Daemon, engine: &kilo_session::Engine, project: &Project) -> Result<(), Fault> {
    let body = serde_json::to_vec(project).map_err(|error| Fault::unknown(error.to_string()))?;
    Ok(engine
        .core()
        .ledger
        .store()
        .put("project", &project.id, &body, daemon.clock.now())?)
}

pub(super) async fn list(daemon: Arc<Daemon>, request: Request) -> Answer {
    current(&daemon, &request).await?;
    let engine = daemon.engine().await?;
    let projects: Vec<Project> = engine
        .core()
        .ledger
        .store()
        .scan("project")
        .into_iter()
        .filter_map(|(_, body)| stored(Some(body)))
        .collect();
    Reply::json(&projects)
}

pub(super) async fn get(daemon: Arc<Daemon>, request: Request) -> Answer {
    Reply::json(&current(&daemon, &request).await?)
}

pub(super) async fn update(daemon: Arc<Daemon>, request: Request) -> Answer {
    let engine = daemon.engine().await?;
    let id = request.params.get("projectID");
    current(&daemon, &request).await?;
    let mut project = stored(engine.core().ledger.store().get("project", id))
        .ok_or_else(|| Fault::not_found("Project", id))?;
    let changed: UpdateProject = request.json()?;
    project.name = changed.name.or(project.name);
    project.icon = changed.icon.or(project.icon);
    project.commands = changed.commands.or(project.commands);
    project.time.updated = daemon.clock.now();
    keep(&daemon, &engine, &project)?;
    announce(&engine, &project);
    Reply::json(&project)
}

pub(super) async fn directories(daemon: Arc<Daemon>, request: Request) -> Answer {
    let engine = daemon.engine().await?;
    let id = request.params.get("projectID");
    let project = match stored(engine.core().ledger.store().get("project", id)) {
        Some(project) => project,
        None => current(&daemon, &request).await?,
    };
    Reply::json(&json!([{"directory": project.worktree}]))
}

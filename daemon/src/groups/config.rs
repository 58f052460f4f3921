//! Configuration, agents, commands, skills.

use super::routes;
use crate::daemon::Daemon;
use kilo_config::edit::{global_target, patch_file, project_target};
use kilo_edge::{Reply, Request, Router};
use kilo_protocol::Fault;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

type Answer = Result<Reply, Fault>;

pub fn mount(router: Router, daemon: &Arc<Daemon>) -> Router {
    routes! { router, daemon,
        "config.get" => config;
        "config.effective" => config;
        "config.update" => update;
        "config.warnings" => warnings;
        "config.sources" => sources;
        "global.config.get" => global;
        "global.config.update" => update_global;
        "app.agents" => agents;
        "app.skills" => skills;
    }
}

async fn config(daemon: Arc<Daemon>, request: Request) -> Answer {
    Reply::json(&daemon.instance(&request).await?.folder.loaded.merged)
}

/// What is wrong with the configuration, and what the log lost: clients show both.
async fn warnings(daemon: Arc<Daemon>, request: Request) -> Answer {
    let instance = daemon.instance(&request).await?;
    let mut warnings: Vec<Value> = instance
        .folder
        .loaded
        .warnings
        .iter()
        .filter_map(|warning| serde_json::to_value(warning).ok())
        .collect();
    for damage in daemon.engine().await?.store().damage() {
        let sessions: Vec<&str> = damage.sessions.iter().map(|id| id.as_str()).collect();
        warnings.push(json!({
            "path": damage.file,
            "message": format!("Part of the session log is damaged: {}", damage.what),
            "detail": json!({"bytes": damage.bytes, "sessions": sessions, "setAside": damage.set_aside}).to_string(),
        }));
    }
    Reply::json(&warnings)
}

async fn sources(daemon: Arc<Daemon>, request: Request) -> Answer {
    Reply::json(&kilo_config::sources_json(
        &daemon.instance(&request).await?.folder.loaded,
    ))
}

async fn global(daemon: Arc<Daemon>, request: Request) -> Answer {
    Reply::json(&daemon.instance(&request).await?.folder.loaded.global)
}

/// Checks a patch and writes it into `file`.
async fn write(daemon: &Daemon, file: PathBuf, patch: Value) -> Result<(), Fault> {
    // A null deletes a key and is fine whatever the key's type is.
    let mut checked = patch.clone();
    if let Value::Object(fields) = &mut checked {
        fields.retain(|_, value| !value.is_null());
    }
    kilo_config::check::validate(&checked)?;
    daemon
        .blocking(move || {
            patch_file(&file, &patch).map_err(|error| Fault::unknown(error.to_string()))?;
            Ok(())
        })
        .await
}

async fn update(daemon: Arc<Daemon>, request: Request) -> Answer {
    let patch = request.value()?;
    let instance = daemon.instance(&request).await?;
    let file = project_target(&instance.folder.directory, &instance.folder.worktree);
    write(&daemon, file, patch.clone()).await?;
    daemon.dispose(&daemon.directory(&request)).await?;
    Reply::json(&patch)
}

async fn update_global(daemon: Arc<Daemon>, request: Request) -> Answer {
    let patch = request.value()?;
    write(&daemon, global_target(&daemon.paths), patch).await?;
    daemon.dispose_all().await?;
    let global = daemon
        .instance(&request)
        .await?
        .folder
        .loaded
        .global
        .clone();
    daemon
        .engine()
        .await?
        .publish(None, None, "global.config.updated", &json!({}), false);
    Reply::json(&global)
}

async fn agents(daemon: Arc<Daemon>, request: Request) -> Answer {
    Reply::json(&daemon.instance(&request).await?.folder.agents)
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
    Reply::json(&skills)
}

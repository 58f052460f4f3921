//! Configuration: merged, by source, what is wrong with it, and the models it leads to.
//!
//! No answer has a key in it: clients get a mark, and one that they send back keeps the stored key.

use super::catalog::provider;
use super::{Answer, routes};
use crate::daemon::Daemon;
use kilo_config::edit::{EditError, patch_file, project_target};
use kilo_edge::{Reply, Request};
use kilo_protocol::fault::LOG_DAMAGED;
use kilo_protocol::requests::ConfigPatch;
use kilo_protocol::{Fault, secrets};
use kilo_provider::resolve;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

routes! {
    "config.get" => config;
    "config.update" => update;
    "config.warnings" => warnings;
    "config.providers" => providers;
    "config.sources" => sources;
    "config.effective" => config;
}

async fn config(daemon: Arc<Daemon>, request: Request) -> Answer {
    let instance = daemon.instance(&request).await?;
    Reply::json(&secrets::masked(&instance.folder.loaded.merged))
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
    let (environment, paths) = (Arc::clone(&daemon.environment), Arc::clone(&daemon.paths));
    let folder = Arc::clone(&instance.folder);
    let instructions = daemon
        .blocking(move || {
            Ok(kilo_config::instructions::collect(
                &environment,
                &paths,
                &folder.loaded,
            ))
        })
        .await?;
    warnings.extend(instructions.skipped.iter().map(|(path, reason)| {
        json!({"path": path, "message": format!("These instructions are left out: {reason}")})
    }));
    for damage in daemon.engine().await?.core().ledger.store().damage() {
        let sessions: Vec<&str> = damage.sessions.iter().map(|id| id.as_str()).collect();
        warnings.push(json!({
            "path": damage.file,
            "message": format!("{LOG_DAMAGED}: {}", damage.what),
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

/// Checks a patch and writes it into `file`.
pub(super) async fn write(
    daemon: &Daemon,
    file: PathBuf,
    ConfigPatch(patch): ConfigPatch,
) -> Result<(), Fault> {
    // A null deletes a key and is fine whatever the key's type is.
    let mut checked = patch.clone();
    checked.retain(|_, value| !value.is_null());
    kilo_config::check::validate(&Value::Object(checked))?;
    let patch = Value::Object(patch);
    daemon
        .blocking(move || {
            patch_file(&file, &patch).map_err(|error| match error {
                EditError::BadMark(mark) => Fault::bad_field(&mark.to_string(), &mark.field),
                error => Fault::unknown(error.to_string()),
            })?;
            Ok(())
        })
        .await
}

async fn update(daemon: Arc<Daemon>, request: Request) -> Answer {
    let patch: ConfigPatch = request.json()?;
    let instance = daemon.instance(&request).await?;
    let file = project_target(&instance.folder.directory, &instance.folder.worktree);
    write(&daemon, file, patch.clone()).await?;
    daemon.dispose(&daemon.directory(&request)).await?;
    Reply::json(&secrets::masked(&Value::Object(patch.0)))
}

async fn providers(daemon: Arc<Daemon>, request: Request) -> Answer {
    provider::answer(daemon, request, resolve::config_providers_json).await
}

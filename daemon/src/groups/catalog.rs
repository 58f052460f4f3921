//! What there is to choose from: providers and their keys, agents, commands, skills.

pub(super) mod prompts;
pub(super) mod provider;

use super::{Answer, routes};
use crate::daemon::Daemon;
use kilo_config::auth::AuthError;
use kilo_config::commands::Command;
use kilo_edge::{Reply, Request};
use kilo_protocol::requests::Credentials;
use kilo_protocol::{Fault, secrets};
use kilo_session::folder::Folder;
use std::sync::Arc;

routes! {
    "auth.set" => set_auth;
    "auth.remove" => remove_auth;
    "command.list" => commands_of_folder;
    "app.agents" => agents;
    "app.skills" => skills;
    "provider.list" => provider::list;
    "provider.auth" => provider::auth;
}

fn auth_fault(error: AuthError) -> Fault {
    match error {
        AuthError::BadEntry(why) => Fault::bad_request("Payload", why),
        other => Fault::unknown(other.to_string()),
    }
}

async fn set_auth(daemon: Arc<Daemon>, request: Request) -> Answer {
    let provider = request.params.get("providerID").to_string();
    let entry: Credentials = request.json()?;
    let entry = serde_json::to_value(entry).map_err(|error| Fault::unknown(error.to_string()))?;
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

/// The commands of a request's folder.
pub(super) async fn of_folder(daemon: &Daemon, request: &Request) -> Result<Vec<Command>, Fault> {
    let folder = daemon.instance(request).await?.folder;
    commands(daemon, folder).await
}

/// The commands of a folder.
pub(super) async fn commands(daemon: &Daemon, folder: Arc<Folder>) -> Result<Vec<Command>, Fault> {
    let (environment, paths) = (Arc::clone(&daemon.environment), Arc::clone(&daemon.paths));
    let directory = folder.directory.display().to_string();
    let mut all = daemon
        .blocking(move || {
            let skills = kilo_config::skills::skills(&environment, &paths, &folder.loaded);
            Ok(kilo_config::commands::commands(&folder.loaded, &skills))
        })
        .await?;
    let servers = daemon.folders.instance(&directory).await?.servers;
    prompts::join(&mut all, &servers).await;
    Ok(all)
}

async fn commands_of_folder(daemon: Arc<Daemon>, request: Request) -> Answer {
    Reply::json(&of_folder(&daemon, &request).await?)
}

async fn agents(daemon: Arc<Daemon>, request: Request) -> Answer {
    let instance = daemon.instance(&request).await?;
    let agents = serde_json::to_value(&instance.folder.agents);
    let agents = agents.map_err(|error| Fault::unknown(error.to_string()))?;
    Reply::json(&secrets::masked(&agents)) // their options may hold keys
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

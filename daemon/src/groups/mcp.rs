//! MCP servers: their state, and changes of it by hand.

use super::{Answer, routes};
use crate::daemon::Daemon;
use kilo_edge::{Reply, Request};
use kilo_mcp::{FolderServers, Origin, SignInError, Trust};
use kilo_protocol::requests::{AddServer, SignInCode};
use kilo_protocol::{Fault, FaultKind};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long a list waits for servers that are being started.
pub(super) const LIST_WAIT: Duration = Duration::from_secs(5);

routes! {
    "mcp.status" => status;
    "x.mcp.list" => overview;
    "mcp.add" => add;
    "mcp.connect" => connect;
    "mcp.disconnect" => disconnect;
    "mcp.auth.start" => start_sign_in;
    "mcp.auth.callback" => finish_sign_in;
    "mcp.auth.authenticate" => authenticate;
    "mcp.auth.remove" => sign_out;
}

fn statuses(servers: &FolderServers) -> Map<String, Value> {
    let statuses = servers.statuses().into_iter();
    statuses
        .map(|(name, status)| (name, status.wire()))
        .collect()
}

/// 404 for a server that the folder does not know.
pub(super) fn no_server(name: &str) -> Fault {
    Fault::tagged(
        FaultKind::NotFound,
        "McpServerNotFoundError",
        format!("MCP server not found: {name}"),
        json!({"name": name}),
    )
}

async fn status(daemon: Arc<Daemon>, request: Request) -> Answer {
    let servers = daemon.instance(&request).await?.servers;
    servers.ready(LIST_WAIT).await;
    Reply::json(&statuses(&servers))
}

/// What there is, where it comes from and what it costs; `mcpJson` where the project has a file for other agents:
/// `{path, digest, folder, trusted, changed, servers: [{name, what}]}`.
async fn overview(daemon: Arc<Daemon>, request: Request) -> Answer {
    let instance = daemon.instance(&request).await?;
    instance.servers.ready(LIST_WAIT).await;
    let mut shown = instance.servers.overview();
    if let Some(foreign) = instance.foreign {
        let servers = foreign.servers.iter().map(|(name, server)| {
            let what = match server {
                Ok(config) => kilo_mcp::what(config),
                Err(why) => why.clone(),
            };
            json!({"name": name, "what": what})
        });
        shown["mcpJson"] = json!({
            "path": foreign.path,
            "digest": foreign.digest,
            "folder": instance.facts.main_worktree,
            "trusted": foreign.trust == Trust::Given,
            "changed": foreign.trust == Trust::Outdated,
            "servers": servers.collect::<Vec<_>>(),
        });
    }
    Reply::json(&shown)
}

async fn add(daemon: Arc<Daemon>, request: Request) -> Answer {
    let AddServer { name, config } = request.json()?;
    let servers = daemon.instance(&request).await?.servers;
    let config = kilo_mcp::config::server(&config, Origin::Client)
        .map_err(|why| Fault::bad_request("Payload", format!("the server {name}: {why}")))?;
    servers.add(&name, config).await;
    servers.ready(LIST_WAIT).await;
    Reply::json(&statuses(&servers))
}

async fn connect(daemon: Arc<Daemon>, request: Request) -> Answer {
    let name = request.params.get("name").to_string();
    let servers = daemon.instance(&request).await?.servers;
    if !servers.connect(&name).await {
        return Err(no_server(&name));
    }
    Reply::json(&true)
}

async fn disconnect(daemon: Arc<Daemon>, request: Request) -> Answer {
    let name = request.params.get("name").to_string();
    let servers = daemon.instance(&request).await?.servers;
    if !servers.disconnect(&name).await {
        return Err(no_server(&name));
    }
    Reply::json(&true)
}

fn not_signed_in(name: &str, error: SignInError) -> Fault {
    match error {
        SignInError::Unknown => no_server(name),
        SignInError::Unsupported(why) => {
            let mut fault = Fault::bad_request("Params", why.clone());
            fault.body = json!({"error": why});
            fault
        }
        SignInError::Failed(why) => Fault::bad_request("Params", why),
    }
}

async fn start_sign_in(daemon: Arc<Daemon>, request: Request) -> Answer {
    let name = request.params.get("name").to_string();
    let servers = daemon.instance(&request).await?.servers;
    let begun = servers.sign_in(&name).await;
    let begun = begun.map_err(|error| not_signed_in(&name, error))?;
    let mut shown = json!({"authorizationUrl": begun.url, "oauthState": begun.state});
    // Ours: a client on this machine asks for the browser.
    if request.query.flag("open") {
        shown["opened"] = servers.open_browser(&begun.url).await.into();
    }
    Reply::json(&shown)
}

async fn finish_sign_in(daemon: Arc<Daemon>, request: Request) -> Answer {
    let name = request.params.get("name").to_string();
    let SignInCode { code } = request.json()?;
    let servers = daemon.instance(&request).await?.servers;
    let status = servers.sign_in_with(&name, &code).await;
    Reply::json(&status.map_err(|error| not_signed_in(&name, error))?.wire())
}

/// Waits until somebody has signed in.
async fn authenticate(daemon: Arc<Daemon>, request: Request) -> Answer {
    let name = request.params.get("name").to_string();
    let servers = daemon.instance(&request).await?.servers;
    let signing = async {
        let status = servers.authenticate(&name).await;
        status.map_err(|error| not_signed_in(&name, error))
    };
    Reply::json(&request.unless_left(signing).await?.wire())
}

async fn sign_out(daemon: Arc<Daemon>, request: Request) -> Answer {
    let name = request.params.get("name").to_string();
    let servers = daemon.instance(&request).await?.servers;
    let gone = servers.sign_out(&name).await;
    gone.map_err(|error| not_signed_in(&name, error))?;
    Reply::json(&json!({"success": true}))
}

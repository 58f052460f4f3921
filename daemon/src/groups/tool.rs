//! Tools, and the services around them that do not run yet.

use super::routes;
use crate::daemon::Daemon;
use kilo_edge::{Reply, Request, Router};
use kilo_protocol::Fault;
use kilo_session::surroundings::Toolbox;
use serde_json::{Value, json};
use std::sync::Arc;

type Answer = Result<Reply, Fault>;

pub fn mount(router: Router, daemon: &Arc<Daemon>) -> Router {
    routes! { router, daemon,
        "tool.ids" => ids;
        "tool.list" => list;
        "lsp.status" => none;
        "formatter.status" => none;
        "mcp.status" => no_servers;
    }
}

async fn ids(daemon: Arc<Daemon>, _: Request) -> Answer {
    Reply::json(&daemon.toolbox.registry().ids())
}

async fn list(daemon: Arc<Daemon>, request: Request) -> Answer {
    let model = request.query.require("model")?;
    let tools: Vec<Value> = daemon
        .toolbox
        .offered(model)
        .into_iter()
        .map(|tool| {
            let spec = tool.spec();
            json!({"id": spec.name, "description": spec.description, "parameters": spec.parameters})
        })
        .collect();
    Reply::json(&tools)
}

/// No language server and no formatter runs: none is built in yet.
async fn none(_: Arc<Daemon>, _: Request) -> Answer {
    Reply::json(&Vec::<Value>::new())
}

/// No MCP server runs: none is built in yet.
async fn no_servers(_: Arc<Daemon>, _: Request) -> Answer {
    Reply::json(&json!({}))
}

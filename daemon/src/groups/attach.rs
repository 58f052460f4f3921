//! What attached clients ask about features that do not run here yet: each answers its true empty or off state. Starting or
//! changing one of them stays unimplemented.

use super::routes;
use crate::daemon::Daemon;
use bytes::Bytes;
use kilo_edge::{Reply, Request, Router};
use kilo_protocol::Fault;
use serde_json::{Value, json};
use std::sync::Arc;

type Answer = Result<Reply, Fault>;

/// Why no command runs isolated; clients show it.
const NO_ISOLATION: &str = "this build runs commands as the user, without isolation";

pub fn mount(router: Router, daemon: &Arc<Daemon>) -> Router {
    routes! { router, daemon,
        "backgroundProcess.list" => none;
        "backgroundProcess.stopSession" => nothing_to_stop;
        "kilocode.backgroundJobs" => jobs;
        "kilocode.wakeups" => none;
        "experimental.console.get" => console;
        "experimental.console.listOrgs" => organizations;
        "experimental.resource.list" => no_resources;
        "experimental.workspace.list" => none;
        "experimental.workspace.status" => none;
        "experimental.workspace.adapter.list" => none;
        "indexing.status" => indexing;
        "indexing.warnings" => none;
        "kilo.notifications" => none;
        "kilo.modes" => modes;
        "kilo.profile" => profile;
        "kilo.authStatus" => account;
        "remote.status" => remote;
        "sandbox.support" => isolation_support;
        "sandbox.status" => isolation;
        "memory.status" => memory;
    }
}

/// Background processes, wake-ups, remote workspaces, index warnings and the account's notifications: there are none.
async fn none(_: Arc<Daemon>, _: Request) -> Answer {
    Ok(Reply::Json {
        status: 200,
        body: Bytes::from_static(b"[]"),
    })
}

/// True: after it, no background process of the session runs. None ever does.
async fn nothing_to_stop(_: Arc<Daemon>, _: Request) -> Answer {
    Reply::json(&true)
}

async fn jobs(_: Arc<Daemon>, request: Request) -> Answer {
    request.query.require("sessionID")?;
    Reply::json(&Vec::<Value>::new())
}

/// No console account manages providers.
async fn console(_: Arc<Daemon>, _: Request) -> Answer {
    Reply::json(&json!({"consoleManagedProviders": [], "switchableOrgCount": 0}))
}

async fn organizations(_: Arc<Daemon>, _: Request) -> Answer {
    Reply::json(&json!({"orgs": []}))
}

/// Resources come from MCP servers, and none runs.
async fn no_resources(_: Arc<Daemon>, _: Request) -> Answer {
    Reply::json(&json!({}))
}

async fn indexing(_: Arc<Daemon>, _: Request) -> Answer {
    Reply::json(&json!({
        "state": "Disabled",
        "message": "Indexing disabled.",
        "processedFiles": 0,
        "totalFiles": 0,
        "percent": 0,
    }))
}

/// No organization lends its modes.
async fn modes(_: Arc<Daemon>, _: Request) -> Answer {
    Reply::json(&json!({"modes": []}))
}

/// No account service is asked, so nobody is signed in (seen: real server 7.7.9 without an account).
async fn profile(_: Arc<Daemon>, _: Request) -> Answer {
    Ok(Reply::Json {
        status: 401,
        body: Bytes::from_static(br#"{"_tag":"Unauthorized"}"#),
    })
}

/// Whether credentials of the gateway are stored; they are not tried.
async fn account(daemon: Arc<Daemon>, _: Request) -> Answer {
    let reader = Arc::clone(&daemon);
    let entry = daemon
        .blocking(move || {
            reader
                .folders
                .auth()
                .get("kilo")
                .map_err(|error| Fault::unknown(error.to_string()))
        })
        .await?;
    let kind = entry
        .as_ref()
        .and_then(|entry| entry.get("type"))
        .and_then(Value::as_str);
    Reply::json(&match kind {
        Some(kind @ ("api" | "oauth")) => json!({"authenticated": true, "type": kind}),
        _ => json!({"authenticated": false}),
    })
}

async fn remote(_: Arc<Daemon>, _: Request) -> Answer {
    Reply::json(&json!({"enabled": false, "connected": false}))
}

async fn isolation_support(_: Arc<Daemon>, _: Request) -> Answer {
    Reply::json(&json!({"available": false, "reason": NO_ISOLATION}))
}

async fn isolation(daemon: Arc<Daemon>, request: Request) -> Answer {
    let session = daemon
        .engine()
        .await?
        .session(&Daemon::session_id(&request))?;
    Reply::json(&json!({
        "directory": session.directory,
        "enabled": false,
        "available": false,
        "reason": NO_ISOLATION,
        "version": 0,
    }))
}

/// Off and empty. The shape has no way to leave the numbers out.
async fn memory(daemon: Arc<Daemon>, request: Request) -> Answer {
    let project = daemon.instance(&request).await?.facts.project_id;
    Reply::json(&json!({
        "root": daemon.paths.data.join("memory").join(project),
        "state": {
            "version": 1,
            "enabled": false,
            "scope": "project",
            "autoInject": false,
            "autoConsolidate": false,
            "verbose": false,
            "capture": {
                "mode": "selective", "turnClose": false, "explicit": false,
                "maxOpsPerRun": 0, "minIntervalMs": 0, "timeoutMs": 0,
            },
            "limits": {
                "maxProjectIndexBytes": 0, "maxSessionFiles": 0, "maxRecentSessions": 0,
                "maxConsolidationInputBytes": 0, "maxLineChars": 0, "maxSessionLineChars": 0,
            },
            "stats": {
                "lastInjectedAt": 0, "lastInjectedBytes": 0, "lastInjectedTokens": 0, "lastInjectedSessionID": "",
                "lastTypedConsolidationAt": 0, "lastSessionSavedAt": 0, "lastConsolidationCost": 0,
                "lastConsolidationTokens": 0, "lastOperationCount": 0, "lastRecallAt": 0, "lastRecallCount": 0,
                "lastRecallSessionID": "",
            },
        },
        "exists": {"state": false, "index": false},
        "index": {"bytes": 0, "estimatedTokens": 0, "preview": ""},
    }))
}

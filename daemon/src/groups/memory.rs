//! What is remembered about a project: nothing yet, which is what the status says.

use super::{Answer, routes};
use crate::daemon::Daemon;
use kilo_edge::{Reply, Request};
use serde_json::json;
use std::sync::Arc;

routes! {
    "memory.status" => memory;
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

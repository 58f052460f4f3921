//! The account: whether credentials of the gateway are stored.

use super::{Answer, routes};
use crate::daemon::Daemon;
use kilo_edge::{Reply, Request};
use kilo_protocol::Fault;
use serde_json::{Value, json};
use std::sync::Arc;

routes! {
    "kilo.authStatus" => account;
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

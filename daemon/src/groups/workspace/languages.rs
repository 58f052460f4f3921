//! Formatters and language servers of a folder.

use super::super::Answer;
use crate::daemon::Daemon;
use kilo_edge::{Reply, Request};
use kilo_protocol::Fault;
use serde_json::json;
use std::sync::Arc;

/// `formatter.status`: none unless the configuration switches them on.
pub async fn formatters(daemon: Arc<Daemon>, request: Request) -> Answer {
    let instance = daemon.instance(&request).await?;
    let after = instance.after.as_ref();
    let Some(formatting) = after.and_then(|after| after.formatting.clone()) else {
        return Reply::json(&json!([]));
    };
    let directory = instance.folder.directory.clone();
    let status = daemon
        .blocking(move || {
            let (formatters, programs) = formatting.formatters();
            Ok::<_, Fault>(formatters.status(programs, &directory))
        })
        .await?;
    let lines = status.into_iter().map(
        |line| json!({"name": line.name, "extensions": line.extensions, "enabled": line.enabled}),
    );
    Reply::json(&lines.collect::<Vec<_>>())
}

/// `lsp.status`: the servers that were started for the folder.
pub async fn servers(daemon: Arc<Daemon>, request: Request) -> Answer {
    let instance = daemon.instance(&request).await?;
    let languages = instance.after.and_then(|after| after.languages.clone());
    let status = languages.map(|languages| languages.status());
    let lines = status.into_iter().flatten().map(|line| {
        let status = if line.is_connected {
            "connected"
        } else {
            "error"
        };
        json!({"id": line.id, "name": line.id, "root": line.root, "status": status})
    });
    Reply::json(&lines.collect::<Vec<_>>())
}

/// `find.symbols`: asks the servers that run; none is started for it.
pub async fn symbols(daemon: Arc<Daemon>, request: Request) -> Answer {
    let query = request.query.require("query")?.to_owned();
    let instance = daemon.instance(&request).await?;
    let languages = instance.after.and_then(|after| after.languages.clone());
    let found = match languages {
        Some(languages) => languages.symbols(&query).await,
        None => Vec::new(),
    };
    Reply::json(&found)
}

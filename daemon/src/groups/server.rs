//! The daemon itself: health, document, log, instances, the user's configuration; and below, its streams.

mod event;
mod running;
mod socket;

use super::config::write;
use super::{Answer, routes};
use crate::daemon::Daemon;
use bytes::Bytes;
use kilo_config::edit::global_target;
use kilo_edge::{Reply, Request};
use kilo_protocol::event::{Event, Nothing};
use kilo_protocol::requests::{ConfigPatch, LogLevel, LogLine};
use kilo_protocol::{Fault, VERSION, openapi, secrets};
use serde_json::json;
use std::sync::Arc;

pub use socket::mount as mount_socket;

routes! {
    "app.log" => log;
    "global.health" => health;
    "global.event" => event::of_all;
    "global.config.get" => global;
    "global.config.update" => update_global;
    "global.dispose" => dispose_all;
    "event.subscribe" => event::of_directory;
    "instance.dispose" => dispose;
    "instance.reload" => reload;
    "sync.history.list" => event::history;
    "x.process.list" => running::list;
    "doc.get" => document;
}

async fn health(_: Arc<Daemon>, _: Request) -> Answer {
    Reply::json(&json!({"healthy": true, "version": VERSION}))
}

async fn document(daemon: Arc<Daemon>, _: Request) -> Answer {
    let body = match daemon.document.get() {
        Some(body) => body.clone(),
        None => {
            let router = super::router(&daemon);
            let text = openapi::document(|id| router.implemented(id))
                .map_err(|error| Fault::unknown(format!("the document cannot be made: {error}")))?;
            daemon.document.get_or_init(|| Bytes::from(text)).clone()
        }
    };
    Ok(Reply::Json { status: 200, body })
}

async fn log(_: Arc<Daemon>, request: Request) -> Answer {
    let LogLine {
        service,
        level,
        message,
    } = request.json()?;
    match level {
        LogLevel::Debug => tracing::debug!(target: "client", service, message),
        LogLevel::Info => tracing::info!(target: "client", service, message),
        LogLevel::Warn => tracing::warn!(target: "client", service, message),
        LogLevel::Error => tracing::error!(target: "client", service, message),
    }
    Reply::json(&true)
}

async fn dispose(daemon: Arc<Daemon>, request: Request) -> Answer {
    let directory = daemon.directory(&request);
    daemon.end_terminals(&directory);
    daemon.dispose(&directory).await?;
    Reply::json(&true)
}

async fn reload(daemon: Arc<Daemon>, request: Request) -> Answer {
    let directory = daemon.directory(&request);
    daemon.folders.forget(&directory);
    daemon.folders.instance(&directory).await?;
    Reply::json(&true)
}

async fn dispose_all(daemon: Arc<Daemon>, _: Request) -> Answer {
    daemon.dispose_all().await?;
    daemon
        .engine()
        .await?
        .core()
        .publish(None, &Event::GlobalDisposed(Nothing {}));
    Reply::json(&true)
}

async fn global(daemon: Arc<Daemon>, request: Request) -> Answer {
    let instance = daemon.instance(&request).await?;
    Reply::json(&secrets::masked(&instance.folder.loaded.global))
}

async fn update_global(daemon: Arc<Daemon>, request: Request) -> Answer {
    let patch: ConfigPatch = request.json()?;
    write(&daemon, global_target(&daemon.paths), patch).await?;
    daemon.dispose_all().await?;
    let global = secrets::masked(&daemon.instance(&request).await?.folder.loaded.global);
    daemon
        .engine()
        .await?
        .core()
        .publish(None, &Event::GlobalConfigUpdated(Nothing {}));
    Reply::json(&global)
}

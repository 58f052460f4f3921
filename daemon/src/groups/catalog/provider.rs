//! Providers and models.

use super::super::Answer;
use crate::daemon::Daemon;
use kilo_edge::{Reply, Request};
use kilo_protocol::event::{Event, Nothing};
use kilo_provider::resolve::{self, Sources};
use std::sync::Arc;

/// Makes an answer from everything that decides about models, on a blocking thread: the whole catalogue is megabytes.
pub(in super::super) async fn answer(
    daemon: Arc<Daemon>,
    request: Request,
    read: impl FnOnce(&Sources) -> Vec<u8> + Send + 'static,
) -> Answer {
    let folder = daemon.instance(&request).await?.folder;
    daemon.folders.look_for_servers().await;
    let folders = Arc::clone(&daemon.folders);
    let body = daemon
        .blocking(move || Ok(folders.with_sources(&folder, read)))
        .await?;
    Ok(Reply::Json {
        status: 200,
        body: body.into(),
    })
}

/// All providers. With `?refresh=true` a newer list is fetched before (our own; the reference has no such parameter).
pub(super) async fn list(daemon: Arc<Daemon>, request: Request) -> Answer {
    if request.query.flag("refresh") {
        daemon.folders.refresh_catalog().await?;
        let engine = daemon.engine().await?;
        engine
            .core()
            .publish(None, &Event::CatalogChanged(Nothing {}));
    }
    answer(daemon, request, resolve::provider_list_json).await
}

pub(super) async fn auth(daemon: Arc<Daemon>, request: Request) -> Answer {
    answer(daemon, request, |sources| {
        serde_json::to_vec(&resolve::provider_auth_json(sources)).unwrap_or_default()
    })
    .await
}

//! Providers and models.

use super::routes;
use crate::daemon::Daemon;
use kilo_edge::{Reply, Request, Router};
use kilo_protocol::Fault;
use kilo_provider::resolve::{self, Sources};
use std::sync::Arc;

type Answer = Result<Reply, Fault>;

pub fn mount(router: Router, daemon: &Arc<Daemon>) -> Router {
    routes! { router, daemon,
        "config.providers" => config_providers;
        "provider.list" => list;
        "provider.auth" => auth;
    }
}

/// Makes an answer from everything that decides about models, on a blocking thread: the whole catalogue is megabytes.
async fn answer(
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

async fn config_providers(daemon: Arc<Daemon>, request: Request) -> Answer {
    answer(daemon, request, resolve::config_providers_json).await
}

/// All providers. With `?refresh=true` a newer list is fetched before (our own; the reference has no such parameter).
async fn list(daemon: Arc<Daemon>, request: Request) -> Answer {
    if request.query.flag("refresh") {
        daemon.folders.refresh_catalog().await?;
    }
    answer(daemon, request, resolve::provider_list_json).await
}

async fn auth(daemon: Arc<Daemon>, request: Request) -> Answer {
    answer(daemon, request, |sources| {
        serde_json::to_vec(&resolve::provider_auth_json(sources)).unwrap_or_default()
    })
    .await
}

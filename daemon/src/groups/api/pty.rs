//! The second generation's terminals: the same ones, in the envelope.

use super::super::pty::{change, end, find, listed, start, ticket};
use super::{Answer, envelope};
use crate::daemon::Daemon;
use kilo_edge::{Reply, Request};
use std::sync::Arc;

pub(super) async fn list(daemon: Arc<Daemon>, request: Request) -> Answer {
    envelope(&daemon, &request, listed(&daemon, &request)).await
}

pub(super) async fn create(daemon: Arc<Daemon>, request: Request) -> Answer {
    let made = start(&daemon, &request).await?;
    envelope(&daemon, &request, made).await
}

pub(super) async fn get(daemon: Arc<Daemon>, request: Request) -> Answer {
    let info = find(&daemon, &request)?.info();
    envelope(&daemon, &request, info).await
}

pub(super) async fn update(daemon: Arc<Daemon>, request: Request) -> Answer {
    let changed = change(&daemon, &request).await?;
    envelope(&daemon, &request, changed).await
}

pub(super) async fn remove(daemon: Arc<Daemon>, request: Request) -> Answer {
    end(&daemon, &request)?;
    Ok(Reply::Empty(204))
}

pub(super) async fn connect_token(daemon: Arc<Daemon>, request: Request) -> Answer {
    let ticket = ticket(&daemon, &request, "ForbiddenError")?;
    envelope(&daemon, &request, ticket).await
}

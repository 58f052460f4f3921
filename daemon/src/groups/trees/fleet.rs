//! Several versions of one prompt.

use super::super::Answer;
use crate::daemon::Daemon;
use crate::fleet;
use kilo_edge::{Reply, Request};
use kilo_protocol::requests::{KeepOfFleet, StartFleet};
use std::sync::Arc;

pub(super) async fn start(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body: StartFleet = request.json()?;
    let directory = daemon.directory(&request);
    Reply::json(&fleet::start(&daemon, &directory, body).await?)
}

pub(super) async fn list(daemon: Arc<Daemon>, request: Request) -> Answer {
    let directory = daemon.directory(&request);
    Reply::json(&fleet::list(&daemon, &directory).await?)
}

pub(super) async fn compare(daemon: Arc<Daemon>, request: Request) -> Answer {
    Reply::json(&fleet::compare(&daemon, request.params.get("fleetID")).await?)
}

pub(super) async fn keep(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body: KeepOfFleet = request.json()?;
    let kept = fleet::keep(&daemon, request.params.get("fleetID"), body);
    Reply::json(&kept.await?)
}

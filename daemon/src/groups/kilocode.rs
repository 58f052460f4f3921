//! What the editor extension asks for: going on with sessions, and taking sessions in.

mod import;

use super::{Answer, routes};
use crate::daemon::Daemon;
use kilo_edge::{Reply, Request};
use kilo_protocol::requests::Drain;
use std::sync::Arc;

routes! {
    "kilocode.resumeSession" => resume;
    "kilocode.drainSession" => drain;
    "kilocode.teardownWorktree" => super::trees::teardown;
    "kilocode.sessionImport.project" => import::project;
    "kilocode.sessionImport.session" => import::session;
    "kilocode.sessionImport.message" => import::message;
    "kilocode.sessionImport.part" => import::part;
}

async fn resume(daemon: Arc<Daemon>, request: Request) -> Answer {
    let engine = daemon.engine().await?;
    let resumed = engine
        .sessions()
        .resume(&Daemon::session_id(&request))
        .await?;
    Reply::json(&resumed)
}

async fn drain(daemon: Arc<Daemon>, request: Request) -> Answer {
    let Drain { token } = request.json()?;
    let engine = daemon.engine().await?;
    engine
        .sessions()
        .drain(&Daemon::session_id(&request), token)
        .await?;
    Reply::json(&true)
}

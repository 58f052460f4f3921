//! What the editor extension asks for: going on with sessions, and taking sessions in.

mod import;

use super::{Answer, routes};
use crate::daemon::{Daemon, text};
use kilo_edge::{Reply, Request};
use kilo_protocol::Fault;
use std::sync::Arc;

routes! {
    "kilocode.resumeSession" => resume;
    "kilocode.drainSession" => drain;
    "kilocode.sessionImport.project" => import::project;
    "kilocode.sessionImport.session" => import::session;
    "kilocode.sessionImport.message" => import::message;
    "kilocode.sessionImport.part" => import::part;
}

async fn resume(daemon: Arc<Daemon>, request: Request) -> Answer {
    let engine = daemon.engine().await?;
    let resumed = engine.resume(&Daemon::session_id(&request)).await?;
    Reply::json(&resumed)
}

async fn drain(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body = request.value()?;
    let token = text(&body, "token")
        .filter(|token| (1..=128).contains(&token.len()))
        .ok_or_else(|| Fault::bad_field("a string of 1 to 128 characters", "token"))?;
    let engine = daemon.engine().await?;
    engine
        .drain(&Daemon::session_id(&request), token.to_string())
        .await?;
    Reply::json(&true)
}

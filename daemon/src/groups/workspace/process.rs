//! Background processes.

use super::super::Answer;
use crate::daemon::Daemon;
use kilo_edge::{Reply, Request};
use kilo_ports::background::{Background as _, BackgroundError};
use kilo_protocol::Fault;
use kilo_protocol::process::ProcessInfo;
use serde_json::json;
use std::sync::Arc;

/// Lines of an answer.
const LINES_MAX: usize = 1_000;

async fn find(daemon: &Daemon, request: &Request) -> Result<ProcessInfo, Fault> {
    let id = request.params.get("processID");
    let found = daemon.processes.find(id).await;
    found.ok_or_else(|| Fault::not_found("Background process", id))
}

fn refused(error: BackgroundError) -> Fault {
    match &error {
        BackgroundError::Unknown(id) => Fault::not_found("Background process", id),
        BackgroundError::TooMany(_) => Fault::unavailable(error.to_string()),
        BackgroundError::Pattern(_) | BackgroundError::Start(_) => {
            Fault::bad_request("Payload", error.to_string())
        }
    }
}

pub(super) async fn list(daemon: Arc<Daemon>, request: Request) -> Answer {
    let directory = daemon.directory(&request);
    Reply::json(&daemon.processes.in_directory(&directory).await)
}

pub(super) async fn get(daemon: Arc<Daemon>, request: Request) -> Answer {
    Reply::json(&find(&daemon, &request).await?)
}

pub(super) async fn logs(daemon: Arc<Daemon>, request: Request) -> Answer {
    let info = find(&daemon, &request).await?;
    let piece = daemon
        .processes
        .logs(&info.session_id, &info.id, LINES_MAX)
        .await
        .map_err(refused)?;
    Reply::json(&json!({"id": info.id, "sessionID": info.session_id, "output": piece.text}))
}

pub(super) async fn stop(daemon: Arc<Daemon>, request: Request) -> Answer {
    let info = find(&daemon, &request).await?;
    let stopped = daemon.processes.stop(&info.session_id, &info.id).await;
    Reply::json(&stopped.map_err(refused)?)
}

pub(super) async fn restart(daemon: Arc<Daemon>, request: Request) -> Answer {
    let info = find(&daemon, &request).await?;
    let restarted = daemon.processes.restart(&info.session_id, &info.id).await;
    Reply::json(&restarted.map_err(refused)?)
}

pub(super) async fn stop_session(daemon: Arc<Daemon>, request: Request) -> Answer {
    daemon
        .processes
        .stop_session(&Daemon::session_id(&request))
        .await;
    Reply::json(&true)
}

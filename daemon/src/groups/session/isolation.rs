//! Whether a session's commands are isolated: they are not.

use super::super::Answer;
use super::super::workspace::NO_ISOLATION;
use crate::daemon::Daemon;
use kilo_edge::{Reply, Request};
use serde_json::json;
use std::sync::Arc;

pub(super) async fn status(daemon: Arc<Daemon>, request: Request) -> Answer {
    let session = daemon
        .engine()
        .await?
        .queries()
        .session(&Daemon::session_id(&request))?;
    Reply::json(&json!({
        "directory": session.directory,
        "enabled": false,
        "available": false,
        "reason": NO_ISOLATION,
        "version": 0,
    }))
}

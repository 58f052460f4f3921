//! Event streams and the recorded events.

use super::super::Answer;
use crate::daemon::Daemon;
use crate::events::{Follower, Form, Scope};
use kilo_edge::{Reply, Request};
use kilo_protocol::Fault;
use kilo_protocol::requests::History;
use kilo_watch::Held;
use serde_json::{Value, json};
use std::sync::Arc;

/// Records that one answer of `/sync/history` reads at a time.
const READ_AT_ONCE: usize = 256;
/// Events in one answer of `/sync/history`.
const EVENTS_MAX: usize = 20_000;
/// Bytes in one answer, or a little more. A client asks again with the numbers that it has by then, until nothing comes.
const EVENTS_BYTES_MAX: usize = 8 << 20;

/// What is watched for a client of these events.
pub(super) async fn watched(daemon: &Daemon, scope: &Scope) -> Result<Option<Held>, Fault> {
    let (engine, watching) = (daemon.engine().await?, &daemon.watching);
    Ok(match scope {
        Scope::Directory(directory) => {
            let instance = daemon.folders.instance(directory).await?;
            watching.hold(&engine, &instance.folder)
        }
        Scope::Global => Some(watching.follow_all(&engine, &daemon.folders.recent())),
    })
}

async fn follow(daemon: Arc<Daemon>, request: Request, scope: Scope) -> Answer {
    let engine = daemon.engine().await?;
    let last = request.headers.last_event_id();
    let watched = watched(&daemon, &scope).await?;
    Ok(Reply::Events(
        Follower::new(
            engine,
            daemon.handle.clone(),
            scope,
            Form::EventStream,
            last,
        )
        .watching(watched)
        .into_stream(),
    ))
}

pub(super) async fn of_directory(daemon: Arc<Daemon>, request: Request) -> Answer {
    let directory = daemon.directory(&request);
    follow(daemon, request, Scope::Directory(directory)).await
}

pub(super) async fn of_all(daemon: Arc<Daemon>, request: Request) -> Answer {
    follow(daemon, request, Scope::Global).await
}

/// Durable events after the numbers that the client has: the body is `{sessionID: seq}`.
pub(super) async fn history(daemon: Arc<Daemon>, request: Request) -> Answer {
    let have: History = request.json()?;
    let engine = daemon.engine().await?;
    let events = daemon
        .blocking(move || {
            let mut catch_up = engine.queries().catch_up();
            let mut events = Vec::new();
            let (mut after, mut bytes) = (0, 0);
            loop {
                let records = engine.core().ledger.store().after(after, READ_AT_ONCE)?;
                let Some(last) = records.last() else {
                    return Ok(events);
                };
                after = last.pos;
                for record in &records {
                    let Some(logged) = catch_up.parse(record) else {
                        continue;
                    };
                    let Some(seq) = logged.sync else { continue };
                    let known = have.get(record.session.as_str()).copied();
                    if known.is_some_and(|known| seq <= known) {
                        continue;
                    }
                    let frames = catch_up.frames(record, &logged)?;
                    let Some(mirror) = frames.last() else {
                        continue;
                    };
                    // Of the event, not of the record, which may say less than it shows.
                    bytes += mirror.json.len();
                    let mirror: Option<Value> = serde_json::from_slice(&mirror.json).ok();
                    let Some(event) = mirror.as_ref().and_then(|mirror| mirror.get("syncEvent"))
                    else {
                        continue;
                    };
                    events.push(json!({
                        "id": event["id"],
                        "aggregate_id": event["aggregateID"],
                        "seq": event["seq"],
                        "type": event["type"],
                        "data": event["data"],
                    }));
                    if events.len() >= EVENTS_MAX || bytes >= EVENTS_BYTES_MAX {
                        return Ok(events);
                    }
                }
            }
        })
        .await?;
    Reply::json(&events)
}

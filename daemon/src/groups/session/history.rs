//! A session's messages: reading, editing, forking, reverting.

use super::super::Answer;
use super::transcript;
use crate::daemon::Daemon;
use kilo_edge::{Reply, Request};
use kilo_protocol::model::Part;
use kilo_protocol::requests::{Fork, Revert};
use kilo_protocol::{Fault, MessageId};
use kilo_session::machine::Edit;
use kilo_session::queries::with_parts;
use std::sync::Arc;

pub(super) async fn messages(daemon: Arc<Daemon>, request: Request) -> Answer {
    let engine = daemon.engine().await?;
    let view = engine.queries().view(&Daemon::session_id(&request)).await?;
    let mut entries = view.messages.as_slice();
    if let Some(before) = request.query.get("before") {
        let end = entries
            .iter()
            .position(|entry| entry.info.id().as_str() == before)
            .unwrap_or(entries.len());
        entries = &entries[..end];
    }
    if let Some(limit) = request.query.number("limit")? {
        entries = &entries[entries.len().saturating_sub(limit as usize)..];
    }
    transcript::reply(entries.to_vec(), daemon.handle.clone()).await
}

pub(super) async fn message(daemon: Arc<Daemon>, request: Request) -> Answer {
    let engine = daemon.engine().await?;
    let view = engine.queries().view(&Daemon::session_id(&request)).await?;
    let id = request.params.get("messageID");
    let entry = view
        .messages
        .iter()
        .find(|entry| entry.info.id().as_str() == id);
    Reply::json(&with_parts(
        entry.ok_or_else(|| Fault::not_found("Message", id))?,
    ))
}

pub(super) async fn todo(daemon: Arc<Daemon>, request: Request) -> Answer {
    let engine = daemon.engine().await?;
    Reply::json(
        &engine
            .queries()
            .view(&Daemon::session_id(&request))
            .await?
            .todos,
    )
}

pub(super) async fn diff(daemon: Arc<Daemon>, request: Request) -> Answer {
    let engine = daemon.engine().await?;
    let view = engine.queries().view(&Daemon::session_id(&request)).await?;
    let Some(message) = request.query.get("messageID") else {
        return Reply::json(&view.diff);
    };
    let user = view
        .messages
        .iter()
        .filter_map(|entry| entry.info.user())
        .find(|user| user.id.as_str() == message);
    let summary = user.and_then(|user| user.summary.as_ref());
    Reply::json(
        &summary
            .map(|summary| summary.diffs.as_slice())
            .unwrap_or_default(),
    )
}

pub(super) async fn fork(daemon: Arc<Daemon>, request: Request) -> Answer {
    let Fork { message_id } = request.json()?;
    let engine = daemon.engine().await?;
    Reply::json(
        &engine
            .sessions()
            .fork(&Daemon::session_id(&request), message_id.as_ref())
            .await?,
    )
}

pub(super) async fn revert(daemon: Arc<Daemon>, request: Request) -> Answer {
    let Revert {
        message_id,
        part_id,
    } = request.json()?;
    let engine = daemon.engine().await?;
    let session = engine
        .sessions()
        .revert(&Daemon::session_id(&request), message_id, part_id)
        .await?;
    Reply::json(&session)
}

pub(super) async fn unrevert(daemon: Arc<Daemon>, request: Request) -> Answer {
    let engine = daemon.engine().await?;
    Reply::json(
        &engine
            .sessions()
            .unrevert(&Daemon::session_id(&request))
            .await?,
    )
}

pub(super) async fn delete_message(daemon: Arc<Daemon>, request: Request) -> Answer {
    let engine = daemon.engine().await?;
    let session = Daemon::session_id(&request);
    let id = MessageId::from_wire(request.params.get("messageID"));
    engine
        .sessions()
        .edit(&session, Edit::RemoveMessage(id))
        .await?;
    Reply::json(&true)
}

/// The part that the path names.
async fn part(daemon: &Daemon, request: &Request) -> Result<Part, Fault> {
    let engine = daemon.engine().await?;
    let view = engine.queries().view(&Daemon::session_id(request)).await?;
    let (message, part) = (
        request.params.get("messageID"),
        request.params.get("partID"),
    );
    let entry = view
        .messages
        .iter()
        .find(|entry| entry.info.id().as_str() == message);
    entry
        .and_then(|entry| {
            entry
                .parts
                .iter()
                .find(|candidate| candidate.id.as_str() == part)
        })
        .map(|part| part.as_ref().clone())
        .ok_or_else(|| Fault::not_found("Part", part))
}

pub(super) async fn update_part(daemon: Arc<Daemon>, request: Request) -> Answer {
    let old = part(&daemon, &request).await?;
    let new: Part = request.json()?;
    if new.id != old.id || new.message_id != old.message_id || new.session_id != old.session_id {
        return Err(Fault::bad_request(
            "Payload",
            "Expected the ids of the path\n  at [\"id\"]",
        ));
    }
    let engine = daemon.engine().await?;
    let session = Daemon::session_id(&request);
    engine
        .sessions()
        .edit(&session, Edit::PutPart(Box::new(new.clone())))
        .await?;
    Reply::json(&new)
}

pub(super) async fn delete_part(daemon: Arc<Daemon>, request: Request) -> Answer {
    let old = part(&daemon, &request).await?;
    let engine = daemon.engine().await?;
    let edit = Edit::RemovePart(old.message_id, old.id);
    engine
        .sessions()
        .edit(&Daemon::session_id(&request), edit)
        .await?;
    Reply::json(&true)
}

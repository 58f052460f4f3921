//! Taking sessions in: project, session, message, part, one after the other, each harmless when repeated.

use super::super::Answer;
use crate::daemon::{Daemon, text};
use kilo_edge::{Reply, Request};
use kilo_protocol::model::{Message, Part, Session, SessionModel};
use kilo_protocol::{Fault, SessionId};
use kilo_session::is_plain_id;
use kilo_session::record::Record;
use serde_json::{Map, Value, json};
use std::sync::Arc;

fn id<'a>(body: &'a Value, field: &str, prefix: &str) -> Result<&'a str, Fault> {
    text(body, field)
        .filter(|id| is_plain_id(id, prefix))
        .ok_or_else(|| Fault::bad_field(&format!("a string starting with {prefix:?}"), field))
}

/// Projects are found by their folders; the id of the one here is answered.
pub(super) async fn project(daemon: Arc<Daemon>, request: Request) -> Answer {
    let instance = daemon.instance(&request).await?;
    Reply::json(&json!({"ok": true, "id": instance.facts.project_id, "skipped": true}))
}

pub(super) async fn session(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body = request.value()?;
    let id = id(&body, "id", "ses")?.to_string();
    let engine = daemon.engine().await?;
    let known = SessionId::from_wire(id.as_str());
    if engine.core().ledger.catalog().contains(&known) {
        return Reply::json(&json!({"ok": true, "id": id, "skipped": true}));
    }
    let instance = daemon.instance(&request).await?;
    let number = |field: &str| body.get(field).and_then(Value::as_u64);
    let now = daemon.clock.now();
    let created = number("timeCreated").unwrap_or(now);
    let info: Session = serde_json::from_value(json!({
        "id": id,
        "slug": text(&body, "slug").unwrap_or("imported-session"),
        "projectID": instance.facts.project_id,
        "directory": daemon.directory(&request),
        "title": text(&body, "title").unwrap_or("Imported session"),
        "version": text(&body, "version").unwrap_or(kilo_protocol::VERSION),
        "parentID": text(&body, "parentID").map(SessionId::from_wire).filter(|id| engine.core().ledger.catalog().contains(id)),
        "summary": body.get("summary"),
        "permission": body.get("permission"),
        "time": {
            "created": created,
            "updated": number("timeUpdated").unwrap_or(created),
            "archived": number("timeArchived"),
        },
    }))
    .map_err(|error| Fault::bad_request("Payload", error.to_string()))?;
    engine.sessions().import(&info)?;
    Reply::json(&json!({"ok": true, "id": id}))
}

/// `data` with the ids that stand beside it.
fn with_ids(body: &Value, fields: &[(&str, &str)]) -> Result<Value, Fault> {
    let mut data = Map::new();
    for (field, prefix) in fields {
        data.insert((*field).into(), id(body, field, prefix)?.into());
    }
    match body.get("data") {
        Some(Value::Object(more)) => data.extend(more.clone()),
        _ => return Err(Fault::bad_field("an object", "data")),
    }
    Ok(Value::Object(data))
}

pub(super) async fn message(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body = request.value()?;
    let data = with_ids(&body, &[("id", "msg"), ("sessionID", "ses")])?;
    let message: Message = serde_json::from_value(data).map_err(|error| {
        Fault::bad_request(
            "Payload",
            format!("Expected a message: {error}\n  at [\"data\"]"),
        )
    })?;
    let session = SessionId::from_wire(id(&body, "sessionID", "ses")?);
    let engine = daemon.engine().await?;
    let reply = json!({"ok": true, "id": message.id()});
    let known = engine
        .queries()
        .view(&session)
        .await?
        .messages
        .iter()
        .any(|entry| entry.info.id() == message.id());
    engine
        .sessions()
        .note(
            &session,
            vec![Record::MessageUpdated(Box::new(message.clone()))],
        )
        .await?;
    if !known {
        engine
            .sessions()
            .change_head(&session, Arc::new(move |info| count(info, &message)))
            .await?;
    }
    Reply::json(&reply)
}

/// The head of an imported session adds up its messages, as that of a session that grew here.
fn count(info: &mut Session, message: &Message) {
    match message {
        Message::User(user) => {
            info.agent = Some(user.agent.clone());
            info.model = Some(SessionModel {
                id: user.model.model_id.clone(),
                provider_id: user.model.provider_id.clone(),
                variant: user.model.variant.clone(),
            });
        }
        Message::Assistant(answer) => {
            info.cost += answer.cost;
            info.tokens.add(&answer.tokens);
        }
    }
}

pub(super) async fn part(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body = request.value()?;
    let data = with_ids(
        &body,
        &[("id", "prt"), ("sessionID", "ses"), ("messageID", "msg")],
    )?;
    let part: Part = serde_json::from_value(data).map_err(|error| {
        Fault::bad_request(
            "Payload",
            format!("Expected a part: {error}\n  at [\"data\"]"),
        )
    })?;
    let session = SessionId::from_wire(id(&body, "sessionID", "ses")?);
    let engine = daemon.engine().await?;
    let reply = json!({"ok": true, "id": part.id});
    engine
        .sessions()
        .note(
            &session,
            vec![Record::PartUpdated(Box::new(part), daemon.clock.now())],
        )
        .await?;
    Reply::json(&reply)
}

//! Taking sessions in: project, session, message, part, one after the other, each harmless when repeated.

use super::super::Answer;
use crate::daemon::Daemon;
use kilo_edge::{Reply, Request};
use kilo_protocol::model::{Message, Part, Session, SessionModel, SessionTime, Tokens};
use kilo_protocol::requests::{ImportMessage, ImportPart, ImportProject, ImportSession, Imported};
use kilo_protocol::{Fault, SessionId};
use kilo_session::is_plain_id;
use kilo_session::record::Record;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::sync::Arc;

/// An id from a body, of the kind that its prefix says.
fn id<'a>(id: &'a str, field: &str, prefix: &str) -> Result<&'a str, Fault> {
    if is_plain_id(id, prefix) {
        return Ok(id);
    }
    let expected = format!("a string starting with {prefix:?}");
    Err(Fault::bad_field(&expected, field))
}

fn stored(id: &str) -> Imported {
    Imported {
        ok: true,
        id: id.to_owned(),
        skipped: false,
    }
}

fn skipped(id: &str) -> Imported {
    Imported {
        skipped: true,
        ..stored(id)
    }
}

/// Projects are found by their folders; the id of the one here is answered.
pub(super) async fn project(daemon: Arc<Daemon>, request: Request) -> Answer {
    let _: ImportProject = request.json()?;
    let instance = daemon.instance(&request).await?;
    Reply::json(&skipped(&instance.facts.project_id))
}

pub(super) async fn session(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body: ImportSession = request.json()?;
    let known = SessionId::from_wire(id(&body.id, "id", "ses")?);
    let engine = daemon.engine().await?;
    if engine.core().ledger.catalog().contains(&known) {
        return Reply::json(&skipped(&body.id));
    }
    let instance = daemon.instance(&request).await?;
    let is_here = |id: &SessionId| engine.core().ledger.catalog().contains(id);
    let info = Session {
        id: known,
        slug: body.slug,
        project_id: instance.facts.project_id,
        directory: daemon.directory(&request),
        path: String::new(),
        parent_id: body.parent_id.map(SessionId::from_wire).filter(is_here),
        summary: typed(body.summary, "summary")?,
        cost: 0.0,
        tokens: Tokens::default(),
        share: None,
        title: body.title,
        agent: None,
        model: None,
        version: body.version,
        metadata: None,
        time: SessionTime {
            created: body.time_created,
            updated: body.time_updated,
            archived: body.time_archived,
            ..SessionTime::default()
        },
        permission: typed(body.permission, "permission")?,
        revert: None,
    };
    engine.sessions().import(&info)?;
    Reply::json(&stored(&body.id))
}

/// Reads what a body keeps as JSON, since other versions may have written it.
fn typed<T: DeserializeOwned>(value: Option<Value>, field: &str) -> Result<Option<T>, Fault> {
    let read = value.map(serde_json::from_value).transpose();
    read.map_err(|error| Fault::bad_request("Payload", format!("{error}\n  at [{field:?}]")))
}

/// `data` with the ids that stand beside it.
fn with_ids(mut data: Map<String, Value>, ids: &[(&str, &str)]) -> Value {
    for (field, id) in ids {
        data.insert((*field).into(), (*id).into());
    }
    Value::Object(data)
}

fn unreadable(what: &str, error: &serde_json::Error) -> Fault {
    let message = format!("Expected {what}: {error}\n  at [\"data\"]");
    Fault::bad_request("Payload", message)
}

pub(super) async fn message(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body: ImportMessage = request.json()?;
    let ids = [
        ("id", id(&body.id, "id", "msg")?),
        ("sessionID", id(&body.session_id, "sessionID", "ses")?),
    ];
    let message: Message = serde_json::from_value(with_ids(body.data, &ids))
        .map_err(|error| unreadable("a message", &error))?;
    let session = SessionId::from_wire(body.session_id.as_str());
    let engine = daemon.engine().await?;
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
    Reply::json(&stored(&body.id))
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
    let body: ImportPart = request.json()?;
    let ids = [
        ("id", id(&body.id, "id", "prt")?),
        ("sessionID", id(&body.session_id, "sessionID", "ses")?),
        ("messageID", id(&body.message_id, "messageID", "msg")?),
    ];
    let part: Part = serde_json::from_value(with_ids(body.data, &ids))
        .map_err(|error| unreadable("a part", &error))?;
    let session = SessionId::from_wire(body.session_id.as_str());
    let engine = daemon.engine().await?;
    let record = Record::PartUpdated(Box::new(part), daemon.clock.now());
    engine.sessions().note(&session, vec![record]).await?;
    Reply::json(&stored(&body.id))
}

//! Sessions: list, create, read, change, delete; below, their turns and their messages.

mod command;
mod history;
mod isolation;
mod transcript;
mod turns;
mod usage;

use super::answers::{answer, decision};
use super::{Answer, routes};
use crate::daemon::Daemon;
use kilo_edge::{Reply, Request};
use kilo_protocol::Fault;
use kilo_protocol::requests::{NewSession, RespondPermission, UpdateSession};
use kilo_session::catalog::Filter;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Sessions in one answer when the client names no limit.
const LIST_MAX: usize = 10_000;

routes! {
    "session.list" => list;
    "session.create" => create;
    "session.status" => status;
    "session.get" => get;
    "session.delete" => delete;
    "session.update" => update;
    "session.children" => children;
    "session.todo" => history::todo;
    "session.diff" => history::diff;
    "session.messages" => history::messages;
    "session.prompt" => turns::prompt;
    "session.message" => history::message;
    "session.deleteMessage" => history::delete_message;
    "session.fork" => history::fork;
    "session.abort" => turns::abort;
    "session.summarize" => turns::summarize;
    "session.prompt_async" => turns::prompt_async;
    "session.command" => command::run;
    "session.shell" => turns::shell;
    "session.revert" => history::revert;
    "session.unrevert" => history::unrevert;
    "permission.respond" => respond;
    "part.delete" => history::delete_part;
    "part.update" => history::update_part;
    "session.viewed" => viewed;
    "kilocode.sessionModelUsage" => usage::model_usage;
    "sandbox.status" => isolation::status;
}

/// What a list's query asks for.
pub(super) fn filter(request: &Request) -> Result<Filter, Fault> {
    let query = &request.query;
    Ok(Filter {
        search: query
            .get("search")
            .filter(|text| !text.is_empty())
            .map(str::to_string),
        roots: query.flag("roots"),
        start: query.number("start")?,
        limit: Some(
            query
                .number("limit")?
                .map_or(LIST_MAX, |limit| limit as usize),
        ),
        archived: true,
        ..Default::default()
    })
}

async fn list(daemon: Arc<Daemon>, request: Request) -> Answer {
    let mut filter = filter(&request)?;
    let instance = daemon.instance(&request).await?;
    let is_global = instance.facts.vcs.is_none();
    let all_of_project = request.query.get("scope") == Some("project");
    filter.path = request
        .query
        .get("path")
        .filter(|_| !is_global)
        .map(|path| path.trim_matches('/').to_string());
    let of_directory =
        request.query.get("directory").is_some() && !all_of_project && filter.path.is_none();
    if is_global || of_directory {
        filter.directory = Some(daemon.directory(&request));
    }
    filter.project = Some(instance.facts.project_id);
    let engine = daemon.engine().await?;
    Ok(Reply::Json {
        status: 200,
        body: daemon
            .blocking(move || Ok(engine.queries().list_json(&filter)))
            .await?,
    })
}

async fn create(daemon: Arc<Daemon>, request: Request) -> Answer {
    let new: NewSession = request.json()?;
    let engine = daemon.engine().await?;
    let session = engine
        .sessions()
        .create(&daemon.directory(&request), new)
        .await?;
    Reply::json(&session)
}

async fn status(daemon: Arc<Daemon>, request: Request) -> Answer {
    let directory = daemon.directory(&request);
    let engine = daemon.engine().await?;
    let statuses: Map<String, Value> = engine
        .queries()
        .statuses()
        .into_iter()
        .filter(|(_, place, _)| **place == *directory)
        .filter_map(|(id, _, status)| Some((id.to_string(), serde_json::to_value(status).ok()?)))
        .collect();
    Reply::json(&statuses)
}

async fn get(daemon: Arc<Daemon>, request: Request) -> Answer {
    let engine = daemon.engine().await?;
    Ok(Reply::Json {
        status: 200,
        body: engine.queries().head(&Daemon::session_id(&request))?,
    })
}

async fn update(daemon: Arc<Daemon>, request: Request) -> Answer {
    let update: UpdateSession = request.json()?;
    let engine = daemon.engine().await?;
    let session = engine
        .sessions()
        .change_head(
            &Daemon::session_id(&request),
            Arc::new(move |info| {
                if let Some(title) = &update.title {
                    info.title = title.clone();
                }
                if let Some(metadata) = &update.metadata {
                    info.metadata = Some(metadata.clone());
                }
                if let Some(rules) = &update.permission {
                    let held = info.permission.get_or_insert_default();
                    held.extend(rules.iter().cloned());
                }
                if let Some(time) = &update.time {
                    info.time.archived = time.archived;
                }
            }),
        )
        .await?;
    Reply::json(&session)
}

async fn delete(daemon: Arc<Daemon>, request: Request) -> Answer {
    let engine = daemon.engine().await?;
    engine
        .sessions()
        .delete(&Daemon::session_id(&request))
        .await?;
    Reply::json(&true)
}

async fn children(daemon: Arc<Daemon>, request: Request) -> Answer {
    let engine = daemon.engine().await?;
    let parent = Daemon::session_id(&request);
    engine.queries().head(&parent)?;
    Ok(Reply::Json {
        status: 200,
        body: daemon
            .blocking(move || {
                Ok(engine
                    .queries()
                    .heads_json(&engine.core().ledger.catalog().children(&parent)))
            })
            .await?,
    })
}

async fn viewed(_: Arc<Daemon>, _: Request) -> Answer {
    Reply::json(&true)
}

/// Answers a permission request, in the older form.
async fn respond(daemon: Arc<Daemon>, request: Request) -> Answer {
    let RespondPermission { response } = request.json()?;
    let id = request.params.get("permissionID");
    answer(&daemon, id, decision(response), None).await
}

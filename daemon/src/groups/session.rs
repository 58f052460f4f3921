//! Sessions: list, create, read, change, delete; prompts and their turns.

use super::routes;
use crate::daemon::{Daemon, text};
use kilo_edge::{Reply, Request, Router};
use kilo_protocol::model::{ModelRef, Rule};
use kilo_protocol::{Fault, Millis};
use kilo_session::catalog::Filter;
use kilo_session::{Engine, NewSession, PromptBody};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;

type Answer = Result<Reply, Fault>;

/// Sessions in one answer when the client names no limit.
const LIST_MAX: usize = 10_000;

pub fn mount(router: Router, daemon: &Arc<Daemon>) -> Router {
    routes! { router, daemon,
        "session.list" => list;
        "session.create" => create;
        "session.status" => status;
        "session.get" => get;
        "session.update" => update;
        "session.delete" => delete;
        "session.children" => children;
        "session.prompt" => prompt;
        "session.prompt_async" => prompt_async;
        "session.abort" => abort;
        "session.summarize" => summarize;
        "session.shell" => shell;
        "session.viewed" => viewed;
        "kilocode.resumeSession" => resume;
        "kilocode.drainSession" => drain;
        "kilocode.sessionModelUsage" => model_usage;
        "experimental.session.list" => list_all;
    }
}

fn filter(request: &Request) -> Result<Filter, Fault> {
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
        body: engine.list_json(&filter),
    })
}

async fn list_all(daemon: Arc<Daemon>, request: Request) -> Answer {
    let mut filter = filter(&request)?;
    filter.archived = request.query.flag("archived");
    filter.before = request.query.number("cursor")?;
    filter.project = request.query.get("projectID").map(str::to_string);
    if request.query.flag("current") {
        filter.project = Some(daemon.instance(&request).await?.facts.project_id);
    }
    let engine = daemon.engine().await?;
    let projects: HashMap<String, Value> = engine
        .store()
        .scan("project")
        .into_iter()
        .filter_map(|(id, body)| Some((id, serde_json::from_slice(&body).ok()?)))
        .collect();
    let mut sessions = Vec::new();
    for id in engine.catalog().list(&filter) {
        let Ok(head) = engine.head(&id) else { continue };
        let Ok(mut session) = serde_json::from_slice::<Map<String, Value>>(&head) else {
            continue;
        };
        let project_id = session
            .get("projectID")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_string();
        let project = match projects.get(&project_id) {
            Some(project) => {
                json!({"id": project["id"], "name": project.get("name"), "worktree": project["worktree"]})
            }
            None => {
                let directory = session
                    .get("directory")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_string();
                let worktree = match daemon.folders.instance(&directory).await {
                    Ok(instance) => instance.facts.main_worktree.display().to_string(),
                    Err(_) => directory,
                };
                json!({"id": project_id, "worktree": worktree})
            }
        };
        let mut project = project;
        if let Some(fields) = project.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        session.insert("project".into(), project);
        sessions.push(session);
    }
    Reply::json(&sessions)
}

async fn create(daemon: Arc<Daemon>, request: Request) -> Answer {
    let new: NewSession = request.json().map_err(|fault| {
        // The reference answers this one route in its newer, tagged shape.
        Fault::tagged(fault.kind, "BadRequest", fault.message, json!({}))
    })?;
    let engine = daemon.engine().await?;
    let session = engine.create(&daemon.directory(&request), new).await?;
    Reply::json(&session)
}

async fn status(daemon: Arc<Daemon>, request: Request) -> Answer {
    let directory = daemon.directory(&request);
    let engine = daemon.engine().await?;
    let statuses: Map<String, Value> = engine
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
        body: engine.head(&Daemon::session_id(&request))?,
    })
}

#[derive(Deserialize)]
struct Update {
    title: Option<String>,
    metadata: Option<Map<String, Value>>,
    permission: Option<Vec<Rule>>,
    time: Option<UpdateTime>,
}

#[derive(Deserialize)]
struct UpdateTime {
    archived: Option<Millis>,
}

async fn update(daemon: Arc<Daemon>, request: Request) -> Answer {
    let update: Update = request.json()?;
    let engine = daemon.engine().await?;
    let session = engine
        .change_head(
            &Daemon::session_id(&request),
            false,
            Box::new(move |info| {
                if let Some(title) = update.title {
                    info.title = title;
                }
                if let Some(metadata) = update.metadata {
                    info.metadata = Some(metadata);
                }
                if let Some(rules) = update.permission {
                    info.permission.get_or_insert_default().extend(rules);
                }
                if let Some(time) = update.time {
                    info.time.archived = time.archived;
                }
            }),
        )
        .await?;
    Reply::json(&session)
}

async fn delete(daemon: Arc<Daemon>, request: Request) -> Answer {
    let engine = daemon.engine().await?;
    engine.delete(&Daemon::session_id(&request)).await?;
    Reply::json(&true)
}

async fn children(daemon: Arc<Daemon>, request: Request) -> Answer {
    let engine = daemon.engine().await?;
    let parent = Daemon::session_id(&request);
    engine.head(&parent)?;
    Ok(Reply::Json {
        status: 200,
        body: engine.heads_json(&engine.catalog().children(&parent)),
    })
}

/// Reads a prompt; `parts` must be a list.
fn prompt_body(request: &Request) -> Result<PromptBody, Fault> {
    let value = request.value()?;
    if !value.get("parts").is_some_and(Value::is_array) {
        return Err(Fault::bad_field("an array", "parts"));
    }
    request.json()
}

async fn prompt(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body = prompt_body(&request)?;
    let engine = daemon.engine().await?;
    let session = Daemon::session_id(&request);
    let (id, accepted) = engine.prompt(&session, body).await?;
    let answer = engine.answer(&session, &id, accepted).await?;
    Reply::json(&answer)
}

async fn prompt_async(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body = prompt_body(&request)?;
    let engine = daemon.engine().await?;
    engine.prompt(&Daemon::session_id(&request), body).await?;
    Ok(Reply::Empty(204))
}

async fn abort(daemon: Arc<Daemon>, request: Request) -> Answer {
    let engine = daemon.engine().await?;
    engine.abort(&Daemon::session_id(&request)).await;
    Reply::json(&true)
}

async fn summarize(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body = request.value()?;
    let field = |name: &str| {
        text(&body, name)
            .map(str::to_string)
            .ok_or_else(|| Fault::bad_field("a string", name))
    };
    let model = ModelRef {
        provider_id: field("providerID")?,
        model_id: field("modelID")?,
        variant: None,
    };
    let auto = body.get("auto").and_then(Value::as_bool).unwrap_or(false);
    let engine = daemon.engine().await?;
    engine
        .summarize(&Daemon::session_id(&request), model, auto)
        .await?;
    Reply::json(&true)
}

#[derive(Deserialize)]
struct Shell {
    #[serde(rename = "messageID")]
    message_id: Option<String>,
    agent: Option<String>,
    model: Option<ModelRef>,
    command: String,
}

/// A command of the user's own, beside the model. Refused while a turn runs.
async fn shell(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body: Shell = request.json()?;
    let engine = daemon.engine().await?;
    let prompt = PromptBody {
        message_id: body.message_id,
        agent: body.agent,
        model: body.model,
        ..Default::default()
    };
    Reply::json(
        &engine
            .shell(&Daemon::session_id(&request), prompt, body.command)
            .await?,
    )
}

async fn viewed(_: Arc<Daemon>, _: Request) -> Answer {
    Reply::json(&true)
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

/// What the session and its children spent, by model.
async fn model_usage(daemon: Arc<Daemon>, request: Request) -> Answer {
    let engine = daemon.engine().await?;
    let root = Daemon::session_id(&request);
    let mut usage = Usage::default();
    let mut sessions = vec![root.clone()];
    sessions.extend(engine.catalog().children(&root));
    for session in &sessions {
        usage.add(&engine, session).await?;
    }
    Reply::json(&usage.to_json(&sessions))
}

#[derive(Default)]
struct Usage {
    cost: f64,
    models: Vec<(String, String, u64, f64, kilo_protocol::model::Tokens)>,
}

impl Usage {
    async fn add(
        &mut self,
        engine: &Arc<Engine>,
        session: &kilo_protocol::SessionId,
    ) -> Result<(), Fault> {
        let view = engine.view(session).await?;
        self.cost += view.info.cost;
        for answer in view
            .messages
            .iter()
            .filter_map(|entry| entry.info.assistant())
        {
            let place = self
                .models
                .iter()
                .position(|model| model.0 == answer.provider_id && model.1 == answer.model_id)
                .unwrap_or_else(|| {
                    let fresh = (
                        answer.provider_id.clone(),
                        answer.model_id.clone(),
                        0,
                        0.0,
                        Default::default(),
                    );
                    self.models.push(fresh);
                    self.models.len() - 1
                });
            let model = &mut self.models[place];
            model.2 += 1;
            model.3 += answer.cost;
            model.4.add(&answer.tokens);
        }
        Ok(())
    }

    fn to_json(&self, sessions: &[kilo_protocol::SessionId]) -> Value {
        let mut tokens = kilo_protocol::model::Tokens::default();
        self.models.iter().for_each(|model| tokens.add(&model.4));
        let steps: u64 = self.models.iter().map(|model| model.2).sum();
        let cost: f64 = self.models.iter().map(|model| model.3).sum();
        json!({
            "sessionIDs": sessions,
            "sessionCost": self.cost,
            "totals": {"steps": steps, "cost": cost, "tokens": tokens},
            "models": self.models.iter().map(|(provider, model, steps, cost, tokens)| json!({
                "providerID": provider, "modelID": model, "steps": steps, "cost": cost, "tokens": tokens,
            })).collect::<Vec<_>>(),
        })
    }
}

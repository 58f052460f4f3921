//! Turns: prompts, commands of the user's own, summaries, and their end.

use super::super::Answer;
use crate::daemon::{Daemon, text};
use kilo_edge::{Reply, Request};
use kilo_protocol::Fault;
use kilo_protocol::model::ModelRef;
use kilo_session::PromptBody;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// Reads a prompt; `parts` must be a list.
fn prompt_body(request: &Request) -> Result<PromptBody, Fault> {
    let value = request.value()?;
    if !value.get("parts").is_some_and(Value::is_array) {
        return Err(Fault::bad_field("an array", "parts"));
    }
    request.json()
}

pub(super) async fn prompt(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body = prompt_body(&request)?;
    let engine = daemon.engine().await?;
    let session = Daemon::session_id(&request);
    let (id, accepted) = engine.prompt(&session, body).await?;
    let answer = engine.answer(&session, &id, accepted);
    Reply::json(&request.unless_left(answer).await?)
}

pub(super) async fn prompt_async(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body = prompt_body(&request)?;
    let engine = daemon.engine().await?;
    engine.prompt(&Daemon::session_id(&request), body).await?;
    Ok(Reply::Empty(204))
}

pub(super) async fn abort(daemon: Arc<Daemon>, request: Request) -> Answer {
    let engine = daemon.engine().await?;
    engine.abort(&Daemon::session_id(&request)).await;
    Reply::json(&true)
}

pub(super) async fn summarize(daemon: Arc<Daemon>, request: Request) -> Answer {
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
pub(super) async fn shell(daemon: Arc<Daemon>, request: Request) -> Answer {
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

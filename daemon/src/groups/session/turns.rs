//! Turns: prompts, commands of the user's own, summaries, and their end.

use super::super::Answer;
use crate::daemon::Daemon;
use kilo_edge::{Reply, Request};
use kilo_protocol::requests::{Prompt, Shell, Summarize};
use std::sync::Arc;

pub(super) async fn prompt(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body: Prompt = request.json()?;
    let engine = daemon.engine().await?;
    let session = Daemon::session_id(&request);
    let (id, accepted) = engine.sessions().prompt(&session, body).await?;
    let answer = engine.sessions().answer(&session, &id, accepted);
    Reply::json(&request.unless_left(answer).await?)
}

pub(super) async fn prompt_async(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body: Prompt = request.json()?;
    let engine = daemon.engine().await?;
    engine
        .sessions()
        .prompt(&Daemon::session_id(&request), body)
        .await?;
    Ok(Reply::Empty(204))
}

pub(super) async fn abort(daemon: Arc<Daemon>, request: Request) -> Answer {
    let engine = daemon.engine().await?;
    engine.sessions().abort(&Daemon::session_id(&request)).await;
    Reply::json(&true)
}

pub(super) async fn summarize(daemon: Arc<Daemon>, request: Request) -> Answer {
    let Summarize { model, auto } = request.json()?;
    let engine = daemon.engine().await?;
    engine
        .sessions()
        .summarize(&Daemon::session_id(&request), model, auto)
        .await?;
    Reply::json(&true)
}

/// A command of the user's own, beside the model. Refused while a turn runs.
pub(super) async fn shell(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body: Shell = request.json()?;
    let engine = daemon.engine().await?;
    let prompt = Prompt {
        message_id: body.message_id,
        agent: body.agent,
        model: body.model,
        ..Default::default()
    };
    Reply::json(
        &engine
            .sessions()
            .shell(&Daemon::session_id(&request), prompt, body.command)
            .await?,
    )
}

//! The machine's orders, carried out: each starts a task on the tokio pool whose result comes back as a message.

use crate::actor::{SessionActor, StreamOpened, Take};
use crate::conversation::{Selection, conversation, title_material};
use crate::engine::Engine;
use crate::input::{Input, ModelCall, Opened, Stamp};
use crate::machine::STRUCTURED;
use crate::record::TurnKind;
use crate::state::{Entry, State, StepChanges, VIEW_FORMAT};
use crate::surroundings::Folder;
use actix::prelude::*;
use kilo_config::agent::Agent;
use kilo_ports::provider::{
    Chunk, ErrorClass, ModelInfo, ModelMessage, ModelRequest, ProviderError, ToolOffer, UserContent,
};
use kilo_ports::store::{Pos, SavedView, Seq};
use kilo_ports::tool::{Access, ToolSource};
use kilo_protocol::model::{FileDiff, ModelRef, Rule, UserMessage};
use kilo_protocol::{MessageId, QuestionId};
use kilo_runtime::limits;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Starts a sync of everything up to `pos`; nobody waits for it here.
pub(crate) fn sync_soon(engine: &Arc<Engine>, pos: Pos) {
    let sync = engine.journal().store().sync(pos);
    engine.spawn(async move {
        if let Err(error) = sync.await {
            tracing::error!(%error, "log sync failed");
        }
    });
}

/// Sends an input to the actor from a task; what a dead actor misses, its successor reads in the log.
pub(crate) async fn tell(actor: &Addr<SessionActor>, input: Input) {
    if let Ok(Err(fault)) = actor.send(Take(input)).await {
        tracing::warn!(%fault, "session did not take an input");
    }
}

/// Records the files before the first step.
pub(crate) fn track(actor: &mut SessionActor, stamp: Stamp, ctx: &mut Context<SessionActor>) {
    let engine = Arc::clone(&actor.engine);
    let directory = actor.address.directory.to_string();
    let address = ctx.address();
    actor.engine.spawn(async move {
        let hash = engine.track(&directory).await;
        tell(&address, Input::Snapshot(stamp, hash)).await;
    });
}

/// Prepares and starts a model call.
pub(crate) fn call_model(
    actor: &mut SessionActor,
    stamp: Stamp,
    call: ModelCall,
    ctx: &mut Context<SessionActor>,
) {
    let engine = Arc::clone(&actor.engine);
    let state = &actor.machine.state;
    let snapshot = Snapshot {
        session: actor.address.session.to_string(),
        directory: state.info.directory.clone(),
        is_child: state.info.parent_id.is_some(),
        messages: state.messages.clone(),
        queue: state.queue.clone(),
        session_rules: state.info.permission.clone().unwrap_or_default(),
    };
    let cancel = actor.model.clone();
    let address = ctx.address();
    let span = tracing::info_span!("session", id = %snapshot.session);
    let span = tracing::info_span!(parent: &span, "turn", id = %call.prompt);
    let span =
        tracing::info_span!(parent: &span, "step", n = call.step, model = %call.model.model_id);
    let work = async move {
        let prepared = tokio::select! {
            prepared = prepare(&engine, &snapshot, &call) => prepared,
            () = cancel.cancelled() => return,
        };
        match prepared {
            Ok((request, opened)) => {
                let receiver = engine.models().stream(request, cancel);
                let _ = address
                    .send(StreamOpened {
                        stamp,
                        opened: Box::new(opened),
                        receiver,
                    })
                    .await;
            }
            Err(error) => tell(&address, Input::Refused(stamp, error)).await,
        }
    };
    actor.engine.spawn(work.instrument(span));
}

/// The session as it was when the call was ordered.
struct Snapshot {
    session: String,
    directory: String,
    is_child: bool,
    messages: Vec<Arc<Entry>>,
    queue: Vec<MessageId>,
    session_rules: Vec<Rule>,
}

fn refused(message: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorClass::Unknown, message)
}

async fn prepare(
    engine: &Arc<Engine>,
    snapshot: &Snapshot,
    call: &ModelCall,
) -> Result<(ModelRequest, Opened), ProviderError> {
    let folder = engine
        .folder(&snapshot.directory)
        .await
        .map_err(|fault| refused(fault.message))?;
    let agent = folder
        .agent(&call.agent)
        .ok_or_else(|| refused(format!("Agent not found: {}", call.agent)))?;
    let model = folder.models.resolve(&call.model).map_err(refused)?;
    let user = snapshot
        .messages
        .iter()
        .find(|entry| *entry.info.id() == call.prompt)
        .and_then(|entry| entry.info.user())
        .ok_or_else(|| refused("the prompt is gone"))?;
    let is_compaction = matches!(call.kind, TurnKind::Compaction(_));
    let selection = Selection {
        prompt: &call.prompt,
        answer: &call.answer,
    };
    let mut messages = conversation(&snapshot.messages, &snapshot.queue, &selection, &model);
    let (tools, access) = if is_compaction || !model.tool_call {
        (Vec::new(), Vec::new())
    } else {
        offers(
            engine,
            &folder,
            agent,
            user,
            &model,
            &snapshot.session_rules,
            call.last_step,
        )
    };
    if call.last_step {
        messages.push(ModelMessage::User(vec![UserContent::Text(
            crate::texts::LAST_STEP.into(),
        )]));
    }
    let system = if is_compaction {
        kilo_config::prompt::system_prompt(agent)
    } else {
        engine
            .system(&folder, agent, user, &model, snapshot.is_child)
            .await
    };
    let opened = Opened {
        model: Arc::clone(&model),
        rules: Arc::new(agent.permission.clone()),
        counts_saved: folder.loaded.guards.is_empty(),
        tools: Arc::new(access),
        steps_max: agent
            .steps
            .map(|steps| u32::try_from(steps).unwrap_or(u32::MAX)),
        compact_at: compact_at(&folder, &model),
    };
    let request = ModelRequest {
        session: snapshot.session.clone(),
        system,
        messages,
        tool_required: user.format.is_some() && !is_compaction,
        tools,
        output_max: output_max(&model),
        temperature: agent.temperature,
        top_p: agent.top_p,
        variant: call.model.variant.clone(),
        options: agent.options.clone(),
        model,
    };
    Ok((request, opened))
}

/// Tokens that may come out: what the model can, at most 32,000.
fn output_max(model: &ModelInfo) -> u64 {
    if model.output == 0 {
        32_000
    } else {
        model.output.min(32_000)
    }
}

/// Tokens at which the conversation no longer fits with a full answer; `None` when compaction is off or unknown.
fn compact_at(folder: &Folder, model: &ModelInfo) -> Option<u64> {
    if !folder.loaded.config.compaction.auto || model.context == 0 {
        return None;
    }
    let output = output_max(model);
    let usable = match model.input_limit {
        Some(input) => input.saturating_sub(output.min(20_000)),
        None => model.context.saturating_sub(output),
    };
    let percent = folder
        .loaded
        .config
        .compaction
        .threshold_percent
        .map(|percent| (model.context as f64 * percent.clamp(1.0, 100.0) / 100.0) as u64);
    Some(percent.map_or(usable, |threshold| threshold.min(usable))).filter(|limit| *limit > 0)
}

/// The tools for this call, and what each does to the world.
fn offers(
    engine: &Engine,
    folder: &Folder,
    agent: &Agent,
    user: &UserMessage,
    model: &ModelInfo,
    session_rules: &[Rule],
    last_step: bool,
) -> (Vec<ToolOffer>, Vec<(String, Access)>) {
    if last_step {
        return (Vec::new(), Vec::new());
    }
    let mut offers = Vec::new();
    let mut access = Vec::new();
    for tool in engine.toolbox().offered(&model.model_id) {
        let spec = tool.spec();
        let switched_off = user
            .tools
            .as_ref()
            .is_some_and(|tools| tools.get(&*spec.name) == Some(&Value::Bool(false)));
        // Another's tool that only has the name of a built-in one has no part in its rules.
        let permission = match spec.source {
            ToolSource::BuiltIn => kilo_config::permission::of_tool(&spec.name),
            _ => &spec.name,
        };
        let hidden =
            kilo_config::permission::is_hidden(permission, &[&agent.permission, session_rules]);
        if switched_off || hidden {
            continue;
        }
        let mut description = spec.description;
        if &*spec.name == "task" {
            description.push_str(&task_agents_text(folder, agent));
        }
        if &*spec.name == "skill" {
            description.push_str(&engine.skills_text(folder));
        }
        access.push((spec.name.to_string(), spec.access));
        offers.push(ToolOffer {
            name: spec.name.to_string(),
            description,
            parameters: spec.parameters,
        });
    }
    if let Some(schema) = user.format.as_ref().and_then(|format| format.get("schema")) {
        access.push((STRUCTURED.to_string(), Access::Session));
        offers.push(ToolOffer {
            name: STRUCTURED.into(),
            description: "Give the final answer as an object of this shape. Call it exactly once, at the end.".into(),
            parameters: Arc::new(schema.clone()),
        });
    }
    (offers, access)
}

/// The subagents that `agent` may start, as lines for the task tool's description.
fn task_agents_text(folder: &Folder, agent: &Agent) -> String {
    let mut out = String::from("\n\nAgents:\n");
    for other in task_agents(folder, agent) {
        out.push_str(&format!(
            "- {}: {}\n",
            other.name,
            other.description.as_deref().unwrap_or("a subagent")
        ));
    }
    out
}

/// The subagents that `agent` may start.
pub(crate) fn task_agents<'a>(
    folder: &'a Folder,
    agent: &'a Agent,
) -> impl Iterator<Item = &'a Agent> {
    folder.agents.iter().filter(move |other| {
        other.mode != kilo_config::agent::Mode::Primary
            && !other.hidden
            && kilo_config::permission::evaluate("task", &other.name, &[&agent.permission]).action
                != kilo_protocol::model::Action::Deny
    })
}

/// Looks for the network until it is back, the turn is over or the bound is reached.
pub(crate) fn watch_network(
    actor: &mut SessionActor,
    stamp: Stamp,
    request: QuestionId,
    ctx: &mut Context<SessionActor>,
) {
    let engine = Arc::clone(&actor.engine);
    let directory = actor.machine.state.info.directory.clone();
    let model = actor.machine.state.turn.as_ref().and_then(|turn| {
        actor
            .machine
            .state
            .entry(&turn.prompt)?
            .info
            .user()
            .map(|user| user.model.clone())
    });
    let address = ctx.address();
    let cancel = actor.model.clone();
    let _ = stamp;
    actor.engine.spawn(async move {
        let Some(model) = model else { return };
        for _ in 0..limits::NETWORK_POLLS_MAX {
            tokio::select! {
                () = tokio::time::sleep(limits::NETWORK_POLL) => {}
                () = cancel.cancelled() => return,
            }
            if !address.connected() || engine.board().network(&request).is_none() {
                return;
            }
            let resolved = match engine.folder(&directory).await {
                Ok(folder) => folder.models.resolve(&model).ok(),
                Err(_) => None,
            };
            let Some(info) = resolved else { continue };
            if engine.models().reachable(info).await {
                tell(&address, Input::Network(Some(request), true)).await;
                return;
            }
        }
    });
}

/// Remembers rules for the project, in memory at once and in the store.
pub(crate) fn save_rules(actor: &SessionActor, rules: Vec<Rule>) {
    actor.engine.save_rules(&actor.address.project, rules);
}

/// Asks a small model for a title.
pub(crate) fn make_title(actor: &SessionActor, ctx: &mut Context<SessionActor>) {
    let engine = Arc::clone(&actor.engine);
    let state = &actor.machine.state;
    let material = title_material(state);
    let directory = state.info.directory.clone();
    let session = actor.address.session.to_string();
    let provider = state.info.model.clone();
    let address = ctx.address();
    actor.engine.spawn_finishing(async move {
        let Some(model) = provider else { return };
        let Ok(folder) = engine.folder(&directory).await else {
            return;
        };
        let main = ModelRef {
            provider_id: model.provider_id,
            model_id: model.id,
            variant: None,
        };
        let small = folder.models.small_model(&main.provider_id).unwrap_or(main);
        if let Some(title) = ask_title(&engine, &folder, small, session, material).await {
            tell(&address, Input::Title(title)).await;
        }
    });
}

async fn ask_title(
    engine: &Engine,
    folder: &Folder,
    model: ModelRef,
    session: String,
    material: String,
) -> Option<String> {
    let agent = folder.agent("title")?;
    let model = folder.models.resolve(&model).ok()?;
    let request = ModelRequest {
        session,
        system: kilo_config::prompt::system_prompt(agent),
        messages: vec![ModelMessage::User(vec![UserContent::Text(material)])],
        tools: Vec::new(),
        tool_required: false,
        output_max: output_max(&model),
        temperature: agent.temperature,
        top_p: agent.top_p,
        variant: None,
        options: agent.options.clone(),
        model,
    };
    let cancel = CancellationToken::new();
    let _stop = cancel.clone().drop_guard();
    let mut receiver = engine.models().stream(request, cancel);
    let mut text = String::new();
    while let Some(Ok(chunks)) = receiver.recv().await {
        for chunk in chunks {
            match chunk {
                Chunk::Text(more) => text.push_str(&more),
                Chunk::Finish { .. } => return clean_title(&text),
                _ => {}
            }
        }
        if text.len() > 4_096 {
            break;
        }
    }
    None
}

/// The first line that says something, without quotes, at most 100 characters.
fn clean_title(text: &str) -> Option<String> {
    let text = text.rsplit("</think>").next().unwrap_or(text);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let line = line
        .trim_matches(|sign| matches!(sign, '"' | '\'' | '`' | '#' | '*'))
        .trim();
    (!line.is_empty()).then(|| line.chars().take(100).collect())
}

/// Works out what the turn and the session changed.
pub(crate) fn make_diff(actor: &SessionActor, prompt: MessageId, ctx: &mut Context<SessionActor>) {
    let engine = Arc::clone(&actor.engine);
    let state = &actor.machine.state;
    let directory = PathBuf::from(&state.info.directory);
    let all = state.changes.clone();
    let of_turn: Vec<StepChanges> = all
        .iter()
        .filter(|change| {
            let entry = state.entry(&change.message);
            entry
                .and_then(|entry| entry.info.assistant())
                .is_some_and(|answer| answer.parent_id == prompt)
        })
        .cloned()
        .collect();
    let address = ctx.address();
    actor.engine.spawn_finishing(async move {
        let turn = diff_of(&engine, &directory, &of_turn).await;
        let session = if of_turn.len() == all.len() {
            turn.clone()
        } else {
            diff_of(&engine, &directory, &all).await
        };
        tell(&address, Input::Diff(prompt, turn, session)).await;
    });
}

/// The diff of the files that the changes name, from the first checkpoint to the last.
pub(crate) async fn diff_of(
    engine: &Engine,
    directory: &std::path::Path,
    changes: &[StepChanges],
) -> Vec<FileDiff> {
    let mut files = changes.iter().flat_map(|change| &change.files);
    let Some(first) = files.next() else {
        return Vec::new();
    };
    let last = changes
        .iter()
        .flat_map(|change| &change.files)
        .next_back()
        .unwrap_or(first);
    let paths: BTreeSet<String> = changes
        .iter()
        .flat_map(|change| &change.files)
        .map(|file| file.path.display().to_string())
        .collect();
    let diff = engine
        .checkpoints()
        .diff(
            directory.to_path_buf(),
            first.before.clone(),
            last.after.clone(),
        )
        .await;
    match diff {
        Ok(diff) => diff
            .into_iter()
            .filter(|file| {
                paths
                    .iter()
                    .any(|path| path.ends_with(&format!("/{}", file.file)))
            })
            .collect(),
        Err(error) => {
            tracing::warn!(%error, "diff of a turn failed");
            Vec::new()
        }
    }
}

/// Stops the child sessions that run.
pub(crate) fn abort_children(actor: &SessionActor) {
    let engine = Arc::clone(&actor.engine);
    let children = engine.catalog().children(&actor.address.session);
    actor.engine.spawn(async move {
        for child in children {
            if engine.board().is_busy(&child) {
                engine.abort(&child).await;
            }
        }
    });
}

/// Saves a view of the state, off the actor's thread.
pub(crate) fn save_view(actor: &mut SessionActor, seq: Seq) {
    let state: State = actor.machine.state.clone();
    let engine = Arc::clone(&actor.engine);
    let session = actor.address.session.clone();
    actor.engine.spawn_blocking(move || {
        let saved = serde_json::to_vec(&state)
            .map_err(|error| error.to_string())
            .and_then(|body| {
                let view = SavedView {
                    seq,
                    format: VIEW_FORMAT,
                    body: body.into(),
                };
                engine
                    .journal()
                    .store()
                    .save_view(&session, &view)
                    .map_err(|error| error.to_string())
            });
        if let Err(error) = saved {
            tracing::warn!(%session, %error, "view was not saved, the log still has everything");
        }
    });
}

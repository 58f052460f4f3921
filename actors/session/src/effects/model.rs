//! Model calls: what a model gets to read, which tools it is offered, and how the stream reaches the actor.

use crate::conversation::{Selection, conversation};
use crate::core::Core;
use crate::folder::Folder;
use crate::input::{Input, ModelCall, Opened, Stamp};
use crate::machine::STRUCTURED;
use crate::message::StreamOpened;
use crate::prepare;
use crate::record::TurnKind;
use crate::scope::Scope;
use crate::state::{Entry, State};
use kilo_config::agent::Agent;
use kilo_ports::provider::{
    ErrorClass, ModelInfo, ModelMessage, ModelRequest, ProviderError, ToolOffer, UserContent,
};
use kilo_ports::tool::{Access, Tool, ToolSource};
use kilo_protocol::model::{Rule, UserMessage};
use kilo_protocol::{MessageId, clock};
use serde_json::Value;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Prepares and starts a model call: the `number`-th of its actor.
pub(crate) fn call_model(
    scope: Scope,
    state: &State,
    stamp: Stamp,
    number: u64,
    call: ModelCall,
    cancel: CancellationToken,
) {
    let snapshot = Snapshot {
        session: scope.session().to_string(),
        directory: state.info.directory.clone(),
        messages: state.messages.clone(),
        queue: state.queue.clone(),
        session_rules: state.info.permission.clone().unwrap_or_default(),
    };
    let span = tracing::info_span!("session", id = %snapshot.session);
    let span = tracing::info_span!(parent: &span, "turn", id = %call.prompt);
    let span =
        tracing::info_span!(parent: &span, "step", n = call.step, model = %call.model.model_id);
    let (core, owner) = (Arc::clone(&scope.core), scope.owner.clone());
    let work = async move {
        let prepared = tokio::select! {
            prepared = prepare(&core, &snapshot, &call) => prepared,
            () = cancel.cancelled() => return,
        };
        match prepared {
            Ok((request, opened)) => {
                let receiver = core.ports.models.stream(request, cancel);
                let opened = Box::new(opened);
                owner
                    .stream(StreamOpened {
                        stamp,
                        number,
                        opened,
                        receiver,
                    })
                    .await;
            }
            Err(error) => owner.tell(Input::Refused(stamp, error)).await,
        }
    };
    scope.spawn(work.instrument(span));
}

/// The session as it was when the call was ordered.
struct Snapshot {
    session: String,
    directory: String,
    messages: Vec<Arc<Entry>>,
    queue: Vec<MessageId>,
    session_rules: Vec<Rule>,
}

fn refused(message: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorClass::Unknown, message)
}

async fn prepare(
    core: &Arc<Core>,
    snapshot: &Snapshot,
    call: &ModelCall,
) -> Result<(ModelRequest, Opened), ProviderError> {
    let folder = core
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
    let (tools, access) = if is_compaction || !model.tool_call || call.last_step {
        (Vec::new(), Vec::new())
    } else {
        folder.tools.ready().await;
        let offered = folder.tools.offered_to(&model.model_id, &snapshot.session);
        offers(&folder, agent, user, offered, &snapshot.session_rules)
    };
    if call.last_step {
        messages.push(ModelMessage::User(vec![UserContent::Text(
            crate::texts::LAST_STEP.into(),
        )]));
    }
    let system = if is_compaction {
        kilo_config::prompt::system_prompt(agent)
    } else {
        system(core, &folder, agent, user, &model).await
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
pub(super) fn output_max(model: &ModelInfo) -> u64 {
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
    folder: &Folder,
    agent: &Agent,
    user: &UserMessage,
    offered: Vec<Arc<dyn Tool>>,
    session_rules: &[Rule],
) -> (Vec<ToolOffer>, Vec<(String, Access)>) {
    let mut offers = Vec::new();
    let mut access = Vec::new();
    for tool in offered {
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
            description.push_str(&skills_text(folder));
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

/// The system texts of a call.
async fn system(
    core: &Core,
    folder: &Arc<Folder>,
    agent: &Agent,
    user: &UserMessage,
    model: &ModelInfo,
) -> Vec<String> {
    let mut system = kilo_config::prompt::system_prompt(agent);
    let date = clock::iso(core.now());
    system.push(kilo_config::prompt::environment_block(
        kilo_config::prompt::EnvFacts {
            directory: &folder.directory,
            worktree: &folder.worktree,
            is_git: folder.is_git,
            platform: std::env::consts::OS,
            date: &date[..10],
            model: &format!("{}/{}", model.provider_id, model.model_id),
        },
    ));
    let read = Arc::clone(folder);
    let texts = core
        .ports
        .handle
        .spawn_blocking(move || prepare::instructions(&read))
        .await;
    system.extend(texts.unwrap_or_default());
    if model.tool_call {
        system.extend(folder.tools.instructions());
    }
    system.extend(user.system.clone());
    system
}

/// The skills of a folder, as lines for the skill tool's description.
fn skills_text(folder: &Folder) -> String {
    let skills = prepare::skills(folder);
    if skills.is_empty() {
        return "\n\nNo skills are available in this project.".into();
    }
    let lines: String = skills
        .iter()
        .map(|(name, what, _)| format!("- {name}: {what}\n"))
        .collect();
    format!("\n\nSkills:\n{lines}")
}

//! Several versions of one prompt: sessions in worktrees of their own, with models and agents as given. They are listed,
//! compared (what changed, what a check says, cost, time), and one of them is kept.
//!
//! A fleet and each of its members is a small value in the store, written by one task each, so a restart loses none.

use crate::daemon::Daemon;
use crate::trees::{self, Filled, on_pool, ours};
use bytes::Bytes;
use kilo_ports::sandbox::{Exit, ProcessSpec};
use kilo_protocol::model::ModelRef;
use kilo_protocol::requests::{KeepOfFleet, NewSession, Prompt, StartFleet};
use kilo_protocol::{Fault, Millis, SessionId};
use kilo_worktree::trees::{Answer, How, NewTree, Order, Summary, Tree};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Members of a fleet.
const MEMBERS_MAX: usize = 8;
/// How long a check may take (30 minutes).
const CHECK_MS: u64 = 1_800_000;
/// The end of a check's output that is kept.
const TAIL_BYTES: usize = 4_000;
const FLEETS: &str = "fleet";
const MEMBERS: &str = "fleet-member";

/// What was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fleet {
    id: String,
    prompt: String,
    directory: String,
    project: String,
    created: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<String>,
    /// The name of the worktree whose result was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<String>,
    members: usize,
}

/// One version.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Member {
    worktree: Tree,
    #[serde(rename = "sessionID")]
    session: SessionId,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    started: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<Checked>,
}

/// What a check said.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Checked {
    ok: bool,
    how: String,
    took_ms: Millis,
    tail: String,
}

fn put(daemon: &Daemon, table: &str, key: &str, value: &impl Serialize) -> Result<(), Fault> {
    let engine = daemon
        .ready()
        .ok_or_else(|| Fault::unavailable("the daemon starts"))?;
    let body = serde_json::to_vec(value).map_err(|error| Fault::unknown(error.to_string()))?;
    let store = engine.core().ledger.store();
    Ok(store.put(table, key, &body, daemon.clock.now())?)
}

fn read<T: for<'a> Deserialize<'a>>(body: &Bytes) -> Option<T> {
    serde_json::from_slice(body).ok()
}

fn member_key(fleet: &str, number: usize) -> String {
    format!("{fleet}/{number}")
}

/// Starts a fleet. Its worktrees are filled and its sessions are there when this returns; the rest goes on by itself.
pub async fn start(
    daemon: &Arc<Daemon>,
    directory: &str,
    body: StartFleet,
) -> Result<Value, Fault> {
    let count = body.count.unwrap_or(body.models.len()).max(1);
    if count > MEMBERS_MAX {
        return Err(Fault::bad_field("at most 8 versions", "models"));
    }
    if body.prompt.trim().is_empty() {
        return Err(Fault::bad_field("a prompt", "prompt"));
    }
    if let Some(model) = body.models.iter().find(|model| model_of(model).is_none()) {
        return Err(Fault::bad_field(
            "PROVIDER/MODEL",
            &format!("models ({model})"),
        ));
    }
    let engine = daemon.engine().await?;
    let now = daemon.clock.now();
    let project = daemon.folders.instance(directory).await?.facts.project_id;
    let fleet = Fleet {
        id: format!(
            "flt_{:x}_{}",
            now,
            engine
                .core()
                .ledger
                .ids()
                .session(now)
                .as_str()
                .chars()
                .rev()
                .take(6)
                .collect::<String>()
        ),
        prompt: body.prompt.clone(),
        directory: directory.to_owned(),
        project,
        created: now,
        check: body.check.clone(),
        kept: None,
        members: count,
    };
    let begun = (0..count).map(|number| begin(daemon, directory, &body, number));
    let begun = futures_util::future::join_all(begun).await;
    let mut members = Vec::new();
    let mut failed = None;
    for member in begun {
        match member {
            Ok(member) => members.push(member),
            Err(fault) => failed = Some(fault),
        }
    }
    if let Some(fault) = failed {
        for (member, _) in members {
            remove(daemon, &fleet, &member, false).await;
        }
        return Err(fault);
    }
    put(daemon, FLEETS, &fleet.id, &fleet)?;
    for (number, (member, filled)) in members.into_iter().enumerate() {
        let key = member_key(&fleet.id, number);
        put(daemon, MEMBERS, &key, &member)?;
        let (daemon, fleet) = (Arc::clone(daemon), fleet.clone());
        let handle = daemon.handle.clone();
        handle.spawn(async move { run(&daemon, &fleet, &key, member, filled).await });
    }
    compare(daemon, &fleet.id).await
}

/// The worktree and the session of one version.
async fn begin(
    daemon: &Arc<Daemon>,
    directory: &str,
    body: &StartFleet,
    number: usize,
) -> Result<(Member, Filled), Fault> {
    let turn = |list: &[String]| (!list.is_empty()).then(|| list[number % list.len()].clone());
    let (model, agent) = (turn(&body.models), turn(&body.agents));
    let called = body.name.clone().unwrap_or_else(|| short(&body.prompt));
    let of_model = model
        .as_deref()
        .and_then(model_of)
        .map(|model| model.model_id);
    let new = NewTree {
        name: Some(match of_model {
            Some(model) => format!("{called} {model}"),
            None => called,
        }),
        base: body.base.clone(),
        changes: body.changes,
        ..NewTree::default()
    };
    let begun = trees::begin(daemon, directory, new, None)
        .await
        .map_err(ours)?;
    let filled = begun.only_filled().await.map_err(ours)?;
    let tree = filled.tree.clone();
    let session = NewSession {
        agent: agent.clone(),
        permission: body.permission.clone(),
        ..NewSession::default()
    };
    let engine = daemon.engine().await?;
    let folder = tree.directory.display().to_string();
    let session = engine.sessions().create(&folder, session).await?;
    let member = Member {
        worktree: tree,
        session: session.id,
        model,
        agent,
        started: daemon.clock.now(),
        ended: None,
        error: None,
        check: None,
    };
    Ok((member, filled))
}

/// The first words of a prompt.
fn short(prompt: &str) -> String {
    let words: Vec<&str> = prompt.split_whitespace().take(4).collect();
    words.join(" ").chars().take(40).collect()
}

fn model_of(text: &str) -> Option<ModelRef> {
    let (provider, model) = kilo_config::view::split_model(text)?;
    Some(ModelRef {
        provider_id: provider.into(),
        model_id: model.into(),
        variant: None,
    })
}

/// Runs one version to its end: set-up, prompt, check.
async fn run(daemon: &Arc<Daemon>, fleet: &Fleet, key: &str, mut member: Member, filled: Filled) {
    let done = async {
        filled.set_up(daemon).await.map_err(ours)?;
        let engine = daemon.engine().await?;
        let prompt = Prompt {
            model: member.model.as_deref().and_then(model_of),
            agent: member.agent.clone(),
            ..Prompt::text(&fleet.prompt)
        };
        let (id, accepted) = engine.sessions().prompt(&member.session, prompt).await?;
        let answer = engine
            .sessions()
            .answer(&member.session, &id, accepted)
            .await?;
        let error = answer
            .info
            .assistant()
            .and_then(|answer| answer.error.clone());
        Ok::<_, Fault>(error.map(|error| error.message().to_owned()))
    };
    member.error = match done.await {
        Ok(error) => error,
        Err(fault) => Some(fault.message),
    };
    member.ended = Some(daemon.clock.now());
    if let Some(text) = &fleet.check {
        member.check = Some(check(daemon, &member, text).await);
    }
    if let Err(fault) = put(daemon, MEMBERS, key, &member) {
        tracing::warn!(key, %fault, "what became of a version is not stored");
    }
}

async fn check(daemon: &Daemon, member: &Member, text: &str) -> Checked {
    let begun = daemon.clock.now();
    let spec = ProcessSpec {
        program: "sh".into(),
        args: vec!["-c".into(), text.into()],
        directory: member.worktree.directory.clone(),
        env: Vec::new(),
        timeout_ms: Some(CHECK_MS),
        stdin: None,
    };
    let (send, mut receive) = mpsc::channel::<Bytes>(16);
    let mut kept = Vec::new();
    let exit = match daemon.engine().await {
        Ok(engine) => {
            let running = engine
                .core()
                .ports
                .sandbox
                .run(spec, send, CancellationToken::new());
            let reading = async {
                while let Some(piece) = receive.recv().await {
                    kept.extend_from_slice(&piece);
                    let over = kept.len().saturating_sub(4 * TAIL_BYTES);
                    kept.drain(..over);
                }
            };
            tokio::join!(running, reading)
                .0
                .map_err(|error| error.to_string())
        }
        Err(fault) => Err(fault.message),
    };
    let tail = &kept[kept.len().saturating_sub(TAIL_BYTES)..];
    Checked {
        ok: exit == Ok(Exit::Code(0)),
        how: match exit {
            Ok(Exit::Code(code)) => format!("ended with {code}"),
            Ok(Exit::TimedOut) => "took too long".into(),
            Ok(other) => format!("{other:?}"),
            Err(why) => why,
        },
        took_ms: daemon.clock.now().saturating_sub(begun),
        tail: String::from_utf8_lossy(tail).into_owned(),
    }
}

/// The fleets of a directory's project, newest first.
pub async fn list(daemon: &Arc<Daemon>, directory: &str) -> Result<Vec<Fleet>, Fault> {
    let project = daemon.folders.instance(directory).await?.facts.project_id;
    let engine = daemon.engine().await?;
    let all = engine.core().ledger.store().scan(FLEETS);
    let mut fleets: Vec<Fleet> = all.iter().filter_map(|(_, body)| read(body)).collect();
    fleets.retain(|fleet| fleet.project == project);
    fleets.sort_by_key(|fleet| std::cmp::Reverse(fleet.created));
    Ok(fleets)
}

async fn find(daemon: &Daemon, id: &str) -> Result<(Fleet, Vec<Member>), Fault> {
    let engine = daemon.engine().await?;
    let store = engine.core().ledger.store();
    let fleet = store.get(FLEETS, id).and_then(|body| read::<Fleet>(&body));
    let fleet = fleet.ok_or_else(|| Fault::not_found("Fleet", id))?;
    let members = (0..fleet.members)
        .filter_map(|number| read(&store.get(MEMBERS, &member_key(id, number))?))
        .collect();
    Ok((fleet, members))
}

/// A fleet with what its versions came to.
pub async fn compare(daemon: &Arc<Daemon>, id: &str) -> Result<Value, Fault> {
    let (fleet, members) = find(daemon, id).await?;
    let mut shown = Vec::new();
    for member in &members {
        shown.push(compared(daemon, member).await?);
    }
    let mut answer = serde_json::to_value(&fleet).unwrap_or_default();
    answer["done"] = members
        .iter()
        .all(|member| member.ended.is_some() && (fleet.check.is_none() || member.check.is_some()))
        .into();
    answer["members"] = shown.into();
    Ok(answer)
}

async fn compared(daemon: &Arc<Daemon>, member: &Member) -> Result<Value, Fault> {
    let engine = daemon.engine().await?;
    let session = engine.queries().session(&member.session).ok();
    let busy = engine.core().ledger.activity().is_busy(&member.session);
    let tree = member.worktree.clone();
    let is_there = tree.directory.is_dir();
    let trees = daemon.trees.clone();
    let summary: Option<Summary> = match is_there {
        true => on_pool(daemon, async move { trees.summary(&tree).await })
            .await
            .ok(),
        false => None,
    };
    let status = match (&member.ended, busy) {
        (Some(_), _) if member.error.is_some() => "failed",
        (Some(_), _) => "done",
        (None, true) => "busy",
        // its set-up runs, or the daemon ended in between
        (None, false) => "waiting",
    };
    Ok(json!({
        "worktree": member.worktree.name,
        "directory": member.worktree.directory,
        "branch": member.worktree.branch,
        "sessionID": member.session,
        "model": member.model,
        "agent": member.agent,
        "status": status,
        "removed": !is_there,
        "error": member.error,
        "tookMs": member.ended.unwrap_or_else(|| daemon.clock.now()).saturating_sub(member.started),
        "cost": session.as_ref().map(|session| session.cost),
        "tokens": session.as_ref().map(|session| &session.tokens),
        "diff": summary,
        "check": member.check,
    }))
}

/// Brings the result of one version home and, if asked, removes the worktrees; their states are kept.
pub async fn keep(
    daemon: &Arc<Daemon>,
    id: &str,
    body: KeepOfFleet,
    how: How,
) -> Result<Value, Fault> {
    let (mut fleet, members) = find(daemon, id).await?;
    let kept = members
        .iter()
        .find(|member| member.worktree.name == body.worktree);
    let kept = kept.ok_or_else(|| Fault::not_found("Version", &body.worktree))?;
    let place = trees::place(daemon, &fleet.directory).await.map_err(ours)?;
    let order = Order {
        how,
        message: body.message,
        ..Order::default()
    };
    let (trees, directory) = (daemon.trees.clone(), kept.worktree.directory.clone());
    let landed = on_pool(daemon, async move {
        trees.apply(&place, &directory, order).await
    });
    let landed = landed.await.map_err(ours)?;
    fleet.kept = Some(body.worktree);
    put(daemon, FLEETS, id, &fleet)?;
    let mut removed: Vec<PathBuf> = Vec::new();
    if body.remove {
        for member in &members {
            if remove(daemon, &fleet, member, true).await {
                removed.push(member.worktree.directory.clone());
            }
        }
    }
    Ok(json!({"landed": landed, "removed": removed}))
}

/// Removes a version's worktree; false when somebody works there, or it is gone.
async fn remove(daemon: &Arc<Daemon>, fleet: &Fleet, member: &Member, look: bool) -> bool {
    let Ok(place) = trees::place(daemon, &fleet.directory).await else {
        return false;
    };
    let directory = member.worktree.directory.clone();
    if look && !trees::users(daemon, &directory).await.is_empty() {
        return false;
    }
    let (trees, gone) = (daemon.trees.clone(), directory.clone());
    let said = Answer {
        force: true,
        users: Vec::new(),
    };
    let removed = on_pool(
        daemon,
        async move { trees.remove(&place, &gone, said).await },
    );
    let is_removed = removed.await.is_ok();
    let _ = trees::dispose(daemon, &directory).await;
    is_removed
}

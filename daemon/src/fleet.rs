//! Several versions of one prompt: sessions in worktrees of their own, with models and agents as given. They are listed,
//! compared (what changed, what a check says, cost, time), and one of them is kept.
//!
//! A fleet and each of its versions is a small value in the store, written by one task each, so a restart loses none: what
//! was in the middle then is taken up when somebody looks.

mod run;
mod stored;

use crate::daemon::Daemon;
use crate::trees::{self, Filled, on_pool, ours};
use kilo_protocol::requests::{KeepOfFleet, NewSession, StartFleet};
use kilo_protocol::worktree::{Fleet, FleetKept, FleetNow, Member, MemberStatus};
use kilo_protocol::{Fault, Millis};
use kilo_worktree::trees::{Answer, NewTree, Order};
use run::model_of;
use std::path::PathBuf;
use std::sync::Arc;
use stored::{Stored, Version};

/// Versions of a fleet.
const VERSIONS_MAX: usize = 8;

/// Starts a fleet. Its worktrees are filled and its sessions are there when this returns; the rest goes on by itself.
pub async fn start(
    daemon: &Arc<Daemon>,
    directory: &str,
    body: StartFleet,
) -> Result<FleetNow, Fault> {
    let count = body.count.unwrap_or(body.models.len()).max(1);
    if count > VERSIONS_MAX {
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
    let now = daemon.clock.now();
    let fleet = Fleet {
        id: new_id(daemon, now).await?,
        prompt: body.prompt.clone(),
        directory: directory.to_owned(),
        project: daemon.folders.instance(directory).await?.facts.project_id,
        created: now,
        check: body.check.clone(),
        kept: None,
    };
    let begun = (0..count).map(|number| begin(daemon, &fleet, &body, number));
    let begun = futures_util::future::join_all(begun).await;
    let mut versions = Vec::new();
    let mut failed = None;
    for version in begun {
        match version {
            Ok(version) => versions.push(version),
            Err(fault) => failed = Some(fault),
        }
    }
    if let Some(fault) = failed {
        for (version, _) in versions {
            remove(daemon, &fleet, &version.worktree.directory, false).await;
        }
        return Err(fault);
    }
    let stored = Stored {
        fleet: fleet.clone(),
        members: count,
    };
    stored::put_fleet(daemon, &stored)?;
    for (number, (version, filled)) in versions.into_iter().enumerate() {
        let key = stored::key_of(&fleet.id, number);
        stored::put_version(daemon, &key, &version)?;
        run::begin(daemon, &fleet, key, version, filled);
    }
    compare(daemon, &fleet.id).await
}

async fn new_id(daemon: &Daemon, now: Millis) -> Result<String, Fault> {
    let engine = daemon.engine().await?;
    let random = engine.core().ledger.ids().session(now);
    let end: String = random.as_str().chars().rev().take(6).collect();
    Ok(format!("flt_{now:x}_{end}"))
}

/// The worktree and the session of one version. Nothing is left of it when it fails.
async fn begin(
    daemon: &Arc<Daemon>,
    fleet: &Fleet,
    body: &StartFleet,
    number: usize,
) -> Result<(Version, Filled), Fault> {
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
    let begun = trees::begin(daemon, &fleet.directory, new, None)
        .await
        .map_err(ours)?;
    let filled = begun.only_filled().await.map_err(ours)?;
    let tree = filled.tree.clone();
    let session = NewSession {
        agent: agent.clone(),
        permission: body.permission.clone(),
        ..NewSession::default()
    };
    let folder = tree.directory.display().to_string();
    let created = match daemon.engine().await {
        Ok(engine) => engine.sessions().create(&folder, session).await,
        Err(fault) => Err(fault),
    };
    let session = match created {
        Ok(session) => session,
        Err(fault) => {
            remove(daemon, fleet, &tree.directory, false).await;
            return Err(fault);
        }
    };
    let version = Version {
        worktree: tree,
        session: session.id,
        model,
        agent,
        started: daemon.clock.now(),
        ended: None,
        error: None,
        check: None,
    };
    Ok((version, filled))
}

/// The first words of a prompt.
fn short(prompt: &str) -> String {
    let words: Vec<&str> = prompt.split_whitespace().take(4).collect();
    words.join(" ").chars().take(40).collect()
}

/// The fleets of a directory's project, newest first.
pub async fn list(daemon: &Arc<Daemon>, directory: &str) -> Result<Vec<Fleet>, Fault> {
    let project = daemon.folders.instance(directory).await?.facts.project_id;
    let stored = stored::of_project(daemon, &project).await?;
    Ok(stored.into_iter().map(|stored| stored.fleet).collect())
}

/// A fleet with what its versions came to.
pub async fn compare(daemon: &Arc<Daemon>, id: &str) -> Result<FleetNow, Fault> {
    let (stored, versions) = stored::find(daemon, id).await?;
    let done = versions
        .iter()
        .all(|(_, version)| version.is_over(&stored.fleet));
    let members = versions.into_iter().map(async |(key, version)| {
        run::take_up(daemon, &stored.fleet, key, version.clone());
        compared(daemon, version).await
    });
    let members = futures_util::future::try_join_all(members).await?;
    Ok(FleetNow {
        fleet: stored.fleet,
        done,
        members,
    })
}

async fn compared(daemon: &Arc<Daemon>, version: Version) -> Result<Member, Fault> {
    let engine = daemon.engine().await?;
    let session = engine.queries().session(&version.session).ok();
    let is_busy = engine.core().ledger.activity().is_busy(&version.session);
    let tree = version.worktree;
    let is_there = tree.directory.is_dir();
    let (trees, looked_at) = (daemon.trees.clone(), tree.clone());
    let diff = match is_there {
        true => on_pool(daemon, async move { trees.summary(&looked_at).await })
            .await
            .ok(),
        false => None,
    };
    let until = version.ended.unwrap_or_else(|| daemon.clock.now());
    Ok(Member {
        worktree: tree.name,
        directory: tree.directory,
        branch: tree.branch,
        session: version.session,
        model: version.model,
        agent: version.agent,
        status: match (version.ended, is_busy) {
            (Some(_), _) if version.error.is_some() => MemberStatus::Failed,
            (Some(_), _) => MemberStatus::Done,
            (None, true) => MemberStatus::Busy,
            (None, false) => MemberStatus::Waiting,
        },
        removed: !is_there,
        error: version.error,
        took_ms: until.saturating_sub(version.started),
        cost: session.as_ref().map(|session| session.cost),
        tokens: session.map(|session| session.tokens),
        diff,
        check: version.check,
    })
}

/// Brings the result of one version home and, if asked, removes the worktrees; their states are kept.
pub async fn keep(daemon: &Arc<Daemon>, id: &str, body: KeepOfFleet) -> Result<FleetKept, Fault> {
    let (mut stored, versions) = stored::find(daemon, id).await?;
    let trees: Vec<_> = versions
        .into_iter()
        .map(|(_, version)| version.worktree)
        .collect();
    let kept = trees.iter().find(|tree| tree.name == body.worktree);
    let kept = kept.ok_or_else(|| Fault::not_found("Version", &body.worktree))?;
    let directory = kept.directory.clone();
    let place = trees::place(daemon, &stored.fleet.directory).await;
    let place = place.map_err(ours)?;
    let order = Order {
        how: body.how,
        message: body.message,
        ..Order::default()
    };
    let here = daemon.trees.clone();
    let landed = on_pool(daemon, async move {
        here.apply(&place, &directory, order).await
    });
    let landed = landed.await.map_err(ours)?;
    stored.fleet.kept = Some(body.worktree);
    stored::put_fleet(daemon, &stored)?;
    let mut removed: Vec<PathBuf> = Vec::new();
    if body.remove {
        for tree in trees {
            if remove(daemon, &stored.fleet, &tree.directory, true).await {
                removed.push(tree.directory);
            }
        }
    }
    Ok(FleetKept { landed, removed })
}

/// Removes a version's worktree; false when somebody works there, or it is gone.
async fn remove(
    daemon: &Arc<Daemon>,
    fleet: &Fleet,
    directory: &std::path::Path,
    look: bool,
) -> bool {
    let Ok(place) = trees::place(daemon, &fleet.directory).await else {
        return false;
    };
    if look && !trees::users(daemon, directory).await.is_empty() {
        return false;
    }
    let (trees, gone) = (daemon.trees.clone(), directory.to_path_buf());
    let said = Answer {
        force: true,
        users: Vec::new(),
    };
    let removed = on_pool(
        daemon,
        async move { trees.remove(&place, &gone, said).await },
    );
    let is_removed = removed.await.is_ok();
    let _ = trees::dispose(daemon, directory).await;
    is_removed
}

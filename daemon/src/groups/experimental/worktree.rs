//! Worktrees as the reference has them: made, listed, reset, removed, compared with their base.

use super::super::Answer;
use crate::daemon::Daemon;
use crate::trees::{self, of_wire, on_pool};
use kilo_edge::{Reply, Request};
use kilo_protocol::Fault;
use kilo_protocol::requests::{CreateWorktree, NamedWorktree};
use kilo_worktree::trees::{self as worktrees, Answer as Said, Detail, Item, NewTree, TreeError};
use kilo_worktree::vcs;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

fn failed(name: &'static str) -> impl Fn(TreeError) -> Fault {
    move |error| of_wire(error, name)
}

/// Answers as soon as name, branch and folder are there; `worktree.ready` or `worktree.failed` follows.
pub(super) async fn create(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body: CreateWorktree = request.json()?;
    let new = NewTree {
        name: body.name,
        ..NewTree::default()
    };
    let directory = daemon.directory(&request);
    let begun = trees::begin(&daemon, &directory, new, body.start_command)
        .await
        .map_err(failed("WorktreeCreateFailedError"))?;
    let tree = begun.go_on(&daemon);
    Reply::json(&json!({"name": tree.name, "branch": tree.branch, "directory": tree.directory}))
}

pub(super) async fn list(daemon: Arc<Daemon>, request: Request) -> Answer {
    let failed = failed("WorktreeListFailedError");
    let place = match trees::place(&daemon, &daemon.directory(&request)).await {
        Ok(place) => place,
        Err(TreeError::NotGit(_)) => return Reply::json(&json!([])),
        Err(error) => return Err(failed(error)),
    };
    let here = daemon.trees.clone();
    let listed = on_pool(&daemon, async move { here.list(&place, false).await });
    let listed: Vec<Value> = listed
        .await
        .map_err(failed)?
        .iter()
        .map(|listed| json!({"directory": listed.directory, "managed": listed.tree.is_some()}))
        .collect();
    Reply::json(&listed)
}

/// Refused when work would be lost: the reference's body has no word for "all the same". `/x/worktree/remove` has.
pub(super) async fn remove(daemon: Arc<Daemon>, request: Request) -> Answer {
    let failed = failed("WorktreeRemoveFailedError");
    let directory = named(&daemon, &request)?;
    let place = trees::place(&daemon, &daemon.directory(&request)).await;
    let place = place.map_err(&failed)?;
    let said = Said {
        force: false,
        users: trees::users(&daemon, &directory).await,
    };
    let (here, gone) = (daemon.trees.clone(), directory.clone());
    on_pool(
        &daemon,
        async move { here.remove(&place, &gone, said).await },
    )
    .await
    .map_err(failed)?;
    trees::dispose(&daemon, &directory).await?;
    Reply::json(&true)
}

/// What goes is kept for 30 days, so uncommitted changes are no reason to refuse.
pub(super) async fn reset(daemon: Arc<Daemon>, request: Request) -> Answer {
    let failed = failed("WorktreeResetFailedError");
    let directory = named(&daemon, &request)?;
    let place = trees::place(&daemon, &daemon.directory(&request)).await;
    let place = place.map_err(&failed)?;
    let said = Said {
        force: false,
        users: trees::users(&daemon, &directory).await,
    };
    let here = daemon.trees.clone();
    on_pool(&daemon, async move {
        here.reset(&place, &directory, said).await
    })
    .await
    .map_err(failed)?;
    Reply::json(&true)
}

/// The worktree that a body names.
fn named(daemon: &Daemon, request: &Request) -> Result<PathBuf, Fault> {
    let NamedWorktree { directory } = request.json()?;
    let base = daemon.directory(request);
    Ok(crate::paths::absolute(base.as_ref(), &directory))
}

pub(super) async fn diff(daemon: Arc<Daemon>, request: Request) -> Answer {
    let items = compared(&daemon, &request, Detail::Whole, None).await?;
    let shown: Vec<Value> = items
        .iter()
        .map(|item| {
            json!({
                "file": item.file,
                "patch": item.patch,
                "before": item.before,
                "after": item.after,
                "additions": item.additions,
                "deletions": item.deletions,
                "status": item.status,
            })
        })
        .collect();
    Reply::json(&shown)
}

pub(super) async fn summary(daemon: Arc<Daemon>, request: Request) -> Answer {
    let items = compared(&daemon, &request, Detail::Summary, None).await?;
    let shown: Vec<Value> = items.iter().map(|item| as_item(item, true)).collect();
    Reply::json(&shown)
}

pub(super) async fn file(daemon: Arc<Daemon>, request: Request) -> Answer {
    let file = request.query.require("file")?.to_string();
    let items = compared(&daemon, &request, Detail::Whole, Some(file.clone())).await?;
    match items.first() {
        Some(item) => Reply::json(&as_item(item, false)),
        // the reference's clients ask for a file that they saw changed; it may be as before by now
        None => Reply::json(&json!({
            "file": file, "patch": "", "before": "", "after": "", "additions": 0, "deletions": 0,
            "tracked": true, "generatedLike": false, "summarized": false, "stamp": "0:0",
        })),
    }
}

fn as_item(item: &Item, summarized: bool) -> Value {
    json!({
        "file": item.file,
        "patch": item.patch,
        "before": item.before,
        "after": item.after,
        "additions": item.additions,
        "deletions": item.deletions,
        "status": item.status,
        "tracked": item.tracked,
        "generatedLike": item.generated_like,
        "summarized": summarized,
        "stamp": item.stamp,
    })
}

async fn compared(
    daemon: &Arc<Daemon>,
    request: &Request,
    detail: Detail,
    file: Option<String>,
) -> Result<Vec<Item>, Fault> {
    let directory = PathBuf::from(daemon.directory(request));
    let base = match request.query.get("base") {
        Some(base) => base.to_owned(),
        None => base_of(daemon, &directory).await,
    };
    let compared = daemon.blocking(move || {
        worktrees::compare(&directory, &base, detail, file.as_deref())
            .map_err(|error| Fault::bad_request("Query", error.to_string()))
    });
    compared.await
}

/// What a worktree is compared with when nobody says: what it started from, else the default branch.
async fn base_of(daemon: &Arc<Daemon>, directory: &std::path::Path) -> String {
    if let Ok(place) = trees::place(daemon, &directory.display().to_string()).await {
        let here = daemon.trees.clone();
        let root = place.root.display().to_string();
        let found = on_pool(daemon, async move { here.named(&place, &root).await }).await;
        if let Some(tree) = found.ok().and_then(|listed| listed.tree) {
            return tree.base.unwrap_or(tree.commit);
        }
    }
    let directory = directory.to_path_buf();
    let info = daemon.blocking(move || Ok(vcs::info(&directory))).await;
    let default = info.ok().and_then(|info| info.default_branch);
    default.unwrap_or_else(|| "HEAD".into())
}

//! Sessions that move between folders, and the end of what works in a worktree.

use super::super::Answer;
use crate::daemon::Daemon;
use crate::paths::absolute;
use crate::trees::{self, on_pool, ours};
use kilo_edge::{Reply, Request};
use kilo_protocol::requests::{MoveSession, SessionToWorktree, TeardownWorktree};
use kilo_protocol::{Fault, FaultKind};
use kilo_worktree::trees::{NewTree, TreeError};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Makes a worktree with what is uncommitted where the session is, and lets the session go on there.
pub(super) async fn to_worktree(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body: SessionToWorktree = request.json()?;
    let engine = daemon.engine().await?;
    let id = Daemon::session_id(&request);
    let session = engine.queries().session(&id)?;
    engine.sessions().must_be_idle(&id)?;
    let new = NewTree {
        name: body.name,
        changes: true,
        ..NewTree::default()
    };
    let begun = trees::begin(&daemon, &session.directory, new, None);
    let begun = begun.await.map_err(ours)?;
    let place = begun.place.clone();
    let tree = begun.filled(&daemon).await.map_err(ours)?;
    let directory = below(&session.directory, &place.root, &tree.directory);
    let directory = directory.display().to_string();
    let session = engine.sessions().move_to(&id, &directory).await?;
    if body.clear {
        let trees = daemon.trees.clone();
        let cleared = on_pool(&daemon, async move { trees.clear(&place).await });
        cleared.await.map_err(ours)?;
    }
    Reply::json(&json!({"session": session, "worktree": tree}))
}

/// The folder in `tree` that `directory` is in `root`, where it is there.
fn below(directory: &str, root: &Path, tree: &Path) -> PathBuf {
    let real = std::fs::canonicalize(directory).unwrap_or_else(|_| directory.into());
    match real.strip_prefix(root) {
        Ok(path) if path != Path::new("") && tree.join(path).is_dir() => tree.join(path),
        _ => tree.to_path_buf(),
    }
}

pub(in super::super) async fn move_session(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body: MoveSession = request.json()?;
    moved(&daemon, &request, body)
        .await
        .map_err(|fault| Fault::named(FaultKind::BadRequest, "MoveSessionError", fault.message))?;
    Ok(Reply::Empty(204))
}

async fn moved(daemon: &Arc<Daemon>, request: &Request, body: MoveSession) -> Result<(), Fault> {
    let engine = daemon.engine().await?;
    let session = engine.queries().session(&body.session_id)?;
    engine.sessions().must_be_idle(&body.session_id)?;
    let base = daemon.directory(request);
    let to = absolute(Path::new(&base), &body.destination.directory);
    if !to.is_dir() {
        return Err(Fault::bad_request(
            "Payload",
            format!("{} is not a folder", to.display()),
        ));
    }
    let text = to.display().to_string();
    if body.move_changes {
        let from = trees::place(daemon, &session.directory)
            .await
            .map_err(ours)?;
        let into = trees::place(daemon, &text).await.map_err(ours)?;
        let trees = daemon.trees.clone();
        let carried = on_pool(daemon, async move {
            if from.common != into.common {
                return Err(TreeError::NotATree {
                    directory: into.root,
                    why: "is in another repository, so changes cannot come along",
                });
            }
            if from.root != into.root {
                trees.carry(&from.root, &into.root).await?;
                trees.clear(&from).await?;
            }
            Ok(())
        });
        carried.await.map_err(ours)?;
    }
    engine.sessions().move_to(&body.session_id, &text).await?;
    Ok(())
}

/// Ends what works in a worktree: turns of sessions, background processes, terminals, the folder's instance. Its files
/// stay. Answers when all of it is over.
pub(in super::super) async fn teardown(daemon: Arc<Daemon>, request: Request) -> Answer {
    let TeardownWorktree { worktree } = request.json()?;
    let directory = absolute(Path::new(&daemon.directory(&request)), &worktree);
    trees::end_work(&daemon, &directory).await?;
    trees::dispose(&daemon, &directory).await?;
    Reply::json(&json!({"disposed": true}))
}

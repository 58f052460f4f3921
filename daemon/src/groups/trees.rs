//! Worktrees beyond what the reference has.

mod fleet;
mod session;

pub(super) use session::{move_session, teardown};

use super::{Answer, routes};
use crate::daemon::Daemon;
use crate::paths::absolute;
use crate::trees::{self, on_pool, ours};
use kilo_edge::{Reply, Request};
use kilo_protocol::Fault;
use kilo_protocol::requests::{
    ApplyWorktree, EndWorktree, MakeWorktree, NamedWorktree, RenameWorktree, RestoreWorktree,
};
use kilo_worktree::trees::{Answer as Said, NewTree, Order, Place, State};
use std::path::{Path, PathBuf};
use std::sync::Arc;

routes! {
    "x.worktree.list" => list;
    "x.worktree.create" => create;
    "x.worktree.remove" => remove;
    "x.worktree.reset" => reset;
    "x.worktree.rename" => rename;
    "x.worktree.adopt" => adopt;
    "x.worktree.apply" => apply;
    "x.worktree.kept" => kept;
    "x.worktree.restore" => restore;
    "x.session.worktree" => session::to_worktree;
    "x.fleet.list" => fleet::list;
    "x.fleet.start" => fleet::start;
    "x.fleet.compare" => fleet::compare;
    "x.fleet.keep" => fleet::keep;
}

async fn place(daemon: &Arc<Daemon>, request: &Request) -> Result<Place, Fault> {
    let directory = daemon.directory(request);
    trees::place(daemon, &directory).await.map_err(ours)
}

/// The top folder of the worktree that has this name, or is in this folder.
async fn folder_of(
    daemon: &Arc<Daemon>,
    request: &Request,
    place: &Place,
    worktree: &str,
) -> Result<PathBuf, Fault> {
    let (trees, place, name) = (daemon.trees.clone(), place.clone(), worktree.to_owned());
    let named = on_pool(daemon, async move { trees.named(&place, &name).await });
    match named.await {
        Ok(listed) => Ok(listed.directory),
        Err(_) if worktree.contains('/') => {
            let base = daemon.directory(request);
            Ok(absolute(Path::new(&base), worktree))
        }
        Err(error) => Err(ours(error)),
    }
}

async fn list(daemon: Arc<Daemon>, request: Request) -> Answer {
    let place = place(&daemon, &request).await?;
    let looked_into = request.query.flag("status");
    let trees = daemon.trees.clone();
    let listed = on_pool(
        &daemon,
        async move { trees.list(&place, looked_into).await },
    );
    Reply::json(&listed.await.map_err(ours)?)
}

async fn create(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body: MakeWorktree = request.json()?;
    let new = NewTree {
        name: body.name,
        base: body.base,
        checkout: body.checkout,
        changes: body.changes,
    };
    let directory = daemon.directory(&request);
    let begun = trees::begin(&daemon, &directory, new, body.start_command);
    let begun = begun.await.map_err(ours)?;
    let tree = match body.wait {
        true => begun.filled(&daemon).await.map_err(ours)?,
        false => begun.go_on(&daemon),
    };
    Reply::json(&tree)
}

async fn remove(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body: EndWorktree = request.json()?;
    let place = place(&daemon, &request).await?;
    let directory = folder_of(&daemon, &request, &place, &body.worktree).await?;
    if body.force {
        end_work(&daemon, &place, &directory).await?;
    }
    let said = said(&daemon, &directory, body.force).await;
    let (trees, gone) = (daemon.trees.clone(), directory.clone());
    let removed = on_pool(
        &daemon,
        async move { trees.remove(&place, &gone, said).await },
    );
    let removed = removed.await.map_err(ours)?;
    trees::dispose(&daemon, &directory).await?;
    Reply::json(&removed)
}

async fn reset(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body: EndWorktree = request.json()?;
    let place = place(&daemon, &request).await?;
    let directory = folder_of(&daemon, &request, &place, &body.worktree).await?;
    let said = said(&daemon, &directory, body.force).await;
    let trees = daemon.trees.clone();
    let kept = on_pool(&daemon, async move {
        trees.reset(&place, &directory, said).await
    });
    Reply::json(&kept.await.map_err(ours)?)
}

/// Ends what works in a worktree that is to go whatever works there. What is no linked worktree is left alone.
async fn end_work(daemon: &Arc<Daemon>, place: &Place, directory: &Path) -> Result<(), Fault> {
    let (trees, place) = (daemon.trees.clone(), place.clone());
    let name = directory.to_string_lossy().into_owned();
    let named = on_pool(daemon, async move { trees.named(&place, &name).await });
    let is_tree = named.await.is_ok_and(|listed| listed.state == State::Ready);
    match is_tree {
        true => trees::end_work(daemon, directory).await,
        false => Ok(()),
    }
}

/// What the caller says to the losses: who works there is known here.
async fn said(daemon: &Daemon, directory: &Path, force: bool) -> Said {
    Said {
        force,
        users: trees::users(daemon, directory).await,
    }
}

async fn rename(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body: RenameWorktree = request.json()?;
    let place = place(&daemon, &request).await?;
    let directory = folder_of(&daemon, &request, &place, &body.worktree).await?;
    let trees = daemon.trees.clone();
    let renamed = on_pool(&daemon, async move {
        trees.rename(&place, &directory, &body.name).await
    });
    Reply::json(&renamed.await.map_err(ours)?)
}

async fn adopt(daemon: Arc<Daemon>, request: Request) -> Answer {
    let NamedWorktree { directory } = request.json()?;
    let place = place(&daemon, &request).await?;
    let directory = absolute(Path::new(&daemon.directory(&request)), &directory);
    let trees = daemon.trees.clone();
    let adopted = on_pool(
        &daemon,
        async move { trees.adopt(&place, &directory).await },
    );
    Reply::json(&adopted.await.map_err(ours)?)
}

async fn apply(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body: ApplyWorktree = request.json()?;
    let place = place(&daemon, &request).await?;
    let directory = folder_of(&daemon, &request, &place, &body.worktree).await?;
    let base = daemon.directory(&request);
    let order = Order {
        how: body.how,
        into: body.into.map(|into| absolute(Path::new(&base), &into)),
        files: body.files,
        message: body.message,
        only_look: body.check,
    };
    let trees = daemon.trees.clone();
    let landed = on_pool(&daemon, async move {
        trees.apply(&place, &directory, order).await
    });
    Reply::json(&landed.await.map_err(ours)?)
}

async fn kept(daemon: Arc<Daemon>, request: Request) -> Answer {
    let place = place(&daemon, &request).await?;
    let trees = daemon.trees.clone();
    let kept = on_pool(&daemon, async move { trees.kept(&place).await });
    Reply::json(&kept.await.map_err(ours)?)
}

async fn restore(daemon: Arc<Daemon>, request: Request) -> Answer {
    let RestoreWorktree { kept } = request.json()?;
    let place = place(&daemon, &request).await?;
    let trees = daemon.trees.clone();
    let restored = on_pool(&daemon, async move { trees.restore(&place, &kept).await });
    Reply::json(&restored.await.map_err(ours)?)
}

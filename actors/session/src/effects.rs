//! The machine's orders, carried out: each starts a task of the session whose result comes back as a message.

pub(crate) mod aside;
pub(crate) mod diff;
pub(crate) mod files;
pub(crate) mod model;
pub(crate) mod network;
pub(crate) mod title;

use crate::core::Core;
use crate::input::{Input, Stamp};
use crate::scope::Scope;
use crate::state::{State, VIEW_FORMAT};
use kilo_ports::store::{Pos, SavedView, Seq};
use std::sync::Arc;

/// Starts a sync of everything up to `pos`; nobody waits for it here.
pub(crate) fn sync_soon(core: &Core, pos: Pos) {
    let sync = core.ledger.store().sync(pos);
    core.spawn(async move {
        if let Err(error) = sync.await {
            tracing::error!(%error, "log sync failed");
        }
    });
}

/// Records the files before the first step.
pub(crate) fn track(scope: Scope, stamp: Stamp) {
    let task = scope.clone();
    scope.spawn(async move {
        let hash = task.core.track(&task.address.directory).await;
        task.owner.tell(Input::Snapshot(stamp, hash)).await;
    });
}

/// Stops the child sessions that run.
pub(crate) fn abort_children(scope: &Scope) {
    if let Some(children) = scope.children.upgrade() {
        let parent = scope.session().clone();
        scope.spawn(children.abort(parent));
    }
}

/// Saves a view of the state, off the actor's thread. It counts as a task of the session: a deleted one gets no view.
pub(crate) fn save_view(scope: &Scope, state: &State, seq: Seq) {
    let state = state.clone();
    let (core, session) = (Arc::clone(&scope.core), scope.session().clone());
    let handle = scope.core.ports.handle.clone();
    scope.spawn(async move {
        let saving = handle.spawn_blocking(move || {
            let saved = serde_json::to_vec(&state)
                .map_err(|error| error.to_string())
                .and_then(|body| {
                    let view = SavedView {
                        seq,
                        format: VIEW_FORMAT,
                        body: body.into(),
                    };
                    let saved = core.ledger.store().save_view(&session, &view);
                    saved.map_err(|error| error.to_string())
                });
            if let Err(error) = saved {
                tracing::warn!(%session, %error, "view was not saved, the log still has everything");
            }
        });
        let _ = saving.await;
    });
}

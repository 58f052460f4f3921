//! The files of an undo or redo, moved by the checkpoints.

use crate::core::Core;
use crate::folder::Folder;
use crate::input::{FilesMoved, Input, MoveFiles, Stamp};
use crate::scope::Scope;
use kilo_protocol::model::FileDiff;
use std::sync::Arc;

/// Moves the files, and says what became of it. Not bound to the turn's tokens: once begun it goes on to its end, and
/// only the end of the daemon can interrupt it.
pub(crate) fn move_files(scope: Scope, stamp: Stamp, order: MoveFiles) {
    let task = scope.clone();
    scope.spawn(async move {
        let moved = match task.core.folder(&task.address.directory).await {
            Ok(folder) => carry_out(&task.core, &folder, order).await,
            Err(_) => nothing("unavailable"),
        };
        task.owner
            .tell(Input::FilesMoved(stamp, Box::new(moved)))
            .await;
    });
}

fn nothing(why: &'static str) -> FilesMoved {
    FilesMoved {
        workspace: why,
        ..FilesMoved::default()
    }
}

async fn carry_out(core: &Arc<Core>, folder: &Folder, order: MoveFiles) -> FilesMoved {
    if !folder.is_git {
        return nothing("not-a-git-repo");
    }
    if !folder.loaded.config.snapshot {
        return nothing("snapshots-disabled");
    }
    let checkpoints = &core.ports.checkpoints;
    let directory = &folder.directory;
    let Ok(mut before) = checkpoints.track(directory.clone()).await else {
        return nothing("unavailable");
    };
    let mut left = Vec::new();
    let mut failed = None;
    if !order.redo_is_void && !order.redo.is_empty() {
        match checkpoints.redo(directory.clone(), order.redo).await {
            Ok(done) => left.extend(done.left),
            Err(error) => failed = Some(error.to_string()),
        }
        // What an undo changed counts from where nothing was undone, also when it only moves an earlier one.
        if let Ok(again) = checkpoints.track(directory.clone()).await {
            before = again;
        }
    }
    if failed.is_none() && !order.undo.is_empty() {
        match checkpoints.undo(directory.clone(), order.undo).await {
            Ok(done) => left.extend(done.left),
            Err(error) => failed = Some(error.to_string()),
        }
    }
    let mut diff = None;
    if let Ok(after) = checkpoints.track(directory.clone()).await {
        let made = checkpoints.diff(directory.clone(), before.clone(), after);
        let patches = |files: Vec<FileDiff>| files.into_iter().map(|file| file.patch).collect();
        diff = made.await.ok().map(patches);
    }
    let workspace = match (&failed, left.is_empty()) {
        (None, true) => "restored",
        (None, false) => "partial",
        (Some(_), _) => "unavailable",
    };
    FilesMoved {
        snapshot: Some(before),
        diff: Some(diff.unwrap_or_default()),
        workspace,
        left,
        failed,
    }
}

//! Diffs: what a turn, and the session as a whole, changed.

use crate::core::Core;
use crate::input::Input;
use crate::scope::Scope;
use crate::state::{State, StepChanges};
use kilo_ports::checkpoint::FileChange;
use kilo_protocol::MessageId;
use kilo_protocol::model::FileDiff;
use std::path::{Path, PathBuf};

/// Works out what the turn and the session changed.
pub(crate) fn make_diff(scope: Scope, state: &State, prompt: MessageId) {
    let directory = PathBuf::from(&state.info.directory);
    let all = state.changes.clone();
    let is_of_turn = |change: &&StepChanges| {
        let entry = state.entry(&change.message);
        entry
            .and_then(|entry| entry.info.assistant())
            .is_some_and(|answer| answer.parent_id == prompt)
    };
    let of_turn: Vec<StepChanges> = all.iter().filter(is_of_turn).cloned().collect();
    let task = scope.clone();
    scope.spawn_finishing(async move {
        let turn = diff_of(&task.core, &directory, &of_turn).await;
        let session = if of_turn.len() == all.len() {
            turn.clone()
        } else {
            diff_of(&task.core, &directory, &all).await
        };
        task.owner.tell(Input::Diff(prompt, turn, session)).await;
    });
}

/// What changes came to in all; none where that cannot be told, which is not the same as no change.
async fn diff_of(core: &Core, directory: &Path, changes: &[StepChanges]) -> Option<Vec<FileDiff>> {
    let files = changes.iter().flat_map(|change| &change.files).cloned();
    let files: Vec<FileChange> = files.collect();
    if files.is_empty() {
        return Some(Vec::new());
    }
    let checkpoints = &core.ports.checkpoints;
    let diff = checkpoints.diff_of(directory.to_path_buf(), files).await;
    diff.inspect_err(|error| tracing::warn!(%error, "diff of a turn failed"))
        .ok()
}

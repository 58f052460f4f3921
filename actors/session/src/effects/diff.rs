//! Diffs: what a turn, and the session as a whole, changed.

use crate::core::Core;
use crate::input::Input;
use crate::scope::Scope;
use crate::state::{State, StepChanges};
use kilo_protocol::MessageId;
use kilo_protocol::model::FileDiff;
use std::collections::BTreeSet;
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

/// The diff of the files that the changes name, from the first checkpoint to the last.
async fn diff_of(core: &Core, directory: &Path, changes: &[StepChanges]) -> Vec<FileDiff> {
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
    let diff = core
        .ports
        .checkpoints
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

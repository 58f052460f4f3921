//! What went wrong with a worktree, as clients get it.

use kilo_protocol::{Fault, FaultKind};
use kilo_worktree::trees::TreeError;
use serde_json::{Value, json};
use std::io::ErrorKind;

/// For the routes of the reference: 400 with one of its names; `name` is the operation's.
pub fn of_wire(error: TreeError, name: &'static str) -> Fault {
    let name = match &error {
        TreeError::NotGit(_) => "WorktreeNotGitError",
        TreeError::NoName => "WorktreeNameGenerationFailedError",
        _ => name,
    };
    Fault::named(FaultKind::BadRequest, name, error.to_string())
}

/// For routes of ours: the status says whose turn it is, `data` what is in the way.
pub fn ours(error: TreeError) -> Fault {
    let (kind, name, more) = match &error {
        TreeError::NotGit(_)
        | TreeError::NoCommit
        | TreeError::UnknownBase(_)
        | TreeError::BadName(_) => (FaultKind::BadRequest, "WorktreeBadRequest", Value::Null),
        TreeError::NotATree { .. } | TreeError::NotKept(_) => {
            (FaultKind::NotFound, "WorktreeNotFound", Value::Null)
        }
        TreeError::WouldLose(losses) => (
            FaultKind::Conflict,
            "WorktreeWouldLose",
            json!({"losses": losses}),
        ),
        TreeError::Conflicts(conflicts) => (
            FaultKind::Conflict,
            "WorktreeConflicts",
            json!({"conflicts": conflicts}),
        ),
        TreeError::Busy => (FaultKind::Conflict, "WorktreeBusy", Value::Null),
        TreeError::Uncommitted => (FaultKind::Conflict, "WorktreeUncommitted", Value::Null),
        TreeError::Nothing => (FaultKind::Conflict, "WorktreeNothing", Value::Null),
        TreeError::Io { source, .. } if source.kind() == ErrorKind::StorageFull => {
            (FaultKind::StorageFull, "WorktreeStorageFull", Value::Null)
        }
        _ => (FaultKind::Unknown, "WorktreeFailed", Value::Null),
    };
    let mut fault = Fault::named(kind, name, error.to_string());
    if let (Value::Object(more), Some(data)) = (more, fault.body["data"].as_object_mut()) {
        data.extend(more);
    }
    fault
}

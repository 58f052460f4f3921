//! Undo and redo: a state of the session with one effect. Messages are hidden, files are moved, and nothing else starts
//! until that is over, whoever hangs up meanwhile; a daemon that was killed in between does the move again, which changes
//! nothing where it was done already.

use super::{Cx, Machine};
use crate::input::{Effect, FilesMoved, MoveFiles};
use crate::record::{Record, RevertTo, Undo};
use kilo_ports::checkpoint::FileChange;
use kilo_protocol::model::{LeftFile, Revert, TurnError};
use kilo_protocol::{MessageId, PartId};
use std::collections::HashSet;

impl Machine {
    /// Begins an undo. The shell refuses one while the session is busy, and one to a message that is not there.
    pub(super) fn revert(&mut self, cx: &mut Cx, to: RevertTo) {
        if self.state.is_busy() || self.state.entry(&to.message).is_none() {
            return;
        }
        self.begin_undo(cx, Undo::Back(to));
    }

    /// Begins a redo; nothing when nothing is hidden.
    pub(super) fn unrevert(&mut self, cx: &mut Cx) {
        if self.state.is_busy() || self.state.info.revert.is_none() {
            return;
        }
        self.begin_undo(cx, Undo::Forward);
    }

    fn begin_undo(&mut self, cx: &mut Cx, undo: Undo) {
        cx.durable();
        cx.record(&mut self.state, Record::UndoBegan(undo));
        self.order_move(cx);
    }

    /// Orders the move of the undo that is open; also once after a restart.
    pub(super) fn order_move(&mut self, cx: &mut Cx) {
        let Some(undo) = &self.state.undo else { return };
        let before = self.state.info.revert.as_ref();
        let redo = before.map_or_else(Vec::new, |revert| {
            let from = RevertTo {
                message: revert.message_id.clone(),
                part: revert.part_id.clone(),
            };
            let mut changes = self.changes_from(&from);
            // A file that was left alone was not taken back: to do it again would do it twice.
            let left: HashSet<&str> = revert.left.iter().map(|file| file.path.as_str()).collect();
            changes.retain(|change| !left.contains(&*change.path.to_string_lossy()));
            changes
        });
        let undo = match undo {
            Undo::Back(to) => self.changes_from(to).into_iter().rev().collect(),
            Undo::Forward => Vec::new(),
        };
        // An undo that left a file is not `restored`, but what it did is to be done again.
        let redo_is_void = before.is_none_or(|revert| revert.snapshot.is_none());
        self.stamps += 1;
        self.undo_stamp = Some(self.stamps);
        let order = MoveFiles {
            redo,
            undo,
            redo_is_void,
        };
        cx.effect(Effect::MoveFiles(self.stamps, order));
    }

    /// What the session changed from a message (and part) on, oldest first.
    fn changes_from(&self, from: &RevertTo) -> Vec<FileChange> {
        let hidden = self.hidden_from(&from.message, from.part.as_ref());
        let mut touched: HashSet<&MessageId> = hidden.messages.iter().collect();
        touched.extend(hidden.parts.iter().map(|(message, _)| message));
        let changes = self.state.changes.iter();
        changes
            .filter(|change| touched.contains(&change.message))
            .flat_map(|change| change.files.clone())
            .collect()
    }

    /// The files were moved: the messages follow, and what waited may start.
    pub(super) fn files_moved(&mut self, cx: &mut Cx, moved: FilesMoved) {
        let Some(undo) = self.state.undo.clone() else {
            return;
        };
        self.undo_stamp = None;
        cx.durable();
        cx.record(&mut self.state, Record::UndoEnded);
        if moved.failed.is_some() || !moved.left.is_empty() {
            cx.record(&mut self.state, Record::Failed(left_alone(&moved)));
        }
        if undo == Undo::Forward && moved.failed.is_some() {
            // What could not be done again stays hidden, so that it can be tried once more.
            return cx.effect(Effect::UndoEnded);
        }
        let left: Vec<LeftFile> = moved
            .left
            .into_iter()
            .map(|file| LeftFile {
                path: file.path.display().to_string(),
                reason: file.why.to_string(),
            })
            .collect();
        let revert = match undo {
            Undo::Back(to) => Some(Revert {
                message_id: to.message,
                part_id: to.part,
                snapshot: moved.snapshot,
                diff: moved.diff,
                workspace: Some(moved.workspace.into()),
                left,
            }),
            Undo::Forward => None,
        };
        cx.head(&mut self.state, |info| info.revert = revert);
        cx.effect(Effect::UndoEnded);
    }

    /// A prompt after a revert makes it final: the hidden messages go.
    pub(super) fn drop_reverted(&mut self, cx: &mut Cx) {
        let Some(revert) = self.state.info.revert.clone() else {
            return;
        };
        let hidden = self.hidden_from(&revert.message_id, revert.part_id.as_ref());
        cx.remove_messages(&mut self.state, hidden.messages);
        for (message, part) in hidden.parts {
            cx.record(&mut self.state, Record::PartRemoved(message, part));
        }
        cx.head(&mut self.state, |info| info.revert = None);
    }

    /// What a revert to `message` (and `part`) hides.
    pub fn hidden_from(&self, message: &MessageId, part: Option<&PartId>) -> Hidden {
        let Some(&place) = self.state.places.get(message) else {
            return Hidden::default();
        };
        let mut hidden = Hidden::default();
        let whole_from = match part {
            None => place,
            Some(part) => {
                let parts = &self.state.messages[place].parts;
                let from = parts
                    .iter()
                    .position(|candidate| candidate.id == *part)
                    .unwrap_or(0);
                hidden.parts = parts[from..]
                    .iter()
                    .map(|part| (message.clone(), part.id.clone()))
                    .collect();
                place + 1
            }
        };
        hidden.messages = self.state.messages[whole_from..]
            .iter()
            .map(|entry| entry.info.id().clone())
            .collect();
        hidden
    }
}

/// Says what was not done, and why.
fn left_alone(moved: &FilesMoved) -> TurnError {
    let lines: Vec<String> = moved
        .left
        .iter()
        .map(|file| format!("{} ({})", file.path.display(), file.why))
        .collect();
    let message = match &moved.failed {
        Some(why) => format!("The files could not be moved: {why}"),
        None => format!("Left as they are: {}", lines.join(", ")),
    };
    TurnError::new("UnknownError", message)
}

/// Messages and parts that a revert hides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hidden {
    /// Whole messages.
    pub messages: Vec<MessageId>,
    /// Single parts.
    pub parts: Vec<(MessageId, PartId)>,
}

//! A client's edits of what was said: they are facts as they come, but never of what is still being written.

use super::{Cx, Decision, Machine};
use crate::record::Record;
use kilo_protocol::model::{Part, PartBody};
use kilo_protocol::{IdSource, MessageId, Millis, PartId};

/// An edit.
#[derive(Clone, Debug)]
pub enum Edit {
    /// A part as it should be.
    PutPart(Box<Part>),
    /// A part to remove.
    RemovePart(MessageId, PartId),
    /// A message to remove.
    RemoveMessage(MessageId),
}

impl Edit {
    /// The message, and the part of it.
    pub fn target(&self) -> (MessageId, Option<PartId>) {
        match self {
            Self::PutPart(part) => (part.message_id.clone(), Some(part.id.clone())),
            Self::RemovePart(message, part) => (message.clone(), Some(part.clone())),
            Self::RemoveMessage(message) => (message.clone(), None),
        }
    }
}

/// Why an edit is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such message.
    NoMessage,
    /// The message has no such part.
    NoPart,
    /// It is still being written, or a call of it runs: the end of that would write over the edit, or find nothing.
    Busy,
}

impl Machine {
    /// Takes an edit over.
    ///
    /// Errors: [`Refusal::Busy`] for the running answer and its parts, for the prompt that it answers, and for a whole
    /// message while anything runs.
    pub fn edit(&mut self, edit: Edit, now: Millis, ids: &IdSource) -> Result<Decision, Refusal> {
        self.may_edit(&edit)?;
        let mut cx = Cx {
            now,
            ids,
            decision: Decision::default(),
        };
        let record = match edit {
            Edit::PutPart(part) => Record::PartUpdated(part, now),
            Edit::RemovePart(message, part) => Record::PartRemoved(message, part),
            Edit::RemoveMessage(message) => Record::MessageRemoved(message),
        };
        cx.record(&mut self.state, record);
        cx.durable();
        Ok(cx.decision)
    }

    fn may_edit(&self, edit: &Edit) -> Result<(), Refusal> {
        let (message, part) = edit.target();
        if self.state.entry(&message).is_none() {
            return Err(Refusal::NoMessage);
        }
        let Some(part) = part else {
            return if self.state.is_busy() {
                Err(Refusal::Busy)
            } else {
                Ok(())
            };
        };
        let stored = self.state.part(&message, &part);
        if stored.is_none() {
            return Err(Refusal::NoPart);
        }
        let is_written = self
            .run
            .as_ref()
            .is_some_and(|run| run.answer.as_ref() == Some(&message));
        let is_open_call = stored.is_some_and(
            |part| matches!(&part.body, PartBody::Tool(tool) if !tool.state.is_final()),
        );
        if is_written || is_open_call || self.state.undo.is_some() {
            return Err(Refusal::Busy);
        }
        Ok(())
    }
}

//! What a session is at one point of its log: the fold of its records. `apply.rs` is the fold.

use crate::record::{TurnHead, Undo};
use kilo_ports::checkpoint::FileChange;
use kilo_protocol::model::{
    FileDiff, Message, NetworkRequest, Part, PartBody, PermissionRequest, QuestionRequest, Session,
    Status, Todo, ToolPart,
};
use kilo_protocol::{MessageId, PartId};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

/// A message with its parts. Shared with readers; changed by copy when somebody reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The message.
    pub info: Message,
    /// Its parts, in order.
    pub parts: Vec<Arc<Part>>,
}

/// Files that one message's step changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepChanges {
    /// The assistant message.
    pub message: MessageId,
    /// The files.
    pub files: Vec<FileChange>,
}

/// The format of the views that are written now. Those of format 0 came before there were numbers and look the same.
pub const VIEW_FORMAT: u16 = 1;

#[cfg(test)]
thread_local! {
    /// How often this thread went over all messages of a state.
    pub(crate) static REINDEXED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// A session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// Its head.
    pub info: Session,
    /// Its messages, oldest first.
    #[serde(with = "crate::stored")]
    pub messages: Vec<Arc<Entry>>,
    /// Where each message stands in `messages`.
    #[serde(skip)]
    pub places: HashMap<MessageId, usize>,
    /// What it is doing.
    pub status: Status,
    /// The turn that is open.
    pub turn: Option<TurnHead>,
    /// The turn to go on with: the last one, if it was interrupted or failed.
    #[serde(default)]
    pub unfinished: Option<TurnHead>,
    /// Prompts that wait, oldest first.
    pub queue: Vec<MessageId>,
    /// The prompt that was taken from the queue and whose turn is not open yet: only between two records of one decision,
    /// where a process may end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<MessageId>,
    /// Open requests for permission.
    pub permissions: Vec<PermissionRequest>,
    /// Open questions.
    pub questions: Vec<QuestionRequest>,
    /// The wait for the network, if it waits.
    pub network: Option<NetworkRequest>,
    /// The todo list.
    pub todos: Vec<Todo>,
    /// What it changed in its files.
    pub diff: Vec<FileDiff>,
    /// What each step changed, for undo.
    pub changes: Vec<StepChanges>,
    /// Files are being moved by an undo or redo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
    /// The number of the next durable event.
    pub sync_next: u64,
}

impl State {
    /// A new session.
    pub fn new(info: Session) -> Self {
        Self {
            info,
            messages: Vec::new(),
            places: HashMap::new(),
            status: Status::Idle,
            turn: None,
            unfinished: None,
            queue: Vec::new(),
            next: None,
            permissions: Vec::new(),
            questions: Vec::new(),
            network: None,
            todos: Vec::new(),
            diff: Vec::new(),
            changes: Vec::new(),
            undo: None,
            sync_next: 0,
        }
    }

    /// Rebuilds what is not stored; needed once after reading a stored view.
    pub fn reindex(&mut self) {
        #[cfg(test)]
        REINDEXED.set(REINDEXED.get() + 1);
        self.places = self
            .messages
            .iter()
            .enumerate()
            .map(|(place, entry)| (entry.info.id().clone(), place))
            .collect();
    }

    /// Takes one message away. The others are not looked at: only what is kept of their places moves up.
    pub fn take_message(&mut self, message: &MessageId) {
        let Some(place) = self.places.remove(message) else {
            return;
        };
        self.messages.remove(place);
        for other in self.places.values_mut() {
            *other -= usize::from(*other > place);
        }
    }

    /// A message.
    pub fn entry(&self, message: &MessageId) -> Option<&Arc<Entry>> {
        self.messages.get(*self.places.get(message)?)
    }

    /// A message, to change it.
    pub fn entry_mut(&mut self, message: &MessageId) -> Option<&mut Entry> {
        let place = *self.places.get(message)?;
        self.messages.get_mut(place).map(Arc::make_mut)
    }

    /// A part.
    pub fn part(&self, message: &MessageId, part: &PartId) -> Option<&Arc<Part>> {
        self.entry(message)?
            .parts
            .iter()
            .rev()
            .find(|candidate| candidate.id == *part)
    }

    /// A part, to change it.
    pub fn part_mut(&mut self, message: &MessageId, part: &PartId) -> Option<&mut Part> {
        let entry = self.entry_mut(message)?;
        entry
            .parts
            .iter_mut()
            .rev()
            .find(|candidate| candidate.id == *part)
            .map(Arc::make_mut)
    }

    /// The tool calls of a message, in order.
    pub fn calls<'a>(
        &'a self,
        message: &MessageId,
    ) -> impl Iterator<Item = (&'a Arc<Part>, &'a ToolPart)> {
        self.entry(message)
            .into_iter()
            .flat_map(|entry| &entry.parts)
            .filter_map(|part| match &part.body {
                PartBody::Tool(tool) => Some((part, tool)),
                _ => None,
            })
    }

    /// A turn runs, or files are being moved by an undo or redo: nothing else may start.
    pub fn is_busy(&self) -> bool {
        self.turn.is_some() || self.undo.is_some()
    }

    /// The last answer to a prompt.
    pub fn last_answer(&self, prompt: &MessageId) -> Option<&Arc<Entry>> {
        self.messages.iter().rev().find(|entry| {
            entry
                .info
                .assistant()
                .is_some_and(|answer| answer.parent_id == *prompt)
        })
    }
}

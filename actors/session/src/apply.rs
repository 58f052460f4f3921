//! The fold: how each record changes the state. No clock, no chance, no async: the same records give the same state.

use crate::record::{CloseReason, Logged, Record, TurnHead};
use crate::state::{Entry, State, StepChanges};
use kilo_protocol::MessageId;
use kilo_protocol::model::{Message, Part, PartBody};
use std::collections::HashSet;
use std::sync::Arc;

/// Builds a state from a session's records. `None` when they do not begin with its creation.
pub fn fold<'a>(
    start: Option<State>,
    records: impl IntoIterator<Item = &'a Logged>,
) -> Option<State> {
    let mut state = start;
    let mut removals = Removals::default();
    for logged in records {
        match (&mut state, &logged.record) {
            (Some(state), _) => removals.apply(state, logged),
            (None, Record::SessionCreated(info)) => {
                let mut fresh = State::new(info.as_ref().clone());
                fresh.sync_next = logged.sync.map_or(0, |number| number + 1);
                state = Some(fresh);
            }
            (None, _) => {}
        }
    }
    if let Some(state) = &mut state {
        removals.finish(state);
    }
    state
}

/// Removed messages that are still in the state: a row of them goes in one pass, when something else comes. Each by itself
/// would move all the messages behind it.
#[derive(Default)]
pub struct Removals {
    waiting: HashSet<MessageId>,
}

impl Removals {
    /// Applies one record, sooner or later.
    pub fn apply(&mut self, state: &mut State, logged: &Logged) {
        match &logged.record {
            Record::MessageRemoved(message) => {
                count(state, logged);
                self.waiting.insert(message.clone());
            }
            _ => {
                self.finish(state);
                apply(state, logged);
            }
        }
    }

    /// Applies what is left.
    pub fn finish(&mut self, state: &mut State) {
        if !self.waiting.is_empty() {
            remove_messages(state, &std::mem::take(&mut self.waiting));
        }
    }
}

fn count(state: &mut State, logged: &Logged) {
    if let Some(number) = logged.sync {
        state.sync_next = number + 1;
    }
}

fn remove_messages(state: &mut State, gone: &HashSet<MessageId>) {
    match gone.iter().next() {
        Some(only) if gone.len() == 1 => state.take_message(only),
        _ => {
            let stays = |entry: &Arc<Entry>| !gone.contains(entry.info.id());
            state.messages.retain(stays);
            state.reindex();
        }
    }
    state.queue.retain(|queued| !gone.contains(queued));
    let is_gone = |head: &mut TurnHead| gone.contains(&head.prompt);
    state.unfinished.take_if(is_gone);
    state.next.take_if(|next| gone.contains(next));
}

/// Applies one record.
pub fn apply(state: &mut State, logged: &Logged) {
    count(state, logged);
    match &logged.record {
        Record::SessionCreated(info) | Record::SessionUpdated(info) => {
            state.info = info.as_ref().clone()
        }
        Record::MessageUpdated(info) => put_message(state, info),
        Record::MessageRemoved(message) => remove_messages(state, &[message.clone()].into()),
        Record::PartUpdated(part, _) => put_part(state, part),
        Record::PartDelta(delta) => {
            if let Some(part) = state.part_mut(&delta.message, &delta.part) {
                match &mut part.body {
                    PartBody::Text(text) => text.text.push_str(&delta.text),
                    PartBody::Reasoning(reasoning) => reasoning.text.push_str(&delta.text),
                    _ => {}
                }
            }
        }
        Record::CallProgressed(progress) => {
            if let Some(part) = state.part_mut(&progress.message, &progress.part) {
                progress.apply(part);
            }
        }
        Record::PartRemoved(message, part) => {
            if let Some(entry) = state.entry_mut(message) {
                entry.parts.retain(|candidate| candidate.id != *part);
            }
        }
        Record::TurnOpened(head) => {
            state.turn = Some(head.clone());
            state.unfinished = None;
            state.next = None;
        }
        Record::TurnWentOn(head) => state.turn = Some(head.clone()),
        Record::TurnClosed(reason) => {
            state.unfinished = state
                .turn
                .take()
                .filter(|_| *reason != CloseReason::Completed);
            state.permissions.clear();
            state.questions.clear();
            state.network = None;
        }
        Record::StatusChanged(status) => state.status = status.clone(),
        Record::QueueChanged(queue) => put_queue(state, queue),
        Record::PermissionAsked(request) => state.permissions.push(request.as_ref().clone()),
        Record::PermissionReplied(id, _) => state.permissions.retain(|request| request.id != *id),
        Record::QuestionAsked(request) => state.questions.push(request.as_ref().clone()),
        Record::QuestionReplied(id, _) | Record::QuestionRejected(id) => {
            state.questions.retain(|request| request.id != *id);
        }
        Record::TodosChanged(todos) => state.todos = todos.clone(),
        Record::DiffChanged(diff) => state.diff = diff.clone(),
        Record::DiffMerged(merge) => merge.apply(&mut state.diff),
        Record::NetworkAsked(request) => state.network = Some(request.as_ref().clone()),
        Record::NetworkAnswered(..) => state.network = None,
        Record::FilesChanged(message, files) => {
            state.changes.push(StepChanges {
                message: message.clone(),
                files: files.clone(),
            });
        }
        Record::UndoBegan(to) => state.undo = Some(to.clone()),
        Record::UndoEnded => state.undo = None,
        Record::Idle
        | Record::Failed(_)
        | Record::Compacted
        | Record::DrainInterrupted
        | Record::Drained(_)
        | Record::FileEdited(_)
        | Record::FileTouched(..)
        | Record::SessionDeleted(_) => {}
    }
}

/// A prompt that leaves the queue is the next one until its turn opens.
fn put_queue(state: &mut State, queue: &[MessageId]) {
    let taken = state
        .queue
        .first()
        .filter(|_| state.turn.is_none())
        .cloned();
    state.next = taken
        .or(state.next.take())
        .filter(|next| !queue.contains(next));
    state.queue = queue.to_vec();
}

fn put_message(state: &mut State, info: &Message) {
    match state.entry_mut(info.id()) {
        Some(entry) => entry.info = info.clone(),
        None => {
            state.places.insert(info.id().clone(), state.messages.len());
            state.messages.push(Arc::new(Entry {
                info: info.clone(),
                parts: Vec::new(),
            }));
        }
    }
}

fn put_part(state: &mut State, part: &Part) {
    let Some(entry) = state.entry_mut(&part.message_id) else {
        return;
    };
    match entry
        .parts
        .iter_mut()
        .rev()
        .find(|candidate| candidate.id == part.id)
    {
        Some(place) => *place = Arc::new(part.clone()),
        None => entry.parts.push(Arc::new(part.clone())),
    }
}

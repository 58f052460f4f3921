//! The fold: how each record changes the state. No clock, no chance, no async: the same records give the same state.

use crate::record::{CloseReason, Logged, Record};
use crate::state::{Entry, State, StepChanges};
use kilo_protocol::MessageId;
use kilo_protocol::model::{Message, Part, PartBody};
use std::sync::Arc;

/// Builds a state from a session's records. `None` when they do not begin with its creation.
pub fn fold<'a>(
    start: Option<State>,
    records: impl IntoIterator<Item = &'a Logged>,
) -> Option<State> {
    let mut state = start;
    for logged in records {
        match (&mut state, &logged.record) {
            (Some(state), _) => apply(state, logged),
            (None, Record::SessionCreated(info)) => {
                let mut fresh = State::new(info.as_ref().clone());
                fresh.sync_next = logged.sync.map_or(0, |number| number + 1);
                state = Some(fresh);
            }
            (None, _) => {}
        }
    }
    state
}

/// Applies one record.
pub fn apply(state: &mut State, logged: &Logged) {
    if let Some(number) = logged.sync {
        state.sync_next = number + 1;
    }
    match &logged.record {
        Record::SessionCreated(info) | Record::SessionUpdated(info) => {
            state.info = info.as_ref().clone()
        }
        Record::MessageUpdated(info) => put_message(state, info),
        Record::MessageRemoved(message) => {
            state.messages.retain(|entry| entry.info.id() != message);
            state.queue.retain(|queued| queued != message);
            state.unfinished.take_if(|head| head.prompt == *message);
            state.next.take_if(|next| next == message);
            state.reindex();
        }
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

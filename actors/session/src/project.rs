//! The one file that turns records into wire events.
//!
//! A record gives one event, and durable ones a `sync` mirror after it (seen: real server 7.7.9, recording `text-turn`).
//! The JSON is made once for all subscribers.

use crate::brief;
use crate::record::{Logged, Record};
use crate::state::State;
use bytes::Bytes;
use kilo_protocol::event::{
    Diff, Drained, Event, Failure, FileEdited, FileTouched, MessageGone, MessageInfo, PartDelta,
    PartGone, PartInfo, PermissionReplied, QuestionClosed, QuestionReplied, Queue, SessionInfo,
    SessionOnly, StatusInfo, Todos, TurnClosed,
};
use kilo_protocol::model::{FileDiff, Part, Session};
use kilo_protocol::{Frame, MessageId, PartId, ProjectId, QuestionId, SessionId};
use serde_json::Value;
use std::borrow::Cow;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

/// Where a session's events belong.
#[derive(Clone, Debug)]
pub struct Address {
    /// The session.
    pub session: SessionId,
    /// Its folder.
    pub directory: Arc<str>,
    /// Its project.
    pub project: Arc<ProjectId>,
}

impl Address {
    /// The address of a session.
    pub fn of(info: &Session) -> Self {
        Self {
            session: info.id.clone(),
            directory: info.directory.as_str().into(),
            project: Arc::new(info.project_id.clone()),
        }
    }
}

/// What is known of a session behind a record. Some records say only what changed; their events show the whole.
pub trait Known {
    /// What the session changed in its files.
    fn diff(&self) -> &[FileDiff];

    /// A part of a message, if it is there and a running call's.
    fn running(&self, message: &MessageId, part: &PartId) -> Option<&Part>;
}

impl Known for State {
    fn diff(&self) -> &[FileDiff] {
        &self.diff
    }

    fn running(&self, message: &MessageId, part: &PartId) -> Option<&Part> {
        self.part(message, part).map(AsRef::as_ref)
    }
}

/// The frames of a record, without positions; empty for what is not on the wire.
pub fn frames(address: &Address, known: &dyn Known, logged: &Logged) -> Vec<Frame> {
    let Some(event) = event(address, known, &logged.record) else {
        return Vec::new();
    };
    let (json, properties) = plain(logged, &event);
    let mirror = logged
        .sync
        .map(|number| mirror(address, logged, event.name(), number, &json[properties]));
    let mut frames = Vec::with_capacity(2);
    frames.push(frame(address, json));
    frames.extend(mirror.map(|json| frame(address, json)));
    frames
}

fn frame(address: &Address, json: Vec<u8>) -> Frame {
    Frame {
        pos: None,
        directory: Some(Arc::clone(&address.directory)),
        project: Some(Arc::clone(&address.project)),
        json: Bytes::from(json),
        last: false,
    }
}

/// The event's JSON, and where its properties are in it.
fn plain(logged: &Logged, event: &Event<'_>) -> (Vec<u8>, Range<usize>) {
    // Most events are pieces of text: one allocation each.
    let text_bytes = match event {
        Event::PartDelta(piece) => piece.delta.len(),
        _ => 512,
    };
    let mut out = Vec::with_capacity(text_bytes + 320);
    let properties = event.write(&logged.event, &mut out);
    (out, properties)
}

fn mirror(
    address: &Address,
    logged: &Logged,
    name: &str,
    number: u64,
    properties: &[u8],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(properties.len() + 200);
    let event = &logged.event;
    let session = &address.session;
    let _ = write!(
        out,
        r#"{{"type":"sync","syncEvent":{{"id":"{event}","type":"{name}.1","seq":{number},"aggregateID":"{session}","data":"#,
    );
    out.extend_from_slice(properties);
    let _ = write!(out, r#"}},"id":"{event}"}}"#);
    out
}

/// What a record tells clients.
fn event<'a>(address: &'a Address, known: &'a dyn Known, record: &'a Record) -> Option<Event<'a>> {
    let session_id = || Cow::Borrowed(&address.session);
    let head = |info: &'a Session| SessionInfo {
        session_id: session_id(),
        info: Cow::Borrowed(info),
    };
    let only = || SessionOnly {
        session_id: session_id(),
    };
    let closed = |id: &'a QuestionId| QuestionClosed {
        session_id: session_id(),
        request_id: Cow::Borrowed(id),
    };
    Some(match record {
        Record::SessionCreated(info) => Event::SessionCreated(head(info)),
        Record::SessionUpdated(info) => Event::SessionUpdated(head(info)),
        Record::SessionDeleted(info) => Event::SessionDeleted(SessionInfo {
            session_id: Cow::Borrowed(&info.id),
            info: Cow::Borrowed(info),
        }),
        Record::MessageUpdated(info) => Event::MessageUpdated(MessageInfo {
            session_id: session_id(),
            info: Cow::Borrowed(info),
        }),
        Record::MessageRemoved(message) => Event::MessageRemoved(MessageGone {
            session_id: session_id(),
            message_id: Cow::Borrowed(message),
        }),
        Record::PartUpdated(part, at) => Event::PartUpdated(PartInfo {
            session_id: session_id(),
            part: Cow::Borrowed(part),
            time: *at,
        }),
        // Of one that is not known any more, the log has the end.
        Record::CallProgressed(progress) => Event::PartUpdated(PartInfo {
            session_id: session_id(),
            part: Cow::Borrowed(known.running(&progress.message, &progress.part)?),
            time: progress.at,
        }),
        Record::PartDelta(delta) => Event::PartDelta(PartDelta {
            session_id: session_id(),
            message_id: Cow::Borrowed(&delta.message),
            part_id: Cow::Borrowed(&delta.part),
            field: "text".into(),
            delta: Cow::Borrowed(&delta.text),
        }),
        Record::PartRemoved(message, part) => Event::PartRemoved(PartGone {
            session_id: session_id(),
            message_id: Cow::Borrowed(message),
            part_id: Cow::Borrowed(part),
        }),
        Record::TurnOpened(_) => Event::TurnOpened(only()),
        Record::TurnClosed(reason) => Event::TurnClosed(TurnClosed {
            session_id: session_id(),
            reason: reason.as_str().into(),
        }),
        Record::StatusChanged(status) => Event::StatusChanged(StatusInfo {
            session_id: session_id(),
            status: Cow::Borrowed(status),
        }),
        Record::Idle => Event::Idle(only()),
        Record::Failed(error) => Event::Failed(Failure {
            session_id: session_id(),
            error: Cow::Borrowed(error),
        }),
        Record::QueueChanged(queued) => Event::QueueChanged(Queue {
            session_id: session_id(),
            queued: queued.into(),
        }),
        // Cut, a request has a field more than its type has.
        Record::PermissionAsked(request) => other("permission.asked", brief::permission(request)),
        Record::QuestionAsked(request) => other("question.asked", brief::question(request)),
        Record::PermissionReplied(id, reply) => Event::PermissionReplied(PermissionReplied {
            session_id: session_id(),
            request_id: Cow::Borrowed(id),
            reply: reply.into(),
        }),
        Record::QuestionReplied(id, answers) => Event::QuestionReplied(QuestionReplied {
            session_id: session_id(),
            request_id: Cow::Borrowed(id),
            answers: answers.into(),
        }),
        Record::QuestionRejected(id) => Event::QuestionRejected(closed(id)),
        Record::TodosChanged(todos) => Event::TodosChanged(Todos {
            session_id: session_id(),
            todos: todos.into(),
        }),
        Record::DiffChanged(diff) => Event::DiffChanged(Diff {
            session_id: session_id(),
            diff: diff.into(),
        }),
        Record::DiffMerged(_) => Event::DiffChanged(Diff {
            session_id: session_id(),
            diff: known.diff().into(),
        }),
        Record::NetworkAsked(request) => Event::NetworkAsked(Cow::Borrowed(request)),
        Record::NetworkAnswered(id, true) => Event::NetworkReplied(closed(id)),
        Record::NetworkAnswered(id, false) => Event::NetworkRejected(closed(id)),
        Record::Compacted => Event::Compacted(only()),
        Record::DrainInterrupted => Event::DrainInterrupted(only()),
        Record::Drained(token) => Event::Drained(Drained {
            session_id: session_id(),
            token: token.into(),
        }),
        Record::FileEdited(path) => Event::FileEdited(FileEdited {
            file: path.to_string_lossy(),
        }),
        Record::FileTouched(path, how) => Event::FileTouched(FileTouched {
            file: path.to_string_lossy(),
            event: *how,
        }),
        Record::TurnWentOn(_)
        | Record::FilesChanged(..)
        | Record::UndoBegan(_)
        | Record::UndoEnded => return None,
    })
}

fn other(name: &str, properties: Value) -> Event<'static> {
    Event::Other {
        name: name.to_owned(),
        properties,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{CloseReason, Delta};
    use crate::samples;
    use kilo_protocol::EventId;
    use kilo_protocol::model::{FileChangeKind, Status, TurnError};
    use serde_json::json;

    fn address() -> Address {
        Address {
            session: SessionId::from_wire("ses_1"),
            directory: "/work".into(),
            project: Arc::new("global".into()),
        }
    }

    fn texts(record: Record, sync: Option<u64>) -> Vec<String> {
        let logged = Logged {
            event: EventId::from_wire("evt_1"),
            sync,
            record,
        };
        let state = State::new(samples::session(5));
        let texts = frames(&address(), &state, &logged).into_iter();
        texts
            .map(|frame| String::from_utf8(frame.json.to_vec()).expect("text"))
            .collect()
    }

    /// Byte for byte as the JSON of the same fields in the contract's order.
    #[test]
    fn events_are_written_as_the_contract_has_them() {
        let (message, part) = (MessageId::from_wire("msg_1"), PartId::from_wire("prt_1"));
        let question = QuestionId::from_wire("que_1");
        let text = "a \"quoted\" ü\n\u{1}";
        let info = samples::session(5);
        let table = [
            (
                Record::PartDelta(Delta {
                    message: message.clone(),
                    part: part.clone(),
                    text: text.into(),
                }),
                "message.part.delta",
                json!({"sessionID": "ses_1", "messageID": "msg_1", "partID": "prt_1", "field": "text", "delta": text}),
            ),
            (
                Record::SessionUpdated(Box::new(info.clone())),
                "session.updated",
                json!({"sessionID": "ses_1", "info": info}),
            ),
            (
                Record::PartRemoved(message.clone(), part),
                "message.part.removed",
                json!({"sessionID": "ses_1", "messageID": "msg_1", "partID": "prt_1"}),
            ),
            (Record::Idle, "session.idle", json!({"sessionID": "ses_1"})),
            (
                Record::TurnClosed(CloseReason::Error),
                "session.turn.close",
                json!({"sessionID": "ses_1", "reason": "error"}),
            ),
            (
                Record::StatusChanged(Status::Busy),
                "session.status",
                json!({"sessionID": "ses_1", "status": {"type": "busy"}}),
            ),
            (
                Record::Failed(TurnError::new("UnknownError", "why")),
                "session.error",
                json!({"sessionID": "ses_1", "error": {"name": "UnknownError", "data": {"message": "why"}}}),
            ),
            (
                Record::QueueChanged(vec![message]),
                "session.queue.changed",
                json!({"sessionID": "ses_1", "queued": ["msg_1"]}),
            ),
            (
                Record::QuestionReplied(question.clone(), vec![vec!["yes".into()]]),
                "question.replied",
                json!({"sessionID": "ses_1", "requestID": "que_1", "answers": [["yes"]]}),
            ),
            (
                Record::NetworkAnswered(question, false),
                "session.network.rejected",
                json!({"sessionID": "ses_1", "requestID": "que_1"}),
            ),
            (
                Record::Drained("t".into()),
                "session.drained",
                json!({"sessionID": "ses_1", "token": "t"}),
            ),
            (
                Record::FileEdited("/work/a.rs".into()),
                "file.edited",
                json!({"file": "/work/a.rs"}),
            ),
            (
                Record::FileTouched("/work/a.rs".into(), FileChangeKind::Unlink),
                "file.watcher.updated",
                json!({"file": "/work/a.rs", "event": "unlink"}),
            ),
        ];
        for (record, name, properties) in table {
            let plain = json!({"id": "evt_1", "type": name, "properties": properties});
            assert_eq!(texts(record.clone(), None), [plain.to_string()]);
            let mirror = json!({"type": "sync", "syncEvent": {
                "id": "evt_1", "type": format!("{name}.1"), "seq": 7, "aggregateID": "ses_1", "data": properties
            }, "id": "evt_1"});
            assert_eq!(
                texts(record, Some(7)),
                [plain.to_string(), mirror.to_string()]
            );
        }
    }
}

//! The one file that turns records into wire events.
//!
//! A record gives one event, and durable ones a `sync` mirror after it (seen: real server 7.7.9, recording `text-turn`).
//! The JSON is made once for all subscribers.

use crate::brief;
use crate::record::{Logged, Record};
use bytes::Bytes;
use kilo_protocol::{Frame, ProjectId, SessionId};
use serde::Serialize;
use serde_json::json;
use std::io::Write;
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

/// The frames of a record, without positions; empty for what is not on the wire.
pub fn frames(address: &Address, logged: &Logged) -> Vec<Frame> {
    let Some((name, properties)) = event(address, &logged.record) else {
        return Vec::new();
    };
    let mut frames = Vec::with_capacity(2);
    frames.push(frame(address, plain(logged, name, &properties)));
    if let Some(number) = logged.sync {
        frames.push(frame(
            address,
            mirror(address, logged, name, number, &properties),
        ));
    }
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

fn plain(logged: &Logged, name: &str, properties: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(properties.len() + 96);
    let _ = write!(
        out,
        r#"{{"id":"{}","type":"{name}","properties":"#,
        logged.event
    );
    out.extend_from_slice(properties);
    out.push(b'}');
    out
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

fn bytes(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_else(|_| b"{}".to_vec())
}

/// `{sessionID, KEY: VALUE}` without building a tree.
fn with_session(session: &SessionId, key: &str, value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let _ = write!(out, r#"{{"sessionID":"{session}","{key}":"#);
    if serde_json::to_writer(&mut out, value).is_err() {
        out.extend_from_slice(b"null");
    }
    out.push(b'}');
    out
}

/// The event's name and its properties as JSON.
fn event(address: &Address, record: &Record) -> Option<(&'static str, Vec<u8>)> {
    let session = &address.session;
    Some(match record {
        Record::SessionCreated(info) => ("session.created", with_session(session, "info", info)),
        Record::SessionUpdated(info) => ("session.updated", with_session(session, "info", info)),
        Record::SessionDeleted(info) => ("session.deleted", with_session(&info.id, "info", info)),
        Record::MessageUpdated(info) => ("message.updated", with_session(session, "info", info)),
        Record::MessageRemoved(message) => (
            "message.removed",
            with_session(session, "messageID", message),
        ),
        Record::PartUpdated(part, at) => {
            let mut out = with_session(session, "part", part);
            out.pop();
            let _ = write!(out, r#","time":{at}}}"#);
            ("message.part.updated", out)
        }
        Record::PartDelta(delta) => {
            let mut out = Vec::with_capacity(delta.text.len() + 160);
            let (message, part) = (&delta.message, &delta.part);
            let _ = write!(
                out,
                r#"{{"sessionID":"{session}","messageID":"{message}","partID":"{part}","field":"text","delta":"#
            );
            if serde_json::to_writer(&mut out, &delta.text).is_err() {
                out.extend_from_slice(b"\"\"");
            }
            out.push(b'}');
            ("message.part.delta", out)
        }
        Record::PartRemoved(message, part) => (
            "message.part.removed",
            bytes(&json!({"sessionID": session, "messageID": message, "partID": part})),
        ),
        Record::TurnOpened(_) => ("session.turn.open", bytes(&json!({"sessionID": session}))),
        Record::TurnClosed(reason) => (
            "session.turn.close",
            with_session(session, "reason", &reason.as_str()),
        ),
        Record::StatusChanged(status) => {
            ("session.status", with_session(session, "status", status))
        }
        Record::Idle => ("session.idle", bytes(&json!({"sessionID": session}))),
        Record::Failed(error) => ("session.error", with_session(session, "error", error)),
        Record::QueueChanged(queued) => (
            "session.queue.changed",
            with_session(session, "queued", queued),
        ),
        Record::PermissionAsked(request) => {
            ("permission.asked", bytes(&brief::permission(request)))
        }
        Record::PermissionReplied(id, reply) => (
            "permission.replied",
            bytes(&json!({"sessionID": session, "requestID": id, "reply": reply})),
        ),
        Record::QuestionAsked(request) => ("question.asked", bytes(&brief::question(request))),
        Record::QuestionReplied(id, answers) => (
            "question.replied",
            bytes(&json!({"sessionID": session, "requestID": id, "answers": answers})),
        ),
        Record::QuestionRejected(id) => (
            "question.rejected",
            bytes(&json!({"sessionID": session, "requestID": id})),
        ),
        Record::TodosChanged(todos) => ("todo.updated", with_session(session, "todos", todos)),
        Record::DiffChanged(diff) => ("session.diff", with_session(session, "diff", diff)),
        Record::NetworkAsked(request) => ("session.network.asked", bytes(request)),
        Record::NetworkAnswered(id, restored) => (
            if *restored {
                "session.network.replied"
            } else {
                "session.network.rejected"
            },
            bytes(&json!({"sessionID": session, "requestID": id})),
        ),
        Record::Compacted => ("session.compacted", bytes(&json!({"sessionID": session}))),
        Record::DrainInterrupted => (
            "session.drain.interrupted",
            bytes(&json!({"sessionID": session})),
        ),
        Record::Drained(token) => ("session.drained", with_session(session, "token", token)),
        Record::FileEdited(path) => ("file.edited", bytes(&json!({"file": path}))),
        Record::TurnWentOn(_) | Record::FilesChanged(..) => return None,
    })
}

//! The facts of a session, as the log has them. A record is written before anything that it announces is shown or done.
//!
//! JSON, externally tagged and short-named; a name never changes its meaning. Old shapes are upgraded while reading
//! (`#[serde(default)]`), never rewritten in place.

use crate::progress::Progress;
use kilo_ports::checkpoint::FileChange;
use kilo_protocol::model::{
    FileChangeKind, FileDiff, Message, NetworkRequest, Part, PermissionRequest, QuestionRequest,
    Session, Status, Todo, TurnError,
};
use kilo_protocol::{CallId, EventId, MessageId, Millis, PartId, PermissionId, QuestionId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

/// The format of the records that are written now. Those of format 0 came before there were numbers; 1 has the whole diff,
/// and a running call with all it showed, each time anew. All of them are read.
pub const FORMAT: u16 = 2;

/// A record with the event id that it has on the wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Logged {
    /// The event's id.
    #[serde(rename = "e")]
    pub event: EventId,
    /// The number among the session's durable events; only those have one.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<u64>,
    /// The fact.
    #[serde(rename = "r")]
    pub record: Record,
}

/// One fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// The session was made.
    #[serde(rename = "created")]
    SessionCreated(Box<Session>),
    /// Its head changed.
    #[serde(rename = "head")]
    SessionUpdated(Box<Session>),
    /// A message was added or changed.
    #[serde(rename = "msg")]
    MessageUpdated(Box<Message>),
    /// A message is gone.
    #[serde(rename = "msg-")]
    MessageRemoved(MessageId),
    /// A part was added or changed.
    #[serde(rename = "part")]
    PartUpdated(Box<Part>, Millis),
    /// Text was added to a part.
    #[serde(rename = "d")]
    PartDelta(Delta),
    /// A running call shows more.
    #[serde(rename = "live")]
    CallProgressed(Box<Progress>),
    /// A part is gone.
    #[serde(rename = "part-")]
    PartRemoved(MessageId, PartId),
    /// A turn began.
    #[serde(rename = "open")]
    TurnOpened(TurnHead),
    /// The open turn goes on with something else: with a summary because the conversation did not fit, then with its
    /// prompt again. For clients it stays one turn.
    #[serde(rename = "go")]
    TurnWentOn(TurnHead),
    /// The turn ended.
    #[serde(rename = "close")]
    TurnClosed(CloseReason),
    /// What the session is doing changed.
    #[serde(rename = "status")]
    StatusChanged(Status),
    /// It does nothing any more.
    #[serde(rename = "idle")]
    Idle,
    /// Something went wrong, for people.
    #[serde(rename = "error")]
    Failed(TurnError),
    /// The prompts that wait.
    #[serde(rename = "queue")]
    QueueChanged(Vec<MessageId>),
    /// Somebody has to allow something.
    #[serde(rename = "ask")]
    PermissionAsked(Box<PermissionRequest>),
    /// It was allowed or refused: `once`, `always` or `reject`.
    #[serde(rename = "answer")]
    PermissionReplied(PermissionId, String),
    /// The user has to answer a question.
    #[serde(rename = "question")]
    QuestionAsked(Box<QuestionRequest>),
    /// The user answered.
    #[serde(rename = "reply")]
    QuestionReplied(QuestionId, Vec<Vec<String>>),
    /// The user dismissed it.
    #[serde(rename = "dismiss")]
    QuestionRejected(QuestionId),
    /// The todo list was replaced.
    #[serde(rename = "todos")]
    TodosChanged(Vec<Todo>),
    /// What the session changed in its files so far, all of it: only read, of logs from before `DiffMerged`.
    #[serde(rename = "diff")]
    DiffChanged(Vec<FileDiff>),
    /// Where what the session changed in its files differs from what was known so far.
    #[serde(rename = "diff+")]
    DiffMerged(DiffMerge),
    /// The provider cannot be reached.
    #[serde(rename = "net")]
    NetworkAsked(Box<NetworkRequest>),
    /// The wait for the network ended.
    #[serde(rename = "net-")]
    NetworkAnswered(QuestionId, bool),
    /// The conversation was compacted.
    #[serde(rename = "compacted")]
    Compacted,
    /// An abort emptied the session.
    #[serde(rename = "drain-")]
    DrainInterrupted,
    /// The queue is empty, as a client with this token wanted to know.
    #[serde(rename = "drained")]
    Drained(String),
    /// A step changed files (for undo; not on the wire).
    #[serde(rename = "files")]
    FilesChanged(MessageId, Vec<FileChange>),
    /// A file was changed by a tool.
    #[serde(rename = "edited")]
    FileEdited(PathBuf),
    /// The same file came, changed or went. A record of its own, since events have ids of their own.
    #[serde(rename = "touched")]
    FileTouched(PathBuf, FileChangeKind),
    /// Files are being moved back or forward again. Nothing else starts in between; a daemon that finds this open goes on
    /// with it.
    #[serde(rename = "undo")]
    UndoBegan(Undo),
    /// They are where they should be, as far as they could be moved.
    #[serde(rename = "undo-")]
    UndoEnded,
    /// The session is gone. Kept in the daemon's own sequence, since the session's is deleted.
    #[serde(rename = "gone")]
    SessionDeleted(Box<Session>),
}

/// What came to a session's diff, file by file: a turn costs what it changed, not what the session did before it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DiffMerge {
    /// Files with their whole change since the session began, in place of what was known of them.
    #[serde(rename = "c", default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<FileDiff>,
    /// Names of files that are as they were before the session.
    #[serde(rename = "g", default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<String>,
}

impl DiffMerge {
    /// What leads from one diff to another. Both list each file once.
    pub fn between(old: &[FileDiff], new: &[FileDiff]) -> Self {
        let known: HashMap<&str, &FileDiff> = old.iter().map(|f| (f.file.as_str(), f)).collect();
        let left: HashSet<&str> = new.iter().map(|file| file.file.as_str()).collect();
        let is_new = |file: &&FileDiff| known.get(file.file.as_str()) != Some(file);
        let names = old.iter().map(|file| &file.file);
        Self {
            changed: new.iter().filter(is_new).cloned().collect(),
            gone: names
                .filter(|name| !left.contains(name.as_str()))
                .cloned()
                .collect(),
        }
    }

    /// Merges it into the diff that was known, which is in the order of its files' names then.
    pub fn apply(&self, diff: &mut Vec<FileDiff>) {
        let mut files: BTreeMap<String, FileDiff> = std::mem::take(diff)
            .into_iter()
            .chain(self.changed.iter().cloned())
            .map(|file| (file.file.clone(), file))
            .collect();
        for name in &self.gone {
            files.remove(name);
        }
        *diff = files.into_values().collect();
    }
}

/// Text that was added to a part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    /// The message.
    #[serde(rename = "m")]
    pub message: MessageId,
    /// The part.
    #[serde(rename = "p")]
    pub part: PartId,
    /// The text.
    #[serde(rename = "t")]
    pub text: String,
}

/// Which way an undo or redo moves files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Undo {
    /// Back.
    Back(RevertTo),
    /// Forward again, as before the last undo.
    Forward,
}

/// Where an undo goes back to: before this message, or before this part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevertTo {
    /// The message.
    #[serde(rename = "m")]
    pub message: MessageId,
    /// The part.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub part: Option<PartId>,
}

/// A turn's head: which user message it answers, and what it is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnHead {
    /// The user message that it answers.
    pub prompt: MessageId,
    /// What it is for.
    pub kind: TurnKind,
}

/// What a turn is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TurnKind {
    /// To answer a prompt.
    Prompt,
    /// To summarise the conversation; then, with a message, to go on with the prompt that did not fit.
    Compaction(Option<MessageId>),
    /// To run a command of the user's own.
    Shell(String),
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CloseReason {
    /// The model said all it had to say, or the user refused something.
    Completed,
    /// The user stopped it, or the daemon ended in the middle.
    Interrupted,
    /// It failed.
    Error,
}

impl CloseReason {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Interrupted => "interrupted",
            Self::Error => "error",
        }
    }
}

impl Record {
    /// It is mirrored as a `sync` event and has a number among them.
    pub fn is_durable_event(&self) -> bool {
        matches!(
            self,
            Self::SessionCreated(_)
                | Self::SessionUpdated(_)
                | Self::MessageUpdated(_)
                | Self::MessageRemoved(_)
                | Self::PartUpdated(..)
                | Self::CallProgressed(_)
                | Self::PartRemoved(..)
        )
    }

    /// A later record has all of it: the whole part, or the call's end.
    pub fn is_superseded(&self) -> bool {
        matches!(self, Self::PartDelta(_) | Self::CallProgressed(_))
            || self.running_call().is_some()
    }

    /// The call that a record of a tool part is about, if the part is still running (superseded by its end).
    pub fn running_call(&self) -> Option<&CallId> {
        use kilo_protocol::model::{PartBody, ToolState};
        match self {
            Self::PartUpdated(part, _) => match &part.body {
                PartBody::Tool(tool) if matches!(tool.state, ToolState::Running { .. }) => {
                    Some(&tool.call_id)
                }
                _ => None,
            },
            _ => None,
        }
    }
}

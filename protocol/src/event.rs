//! Events on the wire, and the frame that carries one to every subscriber.
//!
//! A new event is added in one place: a row of the table of [`Event`] (and a struct for its properties, if none fits).

use crate::model::{
    FileChangeKind, FileDiff, Message, NetworkRequest, Part, PermissionRequest, Project,
    QuestionRequest, Session, Status, Todo, TurnError,
};
use crate::process::{ProcessChanged, ProcessGone};
use crate::terminal::{TerminalChanged, TerminalExited, TerminalGone};
use crate::worktree::{WorktreeFailed, WorktreeNamed, WorktreeOutput};
use crate::{EventId, MessageId, Millis, PartId, PermissionId, ProjectId, QuestionId, SessionId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

/// Makes [`Event`] and what has to name every event out of one table. `of FIELD` is where an event's properties have the
/// session that it is about.
macro_rules! events {
    ($life:lifetime: $($(#[$doc:meta])* $name:literal $variant:ident($properties:ty) $(of $session:ident)?;)*) => {
        /// What happened. Names and properties are those of the Kilo daemon 7.7.9 where it has the event.
        ///
        /// Properties are borrowed where an event is written, and owned where one was read.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Event<$life> {
            $($(#[$doc])* $variant($properties),)*
            /// An event that is not known here, or whose properties are not as they should be.
            Other {
                /// Its name.
                name: String,
                /// Its properties as they came.
                properties: Value,
            },
        }

        impl<$life> Event<$life> {
            /// Its name on the wire, such as `session.idle`.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$variant(_) => $name,)*
                    Self::Other { name, .. } => name,
                }
            }

            /// The session that it is about, where it is about one.
            pub fn session(&self) -> Option<&SessionId> {
                match self {
                    $($(Self::$variant(properties) => Some(&properties.$session),)?)*
                    _ => None,
                }
            }

            /// Writes the event as clients read it, `{id, type, properties}`, behind `out`; answers where in there the
            /// properties are.
            pub fn write(&self, id: &EventId, out: &mut Vec<u8>) -> Range<usize> {
                let name = self.name();
                let _ = write!(out, r#"{{"id":"{id}","type":"{name}","properties":"#);
                let start = out.len();
                if self.write_properties(out).is_err() {
                    out.truncate(start);
                    out.extend_from_slice(b"{}");
                }
                let properties = start..out.len();
                out.push(b'}');
                properties
            }

            /// Writes the properties as JSON behind `out`. Allocates nothing but what `out` needs.
            pub fn write_properties(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
                match self {
                    $(Self::$variant(properties) => serde_json::to_writer(out, properties),)*
                    Self::Other { properties, .. } => serde_json::to_writer(out, properties),
                }
            }
        }

        impl Event<'static> {
            /// Reads an event's properties. Never fails: what does not fit is kept as it came.
            pub fn read(name: &str, properties: &RawValue) -> Self {
                let text = properties.get();
                let read = match name {
                    $($name => serde_json::from_str(text).map(Self::$variant).ok(),)*
                    _ => None,
                };
                read.unwrap_or_else(|| Self::Other {
                    name: name.to_owned(),
                    properties: serde_json::from_str(text).unwrap_or_default(),
                })
            }
        }

        /// All names, in the table's order.
        #[cfg(test)]
        const NAMES: &[&str] = &[$($name),*];
    };
}

events! { 'a:
    /// A session was made.
    "session.created" SessionCreated(SessionInfo<'a>) of session_id;
    /// A session's head changed.
    "session.updated" SessionUpdated(SessionInfo<'a>) of session_id;
    /// A session is gone.
    "session.deleted" SessionDeleted(SessionInfo<'a>) of session_id;
    /// A message was added or changed.
    "message.updated" MessageUpdated(MessageInfo<'a>) of session_id;
    /// A message is gone.
    "message.removed" MessageRemoved(MessageGone<'a>) of session_id;
    /// A part was added or changed.
    "message.part.updated" PartUpdated(PartInfo<'a>) of session_id;
    /// Text was added to a part.
    "message.part.delta" PartDelta(PartDelta<'a>) of session_id;
    /// A part is gone.
    "message.part.removed" PartRemoved(PartGone<'a>) of session_id;
    /// A turn began.
    "session.turn.open" TurnOpened(SessionOnly<'a>) of session_id;
    /// A turn ended.
    "session.turn.close" TurnClosed(TurnClosed<'a>) of session_id;
    /// What a session is doing changed.
    "session.status" StatusChanged(StatusInfo<'a>) of session_id;
    /// A session does nothing any more.
    "session.idle" Idle(SessionOnly<'a>) of session_id;
    /// Something went wrong, for people.
    "session.error" Failed(Failure<'a>) of session_id;
    /// The prompts that wait.
    "session.queue.changed" QueueChanged(Queue<'a>) of session_id;
    /// A conversation was compacted.
    "session.compacted" Compacted(SessionOnly<'a>) of session_id;
    /// What a session changed in its files so far.
    "session.diff" DiffChanged(Diff<'a>) of session_id;
    /// An abort emptied a session.
    "session.drain.interrupted" DrainInterrupted(SessionOnly<'a>) of session_id;
    /// Nothing waits or runs in a session, as a client with this token wanted to know.
    "session.drained" Drained(Drained<'a>) of session_id;
    /// Somebody has to allow something.
    "permission.asked" PermissionAsked(Cow<'a, PermissionRequest>) of session_id;
    /// It was allowed or refused.
    "permission.replied" PermissionReplied(PermissionReplied<'a>) of session_id;
    /// The user has to answer a question.
    "question.asked" QuestionAsked(Cow<'a, QuestionRequest>) of session_id;
    /// The user answered.
    "question.replied" QuestionReplied(QuestionReplied<'a>) of session_id;
    /// The user dismissed it.
    "question.rejected" QuestionRejected(QuestionClosed<'a>) of session_id;
    /// A provider cannot be reached.
    "session.network.asked" NetworkAsked(Cow<'a, NetworkRequest>) of session_id;
    /// It can be reached again.
    "session.network.replied" NetworkReplied(QuestionClosed<'a>) of session_id;
    /// The wait for it was given up.
    "session.network.rejected" NetworkRejected(QuestionClosed<'a>) of session_id;
    /// A session's list of things to do was replaced.
    "todo.updated" TodosChanged(Todos<'a>) of session_id;
    /// A file was changed by a tool.
    "file.edited" FileEdited(FileEdited<'a>);
    /// A program was started in a terminal.
    "pty.created" TerminalCreated(TerminalChanged<'a>);
    /// A terminal's title, size or session changed.
    "pty.updated" TerminalUpdated(TerminalChanged<'a>);
    /// A terminal's program ended.
    "pty.exited" TerminalExited(TerminalExited<'a>);
    /// A terminal is gone.
    "pty.deleted" TerminalDeleted(TerminalGone<'a>);
    /// A file came, changed or went, whoever did it: tools say so of what they write, a watcher of all else.
    "file.watcher.updated" FileTouched(FileTouched<'a>);
    /// Not all of a folder is watched.
    "file.watcher.limited" WatchLimited(WatchLimited<'a>);
    /// Another branch was checked out.
    "vcs.branch.updated" BranchChanged(BranchChanged<'a>);
    /// A project was met for the first time, or changed.
    "project.updated" ProjectUpdated(Cow<'a, Project>);
    /// A configured command became a prompt.
    "command.executed" CommandExecuted(CommandExecuted<'a>) of session_id;
    /// An MCP server offers other tools than before.
    "mcp.tools.changed" ServerToolsChanged(ServerToolsChanged<'a>);
    /// The sign-in of an MCP server waits for somebody who opens an address.
    "mcp.browser.open.failed" ServerSignIn(ServerSignIn<'a>);
    /// The references that prompts can name changed.
    "reference.updated" ReferencesChanged(Nothing);
    /// The services that can be signed in to changed.
    "integration.updated" IntegrationsChanged(Nothing);
    /// The providers and models on offer changed.
    "catalog.updated" CatalogChanged(Nothing);
    /// How far the index of a folder is.
    "indexing.status" IndexingChanged(Indexing<'a>);
    /// A background process was started, or changed.
    "background_process.updated" ProcessUpdated(ProcessChanged<'a>);
    /// A background process is off the list.
    "background_process.deleted" ProcessDeleted(ProcessGone<'a>) of session_id;
    /// The language servers of a folder changed.
    "lsp.updated" LanguagesChanged(Nothing);
    /// A language server published what it finds wrong in a file.
    "lsp.client.diagnostics" ProblemsPublished(ProblemsPublished<'a>);
    /// The stream is open: events from now on are not missed.
    "server.connected" Connected(Greeting);
    /// The stream is alive.
    "server.heartbeat" Heartbeat(Nothing);
    /// The stream does not go on where the client was: it has to read everything again.
    "server.resync" Resync(Resync<'a>);
    /// The instance of a directory ended, and its stream with it.
    "server.instance.disposed" InstanceDisposed(Disposed<'a>);
    /// All instances ended.
    "global.disposed" GlobalDisposed(Nothing);
    /// A worktree's files are all there.
    "worktree.ready" WorktreeReady(WorktreeNamed<'a>);
    /// A worktree, or its set-up, came to nothing.
    "worktree.failed" WorktreeFailed(WorktreeFailed<'a>);
    /// A worktree's set-up scripts ended well.
    "worktree.setup.ready" WorktreeSetUp(WorktreeNamed<'a>);
    /// A set-up script says something.
    "x.worktree.output" WorktreeOutput(WorktreeOutput<'a>);
    /// The user's own configuration changed.
    "global.config.updated" GlobalConfigUpdated(Nothing);
}

/// A session's head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionInfo<'a> {
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: Cow<'a, SessionId>,
    /// Its head.
    pub info: Cow<'a, Session>,
}

/// A message's head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageInfo<'a> {
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: Cow<'a, SessionId>,
    /// The message without its parts.
    pub info: Cow<'a, Message>,
}

/// A message that is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageGone<'a> {
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: Cow<'a, SessionId>,
    /// The message.
    #[serde(rename = "messageID")]
    pub message_id: Cow<'a, MessageId>,
}

/// A part as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartInfo<'a> {
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: Cow<'a, SessionId>,
    /// The part.
    pub part: Cow<'a, Part>,
    /// When.
    #[serde(default)]
    pub time: Millis,
}

/// Text behind what a part has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartDelta<'a> {
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: Cow<'a, SessionId>,
    /// The message.
    #[serde(rename = "messageID")]
    pub message_id: Cow<'a, MessageId>,
    /// The part.
    #[serde(rename = "partID")]
    pub part_id: Cow<'a, PartId>,
    /// The part's field that grows: `text`.
    pub field: Cow<'a, str>,
    /// The text.
    pub delta: Cow<'a, str>,
}

/// A part that is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartGone<'a> {
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: Cow<'a, SessionId>,
    /// The message.
    #[serde(rename = "messageID")]
    pub message_id: Cow<'a, MessageId>,
    /// The part.
    #[serde(rename = "partID")]
    pub part_id: Cow<'a, PartId>,
}

/// A session, and nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionOnly<'a> {
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: Cow<'a, SessionId>,
}

/// The end of a turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnClosed<'a> {
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: Cow<'a, SessionId>,
    /// `completed`, `error` or `interrupted`.
    pub reason: Cow<'a, str>,
}

/// What a session is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusInfo<'a> {
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: Cow<'a, SessionId>,
    /// What it is doing.
    pub status: Cow<'a, Status>,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure<'a> {
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: Cow<'a, SessionId>,
    /// What.
    pub error: Cow<'a, TurnError>,
}

/// The prompts that wait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Queue<'a> {
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: Cow<'a, SessionId>,
    /// Their messages, the next one first.
    pub queued: Cow<'a, [MessageId]>,
}

/// Changes of files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diff<'a> {
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: Cow<'a, SessionId>,
    /// One entry a file.
    pub diff: Cow<'a, [FileDiff]>,
}

/// The answer to a client that wanted to know when a session is empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drained<'a> {
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: Cow<'a, SessionId>,
    /// What the client called its question.
    pub token: Cow<'a, str>,
}

/// The answer to a request for permission.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PermissionReplied<'a> {
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: Cow<'a, SessionId>,
    /// The request.
    #[serde(rename = "requestID")]
    pub request_id: Cow<'a, PermissionId>,
    /// `once`, `always` or `reject`.
    pub reply: Cow<'a, str>,
}

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuestionReplied<'a> {
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: Cow<'a, SessionId>,
    /// The question.
    #[serde(rename = "requestID")]
    pub request_id: Cow<'a, QuestionId>,
    /// For each of its parts the labels that were chosen.
    pub answers: Cow<'a, [Vec<String>]>,
}

/// A question that nobody has to answer any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuestionClosed<'a> {
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: Cow<'a, SessionId>,
    /// The question.
    #[serde(rename = "requestID")]
    pub request_id: Cow<'a, QuestionId>,
}

/// A session's list of things to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Todos<'a> {
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: Cow<'a, SessionId>,
    /// The list.
    pub todos: Cow<'a, [Todo]>,
}

/// A file whose problems a language server published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProblemsPublished<'a> {
    /// The server's name.
    #[serde(rename = "serverID")]
    pub server_id: Cow<'a, str>,
    /// The file's absolute path.
    pub path: Cow<'a, str>,
}

/// A file that a tool changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileEdited<'a> {
    /// Its path.
    pub file: Cow<'a, str>,
}

/// A file that came, changed or went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileTouched<'a> {
    /// Its absolute path.
    pub file: Cow<'a, str>,
    /// What happened to it.
    pub event: FileChangeKind,
}

/// An MCP server that offers other tools than before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerToolsChanged<'a> {
    /// The server's name.
    pub server: Cow<'a, str>,
}

/// An MCP server that somebody has to sign in to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerSignIn<'a> {
    /// The server's name.
    #[serde(rename = "mcpName")]
    pub server: Cow<'a, str>,
    /// The address to open.
    pub url: Cow<'a, str>,
}

/// A folder that is too large to be watched whole; no event of the reference says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WatchLimited<'a> {
    /// The folder.
    pub directory: Cow<'a, str>,
}

/// The branch that a folder is on now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BranchChanged<'a> {
    /// Its name; nothing for a commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<Cow<'a, str>>,
}

/// A configured command that became a prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandExecuted<'a> {
    /// The command.
    pub name: Cow<'a, str>,
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: Cow<'a, SessionId>,
    /// What its template got.
    pub arguments: Cow<'a, str>,
    /// The prompt.
    #[serde(rename = "messageID")]
    pub message_id: Cow<'a, MessageId>,
}

/// How far the index of a folder is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Indexing<'a> {
    /// How far.
    pub status: IndexingStatus<'a>,
}

/// The state of an index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexingStatus<'a> {
    /// `Disabled`, `In Progress`, `Complete`, `Error` or `Standby`.
    pub state: Cow<'a, str>,
    /// For people.
    pub message: Cow<'a, str>,
    /// Files that were read.
    pub processed_files: u64,
    /// Files that there are to read.
    pub total_files: u64,
    /// The part that is done, 0 to 100.
    pub percent: u8,
}

impl IndexingStatus<'static> {
    /// What there is where nothing is indexed.
    pub fn disabled() -> Self {
        Self {
            state: "Disabled".into(),
            message: "Indexing disabled.".into(),
            processed_files: 0,
            total_files: 0,
            percent: 0,
        }
    }
}

/// The beginning of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// To a client that came back with a position: whether the stream goes on there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed: Option<bool>,
}

/// Why a client has to read everything again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resync<'a> {
    /// For people.
    #[serde(default)]
    pub reason: Cow<'a, str>,
}

/// The end of an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Disposed<'a> {
    /// Its directory.
    pub directory: Cow<'a, str>,
}

/// No properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nothing {}

/// One event, serialised once, on its way to every subscriber.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The position that a client may resume after; `None` for what is not in the log, and for all but the last
    /// event of one record.
    pub pos: Option<u64>,
    /// The directory it belongs to; `None` for what concerns the whole daemon.
    pub directory: Option<Arc<str>>,
    /// The project of that directory, where known.
    pub project: Option<Arc<ProjectId>>,
    /// The event's JSON, without frame or newline.
    pub json: Bytes,
    /// The stream of this directory ends after this frame.
    pub last: bool,
}

/// An event as a stream carries it: `{id, type, properties}`, on the global stream `{directory, payload}` around that.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// `evt_…`; empty when the daemon sent none.
    pub id: EventId,
    /// The directory it belongs to; only the global stream tells.
    pub directory: Option<String>,
    /// What happened.
    pub event: Event<'static>,
}

impl Received {
    /// Reads the data of one frame of a stream.
    ///
    /// # Errors
    /// When it is no JSON object, or has no `type`.
    pub fn read(data: &str) -> serde_json::Result<Self> {
        let outer: Outer<'_> = serde_json::from_str(data)?;
        let inner: Inner<'_> = match outer.payload {
            Some(payload) => serde_json::from_str(payload.get())?,
            None => serde_json::from_str(data)?,
        };
        // An event may leave out properties that it does not have.
        let event = match inner.properties {
            Some(properties) => Event::read(&inner.name, properties),
            None => Event::read(&inner.name, &serde_json::value::to_raw_value(&Nothing {})?),
        };
        Ok(Self {
            id: EventId::from_wire(inner.id.into_owned()),
            directory: outer.directory.map(Cow::into_owned),
            event,
        })
    }
}

#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(default, borrow)]
    directory: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Inner<'a> {
    #[serde(default, borrow)]
    id: Cow<'a, str>,
    #[serde(rename = "type", borrow)]
    name: Cow<'a, str>,
    #[serde(default, borrow)]
    properties: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: &Value) -> Received {
        Received::read(&value.to_string()).unwrap()
    }

    #[test]
    fn an_event_is_read_and_written_as_it_was() {
        let properties = json!({
            "sessionID": "ses_1", "messageID": "msg_1", "partID": "prt_1", "field": "text", "delta": "a \"b\"\n"
        });
        let received =
            read(&json!({"id": "evt_1", "type": "message.part.delta", "properties": properties}));
        assert_eq!(received.event.name(), "message.part.delta");
        assert_eq!(
            received.event.session().map(SessionId::as_str),
            Some("ses_1")
        );
        let mut out = Vec::new();
        received.event.write_properties(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), properties.to_string());
    }

    #[test]
    fn the_global_stream_tells_the_directory() {
        let received = read(
            &json!({"directory": "/d", "payload": {"type": "session.idle", "properties": {"sessionID": "s"}}}),
        );
        assert_eq!(received.directory.as_deref(), Some("/d"));
        assert!(matches!(received.event, Event::Idle(_)));
    }

    #[test]
    fn what_is_unknown_or_does_not_fit_is_kept_as_it_came() {
        for (name, properties) in [
            ("new.event", json!({"a": [1]})),
            ("session.idle", json!({"sessionID": 5})),
            ("sync", json!({"a": null})),
        ] {
            let received = read(&json!({"type": name, "properties": properties}));
            let name = name.to_owned();
            assert_eq!(received.event, Event::Other { name, properties });
            assert_eq!(received.event.session(), None);
        }
        assert!(matches!(
            read(&json!({"type": "server.connected"})).event,
            Event::Connected(_)
        ));
        assert!(Received::read("[]").is_err() && Received::read("{}").is_err());
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = NAMES.iter().collect();
        assert_eq!(names.len(), NAMES.len());
    }
}

//! What reaches the machine, and what it orders.

use crate::record::{RevertTo, TurnKind};
use kilo_ports::checkpoint::{FileChange, LeftAlone};
use kilo_ports::provider::{Chunk, ModelInfo, ProviderError};
use kilo_ports::tool::{Access, Ask, QuestionAnswer, ToolError, ToolOutput};
use kilo_protocol::model::{FileChangeKind, FileDiff, ModelRef, Part, Rule, Todo, UserMessage};
use kilo_protocol::{CallId, MessageId, Millis, PermissionId, QuestionId};
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::sync::Arc;

/// Names one run of a turn's machinery. An input with an older stamp is dropped.
pub type Stamp = u64;

/// A prompt, made ready: every id is chosen, every file is read.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The message.
    pub message: UserMessage,
    /// Its parts.
    pub parts: Vec<Part>,
    /// It is stored but not answered.
    pub no_reply: bool,
}

/// What the folder and the model told of the model call that was opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The model.
    pub model: Arc<ModelInfo>,
    /// The agent's rules: built-in, configuration and agent, lowest first.
    pub rules: Arc<Vec<Rule>>,
    /// The configuration could be read, so that answers which users saved count where the rules ask.
    pub counts_saved: bool,
    /// The tools on offer.
    pub tools: Arc<Vec<(String, Access)>>,
    /// The agent's bound of steps.
    pub steps_max: Option<u32>,
    /// Tokens at which the conversation is compacted; `None` when it is switched off.
    pub compact_at: Option<u64>,
}

/// Something that happened.
#[derive(Debug)]
pub enum Input {
    /// A client's prompt.
    Prompt(Box<Prompt>),
    /// A client's order to run a command of the user's own.
    Shell(Box<Prompt>, String),
    /// A client's order to go on with an interrupted turn.
    Resume,
    /// A client's order to summarise the conversation.
    Summarize(ModelRef, bool),
    /// A client's order to stop.
    Abort,
    /// The model call is under way.
    Opened(Stamp, Box<Opened>),
    /// It could not even be prepared.
    Refused(Stamp, ProviderError),
    /// The checkpoint before the first step.
    Snapshot(Stamp, Option<String>),
    /// Pieces of the answer.
    Chunks(Stamp, Vec<Chunk>),
    /// The stream failed.
    StreamFailed(Stamp, ProviderError),
    /// The wait before the next try is over.
    RetryDue(Stamp),
    /// The network is back, or the user said to try (`true`) or to give up (`false`).
    Network(Option<QuestionId>, bool),
    /// A call shows what it knows.
    Progress(Stamp, CallId, Option<String>, Map<String, Value>),
    /// A call ended.
    ToolDone(
        Stamp,
        CallId,
        Result<Box<ToolOutput>, ToolError>,
        Vec<FileChange>,
        Option<String>,
    ),
    /// A call asks for permission; the saved approvals of the project come along.
    Ask(Stamp, CallId, Box<Ask>, Arc<Vec<Rule>>),
    /// A client answers: `once`, `always` or `reject`, with an optional sentence for the model.
    Answer(PermissionId, Reply, Option<String>),
    /// A call asks the user.
    Question(Stamp, CallId, Vec<Value>),
    /// A client answers a question.
    QuestionAnswer(QuestionId, QuestionAnswer),
    /// A call replaces the todo list.
    Todos(Stamp, Vec<Todo>),
    /// A call changed a file.
    FileEdited(Stamp, PathBuf, FileChangeKind),
    /// The small model made a title.
    Title(String),
    /// What the turn of this prompt, and the session as a whole, changed; none where that could not be told.
    Diff(MessageId, Option<Vec<FileDiff>>, Option<Vec<FileDiff>>),
    /// A client waits for the queue to empty.
    Drain(String),
    /// A client's order to hide what came from here on, and to undo it in the files.
    Revert(RevertTo),
    /// A client's order to show it again, and to do it again in the files.
    Unrevert,
    /// The files of an undo or redo were moved, as far as they could be.
    FilesMoved(Stamp, Box<FilesMoved>),
}

/// The work of an undo or redo, in the order of its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct MoveFiles {
    /// Changes of an earlier undo, to be done again, oldest first: each from `before` to `after`.
    pub redo: Vec<FileChange>,
    /// Changes to take back, newest first: each from `after` to `before`.
    pub undo: Vec<FileChange>,
    /// The earlier undo did not touch files, so there is nothing to do again.
    pub redo_is_void: bool,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FilesMoved {
    /// The checkpoint from before it.
    pub snapshot: Option<String>,
    /// What it changed, as a patch.
    pub diff: Option<String>,
    /// The word on the wire: `restored`, `partial`, `unavailable`, `snapshots-disabled` or `not-a-git-repo`.
    pub workspace: &'static str,
    /// What was left as it is, and why.
    pub left: Vec<LeftAlone>,
    /// It failed as a whole, and why: what was hidden stays so, and what was not does too.
    pub failed: Option<String>,
}

/// An answer to a request for permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// This once.
    Once,
    /// From now on in this project.
    Always,
    /// No.
    Reject,
}

impl Reply {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Always => "always",
            Self::Reject => "reject",
        }
    }
}

/// An order to the shell. Orders run after the records of the same decision are in the log.
#[derive(Debug)]
pub enum Effect {
    /// Record the files before the first step.
    Track(Stamp),
    /// Call the model with the conversation as it is now.
    CallModel(Stamp, ModelCall),
    /// Close the stream.
    StopModel,
    /// Start a tool call.
    RunTool(Stamp, ToolRun),
    /// Stop all tool calls.
    StopTools,
    /// Send `RetryDue` after so many milliseconds.
    RetryAfter(Stamp, u64),
    /// Look for the network and send `Network` when it is back.
    WatchNetwork(Stamp, QuestionId),
    /// Let a call go on, or not.
    AnswerAsk(PermissionId, Result<(), ToolError>),
    /// Answer at once, without a request (the call is waiting).
    AnswerNow(CallId, Result<(), ToolError>),
    /// Give the user's answer to a call.
    AnswerQuestion(QuestionId, Result<QuestionAnswer, ToolError>),
    /// A turn for this prompt ended: answer whoever waits for it.
    TurnEnded(MessageId),
    /// Remember rules for the project.
    SaveRules(Vec<Rule>),
    /// Ask the small model for a title.
    MakeTitle,
    /// Work out what the turn of this prompt changed.
    MakeDiff(MessageId),
    /// Stop the child sessions.
    AbortChildren,
    /// Move files for an undo or redo.
    MoveFiles(Stamp, MoveFiles),
    /// It is over: answer whoever waits for it.
    UndoEnded,
}

/// A model call.
#[derive(Clone, Debug)]
pub struct ModelCall {
    /// The user message that is answered.
    pub prompt: MessageId,
    /// The message that is being written; it and what comes after it is left out of the conversation.
    pub answer: MessageId,
    /// What the turn is for.
    pub kind: TurnKind,
    /// The agent.
    pub agent: String,
    /// The model.
    pub model: ModelRef,
    /// Which of the turn's steps this is, from 1.
    pub step: u32,
    /// The last step that the agent may take: no tools.
    pub last_step: bool,
}

/// A tool call to run.
#[derive(Clone, Debug)]
pub struct ToolRun {
    /// The message.
    pub message: MessageId,
    /// The call.
    pub call: CallId,
    /// The tool.
    pub tool: String,
    /// Its arguments.
    pub input: Value,
    /// The agent.
    pub agent: String,
    /// The same call was made twice before: ask first.
    pub doom_loop: bool,
    /// When it began.
    pub at: Millis,
}

//! Sessions, messages and parts as they are stored and as clients see them.
//!
//! Key order follows the reference's answers (seen: real server 7.7.9, recordings under `text-turn`, `tool-edit`).
//! Optional fields are left out when empty. Costs are US dollars; times are [`Millis`].

use crate::{CallId, MessageId, Millis, PartId, PermissionId, ProjectId, QuestionId, SessionId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Counted tokens. `input` excludes cached tokens, `output` excludes `reasoning`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// All tokens of the request and its answer, as the provider counted them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Prompt tokens that were not read from a cache.
    pub input: u64,
    /// Answer tokens without reasoning.
    pub output: u64,
    /// Reasoning tokens.
    pub reasoning: u64,
    /// Tokens read from and written to the provider's cache.
    pub cache: CacheTokens,
}

/// Tokens read from and written to the provider's cache.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheTokens {
    /// Tokens read.
    pub read: u64,
    /// Tokens written.
    pub write: u64,
}

impl Tokens {
    /// Adds `other`, leaving `total` out (sessions do not carry it).
    pub fn add(&mut self, other: &Tokens) {
        self.input += other.input;
        self.output += other.output;
        self.reasoning += other.reasoning;
        self.cache.read += other.cache.read;
        self.cache.write += other.cache.write;
    }
}

/// A permission rule: the last one that matches wins.
///
/// Each folder has some 1,600 of them, nearly all of the built-in agents; those lie in the program and are not copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The permission's name, with `*` and `?`.
    pub permission: Cow<'static, str>,
    /// What it is about (a path, a command), with `*` and `?`.
    pub pattern: Cow<'static, str>,
    /// What to do.
    pub action: Action,
}

/// What a rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Go on without asking.
    Allow,
    /// Ask the user.
    Ask,
    /// Refuse.
    Deny,
}

/// A session's head: everything but its messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// A readable name: adjective-noun.
    pub slug: String,
    /// The project it belongs to.
    #[serde(rename = "projectID")]
    pub project_id: ProjectId,
    /// The folder it works in (absolute).
    pub directory: String,
    /// `directory` relative to the project's root; empty at the root.
    #[serde(default)]
    pub path: String,
    /// The session whose task made this one.
    #[serde(rename = "parentID", default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<SessionId>,
    /// What it changed so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<DiffSummary>,
    /// Cost of all its model calls.
    #[serde(default)]
    pub cost: f64,
    /// Tokens of all its model calls.
    #[serde(default)]
    pub tokens: Tokens,
    /// Where it is shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Value>,
    /// Its title.
    pub title: String,
    /// The agent of the last prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The model of the last prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<SessionModel>,
    /// The version of the program that made it.
    pub version: String,
    /// A client's own data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// Its times.
    pub time: SessionTime,
    /// Rules given with the session; they come after the configuration's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<Vec<Rule>>,
    /// The point it is reverted to, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert: Option<Revert>,
}

/// A session's model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionModel {
    /// The model's id within its provider.
    pub id: String,
    /// The provider.
    #[serde(rename = "providerID")]
    pub provider_id: String,
    /// The variant (reasoning effort), `default` when none was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// A session's times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionTime {
    /// When it was made.
    pub created: Millis,
    /// When its head last changed.
    pub updated: Millis,
    /// When it was archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<Millis>,
    /// Since when it is being compacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compacting: Option<Millis>,
}

/// Lines and files that a session changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DiffSummary {
    /// Lines added.
    pub additions: u64,
    /// Lines taken away.
    pub deletions: u64,
    /// Files touched.
    pub files: u64,
}

/// The point a session is reverted to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revert {
    /// The first message that is hidden.
    #[serde(rename = "messageID")]
    pub message_id: MessageId,
    /// The first part that is hidden, when not the whole message is.
    #[serde(rename = "partID", default, skip_serializing_if = "Option::is_none")]
    pub part_id: Option<PartId>,
    /// The checkpoint of the files as they were before the revert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// What the revert changed, as a unified diff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// `restored`, `unavailable`, `snapshots-disabled` or `not-a-git-repo`; `partial` when something was left as it is,
    /// which the reference has no word for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// What was left as it is; ours, left out when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<LeftFile>,
}

/// A file that an undo could not put back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeftFile {
    /// Its path; absolute.
    pub path: String,
    /// Why, for people.
    pub reason: String,
}

/// A file's change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileDiff {
    /// The path relative to the worktree's root.
    pub file: String,
    /// The change as a unified diff.
    #[serde(default)]
    pub patch: String,
    /// Lines added.
    pub additions: u64,
    /// Lines taken away.
    pub deletions: u64,
    /// `added`, `deleted` or `modified`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// A message with its parts, as the message routes answer it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageWithParts {
    /// The message.
    pub info: Message,
    /// Its parts, in order.
    pub parts: Vec<Part>,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub enum Message {
    /// From the user.
    User(UserMessage),
    /// From the model: one per model call.
    Assistant(AssistantMessage),
}

impl Message {
    /// Its id.
    pub fn id(&self) -> &MessageId {
        match self {
            Self::User(user) => &user.id,
            Self::Assistant(assistant) => &assistant.id,
        }
    }

    /// The user's message, if it is one.
    pub fn user(&self) -> Option<&UserMessage> {
        match self {
            Self::User(user) => Some(user),
            Self::Assistant(_) => None,
        }
    }

    /// The model's message, if it is one.
    pub fn assistant(&self) -> Option<&AssistantMessage> {
        match self {
            Self::User(_) => None,
            Self::Assistant(assistant) => Some(assistant),
        }
    }
}

/// A provider and one of its models.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ModelRef {
    /// The provider.
    #[serde(rename = "providerID")]
    pub provider_id: String,
    /// The model's id within its provider.
    #[serde(rename = "modelID")]
    pub model_id: String,
    /// The variant (reasoning effort).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// A message from the user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserMessage {
    /// Its id.
    pub id: MessageId,
    /// Its session.
    #[serde(rename = "sessionID")]
    pub session_id: SessionId,
    /// `created` only.
    pub time: Created,
    /// The shape that the answer must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Value>,
    /// What the turn changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<MessageSummary>,
    /// The agent that is to answer.
    pub agent: String,
    /// The model that is to answer.
    pub model: ModelRef,
    /// A system text for this prompt alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Tools switched on or off for this prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Map<String, Value>>,
    /// What the client's editor shows.
    #[serde(
        rename = "editorContext",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub editor_context: Option<Value>,
}

/// A time of creation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// When it was made.
    pub created: Millis,
}

/// What the turn of a user message changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MessageSummary {
    /// A title for the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// A text for the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The changed files.
    pub diffs: Vec<FileDiff>,
}

/// A message from the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AssistantMessage {
    /// Its id.
    pub id: MessageId,
    /// Its session.
    #[serde(rename = "sessionID")]
    pub session_id: SessionId,
    /// When it was begun and finished.
    pub time: AssistantTime,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TurnError>,
    /// The user message that it answers.
    #[serde(rename = "parentID")]
    pub parent_id: MessageId,
    /// The model.
    #[serde(rename = "modelID")]
    pub model_id: String,
    /// The provider.
    #[serde(rename = "providerID")]
    pub provider_id: String,
    /// The agent, under its old name.
    pub mode: String,
    /// The agent.
    pub agent: String,
    /// Where it works.
    pub path: MessagePath,
    /// It is the summary of what came before.
    #[serde(default, skip_serializing_if = "is_false")]
    pub summary: bool,
    /// Its cost.
    #[serde(default)]
    pub cost: f64,
    /// Its tokens.
    #[serde(default)]
    pub tokens: Tokens,
    /// The object that a `format` of the prompt asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured: Option<Value>,
    /// The variant (reasoning effort).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Why the model stopped: `stop`, `length`, `tool-calls`, `content-filter`, `other`, `unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<String>,
}

/// When a model's message was begun and finished.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AssistantTime {
    /// When it was begun.
    pub created: Millis,
    /// When it was finished, in whatever way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<Millis>,
}

/// Where a message works.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MessagePath {
    /// The session's folder.
    pub cwd: String,
    /// The worktree's root.
    pub root: String,
}

/// Why a turn failed: `{name, data}`.
///
/// Names: `ProviderAuthError`, `UnknownError`, `MessageOutputLengthError`, `MessageAbortedError`,
/// `StructuredOutputError`, `ContextOverflowError`, `ContentFilterError`, `APIError`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnError {
    /// The error's name.
    pub name: String,
    /// `message`, and for `APIError` `isRetryable`, `statusCode?`, `responseBody?`, `metadata?`.
    pub data: Value,
}

impl TurnError {
    /// An error with only a message.
    pub fn new(name: &str, message: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            data: serde_json::json!({"message": message.into()}),
        }
    }

    /// Its sentence for people; empty when there is none.
    pub fn message(&self) -> &str {
        self.data
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

/// A part of a message: ids around a body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Its id.
    pub id: PartId,
    /// Its session.
    #[serde(rename = "sessionID")]
    pub session_id: SessionId,
    /// Its message.
    #[serde(rename = "messageID")]
    pub message_id: MessageId,
    /// What it is.
    #[serde(flatten)]
    pub body: PartBody,
}

/// What a part is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum PartBody {
    /// Text of the user or the model.
    Text(TextPart),
    /// The model's reasoning.
    Reasoning(ReasoningPart),
    /// An attached file.
    File(FilePart),
    /// A tool call.
    Tool(ToolPart),
    /// A step begins.
    StepStart(StepStart),
    /// A step ends.
    StepFinish(StepFinish),
    /// A checkpoint.
    Snapshot(SnapshotPart),
    /// The files that a step changed.
    Patch(PatchPart),
    /// A mention of an agent.
    Agent(AgentPart),
    /// A task for a subagent, ordered by the user.
    Subtask(SubtaskPart),
    /// A failed try at the provider.
    Retry(RetryPart),
    /// The place where a conversation was compacted.
    Compaction(CompactionPart),
}

/// A stretch of time that may still run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// When it began.
    pub start: Millis,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Millis>,
}

/// Text of the user or the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TextPart {
    /// The text so far.
    pub text: String,
    /// Made by the program, not typed by the user.
    #[serde(default, skip_serializing_if = "is_false")]
    pub synthetic: bool,
    /// Not sent to the model.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ignored: bool,
    /// When it streamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Span>,
    /// A client's or provider's own data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
}

/// The model's reasoning.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReasoningPart {
    /// The text so far.
    pub text: String,
    /// What the provider wants back with it (signatures).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// When it streamed.
    pub time: Span,
}

/// An attached file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FilePart {
    /// Its media type.
    pub mime: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// `file:` or `data:` URL.
    pub url: String,
    /// Where in the prompt it was mentioned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Value>,
}

/// A tool call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolPart {
    /// The provider's id of the call.
    #[serde(rename = "callID")]
    pub call_id: CallId,
    /// The tool's name.
    pub tool: String,
    /// How far it is.
    pub state: ToolState,
    /// What the provider wants back with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
}

/// How far a tool call is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum ToolState {
    /// Its arguments are still streaming.
    Pending {
        /// Empty.
        input: Value,
        /// The arguments' text so far; empty on the wire at the start.
        raw: String,
    },
    /// It was started.
    Running {
        /// The arguments.
        input: Value,
        /// A title, once known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// Live output, the diff, the approval.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metadata: Option<Map<String, Value>>,
        /// `start` only.
        time: Span,
    },
    /// It has an output.
    Completed {
        /// The arguments.
        input: Value,
        /// What the model gets.
        output: String,
        /// A title for people.
        title: String,
        /// Facts for clients.
        metadata: Map<String, Value>,
        /// When it ran.
        time: ToolSpan,
        /// Files for the model.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attachments: Option<Vec<Value>>,
    },
    /// It failed.
    Error {
        /// The arguments.
        input: Value,
        /// Why; the model gets this.
        error: String,
        /// Facts for clients.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metadata: Option<Map<String, Value>>,
        /// When it ran.
        time: ToolSpan,
    },
}

impl ToolState {
    /// The arguments.
    pub fn input(&self) -> &Value {
        match self {
            Self::Pending { input, .. }
            | Self::Running { input, .. }
            | Self::Completed { input, .. }
            | Self::Error { input, .. } => input,
        }
    }

    /// It will not change any more.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Completed { .. } | Self::Error { .. })
    }
}

/// When a finished tool call ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ToolSpan {
    /// When it began.
    pub start: Millis,
    /// When it ended.
    pub end: Millis,
    /// When its output was taken out of the conversation to save room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compacted: Option<Millis>,
}

/// A step begins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepStart {
    /// The checkpoint of the files before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
}

/// A step ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepFinish {
    /// Why the model stopped.
    pub reason: String,
    /// The checkpoint of the files after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// How fast it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<StepMetrics>,
    /// When it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<StepTime>,
    /// Its cost.
    pub cost: f64,
    /// Its tokens.
    pub tokens: Tokens,
}

/// How fast a step was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepMetrics {
    /// Answer tokens a second.
    pub generation: f64,
    /// `computed` or `provider`.
    pub source: String,
}

/// When a step ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepTime {
    /// When it began.
    pub start: Millis,
    /// When it ended.
    pub end: Millis,
    /// Milliseconds between.
    pub elapsed: u64,
}

/// A checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SnapshotPart {
    /// Its hash.
    pub snapshot: String,
}

/// The files that a step changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PatchPart {
    /// The checkpoint before the change.
    pub hash: String,
    /// Absolute paths.
    pub files: Vec<String>,
}

/// A mention of an agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentPart {
    /// The agent's name.
    pub name: String,
    /// Where in the prompt it was mentioned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Value>,
}

/// A task for a subagent, ordered by the user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SubtaskPart {
    /// The task's text.
    pub prompt: String,
    /// A few words.
    pub description: String,
    /// The subagent.
    pub agent: String,
    /// Its model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Value>,
    /// The command that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// A failed try at the provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetryPart {
    /// Which try, from 1.
    pub attempt: u32,
    /// What went wrong.
    pub error: TurnError,
    /// When.
    pub time: Created,
}

/// The place where a conversation was compacted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CompactionPart {
    /// The program decided it, not the user.
    pub auto: bool,
    /// The provider had refused the conversation as too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overflow: Option<bool>,
    /// The first message that is kept as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail_start_id: Option<MessageId>,
}

/// What a session is doing, as `session.status` and `GET /session/status` show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Status {
    /// Nothing.
    Idle,
    /// It runs a turn.
    Busy,
    /// It waits before it tries the provider again.
    Retry {
        /// Which try, from 1.
        attempt: u32,
        /// What went wrong.
        message: String,
        /// When it tries again.
        next: Millis,
    },
    /// It waits for the network.
    Offline {
        /// The request to answer.
        #[serde(rename = "requestID")]
        request_id: QuestionId,
        /// What went wrong.
        message: String,
    },
}

/// A call's place: message and call id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallRef {
    /// The message of the call.
    #[serde(rename = "messageID")]
    pub message_id: MessageId,
    /// The provider's id of the call.
    #[serde(rename = "callID")]
    pub call_id: CallId,
}

/// A request for permission.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PermissionRequest {
    /// Its id.
    pub id: PermissionId,
    /// Its session.
    #[serde(rename = "sessionID")]
    pub session_id: SessionId,
    /// The permission's name.
    pub permission: String,
    /// What it is about.
    pub patterns: Vec<String>,
    /// What a client may show: the command, the diff, the path.
    pub metadata: Map<String, Value>,
    /// The patterns that an answer `always` would allow.
    pub always: Vec<String>,
    /// The call that asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<CallRef>,
}

/// The key in a request's metadata that names the form of what it is about, where that may change under one name.
pub const VERSION: &str = "version";

/// The name of a permission in saved rules: with the version where there is one, so that another version asks again.
pub fn saved_name(permission: &str, version: Option<&str>) -> String {
    match version {
        Some(version) => format!("{permission}@{version}"),
        None => permission.to_owned(),
    }
}

impl PermissionRequest {
    /// The name under which an allowance for good is saved.
    pub fn saved_name(&self) -> String {
        let version = self.metadata.get(VERSION).and_then(Value::as_str);
        saved_name(&self.permission, version)
    }
}

/// A question to the user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuestionRequest {
    /// Its id.
    pub id: QuestionId,
    /// Its session.
    #[serde(rename = "sessionID")]
    pub session_id: SessionId,
    /// `[{question, header, options: [{label, description}], multiple?}]`.
    pub questions: Vec<Value>,
    /// The call that asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<CallRef>,
}

/// A session that waits for the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkRequest {
    /// Its id (`que_…`).
    pub id: QuestionId,
    /// Its session.
    #[serde(rename = "sessionID")]
    pub session_id: SessionId,
    /// What went wrong.
    pub message: String,
    /// The network came back.
    pub restored: bool,
    /// When.
    pub time: Created,
}

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileChangeKind {
    /// It was not there before.
    Add,
    /// It was, and has another content.
    Change,
    /// It is gone.
    Unlink,
}

impl FileChangeKind {
    /// What writing to a file does to it.
    pub fn of_write(existed: bool) -> Self {
        if existed { Self::Change } else { Self::Add }
    }
}

/// A project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// The hash of the root commit, or `global`.
    pub id: ProjectId,
    /// The worktree's root.
    pub worktree: String,
    /// `git`, or nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vcs: Option<String>,
    /// A name given by the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// An icon given by the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<Value>,
    /// Commands given by the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commands: Option<Value>,
    /// Its times.
    pub time: ProjectTime,
    /// Its worktrees.
    #[serde(default)]
    pub sandboxes: Vec<String>,
}

/// A project's times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProjectTime {
    /// When it was first seen.
    pub created: Millis,
    /// When it last changed.
    pub updated: Millis,
    /// When `init` was run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initialized: Option<Millis>,
}

/// An entry of a session's todo list: `{content, status, priority}` and whatever a model adds.
pub type Todo = Value;

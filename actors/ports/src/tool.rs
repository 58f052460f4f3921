//! What a model may call, and what a tool may ask of the session that runs it.

use crate::BoxFuture;
use crate::after_write::AfterWrite;
use crate::aside::{Aside, AsideAnswer};
use crate::files::Files;
use crate::guarded::Guarded;
use crate::sandbox::Sandbox;
use kilo_protocol::model::{FileChangeKind, Rule, Todo};
use kilo_protocol::{CallId, MessageId, SessionId};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What a tool does to the world; decides what may run side by side and which steps need a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It only reads: calls run in parallel.
    Reads,
    /// It changes files that it names: calls run one by one.
    Writes,
    /// It runs commands: anything may change; calls run one by one.
    Executes,
    /// It talks to the session or its user only: calls run in parallel.
    Session,
}

/// A tool's face.
#[derive(Clone, Debug)]
pub struct ToolSpec {
    /// Its name, unique in a toolbox.
    pub name: Arc<str>,
    /// What it does, for the model.
    pub description: String,
    /// JSON schema of its arguments; an object.
    pub parameters: Arc<Value>,
    /// What it does to the world.
    pub access: Access,
    /// Who made it.
    pub source: ToolSource,
}

/// Where a tool comes from: rules for built-in tools speak of what they do, those for others of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolSource {
    /// It is part of the program.
    #[default]
    BuiltIn,
    /// A server that speaks the Model Context Protocol.
    Mcp {
        /// The server's name in the configuration.
        server: Arc<str>,
    },
    /// The user's own, from a configuration folder.
    Custom {
        /// The file that holds it.
        path: PathBuf,
    },
}

impl ToolSource {
    /// How clients read it: `{type: "mcp", server}`, `{type: "custom", path}`; nothing for what is built in, as clients of
    /// old expect.
    pub fn wire(&self) -> Option<Value> {
        match self {
            Self::BuiltIn => None,
            Self::Mcp { server } => Some(json!({"type": "mcp", "server": server})),
            Self::Custom { path } => {
                Some(json!({"type": "custom", "path": path.to_string_lossy()}))
            }
        }
    }
}

/// A tool.
pub trait Tool: Send + Sync + 'static {
    /// Its face.
    fn spec(&self) -> ToolSpec;

    /// Runs one call. `input` has been checked against the schema's required fields and types. The future is polled on
    /// the tokio pool; it must stop soon after `cx.cancel`.
    fn run(&self, input: Value, cx: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>>;
}

/// What a finished call gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolOutput {
    /// A title for people.
    pub title: String,
    /// What the model gets.
    pub output: String,
    /// Facts for clients; `truncated` is always there.
    pub metadata: Map<String, Value>,
    /// Files for the model: file parts with data URLs.
    pub attachments: Vec<Value>,
    /// Absolute paths of the files that the call changed, as far as the tool knows.
    pub changed: Vec<PathBuf>,
    /// The turn ends after this call (a question that the user dismissed).
    pub ends_turn: bool,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ToolError {
    /// The model gets this sentence and goes on.
    #[error("{0}")]
    Failed(String),
    /// The arguments do not fit the tool; nothing was run. The model gets this sentence and goes on.
    #[error("{0}")]
    Invalid(String),
    /// A rule or the user refused, without a word for the model: the turn ends.
    #[error("{0}")]
    Rejected(String),
    /// A rule or the user refused, with a sentence for the model: the turn goes on.
    #[error("{0}")]
    Denied(String),
    /// The call was stopped.
    #[error("Tool execution aborted")]
    Aborted {
        /// What is known so far, for the part's metadata.
        metadata: Map<String, Value>,
    },
}

impl ToolError {
    /// A plain failure.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }
}

/// A request for permission, as a tool makes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ask {
    /// The permission's name: `bash`, `edit`, `read`, `external_directory`, …
    pub permission: String,
    /// What it is about; every pattern must be allowed.
    pub patterns: Vec<String>,
    /// The patterns that an answer `always` would allow.
    pub always: Vec<String>,
    /// What a client may show: the command, the diff, the path.
    pub metadata: Map<String, Value>,
    /// A person must answer even where a rule allows it (a shell text that could not be parsed). A deny rule still
    /// denies.
    pub must_ask: bool,
    /// What the permission's name stands for may change under it, as a server's tool may: this names its present form. An
    /// answer "always" then allows this form only.
    pub version: Option<String>,
}

/// What a call is given.
#[derive(Clone)]
pub struct ToolCx {
    /// The session.
    pub session: SessionId,
    /// The message of the call.
    pub message: MessageId,
    /// The provider's id of the call.
    pub call: CallId,
    /// The agent.
    pub agent: String,
    /// The session's folder (absolute): relative paths start here, commands run here.
    pub directory: PathBuf,
    /// The root of the worktree around it, or `directory` outside a repository. Paths outside both are "external".
    pub worktree: PathBuf,
    /// Where whole outputs are kept when they are cut for the model.
    pub output_dir: PathBuf,
    /// The user's home, for `~`.
    pub home: PathBuf,
    /// Files that only a person may let be changed.
    pub guarded: Arc<Guarded>,
    /// Lines of output for the model.
    pub output_lines_max: usize,
    /// Bytes of output for the model.
    pub output_bytes_max: usize,
    /// Fires on abort, timeout of the turn, and the daemon's end.
    pub cancel: CancellationToken,
    /// The session that runs the call.
    pub host: Arc<dyn ToolHost>,
    /// Where child processes run.
    pub sandbox: Arc<dyn Sandbox>,
    /// The disk on which those work, for tools that use files themselves.
    pub files: Arc<dyn Files>,
}

/// An agent that the `task` tool may start.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskAgent {
    /// Its name.
    pub name: String,
    /// When to use it.
    pub description: String,
}

/// A task for a child session.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskOrder {
    /// A few words: the child's title.
    pub description: String,
    /// The prompt.
    pub prompt: String,
    /// The agent's name.
    pub agent: String,
    /// A child session to go on with.
    pub task_id: Option<String>,
    /// The command that made it.
    pub command: Option<String>,
}

/// What a child session answered.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskAnswer {
    /// The child session.
    pub session: SessionId,
    /// The text of its last message.
    pub text: String,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// Its model: `{providerID, modelID}`.
    pub model: Value,
}

/// How a question was answered.
#[derive(Clone, Debug, PartialEq)]
pub enum QuestionAnswer {
    /// One list of labels for each question.
    Answered(Vec<Vec<String>>),
    /// The user dismissed it.
    Dismissed,
}

/// What a tool may ask of the session that runs it.
pub trait ToolHost: Send + Sync + 'static {
    /// Asks for permission and waits for the answer: by rule at once, by a person as long as it takes.
    fn ask(&self, call: &CallId, ask: Ask) -> BoxFuture<'static, Result<(), ToolError>>;

    /// Shows what the call knows so far (merged into the running part's metadata). Coalesced: the newest wins.
    fn progress(&self, call: &CallId, title: Option<String>, metadata: Map<String, Value>);

    /// Asks the user.
    fn question(
        &self,
        call: &CallId,
        questions: Vec<Value>,
    ) -> BoxFuture<'static, Result<QuestionAnswer, ToolError>>;

    /// Asks a model beside the conversation: the small model that the configuration names, else the session's. Whoever asks
    /// for somebody else asks the user first. A host without models refuses.
    ///
    /// Errors: why there is no answer, for people.
    fn ask_model(&self, aside: Aside) -> BoxFuture<'static, Result<AsideAnswer, String>> {
        let _ = aside;
        Box::pin(std::future::ready(Err("there is no model here".into())))
    }

    /// Replaces the session's todo list.
    fn set_todos(&self, todos: Vec<Todo>) -> BoxFuture<'static, Result<(), ToolError>>;

    /// The agents that the call may start.
    fn task_agents(&self) -> Vec<TaskAgent>;

    /// Runs a child session to its end. `started` is told the child's id and model as soon as there is one.
    fn task(
        &self,
        call: &CallId,
        order: TaskOrder,
        started: Box<dyn FnOnce(SessionId, Value) + Send>,
    ) -> BoxFuture<'static, Result<TaskAnswer, ToolError>>;

    /// To be awaited before each write to a file that the call names: keeps the file as it is, so that an undo brings it
    /// back even where git ignores it. Never fails; what cannot be kept is named by the undo. A host without checkpoints
    /// does nothing.
    fn will_change(&self, path: PathBuf) -> BoxFuture<'static, ()> {
        let _ = path;
        Box::pin(std::future::ready(()))
    }

    /// What looks at files after a tool wrote them; none by default.
    fn after_write(&self) -> Option<Arc<dyn AfterWrite>> {
        None
    }

    /// Says that a file was changed, and how (publishes `file.edited` and `file.watcher.updated`).
    fn file_edited(&self, path: PathBuf, how: FileChangeKind);

    /// The text of instruction files (AGENTS.md and the like) nearest above `path` that the session has not read yet,
    /// with their paths; each is given once a message.
    fn nearby_instructions(&self, path: PathBuf) -> BoxFuture<'static, Vec<(PathBuf, String)>>;

    /// The rules in force, for tools that show them.
    fn rules(&self) -> Vec<Rule>;

    /// What users of the project allowed with an answer "always"; it counts only where the rules ask.
    fn saved_rules(&self) -> Vec<Rule> {
        Vec::new()
    }

    /// The skills on offer: name, description, path of SKILL.md.
    fn skills(&self) -> Vec<(String, String, PathBuf)>;
}

//! Bodies of requests, as handlers and clients name them.
//!
//! Their fields are the contract's (`shapes/`), which every body was held against before it is read into one of these; so
//! nothing is checked here again. Fields that nobody reads yet are left out.

use crate::ids::{MessageId, PartId, PermissionId, SessionId};
use crate::model::{ModelRef, Rule};
use crate::{Fault, Millis};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `session.update`: what is missing stays as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct UpdateSession {
    /// The title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What clients keep with it; replaced as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// Rules that are added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<Vec<Rule>>,
    /// Times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<UpdateTime>,
}

/// The times of [`UpdateSession`].
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct UpdateTime {
    /// When the session was archived.
    pub archived: Option<Millis>,
}

/// `session.fork`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Fork {
    /// The message before which the copy ends; none: all of it.
    #[serde(rename = "messageID", skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
}

/// `session.revert`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Revert {
    /// The first message that is hidden.
    #[serde(rename = "messageID")]
    pub message_id: MessageId,
    /// The first part of it that is; none: the whole message.
    #[serde(rename = "partID", skip_serializing_if = "Option::is_none")]
    pub part_id: Option<PartId>,
}

/// `session.summarize`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summarize {
    /// The model that writes the summary.
    #[serde(flatten)]
    pub model: ModelRef,
    /// The summary was not asked for by a person.
    #[serde(default)]
    pub auto: bool,
}

/// `session.shell`: a command of the user's own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shell {
    /// The id of the message that it becomes.
    #[serde(rename = "messageID", skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The agent that the message is for.
    pub agent: Option<String>,
    /// The model that the message is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelRef>,
    /// The shell text.
    pub command: String,
}

/// `session.command`: a configured command.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunCommand {
    /// Its name.
    pub command: String,
    /// What its template gets.
    pub arguments: String,
    /// The id of the message that it becomes.
    #[serde(rename = "messageID", skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The agent, unless the command names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The model as `PROVIDER/MODEL`, unless the command names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The variant of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Attached files.
    #[serde(default)]
    pub parts: Vec<Value>,
}

/// What a person decides about a permission request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PermissionAnswer {
    /// This time.
    Once,
    /// This time, and whatever the request's rules cover from now on.
    Always,
    /// No.
    Reject,
}

/// `permission.reply`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplyPermission {
    /// The decision.
    pub reply: PermissionAnswer,
    /// With a rejection: what the model is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// `permission.respond`, the older form.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RespondPermission {
    /// The decision.
    pub response: PermissionAnswer,
}

/// `permission.saveAlwaysRules`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SaveRules {
    /// Patterns that are allowed from now on.
    pub approved_always: Vec<String>,
    /// Patterns that are denied from now on.
    pub denied_always: Vec<String>,
}

/// `permission.allowEverything`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AllowEverything {
    /// Switch it on, or off again.
    pub enable: bool,
    /// The session; none: all.
    #[serde(rename = "sessionID", skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// A request that is granted with it.
    #[serde(rename = "requestID", skip_serializing_if = "Option::is_none")]
    pub request_id: Option<PermissionId>,
}

/// `question.reply`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplyQuestion {
    /// For each question the chosen labels, or what the person wrote.
    pub answers: Vec<Vec<String>>,
}

/// `app.log`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogLine {
    /// Which part of the client says it.
    pub service: String,
    /// How much it matters.
    pub level: LogLevel,
    /// What it says.
    pub message: String,
}

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// To developers.
    Debug,
    /// To whoever looks.
    Info,
    /// Something is odd.
    Warn,
    /// Something failed.
    Error,
}

/// `kilocode.drainSession`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Drain {
    /// What the announcement carries.
    pub token: String,
}

/// `vcs.apply`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApplyPatch {
    /// The patch, in git's form.
    pub patch: String,
}

/// `project.update`: what is missing stays as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct UpdateProject {
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<Value>,
    /// Commands of the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commands: Option<Value>,
}

/// `sync.history.list`: for each session the number of the last event that the client has.
pub type History = std::collections::HashMap<String, u64>;

impl AllowEverything {
    /// The session. Errors: 501 for all of them at once.
    pub fn session(&self) -> Result<&SessionId, Fault> {
        self.session_id
            .as_ref()
            .ok_or_else(|| Fault::not_implemented("permission.allowEverything for all sessions"))
    }
}

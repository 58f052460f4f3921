//! Sessions: making, changing, copying, taking back.

use crate::Millis;
use crate::ids::{MessageId, PartId, SessionId};
use crate::model::{ModelRef, Rule, SessionModel};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `session.create`; every field may be left out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NewSession {
    /// The session whose task makes this one.
    #[serde(rename = "parentID", skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<SessionId>,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The agent of its first prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The model of its first prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<SessionModel>,
    /// A client's own data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// Rules that come after the configuration's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<Vec<Rule>>,
}

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

/// `kilocode.drainSession`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Drain {
    /// What the announcement carries.
    pub token: String,
}

//! Answers to what a session asks.

use crate::Fault;
use crate::ids::{PermissionId, SessionId};
use serde::{Deserialize, Serialize};

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

impl AllowEverything {
    /// The session. Errors: 501 for all of them at once.
    pub fn session(&self) -> Result<&SessionId, Fault> {
        self.session_id
            .as_ref()
            .ok_or_else(|| Fault::not_implemented("permission.allowEverything for all sessions"))
    }
}

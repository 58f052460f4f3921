//! Calls about sessions and their messages.

use crate::error::ClientError;
use crate::http::{Client, NO_BODY, TURN_TIMEOUT};
use kilo_protocol::model::{
    FileDiff, MessageWithParts, ModelRef, Rule, Session, SessionModel, Status,
};
use kilo_protocol::{MessageId, PartId, SessionId};
use reqwest::Method;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What a new session is made of; every field may be left out.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewSession {
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The agent of its first prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The model of its first prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<SessionModel>,
    /// The session that it belongs to.
    #[serde(rename = "parentID", skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<SessionId>,
    /// Rules that come after the configuration's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<Vec<Rule>>,
    /// A client's own data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
}

/// A prompt. `parts` are input parts: `{type: "text", text}`, `{type: "file", mime, url, filename?}`, …
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Prompt {
    /// What is said, in order.
    pub parts: Vec<Value>,
    /// The message's id, if the client chooses it; must begin with `msg`.
    #[serde(rename = "messageID", skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// The model that is to answer; else the session's, the agent's or the configured one.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "without_variant"
    )]
    pub model: Option<ModelRef>,
    /// The agent that is to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The model's variant (reasoning effort).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// A system text for this prompt alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Stores the message and answers nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_reply: bool,
}

fn without_variant<S: serde::Serializer>(
    model: &Option<ModelRef>,
    to: S,
) -> Result<S::Ok, S::Error> {
    let pair = model
        .as_ref()
        .map(|m| json!({"providerID": m.provider_id, "modelID": m.model_id}));
    pair.serialize(to)
}

impl Prompt {
    /// A prompt of one text.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            parts: vec![json!({"type": "text", "text": text.into()})],
            ..Self::default()
        }
    }
}

/// Which sessions to list, newest change first.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// Only sessions without a parent.
    pub roots: bool,
    /// Only sessions whose title holds this.
    pub search: Option<String>,
    /// At most this many.
    pub limit: Option<usize>,
}

impl Client {
    /// Makes a session in this client's directory.
    pub async fn create_session(&self, new: &NewSession) -> Result<Session, ClientError> {
        self.post("/session", new).await
    }

    /// Reads a session's head.
    pub async fn session(&self, id: &SessionId) -> Result<Session, ClientError> {
        self.get(&format!("/session/{id}")).await
    }

    /// Lists the sessions of this client's directory and its project.
    pub async fn sessions(&self, filter: &SessionFilter) -> Result<Vec<Session>, ClientError> {
        self.list("/session", filter).await
    }

    /// Lists the sessions of all projects.
    pub async fn all_sessions(&self, filter: &SessionFilter) -> Result<Vec<Session>, ClientError> {
        self.list("/experimental/session", filter).await
    }

    async fn list(&self, path: &str, filter: &SessionFilter) -> Result<Vec<Session>, ClientError> {
        let limit = filter.limit.map(|limit| limit.to_string());
        let mut query = Vec::new();
        if filter.roots {
            query.push(("roots", "true"));
        }
        if let Some(search) = &filter.search {
            query.push(("search", search));
        }
        if let Some(limit) = &limit {
            query.push(("limit", limit));
        }
        self.call(Method::GET, path, &query, NO_BODY).await
    }

    /// Deletes a session and its children.
    pub async fn delete_session(&self, id: &SessionId) -> Result<(), ClientError> {
        self.call::<Value>(Method::DELETE, &format!("/session/{id}"), &[], NO_BODY)
            .await
            .map(drop)
    }

    /// Copies a session up to, not including, `before`; the whole of it for `None`.
    pub async fn fork_session(
        &self,
        id: &SessionId,
        before: Option<&MessageId>,
    ) -> Result<Session, ClientError> {
        let body = before.map_or_else(|| json!({}), |message| json!({"messageID": message}));
        self.post(&format!("/session/{id}/fork"), &body).await
    }

    /// Sends a prompt and waits for the end of its turn; answers the last message with its parts.
    ///
    /// A failure of the turn is not an error here: it is the answer's `info.error`. Dropping the call leaves the turn
    /// running.
    pub async fn prompt(
        &self,
        id: &SessionId,
        prompt: &Prompt,
    ) -> Result<MessageWithParts, ClientError> {
        let path = format!("/session/{id}/message");
        self.call_within(TURN_TIMEOUT, Method::POST, &path, &[], Some(prompt))
            .await
    }

    /// Sends a prompt and returns once it is stored; the answer comes as events.
    pub async fn prompt_async(&self, id: &SessionId, prompt: &Prompt) -> Result<(), ClientError> {
        self.post::<Value>(&format!("/session/{id}/prompt_async"), prompt)
            .await
            .map(drop)
    }

    /// Runs a configured command as a prompt and waits for the end of its turn.
    ///
    /// `body`: `{command, arguments, agent?, model?, variant?, parts?}`.
    pub async fn command(
        &self,
        id: &SessionId,
        body: &Value,
    ) -> Result<MessageWithParts, ClientError> {
        let path = format!("/session/{id}/command");
        self.call_within(TURN_TIMEOUT, Method::POST, &path, &[], Some(body))
            .await
    }

    /// Reads all messages of a session, oldest first.
    pub async fn messages(&self, id: &SessionId) -> Result<Vec<MessageWithParts>, ClientError> {
        self.get(&format!("/session/{id}/message")).await
    }

    /// Ends the running turn of a session; without one it does nothing.
    pub async fn abort(&self, id: &SessionId) -> Result<(), ClientError> {
        self.post::<Value>(&format!("/session/{id}/abort"), &json!({}))
            .await
            .map(drop)
    }

    /// Takes the files back to what they were before `message` (or before `part` of it) and hides what follows.
    pub async fn revert(
        &self,
        id: &SessionId,
        message: &MessageId,
        part: Option<&PartId>,
    ) -> Result<Session, ClientError> {
        let mut body = json!({"messageID": message});
        if let Some(part) = part {
            body["partID"] = json!(part);
        }
        self.post(&format!("/session/{id}/revert"), &body).await
    }

    /// Undoes a revert.
    pub async fn unrevert(&self, id: &SessionId) -> Result<Session, ClientError> {
        self.post(&format!("/session/{id}/unrevert"), &json!({}))
            .await
    }

    /// What the session changed, file by file.
    pub async fn session_diff(&self, id: &SessionId) -> Result<Vec<FileDiff>, ClientError> {
        self.get(&format!("/session/{id}/diff")).await
    }

    /// The sessions of this directory that do something, and what.
    pub async fn statuses(&self) -> Result<BTreeMap<SessionId, Status>, ClientError> {
        let all: BTreeMap<String, Status> = self.get("/session/status").await?;
        Ok(all
            .into_iter()
            .map(|(id, status)| (SessionId::from_wire(id), status))
            .collect())
    }

    /// Asks for the event `session.drained {sessionID, token}` once nothing waits or runs in the session.
    pub async fn drain(&self, id: &SessionId, token: &str) -> Result<(), ClientError> {
        let path = format!("/kilocode/session/{id}/drain");
        self.post::<Value>(&path, &json!({"token": token}))
            .await
            .map(drop)
    }
}

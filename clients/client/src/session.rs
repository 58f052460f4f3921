//! Calls about sessions and their messages.

use crate::error::ClientError;
use crate::http::{Client, NO_BODY, TURN_TIMEOUT};
use kilo_protocol::model::{FileDiff, MessageWithParts, Session, Status};
use kilo_protocol::requests::{Drain, Empty, Fork, NewSession, Prompt, Revert, RunCommand};
use kilo_protocol::{MessageId, PartId, SessionId};
use reqwest::Method;
use serde_json::Value;
use std::collections::BTreeMap;

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
        let body = Fork {
            message_id: before.cloned(),
        };
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
    pub async fn command(
        &self,
        id: &SessionId,
        body: &RunCommand,
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
        self.post::<Value>(&format!("/session/{id}/abort"), &Empty {})
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
        let body = Revert {
            message_id: message.clone(),
            part_id: part.cloned(),
        };
        self.post(&format!("/session/{id}/revert"), &body).await
    }

    /// Undoes a revert.
    pub async fn unrevert(&self, id: &SessionId) -> Result<Session, ClientError> {
        self.post(&format!("/session/{id}/unrevert"), &Empty {})
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
        let token = token.to_owned();
        self.post::<Value>(&path, &Drain { token }).await.map(drop)
    }
}

//! Answers to what a session asks: permissions, questions, a network that is gone.

use crate::error::ClientError;
use crate::http::Client;
use kilo_protocol::model::{NetworkRequest, PermissionRequest, QuestionRequest};
use kilo_protocol::requests::{Empty, PermissionAnswer, ReplyPermission, ReplyQuestion};
use kilo_protocol::{PermissionId, QuestionId};
use serde_json::Value;

impl Client {
    /// Lists the open requests for permission in this client's directory.
    pub async fn permissions(&self) -> Result<Vec<PermissionRequest>, ClientError> {
        self.get("/permission").await
    }

    /// Answers a request for permission. With a message, a rejection does not end the turn: the model reads it.
    pub async fn reply_permission(
        &self,
        id: &PermissionId,
        reply: PermissionAnswer,
        message: Option<&str>,
    ) -> Result<(), ClientError> {
        let message = message.map(str::to_owned);
        let body = ReplyPermission { reply, message };
        self.post::<Value>(&format!("/permission/{id}/reply"), &body)
            .await
            .map(drop)
    }

    /// Lists the open questions in this client's directory.
    pub async fn questions(&self) -> Result<Vec<QuestionRequest>, ClientError> {
        self.get("/question").await
    }

    /// Answers a question: for each of its parts the labels that were chosen.
    pub async fn reply_question(
        &self,
        id: &QuestionId,
        answers: &[Vec<String>],
    ) -> Result<(), ClientError> {
        let answers = answers.to_vec();
        let body = ReplyQuestion { answers };
        self.post::<Value>(&format!("/question/{id}/reply"), &body)
            .await
            .map(drop)
    }

    /// Dismisses a question; its turn ends.
    pub async fn reject_question(&self, id: &QuestionId) -> Result<(), ClientError> {
        self.post::<Value>(&format!("/question/{id}/reject"), &Empty {})
            .await
            .map(drop)
    }

    /// Lists the sessions of this client's directory that wait for the network.
    pub async fn network_requests(&self) -> Result<Vec<NetworkRequest>, ClientError> {
        self.get("/network").await
    }

    /// Tells a session that waits for the network to try again, or to give up.
    pub async fn reply_network(&self, id: &QuestionId, again: bool) -> Result<(), ClientError> {
        let verb = if again { "reply" } else { "reject" };
        self.post::<Value>(&format!("/network/{id}/{verb}"), &Empty {})
            .await
            .map(drop)
    }
}

//! A [`Channel`] as `rmcp` wants it, and the first look at what a server sends: what is no message, what is too much.

use super::{Hooks, News};
use crate::channel::{Channel, Incoming, Outgoing, SendError};
use crate::model::{Change, Progress};
use crate::stdio::Remarks;
use bytes::Bytes;
use parking_lot::Mutex;
use rmcp::RoleClient;
use rmcp::model::{
    ClientJsonRpcMessage, ErrorCode, ErrorData, NumberOrString, ProgressToken, RequestId,
    ServerJsonRpcMessage, ServerNotification,
};
use rmcp::transport::Transport;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// Requests of a server that are worked on at the same time; more are refused at once.
const REQUESTS_MAX: usize = 8;

/// Calls that wait, by the token that the server names in news of their progress.
#[derive(Default)]
pub struct Waiting(Mutex<HashMap<i64, watch::Sender<Progress>>>);

impl Waiting {
    /// News of the call with this token.
    pub fn progress(&self, token: &ProgressToken) -> News {
        let (sender, receiver) = watch::channel(Progress::default());
        if let NumberOrString::Number(token) = token.0 {
            self.0.lock().insert(token, sender);
        }
        receiver
    }

    /// The call is over.
    pub fn forget(&self, token: &ProgressToken) {
        if let NumberOrString::Number(token) = token.0 {
            self.0.lock().remove(&token);
        }
    }

    fn tell(&self, token: &ProgressToken, progress: Progress) {
        let token = match &token.0 {
            NumberOrString::Number(token) => Some(*token),
            NumberOrString::String(token) => token.parse().ok(),
        };
        if let Some(sender) = token.and_then(|token| self.0.lock().get(&token).cloned()) {
            sender.send_replace(progress);
        }
    }
}

/// The channel's end that `rmcp` holds.
pub struct Carrier {
    out: mpsc::Sender<Outgoing>,
    incoming: mpsc::Receiver<Incoming>,
    hooks: Arc<dyn Hooks>,
    waiting: Arc<Waiting>,
    remarks: Remarks,
    closed: CancellationToken,
    /// Messages of a batch that are still to be handed on.
    batch: VecDeque<ServerJsonRpcMessage>,
    /// The server's requests that have no answer yet.
    open: Arc<Mutex<HashSet<RequestId>>>,
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

impl Carrier {
    pub fn new(
        channel: Channel,
        hooks: Arc<dyn Hooks>,
        waiting: Arc<Waiting>,
        remarks: Remarks,
        closed: CancellationToken,
    ) -> Self {
        Self {
            out: channel.out,
            incoming: channel.incoming,
            hooks,
            waiting,
            remarks,
            closed,
            batch: VecDeque::new(),
            open: Arc::default(),
        }
    }

    /// Reads one text: one message, or the old form of several.
    fn take(&mut self, text: &[u8]) {
        match serde_json::from_slice::<ServerJsonRpcMessage>(text) {
            Ok(message) => self.batch.push_back(message),
            Err(_) if text.trim_ascii_start().starts_with(b"[") => {
                match serde_json::from_slice::<Vec<ServerJsonRpcMessage>>(text) {
                    Ok(messages) => self.batch.extend(messages),
                    Err(_) => self.remarks.stray(text),
                }
            }
            Err(error) => self.stray(text, &error.to_string()),
        }
    }

    /// What cannot be read: an answer fails its call, a request is refused, the rest is noise.
    fn stray(&mut self, text: &[u8], why: &str) {
        #[derive(Deserialize)]
        struct Head {
            id: Option<RequestId>,
            method: Option<IgnoredAny>,
        }
        match serde_json::from_slice::<Head>(text) {
            Ok(Head {
                id: Some(id),
                method: None,
            }) => {
                let why = format!("the server's answer cannot be read: {why}");
                self.batch.push_back(failure(id, why));
            }
            Ok(Head { id: Some(id), .. }) => {
                self.refuse(id, ErrorCode::INVALID_REQUEST, "the request cannot be read")
            }
            _ => {
                tracing::debug!(bytes = text.len(), "a line of an MCP server is no message");
                self.remarks.stray(text);
            }
        }
    }

    /// Answers a request of the server without looking at it. Nobody waits until that is sent: a server that asks and
    /// never reads gets no answer.
    fn refuse(&self, id: RequestId, code: ErrorCode, why: &str) {
        let error = ErrorData::new(code, why.to_owned(), None);
        let message = ClientJsonRpcMessage::error(error, Some(id));
        if let Ok(text) = serde_json::to_vec(&message) {
            let (done, _) = oneshot::channel();
            let text = Bytes::from(text);
            let _ = self.out.try_send(Outgoing { text, done });
        }
    }

    /// What is for `rmcp`; the rest is dealt with here, without a task for each and before the answer that comes behind it.
    fn look(&mut self, message: ServerJsonRpcMessage) -> Option<ServerJsonRpcMessage> {
        match &message {
            ServerJsonRpcMessage::Request(request) => {
                let mut open = self.open.lock();
                if open.len() >= REQUESTS_MAX {
                    drop(open);
                    let why = "too many requests at the same time";
                    self.refuse(request.id.clone(), ErrorCode(-32_000), why);
                    return None;
                }
                open.insert(request.id.clone());
            }
            ServerJsonRpcMessage::Notification(notification) => match &notification.notification {
                ServerNotification::ProgressNotification(news) => {
                    let params = &news.params;
                    let progress = Progress {
                        done: params.progress,
                        total: params.total,
                        message: params.message.clone(),
                    };
                    self.waiting.tell(&params.progress_token, progress);
                    return None;
                }
                ServerNotification::LoggingMessageNotification(line) => {
                    let (level, text) = super::convert::log_line(&line.params);
                    self.hooks.log(&level, &text);
                    return None;
                }
                ServerNotification::ResourceUpdatedNotification(updated) => {
                    let uri = updated.params.uri.clone();
                    self.hooks.changed(Change::Resource(uri));
                    return None;
                }
                ServerNotification::ResourceListChangedNotification(_) => {
                    self.hooks.changed(Change::Resources);
                    return None;
                }
                ServerNotification::ToolListChangedNotification(_) => {
                    self.hooks.changed(Change::Tools);
                    return None;
                }
                ServerNotification::PromptListChangedNotification(_) => {
                    self.hooks.changed(Change::Prompts);
                    return None;
                }
                ServerNotification::CancelledNotification(cancelled) => {
                    if let Some(id) = &cancelled.params.request_id {
                        self.open.lock().remove(id);
                    }
                }
                _ => {}
            },
            _ => {}
        }
        Some(message)
    }
}

fn failure(id: RequestId, why: String) -> ServerJsonRpcMessage {
    let error = ErrorData::new(ErrorCode::INTERNAL_ERROR, why, None);
    ServerJsonRpcMessage::error(error, Some(id))
}

impl Transport<RoleClient> for Carrier {
    type Error = SendError;

    fn send(
        &mut self,
        message: ClientJsonRpcMessage,
    ) -> impl Future<Output = Result<(), SendError>> + Send + 'static {
        match &message {
            ClientJsonRpcMessage::Response(response) => {
                self.open.lock().remove(&response.id);
            }
            ClientJsonRpcMessage::Error(error) => {
                if let Some(id) = &error.id {
                    self.open.lock().remove(id);
                }
            }
            _ => {}
        }
        let out = self.out.clone();
        async move {
            let text = serde_json::to_vec(&message)
                .map_err(|error| SendError::Network(error.to_string()))?;
            let (done, sent) = oneshot::channel();
            let text = Bytes::from(text);
            out.send(Outgoing { text, done })
                .await
                .map_err(|_| SendError::Closed)?;
            sent.await.map_err(|_| SendError::Closed)?
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            while let Some(message) = self.batch.pop_front() {
                if let Some(message) = self.look(message) {
                    return Some(message);
                }
            }
            match self.incoming.recv().await? {
                Incoming::Message(text) => self.take(&text),
                Incoming::Lost { id, why } => {
                    let id = RequestId::Number(id);
                    self.batch.push_back(failure(id, why));
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), SendError> {
        self.incoming.close();
        Ok(())
    }
}

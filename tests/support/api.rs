//! Raw calls: status and body, nothing hidden.

use crate::sse::Events;
use crate::wait::eventually;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

const CALL_MAX: Duration = Duration::from_secs(120);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body as text.
    pub text: String,
    /// The body as JSON; null when it is none.
    pub body: Value,
}

impl Answer {
    /// The body of an answer that had to succeed.
    pub fn ok(self) -> Value {
        assert!(
            (200..300).contains(&self.status),
            "status {}: {}",
            self.status,
            self.text
        );
        self.body
    }

    /// Checks the reference's common error shape `{name, data: {message}}`; answers the message.
    pub fn refused(&self, status: u16, name: &str) -> String {
        let message = self.body["data"]["message"].as_str().unwrap_or_default();
        assert_eq!(
            (self.status, self.body["name"].as_str()),
            (status, Some(name)),
            "{}",
            self.text
        );
        assert!(
            !message.is_empty(),
            "an error without a message: {}",
            self.text
        );
        message.to_owned()
    }
}

/// A caller of one daemon, working in one folder.
#[derive(Clone, Debug)]
pub struct Api {
    http: Client,
    base: String,
    folder: PathBuf,
    token: Option<String>,
}

impl Api {
    /// A caller of the daemon at `url`.
    pub fn new(url: &str, folder: PathBuf) -> Self {
        let http = Client::builder()
            .no_proxy()
            .timeout(CALL_MAX)
            .build()
            .expect("a client");
        Self {
            http,
            base: url.to_owned(),
            folder,
            token: None,
        }
    }

    /// The same, with the token: what the daemon's own process needs.
    pub fn with_token(self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The daemon's address.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// A request that names the folder; for requests that need more than a JSON body.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let folder = self.folder.display().to_string();
        let request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .query(&[("directory", folder)]);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request; answers nothing when the connection failed.
    pub async fn try_send(&self, request: RequestBuilder) -> Option<Answer> {
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        let text = response.text().await.ok()?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Some(Answer { status, text, body })
    }

    /// Sends a request.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request).await.expect("an answer")
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_raw(path, body.to_string()).await
    }

    /// POST of bytes that claim to be JSON.
    pub async fn post_raw(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/json");
        self.send(request.body(body.into())).await
    }

    /// PUT or PATCH of JSON.
    pub async fn change(&self, method: Method, path: &str, body: &Value) -> Answer {
        let request = self
            .request(method, path)
            .header("content-type", "application/json");
        self.send(request.body(body.to_string())).await
    }

    /// Makes a session; answers its id.
    pub async fn session(&self) -> String {
        let session = self.post("/session", &json!({"title": "test"})).await.ok();
        session["id"].as_str().expect("an id").to_owned()
    }

    /// Prompts and waits for the end of the turn.
    pub async fn prompt(&self, session: &str, text: &str) -> Answer {
        self.post(&format!("/session/{session}/message"), &prompt(text))
            .await
    }

    /// Prompts and returns once the prompt is stored.
    pub async fn prompt_async(&self, session: &str, text: &str) -> Answer {
        self.post(&format!("/session/{session}/prompt_async"), &prompt(text))
            .await
    }

    /// The same; nothing when the daemon went away meanwhile.
    pub async fn try_prompt_async(&self, session: &str, text: &str) -> Option<Answer> {
        let path = format!("/session/{session}/prompt_async");
        let request = self
            .request(Method::POST, &path)
            .header("content-type", "application/json");
        self.try_send(request.body(prompt(text).to_string())).await
    }

    /// All messages.
    pub async fn messages(&self, session: &str) -> Vec<Value> {
        match self.get(&format!("/session/{session}/message")).await.ok() {
            Value::Array(messages) => messages,
            other => panic!("not a list: {other}"),
        }
    }

    /// All text of the session's answers, one string.
    pub async fn answers(&self, session: &str) -> String {
        let messages = self.messages(session).await;
        let answers = messages
            .iter()
            .filter(|message| message["info"]["role"] == "assistant");
        let parts =
            answers.flat_map(|message| message["parts"].as_array().cloned().unwrap_or_default());
        parts
            .filter(|part| part["type"] == "text")
            .filter_map(|part| part["text"].as_str().map(str::to_owned))
            .collect()
    }

    /// All tool parts of the session, oldest first.
    pub async fn tools(&self, session: &str) -> Vec<Value> {
        let messages = self.messages(session).await;
        let parts = messages
            .into_iter()
            .flat_map(|message| message["parts"].as_array().cloned().unwrap_or_default());
        parts.filter(|part| part["type"] == "tool").collect()
    }

    /// Waits until the session is idle.
    pub async fn idle(&self, session: &str) {
        eventually("an idle session", async || {
            let statuses = self.get("/session/status").await.ok();
            statuses
                .get(session)
                .is_none_or(|status| status["type"] == "idle")
                .then_some(())
        })
        .await;
    }

    /// Opens the event stream of the folder.
    pub async fn events(&self) -> Events {
        Events::open(self, "/event", None)
            .await
            .expect("an event stream")
    }
}

fn prompt(text: &str) -> Value {
    json!({"parts": [{"type": "text", "text": text}]})
}

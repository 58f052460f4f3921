//! A model's answer as a stream of chunks.

use crate::BoxFuture;
use kilo_protocol::model::{Tokens, TurnError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The protocol that a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// OpenAI Chat Completions and everything compatible with it.
    OpenaiChat,
    /// Anthropic Messages.
    AnthropicMessages,
}

/// Everything needed to call one model: the catalogue's entry, the configuration and the credentials, merged.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInfo {
    /// The provider.
    pub provider_id: String,
    /// The model's id as users name it.
    pub model_id: String,
    /// The model's id as the provider wants it.
    pub api_id: String,
    /// A name for people.
    pub name: String,
    /// The protocol; `None` for one that no adapter speaks yet (the call then fails with a sentence that says so).
    pub protocol: Option<Protocol>,
    /// The package that the catalogue names, for example `@ai-sdk/openai-compatible`.
    pub npm: String,
    /// The base URL, without a trailing slash.
    pub base_url: String,
    /// The key, if one is known.
    pub api_key: Option<String>,
    /// Headers from the configuration.
    pub headers: Vec<(String, String)>,
    /// Tokens that fit in.
    pub context: u64,
    /// Tokens of input that fit in, where the provider counts them apart.
    pub input_limit: Option<u64>,
    /// Tokens that may come out.
    pub output: u64,
    /// It calls tools.
    pub tool_call: bool,
    /// It reasons.
    pub reasoning: bool,
    /// It takes a temperature.
    pub temperature: bool,
    /// It takes images.
    pub images: bool,
    /// It takes PDF files.
    pub pdf: bool,
    /// Prices in US dollars for a million tokens.
    pub cost: Price,
    /// The field that reasoning goes back in (`reasoning_content`), where the model wants that.
    pub interleaved: Option<String>,
    /// Further body fields from the configuration, sent as they are.
    pub options: Map<String, Value>,
    /// Milliseconds to the first byte of the answer.
    pub first_byte_ms: u64,
    /// Milliseconds between two chunks.
    pub gap_ms: u64,
}

/// Prices in US dollars for a million tokens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Price {
    /// Prompt tokens.
    pub input: f64,
    /// Answer and reasoning tokens.
    pub output: f64,
    /// Tokens read from the cache.
    pub cache_read: f64,
    /// Tokens written to the cache.
    pub cache_write: f64,
}

impl Price {
    /// What `tokens` cost, in US dollars.
    pub fn of(&self, tokens: &Tokens) -> f64 {
        (tokens.input as f64 * self.input
            + (tokens.output + tokens.reasoning) as f64 * self.output
            + tokens.cache.read as f64 * self.cache_read
            + tokens.cache.write as f64 * self.cache_write)
            / 1e6
    }
}

/// One request to a model.
#[derive(Clone, Debug)]
pub struct ModelRequest {
    /// The model.
    pub model: Arc<ModelInfo>,
    /// The session, for headers and cache keys.
    pub session: String,
    /// System texts, in order.
    pub system: Vec<String>,
    /// The conversation, oldest first.
    pub messages: Vec<ModelMessage>,
    /// The tools on offer; empty for none.
    pub tools: Vec<ToolOffer>,
    /// The model must call a tool.
    pub tool_required: bool,
    /// Tokens that may come out.
    pub output_max: u64,
    /// The temperature, if the agent or the model's family sets one.
    pub temperature: Option<f64>,
    /// The nucleus, if the agent or the model's family sets one.
    pub top_p: Option<f64>,
    /// The variant (reasoning effort).
    pub variant: Option<String>,
    /// Further body fields of the agent, sent as they are.
    pub options: Map<String, Value>,
}

/// One message of the conversation.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelMessage {
    /// From the user.
    User(Vec<UserContent>),
    /// From the model.
    Assistant(Vec<AssistantContent>),
    /// The outputs of tool calls, in the calls' order.
    Tool(Vec<ToolResult>),
}

/// What a user sends.
#[derive(Clone, Debug, PartialEq)]
pub enum UserContent {
    /// Text.
    Text(String),
    /// A file as base64: an image or a PDF that the model takes.
    File {
        /// Its media type.
        mime: String,
        /// Its name.
        filename: Option<String>,
        /// Its content as base64.
        data: String,
    },
}

/// What a model sends.
#[derive(Clone, Debug, PartialEq)]
pub enum AssistantContent {
    /// Text.
    Text(String),
    /// Reasoning, with what the provider wants back (a signature).
    Reasoning {
        /// The text.
        text: String,
        /// The provider's own data.
        metadata: Option<Map<String, Value>>,
    },
    /// A tool call.
    ToolCall {
        /// The provider's id of the call.
        id: String,
        /// The tool.
        name: String,
        /// The arguments.
        input: Value,
    },
}

/// The output of a tool call.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolResult {
    /// The provider's id of the call.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The output or the error.
    pub output: String,
    /// It is an error.
    pub is_error: bool,
    /// Files for the model: (media type, base64).
    pub files: Vec<(String, String)>,
}

/// A tool as it is offered to the model.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolOffer {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON schema of its arguments.
    pub parameters: Arc<Value>,
}

/// A piece of a model's answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Chunk {
    /// More text.
    Text(String),
    /// A text block ended; more text begins a new part.
    TextEnd,
    /// More reasoning.
    Reasoning(String),
    /// A reasoning block ended, with what the provider wants back.
    ReasoningEnd(Option<Map<String, Value>>),
    /// A tool call begins.
    ToolStart {
        /// Which of the answer's calls, from 0.
        index: usize,
        /// The provider's id.
        id: String,
        /// The tool.
        name: String,
    },
    /// More of a call's arguments.
    ToolDelta {
        /// Which of the answer's calls.
        index: usize,
        /// The piece.
        arguments: String,
    },
    /// A call's arguments are whole.
    ToolEnd {
        /// Which of the answer's calls.
        index: usize,
    },
    /// The answer is whole. Always the last chunk of a stream that worked.
    Finish {
        /// `stop`, `length`, `tool-calls`, `content-filter`, `other` or `unknown`.
        reason: String,
        /// The provider's count; zeros when it gave none.
        tokens: Tokens,
    },
}

/// The class of a failed call; it decides what happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// 401 or no key.
    Auth,
    /// 403.
    Permission,
    /// Quota or credit used up.
    Quota,
    /// Too many requests: retry.
    RateLimited,
    /// The provider's filter.
    ContentPolicy,
    /// The conversation is too long: compact.
    ContextOverflow,
    /// 4xx that will not change: end the turn.
    InvalidRequest,
    /// 5xx, overloaded: retry.
    Overloaded,
    /// The provider cannot be reached, or the connection broke before the first chunk: wait for the network.
    Network,
    /// The stream broke off in the middle.
    StreamCut,
    /// No byte came within the bound.
    Stalled,
    /// A chunk was no JSON.
    Malformed,
    /// The caller gave up.
    Aborted,
    /// Anything else.
    Unknown,
}

/// The longest pause before a next try, in milliseconds, whatever the provider asks for: five minutes.
///
/// A wish is a header that anybody between us and the model can set; a wrong one must not silence a session for days.
pub const RETRY_WAIT_MAX_MS: u64 = 300_000;

/// A failed call.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// Its class.
    pub class: ErrorClass,
    /// A sentence for people: the provider's own where it gave one.
    pub message: String,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What the provider asked to wait, in milliseconds, as it came; who waits bounds it by [`RETRY_WAIT_MAX_MS`].
    pub retry_after_ms: Option<u64>,
    /// The provider's id of the request.
    pub request_id: Option<String>,
    /// The answer's body, cut at 16 KiB and free of keys.
    pub body: Option<String>,
    /// A system code such as `ECONNRESET`.
    pub code: Option<String>,
}

impl ProviderError {
    /// An error with only a class and a sentence.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            status: None,
            retry_after_ms: None,
            request_id: None,
            body: None,
            code: None,
        }
    }

    /// The same call may work later, so the session tries again by itself.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.class,
            ErrorClass::RateLimited | ErrorClass::Overloaded | ErrorClass::Stalled
        )
    }

    /// As the message carries it.
    pub fn to_turn_error(&self) -> TurnError {
        let name = match self.class {
            ErrorClass::Auth => "ProviderAuthError",
            ErrorClass::ContextOverflow => "ContextOverflowError",
            ErrorClass::ContentPolicy => "ContentFilterError",
            ErrorClass::Aborted => "MessageAbortedError",
            ErrorClass::Malformed | ErrorClass::Unknown => "UnknownError",
            _ => "APIError",
        };
        let mut data = Map::new();
        data.insert("message".into(), self.message.clone().into());
        if name == "APIError" {
            let retryable = self.is_retryable()
                || matches!(self.class, ErrorClass::Network | ErrorClass::StreamCut);
            data.insert("isRetryable".into(), retryable.into());
            if let Some(status) = self.status {
                data.insert("statusCode".into(), status.into());
            }
            if let Some(body) = &self.body {
                data.insert("responseBody".into(), body.clone().into());
            }
            if let Some(code) = &self.code {
                data.insert("metadata".into(), serde_json::json!({"code": code}));
            }
        }
        TurnError {
            name: name.into(),
            data: Value::Object(data),
        }
    }
}

/// What flows through a stream's channel: all chunks that one read from the socket gave, in order. Neighbouring pieces
/// of the same text are joined.
pub type ChunkBatch = Result<Vec<Chunk>, ProviderError>;

/// How many batches wait between a provider's task and its session: when it is full, the socket is not read.
pub const BATCHES_MAX: usize = 64;

/// Calls models.
pub trait ModelClient: Send + Sync + 'static {
    /// Starts a call. The stream ends after `Chunk::Finish` or after one error. Dropping the receiver or cancelling
    /// closes the connection. The HTTP level is not retried; retries are the session's.
    fn stream(
        &self,
        request: ModelRequest,
        cancel: CancellationToken,
    ) -> mpsc::Receiver<ChunkBatch>;

    /// Whether the provider of `model` can be reached now (a TCP connection to its host), for sessions that wait for
    /// the network.
    fn reachable(&self, model: Arc<ModelInfo>) -> BoxFuture<'static, bool>;
}

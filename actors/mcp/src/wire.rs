//! The protocol as spoken by `rmcp`: the handshake, requests and answers. Nothing outside this folder names its types.

#![expect(
    deprecated,
    reason = "logging and subscriptions are on their way out of the protocol, and in use"
)]

mod convert;
mod handler;
mod transport;

use crate::channel::{Channel, SendError};
use crate::model::{
    Arguments, CallAnswer, Change, Facts, Progress, PromptInfo, ResourceInfo, TemplateInfo,
    ToolInfo,
};
use crate::stdio::Remarks;
use handler::Handler;
use kilo_ports::BoxFuture;
use parking_lot::Mutex;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, ClientRequest, GetPromptRequestParams, LoggingLevel,
    PaginatedRequestParams, ReadResourceRequestParams, ServerResult, SetLevelRequestParams,
    SubscribeRequestParams,
};
use rmcp::service::{
    ClientInitializeError, Peer, PeerRequestOptions, RequestHandle, RunningService, ServiceError,
};
use rmcp::{RoleClient, ServiceExt as _};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use transport::{Carrier, Waiting};

/// Pages of one list, and items of all of them: a server that never comes to an end is cut off here.
const PAGES_MAX: usize = 50;
const ITEMS_MAX: usize = 2_000;
/// A call ends after this, whatever progress it tells of.
const CALL_MAX: Duration = Duration::from_secs(60 * 60);

/// What a server may want of us.
pub trait Hooks: Send + Sync + 'static {
    /// A line of the server's log: its level and text.
    fn log(&self, level: &str, text: &str);

    /// Something changed.
    fn changed(&self, change: Change);

    /// The folders that the server may work in: `(file URL, name)`.
    fn roots(&self) -> Vec<(String, String)>;

    /// A model's answer to the server's messages: params and result of `sampling/createMessage`.
    ///
    /// Errors: why not, for the server.
    fn sample(&self, params: Value) -> BoxFuture<'static, Result<Value, String>>;

    /// A person's answer: params and result of `elicitation/create`.
    fn elicit(&self, params: Value) -> BoxFuture<'static, Value>;

    /// Whether a person is being asked for the server: it keeps silent until then.
    fn is_asking(&self) -> bool;
}

/// Why there is no connection.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The server wants somebody who is signed in: the header `WWW-Authenticate`.
    #[error("the server wants a sign-in")]
    Unauthorized(String),
    /// The address speaks another way, or none: the status.
    #[error("the server answered HTTP {0}")]
    Refused(u16),
    /// All else, for people.
    #[error("{0}")]
    Failed(String),
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The server says so.
    #[error("MCP error {code}: {message}")]
    Server {
        /// Its code.
        code: i64,
        /// Its words.
        message: String,
    },
    /// It was silent for too long.
    #[error("no answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The caller took it back.
    #[error("the call was stopped")]
    Cancelled,
    /// The server wants somebody who is signed in.
    #[error("the server wants a sign-in")]
    Unauthorized(String),
    /// The connection is gone.
    #[error("the connection to the server was lost")]
    Lost,
    /// All else.
    #[error("{0}")]
    Failed(String),
}

/// A connection after its handshake. Dropped, it is closed.
pub struct Client {
    peer: Peer<RoleClient>,
    running: Mutex<Option<RunningService<RoleClient, Handler>>>,
    waiting: Arc<Waiting>,
    hooks: Arc<dyn Hooks>,
    /// What the server said about itself.
    pub facts: Facts,
}

/// Shakes hands over `channel`. `closed` fires when the connection is gone. The caller bounds the time.
pub async fn connect(
    channel: Channel,
    hooks: Arc<dyn Hooks>,
    remarks: Remarks,
    version: &str,
    closed: CancellationToken,
) -> Result<Client, ConnectError> {
    let waiting = Arc::new(Waiting::default());
    let carrier = Carrier::new(
        channel,
        Arc::clone(&hooks),
        Arc::clone(&waiting),
        remarks,
        closed,
    );
    let handler = Handler::new(Arc::clone(&hooks), version);
    let running = handler.serve(carrier).await.map_err(refused)?;
    let peer = running.peer().clone();
    let facts = peer.peer_info().map(|info| convert::facts(&info));
    Ok(Client {
        peer,
        running: Mutex::new(Some(running)),
        waiting,
        hooks,
        facts: facts.unwrap_or_default(),
    })
}

fn refused(error: ClientInitializeError) -> ConnectError {
    match error {
        ClientInitializeError::TransportError { error, .. } => {
            match error.error.downcast_ref::<SendError>() {
                Some(SendError::Unauthorized { challenge }) => {
                    ConnectError::Unauthorized(challenge.clone())
                }
                Some(SendError::Status { status, .. }) => ConnectError::Refused(*status),
                Some(SendError::Closed) => closed(),
                Some(other) => ConnectError::Failed(other.to_string()),
                None => ConnectError::Failed(error.error.to_string()),
            }
        }
        ClientInitializeError::ConnectionClosed(_) => closed(),
        ClientInitializeError::JsonRpcError(error) => {
            ConnectError::Failed(format!("MCP error {}: {}", error.code.0, error.message))
        }
        ClientInitializeError::ExpectedInitResult(_)
        | ClientInitializeError::ExpectedInitResponse(_) => {
            ConnectError::Failed("its answer to the handshake is none".into())
        }
        other => ConnectError::Failed(kilo_ports::cut::start(&other.to_string(), 500).to_owned()),
    }
}

/// In the words of the reference.
fn closed() -> ConnectError {
    ConnectError::Failed("MCP error -32000: Connection closed".into())
}

impl Client {
    /// Closes the connection. Calls in flight fail.
    pub fn close(&self) {
        self.running.lock().take();
    }

    /// Calls a tool. `timeout` counts from the last sign of life: the start, or news of progress, which `progress` gets.
    pub async fn call_tool(
        &self,
        name: &str,
        arguments: Option<Arguments>,
        timeout: Duration,
        cancel: &CancellationToken,
        progress: impl Fn(Progress) + Send,
    ) -> Result<CallAnswer, CallError> {
        let mut params = CallToolRequestParams::new(name.to_owned());
        params.arguments = arguments;
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let sending = self
            .peer
            .send_request_with_option(request, PeerRequestOptions::no_options());
        let handle = sending.await.map_err(failed)?;
        let token = handle.progress_token.clone();
        let mut news = self.waiting.progress(&token);
        let mut call = InFlight {
            handle: Some(handle),
            waiting: &self.waiting,
        };
        let overall = tokio::time::sleep(CALL_MAX);
        let silence = tokio::time::sleep(timeout);
        tokio::pin!(overall, silence);
        let error = loop {
            tokio::select! {
                biased;
                answer = call.answer() => {
                    let answer = answer?;
                    call.done();
                    return convert::call_answer(answer);
                }
                () = cancel.cancelled() => break CallError::Cancelled,
                () = &mut silence => {
                    if !self.hooks.is_asking() {
                        break CallError::TimedOut(timeout);
                    }
                    silence.as_mut().reset(tokio::time::Instant::now() + timeout);
                }
                () = &mut overall => break CallError::TimedOut(CALL_MAX),
                Ok(()) = news.changed() => {
                    silence.as_mut().reset(tokio::time::Instant::now() + timeout);
                    let latest = news.borrow_and_update().clone();
                    progress(latest);
                }
            }
        };
        Err(error)
    }

    /// All tools.
    pub async fn tools(&self, timeout: Duration) -> Result<Vec<ToolInfo>, CallError> {
        let (mut all, mut pages) = (Vec::new(), Pages::default());
        while let Some(params) = pages.next() {
            let page = in_time(timeout, Box::pin(self.peer.list_tools(params))).await?;
            all.extend(page.tools.into_iter().filter_map(convert::tool));
            pages.turn(page.next_cursor, all.len());
        }
        all.truncate(ITEMS_MAX);
        // Of several with one name the first counts: a call could not say which it means.
        let mut names = HashSet::new();
        all.retain(|tool: &ToolInfo| names.insert(tool.name.clone()));
        Ok(all)
    }

    /// All prompts.
    pub async fn prompts(&self, timeout: Duration) -> Result<Vec<PromptInfo>, CallError> {
        let (mut all, mut pages) = (Vec::new(), Pages::default());
        while let Some(params) = pages.next() {
            let page = in_time(timeout, Box::pin(self.peer.list_prompts(params))).await?;
            all.extend(page.prompts.into_iter().map(convert::prompt));
            pages.turn(page.next_cursor, all.len());
        }
        all.truncate(ITEMS_MAX);
        Ok(all)
    }

    /// All resources.
    pub async fn resources(&self, timeout: Duration) -> Result<Vec<ResourceInfo>, CallError> {
        let (mut all, mut pages) = (Vec::new(), Pages::default());
        while let Some(params) = pages.next() {
            let page = in_time(timeout, Box::pin(self.peer.list_resources(params))).await?;
            all.extend(page.resources.into_iter().map(convert::resource));
            pages.turn(page.next_cursor, all.len());
        }
        all.truncate(ITEMS_MAX);
        Ok(all)
    }

    /// All families of resources.
    pub async fn templates(&self, timeout: Duration) -> Result<Vec<TemplateInfo>, CallError> {
        let (mut all, mut pages) = (Vec::new(), Pages::default());
        while let Some(params) = pages.next() {
            let page =
                in_time(timeout, Box::pin(self.peer.list_resource_templates(params))).await?;
            all.extend(page.resource_templates.into_iter().map(convert::template));
            pages.turn(page.next_cursor, all.len());
        }
        all.truncate(ITEMS_MAX);
        Ok(all)
    }

    /// A resource's contents: `{uri, mimeType, text}` or `{uri, mimeType, blob}` each.
    pub async fn read(&self, uri: &str, timeout: Duration) -> Result<Vec<Value>, CallError> {
        let reading = self.peer.read_resource(ReadResourceRequestParams::new(uri));
        let read = in_time(timeout, Box::pin(reading)).await?;
        Ok(read.contents.iter().map(convert::value).collect())
    }

    /// Asks to be told when a resource changes.
    pub async fn subscribe(&self, uri: &str, timeout: Duration) -> Result<(), CallError> {
        in_time(
            timeout,
            Box::pin(self.peer.subscribe(SubscribeRequestParams::new(uri))),
        )
        .await
    }

    /// A prompt's messages: `(role, content block)` each.
    pub async fn prompt(
        &self,
        name: &str,
        arguments: Arguments,
        timeout: Duration,
    ) -> Result<Vec<(String, Value)>, CallError> {
        let mut params = GetPromptRequestParams::new(name);
        params.arguments = Some(arguments);
        let prompt = in_time(timeout, Box::pin(self.peer.get_prompt(params))).await?;
        Ok(prompt.messages.iter().map(convert::message).collect())
    }

    /// Asks for warnings and worse of the server's log.
    pub async fn set_log_level(&self, timeout: Duration) -> Result<(), CallError> {
        let params = SetLevelRequestParams::new(LoggingLevel::Warning);
        in_time(timeout, Box::pin(self.peer.set_level(params))).await
    }

    /// Tells the server that its folders changed.
    pub async fn roots_changed(&self) {
        let _ = self.peer.notify_roots_list_changed().await;
    }
}

/// Where a list is read on.
#[derive(Default)]
struct Pages {
    turned: usize,
    cursor: Option<String>,
    is_over: bool,
}

impl Pages {
    /// What to ask for next; nothing at the end.
    fn next(&self) -> Option<Option<PaginatedRequestParams>> {
        let params = self.cursor.clone().map(|cursor| {
            let mut params = PaginatedRequestParams::default();
            params.cursor = Some(cursor);
            params
        });
        (!self.is_over).then_some(params)
    }

    fn turn(&mut self, next: Option<String>, items: usize) {
        self.turned += 1;
        let is_same = next == self.cursor;
        self.is_over = next.is_none() || is_same || self.turned >= PAGES_MAX || items >= ITEMS_MAX;
        self.cursor = next;
    }
}

async fn in_time<T>(
    timeout: Duration,
    work: impl Future<Output = Result<T, ServiceError>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(timeout, work).await {
        Ok(done) => done.map_err(failed),
        Err(_) => Err(CallError::TimedOut(timeout)),
    }
}

fn failed(error: ServiceError) -> CallError {
    match error {
        ServiceError::McpError(error) => CallError::Server {
            code: error.code.0.into(),
            message: error.message.into_owned(),
        },
        ServiceError::TransportClosed => CallError::Lost,
        ServiceError::Cancelled { .. } => CallError::Cancelled,
        ServiceError::Timeout { timeout } => CallError::TimedOut(timeout),
        ServiceError::TransportSend(error) => match error.error.downcast_ref::<SendError>() {
            Some(SendError::Unauthorized { challenge }) => {
                CallError::Unauthorized(challenge.clone())
            }
            Some(SendError::Closed) => CallError::Lost,
            Some(other) => CallError::Failed(other.to_string()),
            None => CallError::Lost,
        },
        ServiceError::UnexpectedResponse => {
            CallError::Failed("the server's answer is none to this request".into())
        }
        other => CallError::Failed(kilo_ports::cut::start(&other.to_string(), 500).to_owned()),
    }
}

/// A call that was sent. Left before its answer, the server is told to stop.
struct InFlight<'a> {
    handle: Option<RequestHandle<RoleClient>>,
    waiting: &'a Waiting,
}

impl InFlight<'_> {
    async fn answer(&mut self) -> Result<ServerResult, CallError> {
        let Some(handle) = &mut self.handle else {
            return Err(CallError::Lost);
        };
        let answer = (&mut handle.rx).await;
        match answer {
            Ok(answer) => answer.map_err(failed),
            Err(_) => Err(CallError::Lost),
        }
    }

    fn done(&mut self) {
        if let Some(handle) = self.handle.take() {
            self.waiting.forget(&handle.progress_token);
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let Some(handle) = self.handle.take() else {
            return;
        };
        self.waiting.forget(&handle.progress_token);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = handle.cancel(Some("the caller stopped it".into())).await;
            });
        }
    }
}

/// What is known of a call's progress.
type News = watch::Receiver<Progress>;

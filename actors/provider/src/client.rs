//! Calls models: sends a request, reads the answer, and ends every stream in one of two ways.

use crate::accounts::{self, Accounts, Permit};
use crate::adapters::{self, Call};
use crate::answer::{self, Answer};
use crate::errors;
use crate::net::{self, Http};
use kilo_ports::BoxFuture;
use kilo_ports::clock::{Clock, SystemClock};
use kilo_ports::provider::{
    BATCHES_MAX, ChunkBatch, ErrorClass, ModelClient, ModelInfo, ModelRequest, ProviderError,
};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// The most bytes of an error's body that are read.
const ERROR_BODY_BYTES_MAX: usize = 64 * 1024;

/// Milliseconds to read an error's body.
const ERROR_BODY_MS: u64 = 5_000;

/// Milliseconds that an error waits for a caller who does not read.
const LAST_SEND_MS: u64 = 60_000;

/// How a [`Client`] presents itself.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The program's version, for the agent string.
    pub version: String,
}

/// The model client for every protocol. Cheap to clone; clones share connections and accounts.
///
/// Nothing is built until the first call: a process that calls no model pays nothing.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    runtime: Option<Handle>,
}

struct Shared {
    agent: String,
    http: Http,
    accounts: Accounts,
    clock: Arc<dyn Clock>,
}

impl Client {
    /// A client that works on the runtime of its caller.
    pub fn new(options: ClientOptions) -> Self {
        let shared = Shared {
            agent: format!("Kilo-Code/{}", options.version),
            http: Http::default(),
            accounts: Accounts::new(accounts::CALLS_MAX),
            clock: Arc::new(SystemClock),
        };
        Self {
            shared: Arc::new(shared),
            runtime: None,
        }
    }

    /// The same client, whose streams run on `runtime` whoever calls.
    pub fn on(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }
}

impl ModelClient for Client {
    /// Must be called within a tokio runtime, unless [`Client::on`] named one.
    fn stream(
        &self,
        request: ModelRequest,
        cancel: CancellationToken,
    ) -> mpsc::Receiver<ChunkBatch> {
        let (batches, receiver) = mpsc::channel(BATCHES_MAX);
        let task = run(Arc::clone(&self.shared), request, cancel, batches);
        let task = task.in_current_span(); // the caller's step, whichever runtime the task runs on
        match &self.runtime {
            Some(runtime) => drop(runtime.spawn(task)),
            None => drop(tokio::spawn(task)),
        }
        receiver
    }

    fn reachable(&self, model: Arc<ModelInfo>) -> BoxFuture<'static, bool> {
        Box::pin(async move { net::reachable(&model).await })
    }
}

/// One call from begin to end. Dropping `answer` closes the connection.
async fn run(
    shared: Arc<Shared>,
    request: ModelRequest,
    cancel: CancellationToken,
    batches: mpsc::Sender<ChunkBatch>,
) {
    let outcome = tokio::select! {
        biased; // an abort wins over an answer that is ready at the same moment
        () = cancel.cancelled() => Err(errors::aborted()),
        // Nobody listens any more: what is dropped here closes the connection.
        () = batches.closed() => return,
        outcome = exchange(&shared, &request, &batches) => outcome,
    };
    match outcome {
        // The end of the body is read as well, or the connection could not be used again.
        Ok(rest) => {
            drop(batches);
            answer::drain(rest).await;
        }
        Err(error) => {
            let error = errors::without_keys(error, &request.model);
            let error = errors::with_hint(error, &request.model);
            log(&error);
            let last = batches.send(Err(error));
            let _ = timeout(Duration::from_millis(LAST_SEND_MS), last).await;
        }
    }
}

/// What the log says of a failed call: facts only, for the provider's sentence may quote the prompt.
fn log(error: &ProviderError) {
    let (class, status) = (error.class, error.status);
    if class == ErrorClass::Aborted {
        return tracing::debug!("call was aborted");
    }
    tracing::info!(
        ?class,
        status,
        request_id = error.request_id,
        retry_after_ms = error.retry_after_ms,
        "call failed"
    );
}

/// Sends the request and hands on the answer. Returns what is left of it after its end mark.
#[tracing::instrument(name = "call", skip_all, fields(provider = %request.model.provider_id, model = %request.model.api_id))]
async fn exchange(
    shared: &Shared,
    request: &ModelRequest,
    batches: &mpsc::Sender<ChunkBatch>,
) -> Result<reqwest::Response, ProviderError> {
    let model = &*request.model;
    let protocol = model.protocol.ok_or_else(|| errors::unspoken(model))?;
    let call = adapters::call(request)?;
    // The time for the first byte begins behind the wait for a permit: that wait is not the provider's fault.
    let _permit: Permit = shared.accounts.enter(model).await?;
    let first_byte = Instant::now() + Duration::from_millis(model.first_byte_ms);
    let response = send(shared, request, call, first_byte).await?;
    tracing::debug!(
        request_id = errors::request_id(response.headers()),
        "answer begins"
    );
    let answer = Answer::new(response, protocol, first_byte, model);
    answer.pump(batches).await
}

async fn send(
    shared: &Shared,
    request: &ModelRequest,
    call: Call,
    first_byte: Instant,
) -> Result<reqwest::Response, ProviderError> {
    let model = &*request.model;
    let http = shared.http.for_url(&call.url)?;
    let sending = http
        .post(&call.url)
        .headers(headers(shared, request, &call)?)
        .body(call.body)
        .send();
    let response = match timeout_at(first_byte, sending).await {
        Err(_) => return Err(errors::stalled("answer", model.first_byte_ms)),
        Ok(Err(error)) => return Err(net::failed_to_send(&error, &call.url)),
        Ok(Ok(response)) => response,
    };
    if response.status().is_success() {
        return Ok(response);
    }
    // The account's other calls would meet the same limit.
    let error = refusal(response, model, shared.clock.now()).await;
    if let (ErrorClass::RateLimited, Some(ms)) = (error.class, error.retry_after_ms) {
        shared.accounts.block(model, ms);
    }
    Err(error)
}

/// Reads the error of an answer that is none of success.
async fn refusal(mut response: reqwest::Response, model: &ModelInfo, now_ms: u64) -> ProviderError {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut body = Vec::new();
    let read = async {
        while let Ok(Some(piece)) = response.chunk().await {
            body.extend_from_slice(&piece);
            if body.len() >= ERROR_BODY_BYTES_MAX {
                break;
            }
        }
    };
    let _ = timeout(Duration::from_millis(ERROR_BODY_MS), read).await; // what came in time is enough
    body.truncate(ERROR_BODY_BYTES_MAX);
    errors::from_response(
        status,
        &headers,
        &String::from_utf8_lossy(&body),
        model.api_key.as_deref(),
        now_ms,
    )
}

/// The headers of every protocol, above them the protocol's own, above them the configuration's.
fn headers(
    shared: &Shared,
    request: &ModelRequest,
    call: &Call,
) -> Result<HeaderMap, ProviderError> {
    let fixed = [
        ("content-type", "application/json"),
        ("accept", "text/event-stream"),
        ("accept-encoding", "identity"), // a compressed stream arrives in lumps
        ("user-agent", &shared.agent),
        // Gateways count by the next two; by the session's id they keep a conversation on one machine and its cache warm.
        ("http-referer", "https://kilocode.ai"),
        ("x-title", "Kilo Code"),
        ("x-session-id", &request.session),
        ("x-session-affinity", &request.session),
    ];
    let own = call.headers.iter().chain(&request.model.headers);
    let own = own.map(|(name, value)| (name.as_str(), value.as_str()));
    let mut headers = HeaderMap::with_capacity(16);
    for (name, value) in fixed.into_iter().chain(own) {
        headers.insert(header_name(name)?, header_value(name, value)?);
    }
    Ok(headers)
}

fn header_name(name: &str) -> Result<HeaderName, ProviderError> {
    let wrong = |_| {
        ProviderError::new(
            ErrorClass::InvalidRequest,
            format!("'{name}' is no name of a header"),
        )
    };
    HeaderName::from_bytes(name.as_bytes()).map_err(wrong)
}

/// The value is not shown: it may be the key.
fn header_value(name: &str, value: &str) -> Result<HeaderValue, ProviderError> {
    let wrong = |_| {
        let message =
            format!("the value of the header '{name}' has characters that no header may have");
        ProviderError::new(ErrorClass::InvalidRequest, message)
    };
    let mut value = HeaderValue::from_str(value.trim()).map_err(wrong)?;
    value.set_sensitive(matches!(name, "authorization" | "x-api-key" | "api-key"));
    Ok(value)
}

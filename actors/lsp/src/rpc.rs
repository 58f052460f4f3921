//! JSON-RPC with one server: requests and their answers, notifications, and what the server asks in its turn.
//!
//! A task reads, a task writes. Whatever the server does, both end: a reader that is not read from fails the writer after
//! [`WRITE_TIME`], too much noise or too large a message fails the reader. A server that sends more than it may in a second is
//! read more slowly, which the kernel passes on to it.

use crate::frame::{FrameError, Frames, framed};
use kilo_ports::sandbox::{ByteReader, ByteWriter};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// How long a server may take to read one message.
const WRITE_TIME: Duration = Duration::from_secs(10);
/// Messages that wait to be written.
const QUEUE: usize = 16;
/// Messages and bytes that are read in a second.
const MESSAGES_A_SECOND: usize = 2_000;
const BYTES_A_SECOND: usize = 32 << 20;
/// A larger message is read on the blocking pool.
const LARGE_BYTES: usize = 256 << 10;
/// Requests without an answer.
const PENDING_MAX: usize = 1_024;

/// The code for a method that is not known.
const NO_METHOD: i64 = -32_601;

/// Why a request has no result.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CallError {
    /// The server said so.
    #[error("{message}")]
    Refused {
        /// The protocol's number.
        code: i64,
        /// For people.
        message: String,
    },
    /// No answer in time.
    #[error("no answer to {method} within {} ms", after.as_millis())]
    Silent {
        /// The request.
        method: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// The server is gone.
    #[error("the server is gone")]
    Gone,
}

/// What a server says of its own accord. Called in the order in which it came; must not block.
pub trait Incoming: Send + Sync + 'static {
    /// A notification.
    fn notified(&self, method: &str, params: Value);

    /// A request; `None` for a method that is not known.
    fn requested(&self, method: &str, params: Value) -> Option<Value>;
}

type Answer = Result<Value, CallError>;

#[derive(Default)]
struct Pending {
    newest: i64,
    waiting: HashMap<i64, oneshot::Sender<Answer>>,
    closed: bool,
}

/// A connection to a server. Dropped, both tasks end.
pub struct Connection {
    outgoing: mpsc::Sender<Vec<u8>>,
    pending: Arc<Mutex<Pending>>,
    closed: watch::Receiver<Option<String>>,
    reading: tokio::task::JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Connection {
    /// Talks over these streams. To be called inside a tokio runtime.
    pub fn open(stdin: ByteWriter, stdout: ByteReader, incoming: Arc<dyn Incoming>) -> Self {
        let (outgoing, queue) = mpsc::channel(QUEUE);
        let pending: Arc<Mutex<Pending>> = Arc::default();
        let (closed, seen) = watch::channel(None);
        let closed = Arc::new(closed);
        tokio::spawn(write_all(stdin, queue, Arc::clone(&closed)));
        let reader = Reading {
            incoming,
            pending: Arc::clone(&pending),
            outgoing: outgoing.clone(),
        };
        let mut broken = seen.clone();
        let reading = tokio::spawn(async move {
            let why = tokio::select! {
                error = reader.run(stdout) => error.to_string(),
                // The writer failed.
                _ = broken.wait_for(Option::is_some) => String::new(),
            };
            closed.send_if_modified(|reason| {
                let is_first = reason.is_none();
                if is_first {
                    *reason = Some(why);
                }
                is_first
            });
            let waiting = {
                let mut pending = reader.pending.lock();
                pending.closed = true;
                std::mem::take(&mut pending.waiting)
            };
            for (_, answer) in waiting {
                let _ = answer.send(Err(CallError::Gone));
            }
        });
        Self {
            outgoing,
            pending,
            closed: seen,
            reading,
        }
    }

    /// Resolves when nothing more can come; says why.
    pub fn closed(&self) -> impl Future<Output = String> + Send + 'static {
        let mut closed = self.closed.clone();
        async move {
            let why = closed.wait_for(Option::is_some).await;
            let why = why.ok().and_then(|why| why.clone());
            why.unwrap_or_else(|| "it was ended".into())
        }
    }

    /// Asks and waits for the answer, `limit` at most. Dropped or too late, the server is told that nobody waits.
    pub async fn request(&self, method: &'static str, params: Value, limit: Duration) -> Answer {
        let (answer, answered) = oneshot::channel();
        let id = {
            let mut pending = self.pending.lock();
            if pending.closed || pending.waiting.len() >= PENDING_MAX {
                return Err(CallError::Gone);
            }
            pending.newest += 1;
            let id = pending.newest;
            pending.waiting.insert(id, answer);
            id
        };
        let mut waiting = Waiting {
            connection: self,
            id: Some(id),
        };
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let call = async {
            self.send(&message).await?;
            answered.await.unwrap_or(Err(CallError::Gone))
        };
        match tokio::time::timeout(limit, call).await {
            Ok(answer) => {
                waiting.id = None;
                answer
            }
            Err(_) => Err(CallError::Silent {
                method,
                after: limit,
            }),
        }
    }

    /// Tells.
    pub async fn notify(&self, method: &str, params: Value) -> Result<(), CallError> {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}))
            .await
    }

    async fn send(&self, message: &Value) -> Result<(), CallError> {
        let frame = framed(message.to_string().as_bytes());
        let sent = self.outgoing.send(frame).await;
        sent.map_err(|_| CallError::Gone)
    }
}

/// A request on its way.
struct Waiting<'a> {
    connection: &'a Connection,
    id: Option<i64>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id else {
            return;
        };
        let was_open = self.connection.pending.lock().waiting.remove(&id).is_some();
        if was_open {
            let cancel =
                json!({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": id}});
            let frame = framed(cancel.to_string().as_bytes());
            // A full queue means that the server does not read: it would not read this either.
            let _ = self.connection.outgoing.try_send(frame);
        }
    }
}

async fn write_all(
    mut stdin: ByteWriter,
    mut queue: mpsc::Receiver<Vec<u8>>,
    closed: Arc<watch::Sender<Option<String>>>,
) {
    let why = loop {
        let frame = tokio::select! {
            frame = queue.recv() => frame,
            () = closed.closed() => None,
        };
        let Some(frame) = frame else {
            return;
        };
        let write = async {
            stdin.write_all(&frame).await?;
            stdin.flush().await
        };
        match tokio::time::timeout(WRITE_TIME, write).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => break format!("it cannot be written to: {error}"),
            Err(_) => break "it does not read".to_owned(),
        }
    };
    closed.send_if_modified(|reason| {
        let is_first = reason.is_none();
        if is_first {
            *reason = Some(why);
        }
        is_first
    });
}

struct Reading {
    incoming: Arc<dyn Incoming>,
    pending: Arc<Mutex<Pending>>,
    outgoing: mpsc::Sender<Vec<u8>>,
}

impl Reading {
    async fn run(&self, stdout: ByteReader) -> FrameError {
        let mut frames = Frames::new(BufReader::new(stdout));
        let mut pace = Pace::new();
        loop {
            let body = match frames.next().await {
                Ok(body) => body,
                Err(error) => return error,
            };
            pace.keep(body.len()).await;
            let bytes = body.len();
            let parsed = if bytes > LARGE_BYTES {
                let parsing = tokio::task::spawn_blocking(move || serde_json::from_slice(&body));
                parsing.await.ok().and_then(Result::ok)
            } else {
                serde_json::from_slice(&body).ok()
            };
            match parsed {
                Some(Value::Array(batch)) => {
                    for message in batch {
                        self.take(message).await;
                    }
                }
                Some(message @ Value::Object(_)) => self.take(message).await,
                _ => {
                    if let Err(error) = frames.add_noise(bytes) {
                        return error;
                    }
                }
            }
        }
    }

    async fn take(&self, mut message: Value) {
        let method = message.get("method").and_then(Value::as_str);
        let method = method.map(str::to_owned);
        let id = message.get("id").filter(|id| !id.is_null()).cloned();
        let mut part = |name: &str| message.get_mut(name).map(Value::take);
        match (method, id) {
            (Some(method), None) => self
                .incoming
                .notified(&method, part("params").unwrap_or_default()),
            (Some(method), Some(id)) => {
                let params = part("params").unwrap_or_default();
                let answer = match self.incoming.requested(&method, params) {
                    Some(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
                    None => {
                        let error = json!({"code": NO_METHOD, "message": "not known here"});
                        json!({"jsonrpc": "2.0", "id": id, "error": error})
                    }
                };
                // A server that asks without reading answers is stopped here until the writer gives up.
                let frame = framed(answer.to_string().as_bytes());
                let _ = self.outgoing.send(frame).await;
            }
            (None, Some(id)) => {
                // An answer that nobody waits for: a second one, or one to a request that was given up.
                let waiting = id
                    .as_i64()
                    .and_then(|id| self.pending.lock().waiting.remove(&id));
                if let Some(waiting) = waiting {
                    let answer = match part("error").filter(|error| !error.is_null()) {
                        Some(error) => Err(refused(&error)),
                        None => Ok(part("result").unwrap_or_default()),
                    };
                    let _ = waiting.send(answer);
                }
            }
            (None, None) => {}
        }
    }
}

fn refused(error: &Value) -> CallError {
    let message = error.get("message").and_then(Value::as_str);
    CallError::Refused {
        code: error.get("code").and_then(Value::as_i64).unwrap_or(0),
        message: message
            .unwrap_or("no reason given")
            .chars()
            .take(500)
            .collect(),
    }
}

/// How much was read in the second that runs.
struct Pace {
    since: Instant,
    messages: usize,
    bytes: usize,
}

impl Pace {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            messages: 0,
            bytes: 0,
        }
    }

    async fn keep(&mut self, bytes: usize) {
        let end = self.since + Duration::from_secs(1);
        if Instant::now() >= end {
            *self = Self::new();
        }
        self.messages += 1;
        self.bytes += bytes;
        if self.messages > MESSAGES_A_SECOND || self.bytes > BYTES_A_SECOND {
            tokio::time::sleep_until(end).await;
            *self = Self::new();
        }
    }
}

//! WebSockets: a bounded queue out, whole messages in, an end when the server stops.

use crate::stopping::{Guard, Stopping};
use actix_web::{HttpRequest, HttpResponse, rt, web};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, Session};
use bytes::Bytes;
use bytestring::ByteString;
use futures_util::future::LocalBoxFuture;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// The largest message that is taken.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// How long a message may wait for room in the queue (32 messages) and on the wire.
const SEND_MAX: Duration = Duration::from_secs(30);
/// After so much silence the other end is asked whether it is there.
const PING_AFTER: Duration = Duration::from_secs(30);
/// After so much silence it is given up.
const SILENCE_MAX: Duration = Duration::from_secs(90);

/// Runs a socket until its future ends; then the socket is closed, if it is not yet.
pub type SocketHandler = Box<dyn FnOnce(Socket) -> LocalBoxFuture<'static, ()>>;

/// The socket is closed, or the other end takes nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the socket is closed")]
pub struct Closed;

/// A message of the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

/// An open socket.
pub struct Socket {
    sender: SocketSender,
    receiver: SocketReceiver,
}

/// The way out; clones lead into the same socket.
#[derive(Clone)]
pub struct SocketSender(Session);

/// The way in. It has to be read, or the connection stalls and its end goes unnoticed.
pub struct SocketReceiver {
    messages: AggregatedMessageStream,
    session: Session,
    heard: Instant,
}

impl Socket {
    /// Takes the two ways apart, for use in two tasks.
    pub fn split(self) -> (SocketSender, SocketReceiver) {
        (self.sender, self.receiver)
    }

    /// See [`SocketSender::text`].
    pub async fn text(&mut self, text: impl Into<String>) -> Result<(), Closed> {
        self.sender.text(text).await
    }

    /// See [`SocketSender::binary`].
    pub async fn binary(&mut self, bytes: Bytes) -> Result<(), Closed> {
        self.sender.binary(bytes).await
    }

    /// See [`SocketReceiver::recv`].
    pub async fn recv(&mut self) -> Option<Incoming> {
        self.receiver.recv().await
    }

    /// See [`SocketSender::close`].
    pub async fn close(self, code: u16, why: &str) {
        self.sender.close(code, why).await;
    }
}

impl SocketSender {
    /// Sends a text message; waits while the queue is full, 30 s at most.
    pub async fn text(&mut self, text: impl Into<String>) -> Result<(), Closed> {
        in_time(self.0.text(text.into())).await
    }

    /// Sends bytes that are UTF-8, such as an event's JSON, as a text message, without copying them here.
    pub async fn text_bytes(&mut self, text: Bytes) -> Result<(), Closed> {
        let text = ByteString::try_from(text).map_err(|_| Closed)?;
        in_time(self.0.text(text)).await
    }

    /// Sends a binary message.
    pub async fn binary(&mut self, bytes: Bytes) -> Result<(), Closed> {
        in_time(self.0.binary(bytes)).await
    }

    /// Asks the other end for a sign of life. The receiver does so by itself after 30 s of silence.
    pub async fn ping(&mut self) -> Result<(), Closed> {
        in_time(self.0.ping(b"")).await
    }

    /// Closes the socket with a code of RFC 6455, 7.4 (1000: done) and a reason of at most 123 bytes.
    pub async fn close(self, code: u16, why: &str) {
        let reason = CloseReason {
            code: CloseCode::from(code),
            description: Some(why.to_owned()),
        };
        let _ = timeout(SEND_MAX, self.0.close(Some(reason))).await;
    }
}

async fn in_time(
    sending: impl Future<Output = Result<(), actix_ws::Closed>>,
) -> Result<(), Closed> {
    match timeout(SEND_MAX, sending).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Closed),
    }
}

impl SocketReceiver {
    /// Waits for the next message. None: closed, broken, silent for 90 s, or a message over 1 MiB.
    ///
    /// Pings are answered here.
    pub async fn recv(&mut self) -> Option<Incoming> {
        loop {
            let quiet_until = self.heard + PING_AFTER;
            let message = match timeout_at(quiet_until, self.messages.recv()).await {
                Ok(message) => message?.ok()?,
                Err(_) => self.ask_for_life().await?,
            };
            self.heard = Instant::now();
            match message {
                AggregatedMessage::Text(text) => return Some(Incoming::Text(text.to_string())),
                AggregatedMessage::Binary(bytes) => return Some(Incoming::Binary(bytes)),
                AggregatedMessage::Ping(bytes) => in_time(self.session.pong(&bytes)).await.ok()?,
                AggregatedMessage::Pong(_) => {}
                AggregatedMessage::Close(_) => return None,
            }
        }
    }

    /// Pings, then waits for anything at all.
    async fn ask_for_life(&mut self) -> Option<AggregatedMessage> {
        in_time(self.session.ping(b"")).await.ok()?;
        let message = timeout_at(self.heard + SILENCE_MAX, self.messages.recv()).await;
        message.ok()??.ok()
    }
}

/// Answers the handshake and lets `handler` run. None if the request is no handshake.
pub(crate) fn open(
    request: &HttpRequest,
    payload: web::Payload,
    handler: SocketHandler,
    stopping: &Stopping,
    running: Guard,
) -> Option<HttpResponse> {
    let (response, session, messages) = actix_ws::handle(request, payload).ok()?;
    let messages = messages
        .max_frame_size(MESSAGE_BYTES_MAX)
        .aggregate_continuations()
        .max_continuation_size(MESSAGE_BYTES_MAX);
    let receiver = SocketReceiver {
        messages,
        session: session.clone(),
        heard: Instant::now(),
    };
    let socket = Socket {
        sender: SocketSender(session.clone()),
        receiver,
    };
    let stop = stopping.requested();
    rt::spawn(async move {
        let code = tokio::select! {
            () = handler(socket) => 1000,
            () = stop => 1001,
        };
        SocketSender(session).close(code, "").await;
        drop(running);
    });
    Some(response)
}

//! What a handler gives back.

use crate::held::{Held, NoRoom, StreamedBody, WholeBody};
use crate::problem;
use crate::sse::{self, EventBody};
use crate::stopping::{Guard, Stopping};
use crate::ws::{self, SocketHandler};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use kilo_protocol::Fault;
use serde::Serialize;

/// A successful answer.
pub enum Reply {
    /// JSON text.
    Json {
        /// The status, for example 200.
        status: u16,
        /// The text, ready to send.
        body: Bytes,
    },
    /// Something else.
    Text {
        /// The status, for example 200.
        status: u16,
        /// The type with its parameters, for example `text/x-diff; charset=utf-8`.
        content_type: &'static str,
        /// The content.
        body: Bytes,
    },
    /// 200 with JSON that is made while it leaves, in pieces of [`crate::held::PIECE_BYTES`] or so. The stream ends with an
    /// error when there is no room for its next piece; the client sees an answer that breaks off.
    Streamed(BoxStream<'static, Result<Bytes, NoRoom>>),
    /// A status without a body, for example 204.
    Empty(u16),
    /// An event stream: each item is one or more whole frames of [`crate::sse`], and is sent at once. The stream is
    /// dropped when the client goes away or the server stops.
    Events(BoxStream<'static, Bytes>),
    /// A WebSocket. If the request is no handshake the client gets a 400.
    Socket(SocketHandler),
    /// A reply with more header fields. A value that is no header value is left out.
    With(Box<Reply>, Vec<(&'static str, String)>),
}

impl Reply {
    /// 200 with the JSON of `value`.
    ///
    /// Errors: 500 if it has none, for example a map whose keys are no strings.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, Fault> {
        let body = serde_json::to_vec(value);
        let body =
            body.map_err(|error| Fault::unknown(format!("the reply has no JSON: {error}")))?;
        Ok(Self::Json {
            status: 200,
            body: body.into(),
        })
    }

    /// The status and the JSON as a whole, for senders that cannot send it in pieces. What is no JSON becomes a JSON text,
    /// nothing becomes empty.
    ///
    /// Errors: 503 if there is no room for it, 400 for a reply that is a stream of events or a socket.
    pub async fn whole(self) -> Result<(u16, Bytes, Held), Fault> {
        let (status, body) = match self {
            Self::Json { status, body } => (status, body),
            Self::Text { status, body, .. } => {
                let text = String::from_utf8_lossy(&body);
                let json = serde_json::to_vec(&text).unwrap_or_default();
                (status, json.into())
            }
            Self::Empty(status) => (status, Bytes::new()),
            Self::With(inner, _) => return Box::pin(inner.whole()).await,
            Self::Streamed(pieces) => return gathered(pieces).await,
            Self::Events(_) | Self::Socket(_) => {
                let message = "an operation that is a stream cannot be a command";
                return Err(Fault::bad_request("Payload", message));
            }
        };
        let held = Held::now(body.len()).map_err(no_room)?;
        Ok((status, body, held))
    }

    /// Adds a header field; `name` in lower case.
    pub fn with(self, name: &'static str, value: impl Into<String>) -> Self {
        match self {
            Self::With(reply, mut fields) => {
                fields.push((name, value.into()));
                Self::With(reply, fields)
            }
            reply => Self::With(Box::new(reply), vec![(name, value.into())]),
        }
    }
}

fn no_room(error: NoRoom) -> Fault {
    Fault::unavailable(error.to_string())
}

/// Puts the pieces together, as long as there is room for them.
async fn gathered(
    mut pieces: BoxStream<'static, Result<Bytes, NoRoom>>,
) -> Result<(u16, Bytes, Held), Fault> {
    let mut body = BytesMut::new();
    let mut held = Held::now(0).map_err(no_room)?;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(no_room)?;
        if body.len() + piece.len() > body.capacity() {
            // What it grows to is taken before it grows.
            let grown = (body.len() + piece.len()) * 2;
            drop(held);
            held = Held::now(grown).map_err(no_room)?;
            body.reserve(grown - body.len());
        }
        body.extend_from_slice(&piece);
    }
    Ok((200, body.freeze(), held))
}

/// What a reply needs to become a response.
pub(crate) struct Exchange {
    pub request: HttpRequest,
    /// What a socket reads from; only operations that become one still have it.
    pub payload: Option<web::Payload>,
    pub running: Guard,
}

impl Exchange {
    /// Makes the response.
    pub fn answer(self, reply: Reply, stopping: &Stopping) -> HttpResponse {
        match reply {
            Reply::Json { status, body } => content(status, "application/json", body),
            Reply::Text {
                status,
                content_type,
                body,
            } => content(status, content_type, body),
            Reply::Streamed(pieces) => self.streamed(pieces),
            Reply::Empty(status) => HttpResponse::build(code(status)).finish(),
            Reply::Events(frames) => self.events(frames, stopping),
            Reply::Socket(handler) => self.socket(handler, stopping),
            Reply::With(reply, fields) => {
                let mut response = self.answer(*reply, stopping);
                for (name, value) in fields {
                    if let Ok(value) = HeaderValue::from_str(&value) {
                        response
                            .headers_mut()
                            .append(HeaderName::from_static(name), value);
                    }
                }
                response
            }
        }
    }

    fn streamed(self, pieces: BoxStream<'static, Result<Bytes, NoRoom>>) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        response.content_type("application/json");
        if self.request.method() == actix_web::http::Method::HEAD {
            return response.finish();
        }
        response.body(StreamedBody::new(pieces, self.running))
    }

    fn events(self, frames: BoxStream<'static, Bytes>, stopping: &Stopping) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        for field in sse::HEADERS {
            response.insert_header(field);
        }
        if self.request.method() == actix_web::http::Method::HEAD {
            return response.finish();
        }
        response.body(EventBody::new(frames, stopping, self.running))
    }

    fn socket(self, handler: SocketHandler, stopping: &Stopping) -> HttpResponse {
        let Some(payload) = self.payload else {
            return problem::fault(Fault::unknown("the operation is no WebSocket"));
        };
        let opened = ws::open(&self.request, payload, handler, stopping, self.running);
        opened.unwrap_or_else(|| {
            let message = "Expected a WebSocket handshake";
            problem::fault(Fault::bad_request("Headers", message))
        })
    }
}

fn content(status: u16, content_type: &'static str, body: Bytes) -> HttpResponse {
    match WholeBody::new(body) {
        Ok(body) => HttpResponse::build(code(status))
            .content_type(content_type)
            .body(body),
        Err(no_room) => problem::fault(Fault::unavailable(no_room.to_string())),
    }
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

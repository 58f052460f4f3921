//! Reading the body of a request, within bounds.

use crate::problem;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpResponse, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use kilo_protocol::{Fault, FaultKind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::timeout;

/// The longest pause within a body.
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// How much room is made before anything has arrived.
const ROOM_BYTES: usize = 64 * 1024;

/// Reads the whole body.
///
/// A body that announces more than `bytes_max` is refused unread, one that grows over it is dropped there. Errors are
/// finished replies: 413, 408 after a pause of 15 s, 400 if it breaks off, 415 if it is compressed.
pub(crate) async fn read(
    headers: &HeaderMap,
    payload: &mut web::Payload,
    bytes_max: usize,
) -> Result<Bytes, HttpResponse> {
    let announced = announced(headers);
    if announced.is_some_and(|bytes| bytes > bytes_max as u64) {
        return Err(too_large(bytes_max));
    }
    if compressed(headers) {
        let fault = "a compressed body is not supported";
        return Err(problem::fault(Fault::named(
            FaultKind::UnsupportedMedia,
            "",
            fault,
        )));
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = timeout(PAUSE_MAX, payload.next())
        .await
        .map_err(|_| problem::slow_body())?
    {
        let chunk = chunk.map_err(|error| {
            let message = format!("the body broke off: {error}");
            problem::fault(Fault::bad_request("Body", message))
        })?;
        if body.len() + chunk.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        if body.is_empty() && Some(chunk.len() as u64) == announced {
            return Ok(chunk); // whole at once: no copy
        }
        if body.capacity() == 0 {
            body.reserve(ROOM_BYTES.min(bytes_max));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn compressed(headers: &HeaderMap) -> bool {
    let coding = headers.get(header::CONTENT_ENCODING);
    coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn too_large(bytes_max: usize) -> HttpResponse {
    let message = format!("the body is larger than {bytes_max} bytes");
    problem::fault(Fault::named(
        FaultKind::TooLarge,
        "PayloadTooLarge",
        message,
    ))
}

/// Keeps an unread rest of a request's body until the reply has gone out.
///
/// The server ends a connection whose request is still held then; a rest that was dropped it would read to its end,
/// however long that is.
pub(crate) fn hold(response: HttpResponse, rest: web::Payload) -> HttpResponse {
    response.map_body(|_, body| BoxBody::new(Holding { body, _rest: rest }))
}

struct Holding {
    body: BoxBody,
    _rest: web::Payload,
}

impl MessageBody for Holding {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}

/// Checks that a body is JSON by its content type.
///
/// Errors: 415. Pages can send other types across origins without asking first, which is why it matters.
pub(crate) fn check_type(content_type: Option<&str>) -> Result<(), Fault> {
    let kind = content_type
        .and_then(|text| text.split(';').next())
        .unwrap_or("")
        .trim();
    let kind = kind.to_ascii_lowercase();
    if kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json")) {
        return Ok(());
    }
    let message = "Unsupported media type: the body must be application/json";
    Err(Fault::named(
        FaultKind::UnsupportedMedia,
        "UnsupportedMediaType",
        message,
    ))
}

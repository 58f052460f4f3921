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
use tokio::time::{Instant, timeout_at};

/// A body that comes more slowly than this is given up when the longest pause is over: a byte now and then is no upload.
const BYTES_A_MILLISECOND_MIN: u64 = 16;
/// How much room is made before anything has arrived.
const ROOM_BYTES: usize = 64 * 1024;

/// How much of a body is taken, and how long that may last.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    /// The largest body of the operation.
    pub bytes_max: usize,
    /// What is read at all. A body between the two is read to its end and dropped piece by piece, because a client that
    /// still writes does not read an answer.
    pub read_bytes_max: usize,
    /// The longest pause within a body.
    pub pause_max: Duration,
}

/// Reads the whole body.
///
/// A body that announces more than `read_bytes_max` is refused unread, one that grows over it is dropped there. Errors are
/// finished replies: 413, 408 after a pause of `pause_max`, 400 if it breaks off, 415 if it is compressed.
pub(crate) async fn read(
    headers: &HeaderMap,
    payload: &mut web::Payload,
    bounds: Bounds,
) -> Result<Bytes, HttpResponse> {
    let Bounds {
        bytes_max,
        read_bytes_max,
        pause_max,
    } = bounds;
    let announced = announced(headers);
    if announced.is_some_and(|bytes| bytes > read_bytes_max as u64) {
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
    let mut bytes = 0;
    let begun = Instant::now();
    let until = |bytes: usize| {
        let earned = Duration::from_millis(bytes as u64 / BYTES_A_MILLISECOND_MIN);
        (Instant::now() + pause_max).min(begun + pause_max + earned)
    };
    while let Some(chunk) = timeout_at(until(bytes), payload.next())
        .await
        .map_err(|_| problem::slow_body())?
    {
        let chunk = chunk.map_err(|error| {
            let message = format!("the body broke off: {error}");
            problem::fault(Fault::bad_request("Body", message))
        })?;
        bytes += chunk.len();
        if bytes > read_bytes_max {
            return Err(too_large(bytes_max));
        }
        if bytes > bytes_max {
            body = BytesMut::new();
            continue;
        }
        if body.is_empty() && Some(chunk.len() as u64) == announced {
            return Ok(chunk); // whole at once: no copy
        }
        if body.capacity() == 0 {
            body.reserve(ROOM_BYTES.min(bytes_max));
        }
        body.extend_from_slice(&chunk);
    }
    if bytes > bytes_max {
        return Err(read_and_dropped(bytes_max));
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

/// 413, and the connection ends, because the rest of the body is not read.
fn too_large(bytes_max: usize) -> HttpResponse {
    problem::unread(read_and_dropped(bytes_max))
}

fn read_and_dropped(bytes_max: usize) -> HttpResponse {
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

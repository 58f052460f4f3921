//! Event streams: the frames, the header fields, the body that ends when the server stops.

use crate::stopping::{Guard, Stopping};
use actix_web::body::{BodySize, MessageBody};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::BoxStream;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The header fields of an event stream (seen: real server 7.7.9).
pub const HEADERS: [(&str, &str); 4] = [
    ("content-type", "text/event-stream"),
    ("cache-control", "no-cache, no-transform"),
    ("x-accel-buffering", "no"),
    ("x-content-type-options", "nosniff"),
];

/// Makes the frame of one event: `id: POS` if it has a position, then `data: JSON`. The JSON must be one line.
pub fn frame(pos: Option<&str>, json: &[u8]) -> Bytes {
    wrapped_at(pos, b"", json, b"")
}

/// Makes the frame of an event without position whose JSON is `head`, `json` and `tail` in a row.
///
/// It serves streams that put the same event between a beginning and an end of their own.
pub fn wrapped(head: &[u8], json: &[u8], tail: &[u8]) -> Bytes {
    wrapped_at(None, head, json, tail)
}

/// Like [`wrapped`], with a position.
pub fn wrapped_at(pos: Option<&str>, head: &[u8], json: &[u8], tail: &[u8]) -> Bytes {
    let length = pos.map_or(0, |pos| pos.len() + 5) + head.len() + json.len() + tail.len() + 8;
    let mut frame = BytesMut::with_capacity(length);
    if let Some(pos) = pos {
        frame.put_slice(b"id: ");
        frame.put_slice(pos.as_bytes());
        frame.put_u8(b'\n');
    }
    frame.put_slice(b"data: ");
    frame.put_slice(head);
    frame.put_slice(json);
    frame.put_slice(tail);
    frame.put_slice(b"\n\n");
    frame.freeze()
}

/// A stream of frames as a body. It ends with the stream, with the server, or with the connection.
pub(crate) struct EventBody {
    frames: BoxStream<'static, Bytes>,
    stop: BoxFuture<'static, ()>,
    _running: Guard,
}

impl EventBody {
    pub fn new(frames: BoxStream<'static, Bytes>, stopping: &Stopping, running: Guard) -> Self {
        Self {
            frames,
            stop: stopping.requested().boxed(),
            _running: running,
        }
    }
}

impl MessageBody for EventBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        if let Poll::Ready(frame) = self.frames.poll_next_unpin(cx) {
            return Poll::Ready(frame.map(Ok));
        }
        self.stop.poll_unpin(cx).map(|()| None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_framed() {
        assert_eq!(frame(None, b"{}"), "data: {}\n\n");
        assert_eq!(frame(Some("e-7"), b"{}"), "id: e-7\ndata: {}\n\n");
        assert_eq!(
            wrapped(b"{\"payload\":", b"{}", b"}"),
            "data: {\"payload\":{}}\n\n"
        );
        let framed = wrapped_at(Some("e-7"), b"[", b"1", b"]");
        assert_eq!(framed, "id: e-7\ndata: [1]\n\n");
    }
}

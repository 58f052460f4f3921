//! Frames of the daemon's event stream, ready to be taken one by one.

use crate::error::ClientError;
use kilo_sse::{Decoder, TooLarge};
use std::collections::VecDeque;

/// The largest frame that is accepted; the largest known event is a file's diff of a few megabytes.
pub(crate) const FRAME_BYTES_MAX: usize = 32 << 20;

/// One event as it was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The last `id:` seen up to and including this frame.
    pub id: Option<String>,
    /// The `data:` lines, joined by newlines.
    pub data: String,
    /// `retry:` in milliseconds, if this frame had one.
    pub retry_ms: Option<u64>,
}

/// What came in and was not taken yet: whole frames, and the begin of the next one.
pub(crate) struct Frames {
    decoder: Decoder,
    whole: VecDeque<Frame>,
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            decoder: Decoder::new(FRAME_BYTES_MAX),
            whole: VecDeque::new(),
        }
    }
}

impl Frames {
    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        let whole = &mut self.whole;
        self.decoder.feed(bytes, |event| {
            whole.push_back(Frame {
                id: event.id.map(str::to_owned),
                data: String::from_utf8_lossy(event.data).into_owned(),
                retry_ms: event.retry_ms,
            });
            Ok(())
        })
    }

    /// The next whole frame, if there is one.
    pub fn take(&mut self) -> Option<Frame> {
        self.whole.pop_front()
    }
}

impl From<TooLarge> for ClientError {
    fn from(error: TooLarge) -> Self {
        Self::TooLarge {
            what: "a frame of the event stream",
            limit: error.bytes_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_in_order_and_an_endless_one_is_refused() {
        let mut frames = Frames::default();
        frames
            .push(b"id: 1-7\ndata: a\n\nretry: 5\ndata: b\n\ndata: ")
            .expect("within bounds");
        let id = Some("1-7".to_owned());
        let frame = |data: &str, retry_ms| Frame {
            id: id.clone(),
            data: data.into(),
            retry_ms,
        };
        assert_eq!(frames.take(), Some(frame("a", None)));
        assert_eq!(frames.take(), Some(frame("b", Some(5))));
        assert_eq!(frames.take(), None);
        let chunk = vec![b'x'; FRAME_BYTES_MAX / 2 + 1];
        frames.push(&chunk).expect("the first half");
        assert!(matches!(
            frames.push(&chunk),
            Err(ClientError::TooLarge { .. })
        ));
    }
}

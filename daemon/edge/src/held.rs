//! Answers on their way out. Long ones leave piece by piece, and all of them together hold a bounded number of bytes:
//! a client that does not read costs its own share and no more, and many of them cost others a 503.

use crate::stopping::Guard;
use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// Bytes that the answers of this process hold at once, over all connections.
pub const HELD_BYTES_MAX: usize = 128 << 20;
/// Bytes that leave at once. What is handed to a connection is copied there, so this is what a connection costs.
pub const PIECE_BYTES: usize = 64 << 10;
/// How long a piece of a stream waits for room.
const ROOM_MAX: Duration = Duration::from_secs(30);
/// What one permit stands for.
const UNIT_BYTES: usize = 1 << 10;

static ROOM: Semaphore = Semaphore::const_new(HELD_BYTES_MAX / UNIT_BYTES);

/// Room for bytes; it is given back by its drop.
#[must_use]
pub struct Held {
    _room: Option<SemaphorePermit<'static>>,
}

/// An answer breaks off, because there was no room for its next piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many bytes are on their way to clients that do not read")]
pub struct NoRoom;

/// Permits for so many bytes. Pieces of the usual size are free: their number is bounded by that of connections. More
/// than there is in all takes all.
fn units(bytes: usize) -> u32 {
    if bytes <= PIECE_BYTES {
        return 0;
    }
    let units = bytes.min(HELD_BYTES_MAX).div_ceil(UNIT_BYTES);
    u32::try_from(units).unwrap_or(u32::MAX)
}

impl Held {
    /// Takes room if there is some now.
    pub fn now(bytes: usize) -> Result<Self, NoRoom> {
        let room = match units(bytes) {
            0 => None,
            units => Some(ROOM.try_acquire_many(units).map_err(|_| NoRoom)?),
        };
        Ok(Self { _room: room })
    }

    /// Waits for room, 30 s at most. Ask before the bytes are made.
    pub async fn soon(bytes: usize) -> Result<Self, NoRoom> {
        let room = match units(bytes) {
            0 => None,
            units => {
                let room = timeout(ROOM_MAX, ROOM.acquire_many(units)).await;
                Some(room.map_err(|_| NoRoom)?.map_err(|_| NoRoom)?)
            }
        };
        Ok(Self { _room: room })
    }
}

/// A whole answer that leaves in pieces.
pub(crate) struct WholeBody {
    rest: Bytes,
    _held: Held,
}

impl WholeBody {
    pub fn new(bytes: Bytes) -> Result<Self, NoRoom> {
        let held = Held::now(bytes.len())?;
        Ok(Self {
            rest: bytes,
            _held: held,
        })
    }
}

impl MessageBody for WholeBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.rest.len() as u64)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let end = self.rest.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(self.rest.split_to(end))))
    }
}

/// An answer that is made while it leaves.
pub(crate) struct StreamedBody {
    pieces: BoxStream<'static, Result<Bytes, NoRoom>>,
    _running: Guard,
}

impl StreamedBody {
    pub fn new(pieces: BoxStream<'static, Result<Bytes, NoRoom>>, running: Guard) -> Self {
        Self {
            pieces,
            _running: running,
        }
    }
}

impl MessageBody for StreamedBody {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let piece = self.pieces.poll_next_unpin(cx);
        piece.map(|piece| piece.map(|piece| piece.map_err(Into::into)))
    }
}

#[cfg(test)]
mod tests {
    use super::{HELD_BYTES_MAX, Held, PIECE_BYTES, ROOM, units};

    #[test]
    fn room_is_bounded_and_given_back() {
        assert_eq!(units(PIECE_BYTES), 0);
        assert_eq!(units(PIECE_BYTES + 1), 65);
        let free = ROOM.available_permits();
        let most = Held::now(HELD_BYTES_MAX - PIECE_BYTES * 2).expect("room");
        assert!(Held::now(PIECE_BYTES * 4).is_err());
        assert!(Held::now(PIECE_BYTES).is_ok(), "usual pieces need none");
        drop(most);
        assert_eq!(ROOM.available_permits(), free);
        drop(Held::now(HELD_BYTES_MAX * 4).expect("more than all takes all"));
    }
}

//! Frames to every subscriber: a broadcast ring with the newest [`BUS_FRAMES`](crate::limits::BUS_FRAMES).

use crate::limits::BUS_FRAMES;
use kilo_protocol::Frame;
use std::sync::Arc;
use tokio::sync::broadcast::{self, error::RecvError};

/// The ring.
#[derive(Clone)]
pub struct Bus {
    sender: broadcast::Sender<Arc<Frame>>,
}

/// One subscriber's place in the ring.
pub struct Subscription {
    receiver: broadcast::Receiver<Arc<Frame>>,
}

/// What a subscriber gets.
#[derive(Debug)]
pub enum Received {
    /// The next frame.
    Frame(Arc<Frame>),
    /// It was too slow: this many frames are gone from the ring; they are in the log.
    Lagged(u64),
    /// The daemon ends.
    Closed,
}

impl Default for Bus {
    fn default() -> Self {
        Self {
            sender: broadcast::channel(BUS_FRAMES).0,
        }
    }
}

impl Bus {
    /// Hands a frame to every subscriber. Never waits.
    pub fn publish(&self, frame: Frame) {
        let _ = self.sender.send(Arc::new(frame));
    }

    /// Begins with the next frame that is published.
    pub fn subscribe(&self) -> Subscription {
        Subscription {
            receiver: self.sender.subscribe(),
        }
    }

    /// How many subscribers there are.
    pub fn subscribers(&self) -> usize {
        self.sender.receiver_count()
    }
}

impl Subscription {
    /// Waits for the next frame.
    pub async fn next(&mut self) -> Received {
        match self.receiver.recv().await {
            Ok(frame) => Received::Frame(frame),
            Err(RecvError::Lagged(frames)) => Received::Lagged(frames),
            Err(RecvError::Closed) => Received::Closed,
        }
    }

    /// The next frame if there is one already.
    pub fn try_next(&mut self) -> Option<Received> {
        match self.receiver.try_recv() {
            Ok(frame) => Some(Received::Frame(frame)),
            Err(broadcast::error::TryRecvError::Lagged(frames)) => Some(Received::Lagged(frames)),
            Err(broadcast::error::TryRecvError::Empty) => None,
            Err(broadcast::error::TryRecvError::Closed) => Some(Received::Closed),
        }
    }
}

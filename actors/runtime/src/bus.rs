//! Frames to every subscriber: a broadcast ring with the newest [`BUS_FRAMES`](crate::limits::BUS_FRAMES), of at most
//! [`BUS_BYTES`](crate::limits::BUS_BYTES) together.

use crate::limits::{BUS_BYTES, BUS_FRAMES};
use kilo_protocol::Frame;
use parking_lot::{Mutex, RwLock};
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};

/// One place of the ring. It is emptied when newer frames need its bytes; the place itself stays, so that a subscriber
/// learns there that it was too slow.
struct Slot(RwLock<Option<Arc<Frame>>>);

/// What the publisher knows of the ring: its newest places with their bytes.
#[derive(Default)]
struct Window {
    /// Weak: a frame that every subscriber has read is kept by nobody.
    slots: VecDeque<(Weak<Slot>, usize)>,
    bytes: usize,
}

impl Window {
    /// Takes a frame's place over, and empties the oldest ones that are too much. The newest frame always stays.
    fn push(&mut self, slot: Weak<Slot>, bytes: usize, bytes_max: usize) {
        self.slots.push_back((slot, bytes));
        self.bytes += bytes;
        while self.slots.len() > 1 {
            let is_too_much = self.bytes > bytes_max;
            if !is_too_much && self.slots.len() <= BUS_FRAMES {
                return;
            }
            let Some((oldest, bytes)) = self.slots.pop_front() else {
                return;
            };
            self.bytes -= bytes;
            // The broadcast itself drops what is too much by number.
            if is_too_much && let Some(slot) = oldest.upgrade() {
                slot.0.write().take();
            }
        }
    }
}

/// The ring.
#[derive(Clone)]
pub struct Bus {
    sender: broadcast::Sender<Arc<Slot>>,
    window: Arc<Mutex<Window>>,
    bytes_max: usize,
}

/// One subscriber's place in the ring.
pub struct Subscription {
    receiver: broadcast::Receiver<Arc<Slot>>,
    /// Found behind emptied places: it comes after the word that frames are gone.
    found: Option<Arc<Frame>>,
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
        Self::of_bytes(BUS_BYTES)
    }
}

impl Bus {
    /// A ring whose frames have at most `bytes_max` bytes together.
    fn of_bytes(bytes_max: usize) -> Self {
        Self {
            sender: broadcast::channel(BUS_FRAMES).0,
            window: Arc::default(),
            bytes_max,
        }
    }

    /// Hands a frame to every subscriber. Never waits for one.
    pub fn publish(&self, frame: Frame) {
        let bytes = frame.json.len();
        let slot = Arc::new(Slot(RwLock::new(Some(Arc::new(frame)))));
        // Held while sending, so that places are in the window in the ring's order.
        let mut window = self.window.lock();
        let place = Arc::downgrade(&slot);
        if self.sender.send(slot).is_ok() {
            window.push(place, bytes, self.bytes_max);
        }
    }

    /// Begins with the next frame that is published.
    pub fn subscribe(&self) -> Subscription {
        Subscription {
            receiver: self.sender.subscribe(),
            found: None,
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
        if let Some(frame) = self.found.take() {
            return Received::Frame(frame);
        }
        match self.receiver.recv().await {
            Ok(slot) => self.open(&slot),
            Err(RecvError::Lagged(frames)) => Received::Lagged(frames),
            Err(RecvError::Closed) => Received::Closed,
        }
    }

    /// The next frame if there is one already.
    pub fn try_next(&mut self) -> Option<Received> {
        if let Some(frame) = self.found.take() {
            return Some(Received::Frame(frame));
        }
        match self.receiver.try_recv() {
            Ok(slot) => Some(self.open(&slot)),
            Err(TryRecvError::Lagged(frames)) => Some(Received::Lagged(frames)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Closed) => Some(Received::Closed),
        }
    }

    /// The frame of a place; of an emptied one, how many were emptied in a row.
    fn open(&mut self, slot: &Slot) -> Received {
        if let Some(frame) = slot.0.read().clone() {
            return Received::Frame(frame);
        }
        let mut gone = 1;
        loop {
            match self.receiver.try_recv() {
                Ok(slot) => {
                    self.found = slot.0.read().clone();
                    if self.found.is_some() {
                        return Received::Lagged(gone);
                    }
                    gone += 1;
                }
                Err(TryRecvError::Lagged(more)) => gone += more,
                // A closed ring says so once more to whoever asks next.
                Err(TryRecvError::Empty | TryRecvError::Closed) => return Received::Lagged(gone),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn frame(number: u64, bytes: usize) -> Frame {
        Frame {
            pos: Some(number),
            directory: None,
            project: None,
            json: Bytes::from(vec![b'x'; bytes]),
            last: false,
        }
    }

    /// What a subscriber finds: positions, and how many frames were gone as negative numbers.
    fn found(subscription: &mut Subscription) -> Vec<i64> {
        std::iter::from_fn(|| subscription.try_next())
            .map(|received| match received {
                Received::Frame(frame) => frame.pos.unwrap_or_default() as i64,
                Received::Lagged(frames) => -(frames as i64),
                Received::Closed => 0,
            })
            .collect()
    }

    #[test]
    fn frames_beyond_the_bytes_push_the_oldest_out() {
        let bus = Bus::of_bytes(100);
        let (mut slow, mut quick) = (bus.subscribe(), bus.subscribe());
        let mut seen = Vec::new();
        for number in 1..=10 {
            bus.publish(frame(number, 30));
            seen.extend(found(&mut quick));
        }
        assert_eq!(seen, (1..=10).collect::<Vec<i64>>());
        assert_eq!(found(&mut slow), [-7, 8, 9, 10]);
        assert!(found(&mut slow).is_empty());
        bus.publish(frame(11, 30));
        assert_eq!(found(&mut slow), [11]);
    }

    #[test]
    fn a_frame_that_is_larger_than_the_ring_still_arrives() {
        let bus = Bus::of_bytes(100);
        let mut subscription = bus.subscribe();
        for (number, bytes) in [(1, 10), (2, 500), (3, 10)] {
            bus.publish(frame(number, bytes));
            if number == 2 {
                assert_eq!(found(&mut subscription), [-1, 2]);
            }
        }
        assert_eq!(found(&mut subscription), [3]);
    }

    #[test]
    fn frames_that_all_have_read_or_nobody_waits_for_are_not_kept() {
        let bus = Bus::of_bytes(1_000);
        bus.publish(frame(1, 10));
        let mut subscription = bus.subscribe();
        bus.publish(frame(2, 10));
        assert_eq!(found(&mut subscription), [2]);
        let kept = bus.window.lock();
        let living = kept
            .slots
            .iter()
            .filter(|(slot, _)| slot.strong_count() > 0);
        assert_eq!(living.count(), 0);
    }

    #[test]
    fn more_frames_than_the_ring_has_places_are_gone_too() {
        let bus = Bus::default();
        let mut subscription = bus.subscribe();
        for number in 1..=BUS_FRAMES as u64 + 5 {
            bus.publish(frame(number, 1));
        }
        let found = found(&mut subscription);
        assert_eq!((found[0], found[1], found.len()), (-5, 6, BUS_FRAMES + 1));
        assert_eq!(bus.window.lock().slots.len(), BUS_FRAMES);
    }

    #[tokio::test]
    async fn a_waiting_subscriber_learns_that_frames_are_gone_and_gets_the_rest() {
        let bus = Bus::of_bytes(100);
        let mut subscription = bus.subscribe();
        for number in 1..=3 {
            bus.publish(frame(number, 60));
        }
        assert!(matches!(subscription.next().await, Received::Lagged(2)));
        assert!(
            matches!(subscription.next().await, Received::Frame(frame) if frame.pos == Some(3))
        );
        drop(bus);
        assert!(matches!(subscription.next().await, Received::Closed));
    }
}

//! Append, then publish, in one order: what a subscriber sees at position N was in the log before, and nothing with a
//! smaller position comes after it.

use crate::Bus;
use kilo_ports::store::{Appended, Entry, Pos, Store, StoreError};
use kilo_protocol::{Frame, Millis, SessionId};
use parking_lot::Mutex;
use std::sync::Arc;

/// The log together with the bus.
#[derive(Clone)]
pub struct Journal {
    store: Arc<dyn Store>,
    bus: Bus,
    order: Arc<Mutex<()>>,
}

/// One record on its way: what is stored, and the frames that show it. The last frame gets the record's position.
pub struct Outgoing {
    /// What is stored.
    pub entry: Entry,
    /// What is shown; may be empty.
    pub frames: Vec<Frame>,
}

impl Journal {
    /// A journal over `store`.
    pub fn new(store: Arc<dyn Store>, bus: Bus) -> Self {
        Self {
            store,
            bus,
            order: Arc::default(),
        }
    }

    /// The log.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The bus.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Appends the records of one session in one write, lets `fold` take them over into what is derived from the log, then
    /// publishes their frames.
    ///
    /// Blocks for one `write`. When it fails, nothing is folded and nothing is published: what readers see never runs
    /// ahead of the log. `fold` runs in the order of all appends, so it must be short and must not append.
    pub fn append(
        &self,
        session: &SessionId,
        at: Millis,
        records: Vec<Outgoing>,
        fold: impl FnOnce(),
    ) -> Result<Appended, StoreError> {
        let (entries, frames): (Vec<Entry>, Vec<Vec<Frame>>) = records
            .into_iter()
            .map(|record| (record.entry, record.frames))
            .unzip();
        let _in_order = self.order.lock();
        let appended = self.store.append(session, at, &entries)?;
        fold();
        for (pos, frames) in (appended.first_pos..).zip(frames) {
            let last = frames.len().saturating_sub(1);
            for (number, mut frame) in frames.into_iter().enumerate() {
                frame.pos = (number == last).then_some(pos);
                self.bus.publish(frame);
            }
        }
        Ok(appended)
    }

    /// Publishes a frame that is not in the log (it has no position and cannot be resumed).
    pub fn publish(&self, frame: Frame) {
        let _in_order = self.order.lock();
        self.bus.publish(frame);
    }

    /// Subscribes and tells the newest position at that moment: every later record reaches the subscription.
    pub fn subscribe(&self) -> (crate::Subscription, Pos) {
        let _in_order = self.order.lock();
        (self.bus.subscribe(), self.store.newest())
    }
}

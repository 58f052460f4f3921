//! What a record changes in the state. An append and a replay come through here, so that a log that is read again gives
//! the state that wrote it.

use crate::meta::{Chain, SessionMeta, Small, Spot, ViewSpot};
use crate::record::{Kind, Record};
use crate::state::State;
use bytes::Bytes;
use kilo_ports::store::StoreError;
use kilo_protocol::SessionId;

impl State {
    /// Takes note of a record at `spot`; fails, with nothing changed, when the index does.
    pub(crate) fn fold_record(
        &mut self,
        spot: Spot,
        record: &Record<'_>,
    ) -> Result<(), StoreError> {
        if record.kind.is_small() {
            let replaced = self.small(&record.small_key())?;
            self.fold_small(spot, record, replaced);
        } else {
            let id = SessionId::from_wire(record.key);
            self.known(&id)?;
            self.fold_known(&id, spot, record);
        }
        Ok(())
    }

    /// The same for a session whose entry is in memory.
    pub(crate) fn fold_known(&mut self, id: &SessionId, spot: Spot, record: &Record<'_>) {
        self.grow(spot, record);
        let Self {
            sessions,
            slots,
            live_sessions,
            ..
        } = self;
        let Some(known) = sessions.get_mut(id) else {
            return;
        };
        let bytes = record.bytes() as u64;
        let mut dead = |segment: u32, bytes: u64| {
            if let Some(slot) = slots.get_mut(&segment) {
                slot.info.dead += bytes;
                slot.dirty = true;
            }
        };
        let meta = &mut known.meta;
        // Files that were copied or swapped by hand bring records again; the first one read counts.
        let repeated = record.kind.is_entry() && record.seq < meta.next_seq;
        if meta.deleted || repeated {
            dead(spot.segment, bytes);
            return;
        }
        known.dirty = true;
        let existed = meta.exists();
        match record.kind {
            Kind::Tombstone => {
                for chain in meta.chains.drain(..) {
                    dead(chain.segment, chain.bytes);
                }
                if let Some(view) = meta.view.take() {
                    dead(view.spot.segment, view.bytes);
                }
                *meta = SessionMeta {
                    // The number stays, so that a repeated record of the old session is known as one.
                    next_seq: meta.next_seq.max(record.seq + 1),
                    deleted: true,
                    ..Default::default()
                };
            }
            Kind::View => {
                if let Some(old) = meta.view.replace(ViewSpot {
                    seq: record.seq,
                    spot,
                    bytes,
                }) {
                    dead(old.spot.segment, old.bytes);
                }
                // A view has what transient records said: from here on they are only weight for the rewriting.
                for chain in &mut meta.chains {
                    dead(chain.segment, std::mem::take(&mut chain.transient));
                }
                meta.next_seq = meta.next_seq.max(record.seq + 1);
            }
            _ => {
                let transient = if record.kind == Kind::Transient {
                    bytes
                } else {
                    0
                };
                match meta
                    .chains
                    .last_mut()
                    .filter(|chain| chain.segment == spot.segment)
                {
                    Some(chain) => {
                        chain.last = spot.offset;
                        chain.bytes += bytes;
                        chain.transient += transient;
                    }
                    None => meta.chains.push(Chain {
                        segment: spot.segment,
                        last: spot.offset,
                        bytes,
                        transient,
                    }),
                }
                if record.kind == Kind::Head {
                    meta.head = Some(spot);
                }
                meta.next_seq = record.seq + 1;
            }
        }
        *live_sessions = *live_sessions + u64::from(meta.exists()) - u64::from(existed);
    }

    /// The same for a small value that takes the place of `replaced`.
    pub(crate) fn fold_small(&mut self, spot: Spot, record: &Record<'_>, replaced: Option<Small>) {
        self.grow(spot, record);
        if let Some(old) = replaced
            && let Some(slot) = self.slots.get_mut(&old.segment)
        {
            slot.info.dead += u64::from(old.bytes);
            slot.dirty = true;
        }
        let small = (record.kind == Kind::Put).then(|| Small {
            pos: record.pos,
            segment: spot.segment,
            bytes: record.bytes() as u32,
            value: Bytes::copy_from_slice(record.body),
        });
        self.small.insert(record.small_key(), small);
    }

    fn grow(&mut self, spot: Spot, record: &Record<'_>) {
        let bytes = record.bytes() as u64;
        if let Some(slot) = self.slots.get_mut(&spot.segment) {
            slot.info
                .grow(record.pos, spot.offset, u64::from(spot.offset) + bytes);
            slot.dirty = true;
        }
        self.newest = self.newest.max(record.pos);
        self.fresh_bytes += bytes;
        self.changed = true;
    }
}

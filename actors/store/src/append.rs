//! Appending: room for the records, one write, and the fold of what was written.

use crate::folder::{unreadable, write_error};
use crate::meta::{SegmentInfo, Spot};
use crate::record::Record;
use crate::segment::{HEADER_BYTES, Length, Segment, file_name};
use crate::state::{Slot, State};
use kilo_ports::store::StoreError;
use kilo_protocol::SessionId;

/// The encoding buffer shrinks to this after a large append.
const BUFFER_BYTES_KEPT: usize = 256 << 10;

impl State {
    /// Makes sure that `bytes` can be appended to the active segment; returns its number and length.
    pub(crate) fn room(&mut self, bytes: usize) -> Result<(u32, u64), StoreError> {
        if let Some(number) = self.active
            && let Some(slot) = self.slots.get(&number)
        {
            let len = slot.info.len;
            // An append that is larger than a segment gets one of its own.
            if len + bytes as u64 <= self.segment_bytes || len <= HEADER_BYTES {
                return Ok((number, len));
            }
        }
        self.rotate()
    }

    /// Closes the active segment and begins the next.
    pub(crate) fn rotate(&mut self) -> Result<(u32, u64), StoreError> {
        if let Some(active) = self.active {
            // A segment that was cut must not be sealed with the length that it should have.
            self.check_in_place(active)?;
        }
        // Never a number that was used, even by a lost file: its remains may turn up again.
        let number = self.number_max + 1;
        let path = self.log.join(file_name(number, 0));
        let segment = Segment::create(path, number, 0, self.newest + 1).map_err(write_error)?;
        let info = SegmentInfo {
            version: segment.version,
            len: HEADER_BYTES,
            file_bytes: HEADER_BYTES,
            first_pos: self.newest + 1,
            last_pos: self.newest,
            ..SegmentInfo::default()
        };
        // Without its seal a cut of that file is still found through the index, so this is no reason to stop.
        if let Some(old) = self.active.and_then(|number| self.slots.get(&number)) {
            if let Err(error) = old.segment.seal(old.info.len) {
                tracing::warn!(%error, path = %old.segment.path.display(), "segment was not sealed");
            }
            self.unsynced.push(old.segment.clone());
        }
        self.unsynced_names = true;
        self.changed = true;
        self.slots.insert(
            number,
            Slot {
                segment: segment.into(),
                info,
                dirty: true,
            },
        );
        self.number_max = number;
        self.active = Some(number);
        Ok((number, HEADER_BYTES))
    }

    /// Writes records of one session or table at the end of the log: one write, all or nothing. `records` are folded
    /// afterwards; their `back` is set here.
    pub(crate) fn write(
        &mut self,
        id: Option<&SessionId>,
        records: &mut [Record<'_>],
    ) -> Result<(), StoreError> {
        if self.closed {
            return Err(StoreError::Closed);
        }
        // Whatever can fail is done before the write: what is in the log must be folded as well.
        let mut replaced = Vec::new();
        match id {
            Some(id) => drop(self.known(id)?),
            None => {
                for record in records.iter() {
                    replaced.push(self.small(&record.small_key())?);
                }
            }
        }
        let total: usize = records.iter().map(Record::bytes).sum();
        let (number, start) = self.room(total)?;
        let mut previous = id.and_then(|id| self.last_in(id, number));
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        for record in records.iter_mut() {
            let offset = (start + buffer.len() as u64) as u32;
            if record.kind.is_entry() {
                // Within one segment only: a rewriting moves records, and must not have to touch other files.
                record.back = previous.map_or(0, |before| offset - before);
                previous = Some(offset);
            }
            record.encode(&mut buffer);
        }
        // One write for all, at a place that is named: what a failed one left is written over, not behind.
        let written = self.write_bytes(number, start, &buffer);
        // The first record of a segment: from here on the file's absence is a loss.
        self.begun |= written.is_ok() && start == HEADER_BYTES;
        buffer.shrink_to(BUFFER_BYTES_KEPT);
        self.buffer = buffer;
        written?;
        let mut offset = start;
        let mut replaced = replaced.into_iter();
        for record in records.iter() {
            let spot = Spot {
                segment: number,
                offset: offset as u32,
            };
            match id {
                Some(id) => self.fold_known(id, spot, record),
                None => self.fold_small(spot, record, replaced.next().flatten()),
            }
            offset += record.bytes() as u64;
        }
        Ok(())
    }

    /// Closes the log when the active segment is no longer where and what it was.
    fn check_in_place(&mut self, active: u32) -> Result<(), StoreError> {
        let Some(slot) = self.slots.get(&active) else {
            return Err(StoreError::Closed);
        };
        let Err(what) = slot.segment.check_in_place(Length::Exactly(slot.info.len)) else {
            return Ok(());
        };
        self.closed = true;
        let file = slot.segment.path.clone();
        Err(StoreError::Changed { file, what })
    }

    fn write_bytes(&mut self, number: u32, start: u64, bytes: &[u8]) -> Result<(), StoreError> {
        self.check_in_place(number)?;
        let Some(slot) = self.slots.get(&number) else {
            return Err(StoreError::Closed);
        };
        let file = slot
            .segment
            .file()
            .map_err(|source| unreadable(&slot.segment.path, source))?;
        let Err(source) = self.disk.write_at(file, bytes, start) else {
            return Ok(());
        };
        let error = write_error(source);
        // Nothing of it may stay; without that, or after any other fault, the log is not to be trusted with more.
        self.closed = file.set_len(start).is_err() || !matches!(error, StoreError::Full { .. });
        Err(error)
    }
}

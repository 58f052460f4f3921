//! Rewriting a closed segment without its dead records: those of deleted sessions, older views, superseded small values,
//! and transient records that a view covers.
//!
//! Crash-safe: the new generation is written under a temporary name, synced, renamed; then the index learns of it; then
//! the old file goes. A start that finds both generations keeps the one that the index knows.

use crate::disk::Disk;
use crate::folder::{unreadable, write_error};
use crate::meta::{Chain, SegmentInfo, Spot};
use crate::record::{Kind, Record};
use crate::segment::{Found, HEADER_BYTES, Length, Segment, file_name};
use crate::shared::Shared;
use crate::state::{Slot, State};
use kilo_ports::store::{Seq, StoreError};
use kilo_protocol::SessionId;
use std::collections::HashMap;
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

const BUFFER_BYTES: usize = 256 << 10;

/// What is known of a session while a segment is rewritten. Dead things stay dead, so an old answer is a safe one.
#[derive(Clone, Copy, Default)]
struct Keep {
    deleted: bool,
    covered: Option<Seq>,
    view: Option<Spot>,
}

/// A new generation in the making.
struct Rewriting {
    segment: Segment,
    disk: Arc<dyn Disk>,
    buffer: Vec<u8>,
    info: SegmentInfo,
    chains: HashMap<SessionId, Chain>,
    /// New offsets of heads and views by old ones.
    moved: HashMap<u32, u32>,
    keeps: HashMap<SessionId, Keep>,
}

impl Shared {
    /// Rewrites the segments that are worth it; returns how many. Called by the keeper, and by whoever cannot wait.
    pub(crate) fn rewrite_segments(&self) -> Result<u64, StoreError> {
        // Two rewritings would give one segment the same next generation.
        let _one = self.maintenance.lock();
        let mut rewritten = 0;
        for number in self.worth_rewriting() {
            // Between two segments only: one that was begun costs less to finish than to begin again.
            if self.keeper.is_stopped() {
                break;
            }
            rewritten += u64::from(self.rewrite(number)?);
        }
        Ok(rewritten)
    }

    fn worth_rewriting(&self) -> Vec<u32> {
        let broken = self.broken_segments.lock().clone();
        let state = self.state.lock();
        let closed = state
            .slots
            .iter()
            // The active one takes appends while it would be copied.
            .filter(|(number, _)| Some(**number) != state.active);
        let worth = closed
            .filter(|(number, slot)| slot.info.dead * 2 > slot.info.len || broken.contains(number));
        worth.map(|(number, _)| *number).collect()
    }

    fn rewrite(&self, number: u32) -> Result<bool, StoreError> {
        let Some((old, end)) = self.segment(number) else {
            return Ok(false);
        };
        // The folder may have been moved, and another one stand there: nothing is written into that.
        if let Err(what) = old.check_in_place(Length::AtLeast(HEADER_BYTES)) {
            let file = old.path.clone();
            return Err(StoreError::Changed { file, what });
        }
        let is_broken = self.broken_segments.lock().contains(&number);
        let Some(info) = self.info(number) else {
            return Ok(false);
        };
        if !has_room(&self.folders.log, info.len.saturating_sub(info.dead)) {
            tracing::debug!(number, "no room to rewrite a segment");
            return Ok(false);
        }
        let temp = self.folders.log.join(format!("{number:08}.tmp"));
        let _ = fs::remove_file(&temp);
        let mut new = Segment::create(temp, number, old.generation + 1, info.first_pos)
            .map_err(write_error)?;
        new.positions = old.positions;
        let mut work = Rewriting::new(new, info.first_pos, self.options.disk.clone());
        let copied = self.copy_live(&old, end, &mut work);
        // The figures of dead bytes are estimates; what came out is looked at before anything is replaced.
        let is_worth = is_broken || work.info.len * 2 < end.max(1);
        if !matches!(copied, Ok(true)) || !is_worth {
            let _ = fs::remove_file(&work.segment.path);
            self.leave(number, &copied, end, work.info.len);
            return copied.map(|_| false);
        }
        let path = self.folders.log.join(file_name(number, old.generation + 1));
        let finished = work
            .segment
            .seal(work.info.len)
            // Bytes before the name, the name before the index: at no moment does a name stand for what is not on the disk.
            .and_then(|()| work.disk.sync(work.segment.file()?))
            .and_then(|()| {
                fs::rename(&work.segment.path, &path)?;
                work.disk.sync(&File::open(&self.folders.log)?)
            });
        if let Err(source) = finished {
            let _ = fs::remove_file(&work.segment.path);
            return Err(write_error(source));
        }
        work.segment = work.segment.renamed(path);
        self.put_in_place(number, work)?;
        // Only an index on the disk that knows the new generation makes the old one needless.
        self.checkpoint_in_turn()?;
        self.broken_segments.lock().remove(&number);
        if let Err(error) = fs::remove_file(&old.path) {
            tracing::warn!(%error, path = %old.path.display(), "old segment stays");
        }
        Ok(true)
    }

    fn info(&self, number: u32) -> Option<SegmentInfo> {
        let state = self.state.lock();
        state.slots.get(&number).map(|slot| slot.info.clone())
    }

    /// A segment stays as it is. Where the estimate was off, or the file has to stay, it is not to be looked at again
    /// before more of it dies; a disk that was full may have room the next time.
    fn leave(&self, number: u32, copied: &Result<bool, StoreError>, end: u64, live: u64) {
        if matches!(
            copied,
            Err(StoreError::Full { .. } | StoreError::Failed { .. })
        ) {
            return;
        }
        self.broken_segments.lock().remove(&number);
        if let Some(slot) = self.state.lock().slots.get_mut(&number) {
            let dead = match copied {
                Ok(true) => end.saturating_sub(live),
                _ => 0,
            };
            slot.info.dead = dead.min(end / 2);
            slot.dirty = true;
        }
    }

    /// Copies what must stay. False when a broken range has no copy in `damaged/`: then the file must stay as it is.
    fn copy_live(&self, old: &Segment, end: u64, work: &mut Rewriting) -> Result<bool, StoreError> {
        let mut outcome = Ok(true);
        let scanned = old.scan(HEADER_BYTES, end, &mut |found| {
            let kept = match found {
                Found::Record(offset, record) => {
                    self.copy_record(old.number, offset as u32, record, work)
                }
                Found::Bad(offset, _) => {
                    outcome = Ok(self.damages.has_copy(&old.path, offset));
                    Ok(())
                }
            };
            if let Err(error) = kept {
                outcome = Err(error);
            }
            if matches!(outcome, Ok(true)) {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        scanned.map_err(|source| unreadable(&old.path, source))?;
        if matches!(outcome, Ok(true)) {
            work.flush()?;
        }
        outcome
    }

    fn copy_record(
        &self,
        number: u32,
        offset: u32,
        record: Record<'_>,
        work: &mut Rewriting,
    ) -> Result<(), StoreError> {
        if record.kind.is_small() {
            let key = record.small_key();
            let live = self
                .with(|state| state.small(&key))?
                .is_some_and(|small| small.pos == record.pos);
            // A removal stays: an older segment may still hold what it removed.
            return if live || record.kind == Kind::Remove {
                work.copy(None, offset, record)
            } else {
                Ok(())
            };
        }
        let id = SessionId::from_wire(record.key);
        let keep = match work.keeps.get(&id) {
            Some(keep) => *keep,
            None => {
                let keep = self.with(|state| {
                    let meta = &state.known(&id)?.meta;
                    let covered = meta.view.map(|view| view.seq);
                    Ok(Keep {
                        deleted: meta.deleted,
                        covered,
                        view: meta.view.map(|view| view.spot),
                    })
                })?;
                work.keeps.insert(id.clone(), keep);
                keep
            }
        };
        let live = match record.kind {
            // It has to outlive records of the session in segments that are rewritten later.
            Kind::Tombstone => true,
            _ if keep.deleted => false,
            Kind::View => {
                keep.view
                    == Some(Spot {
                        segment: number,
                        offset,
                    })
            }
            Kind::Transient => keep.covered.is_none_or(|covered| record.seq > covered),
            _ => true,
        };
        if live {
            work.copy(Some(id), offset, record)
        } else {
            Ok(())
        }
    }

    /// Makes the new generation the segment: from here on reads go there.
    fn put_in_place(&self, number: u32, work: Rewriting) -> Result<(), StoreError> {
        let Rewriting {
            segment,
            info,
            chains,
            moved,
            keeps,
            ..
        } = work;
        let mut slot = Some(Slot {
            segment: Arc::new(segment),
            info,
            dirty: true,
        });
        self.with(|state| {
            for id in keeps.keys() {
                // Loads every entry first, so that nothing below can fail half-way.
                state.known(id)?;
            }
            // Appends went on meanwhile, so entries are changed where they stand and not replaced by what was read before.
            for id in keeps.keys() {
                let chain = chains.get(id).copied();
                state.change(id, |meta| {
                    if meta.deleted {
                        return;
                    }
                    meta.chains.retain(|chain| chain.segment != number);
                    if let Some(chain) = chain {
                        let at = meta.chains.partition_point(|other| other.segment < number);
                        meta.chains.insert(at, chain);
                    }
                    let spots = meta
                        .head
                        .iter_mut()
                        .chain(meta.view.iter_mut().map(|view| &mut view.spot));
                    for spot in spots.filter(|spot| spot.segment == number) {
                        if let Some(offset) = moved.get(&spot.offset) {
                            spot.offset = *offset;
                        }
                    }
                })?;
            }
            if let Some(slot) = slot.take() {
                tracing::info!(
                    number,
                    before = old_len(state, number),
                    after = slot.info.len,
                    "segment rewritten"
                );
                state.slots.insert(number, slot);
                state.changed = true;
            }
            Ok(())
        })
    }
}

/// Whether a disk has room for so many bytes. Trying would fill it to the brim for everybody else first.
fn has_room(folder: &Path, bytes: u64) -> bool {
    rustix::fs::statvfs(folder)
        .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) > bytes)
}

fn old_len(state: &State, number: u32) -> u64 {
    state.slots.get(&number).map_or(0, |slot| slot.info.len)
}

impl Rewriting {
    fn new(segment: Segment, first_pos: u64, disk: Arc<dyn Disk>) -> Self {
        let info = SegmentInfo {
            generation: segment.generation,
            version: segment.version,
            len: HEADER_BYTES,
            file_bytes: HEADER_BYTES,
            first_pos,
            last_pos: first_pos.saturating_sub(1),
            ..SegmentInfo::default()
        };
        let (chains, moved, keeps) = Default::default();
        Self {
            segment,
            disk,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            info,
            chains,
            moved,
            keeps,
        }
    }

    fn copy(
        &mut self,
        id: Option<SessionId>,
        old_offset: u32,
        mut record: Record<'_>,
    ) -> Result<(), StoreError> {
        let offset = self.info.len as u32;
        let bytes = record.bytes() as u64;
        // Distances are of the old file; what lay between two records is gone.
        record.back = 0;
        if let Some(id) = id.filter(|_| record.kind.is_entry()) {
            let first = Chain {
                segment: self.segment.number,
                last: offset,
                bytes: 0,
                transient: 0,
            };
            let chain = self.chains.entry(id).or_insert(first);
            record.back = offset - chain.last;
            chain.last = offset;
            chain.bytes += bytes;
            chain.transient += if record.kind == Kind::Transient {
                bytes
            } else {
                0
            };
        }
        if matches!(record.kind, Kind::Head | Kind::View) {
            self.moved.insert(old_offset, offset);
        }
        record.encode(&mut self.buffer);
        self.info
            .grow(record.pos, offset, u64::from(offset) + bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let at = self.info.len - self.buffer.len() as u64;
        let written = self
            .segment
            .file()
            .and_then(|file| self.disk.write_at(file, &self.buffer, at));
        self.buffer.clear();
        written.map_err(write_error)
    }
}

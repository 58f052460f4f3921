//! Following the log: every record from a place on is folded into the state, as the append that wrote it did.

use crate::damage::Broken;
use crate::examine::Examiner;
use crate::index::Index;
use crate::meta::{Mark, Spot};
use crate::segment::{Found, HEADER_BYTES};
use crate::state::State;
use kilo_ports::store::StoreError;
use kilo_protocol::SessionId;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Follows the log from a segment and an offset to its end.
pub(crate) fn replay(
    state: &mut State,
    from: (u32, u64),
    broken: &mut Vec<Broken>,
) -> Result<(), StoreError> {
    let numbers: Vec<u32> = state
        .slots
        .range(from.0..)
        .map(|(number, _)| *number)
        .collect();
    for number in numbers {
        let start = if number == from.0 {
            from.1.max(HEADER_BYTES)
        } else {
            HEADER_BYTES
        };
        replay_segment(state, number, start, broken)?;
        if state.is_crowded() {
            spill(state)?;
        }
    }
    Ok(())
}

fn replay_segment(
    state: &mut State,
    number: u32,
    start: u64,
    broken: &mut Vec<Broken>,
) -> Result<(), StoreError> {
    let Some(slot) = state.slots.get(&number) else {
        return Ok(());
    };
    let (segment, end) = (slot.segment.clone(), slot.info.file_bytes);
    let mut examiner = Examiner::new(&segment);
    let mut failed = None;
    let scanned = segment.scan(start, end, &mut |found| {
        let (offset, record) = match found {
            Found::Bad(offset, bytes) => {
                examiner.bad(offset, bytes, "records are damaged");
                return ControlFlow::Continue(());
            }
            Found::Record(offset, record) => (offset, record),
        };
        examiner.record(offset, &record);
        let spot = Spot {
            segment: number,
            offset: offset as u32,
        };
        if record.back == 0 && record.kind.is_entry() && !broken.is_empty() {
            let before = broken.iter_mut().filter(|range| range.number < number);
            blame_gap(state, &SessionId::from_wire(record.key), record.seq, before);
        }
        match state.fold_record(spot, &record) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    if let Err(error) = scanned {
        tracing::warn!(%error, path = %segment.path.display(), "segment cannot be read");
        examiner.bad(start, end.saturating_sub(start), "segment cannot be read");
    }
    broken.append(&mut examiner.broken);
    failed.map_or(Ok(()), Err)
}

/// A session that jumps over numbers after a broken or missing segment has lost records there.
fn blame_gap<'b>(
    state: &mut State,
    id: &SessionId,
    seq: u64,
    before: impl Iterator<Item = &'b mut Broken>,
) {
    let jumps = state
        .known(id)
        .is_ok_and(|known| !known.meta.deleted && known.meta.next_seq < seq);
    if jumps && let Some(nearest) = before.max_by_key(|range| range.number) {
        nearest.sessions.insert(id.clone());
    }
}

/// Writes what a long replay has gathered to the index.
fn spill(state: &mut State) -> Result<(), StoreError> {
    let taken = state.checkpoint();
    let applied = state.index.apply(
        taken.changes,
        Mark {
            segment: 0,
            ..taken.mark
        },
    );
    if let Err(error) = applied {
        state.index_failed = true;
        return Err(StoreError::Unreadable {
            what: "index".into(),
            source: io::Error::other(error),
        });
    }
    state.checkpointed();
    state.changed = true;
    Ok(())
}

/// The emergency: sled is unusable, so the index is made anew from the log, in memory. The next start tries sled again.
pub(crate) fn rebuild_in_memory(
    state: &mut State,
    broken: &mut Vec<Broken>,
) -> Result<(), StoreError> {
    tracing::warn!("index is unusable, making it anew in memory");
    // Dropping a sled that has panicked may hang; it is left alone.
    std::mem::forget(state.index.clone());
    state.start_over(Arc::new(Index::memory()));
    replay(state, (0, 0), broken)
}

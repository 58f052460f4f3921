//! The heads of many sessions at once. A list of a thousand sessions would be a thousand reads; most of its heads lie side
//! by side, because sessions that are made or used one after the other write one after the other.

use crate::record::{self, Parse};
use crate::segment::Segment;
use crate::shared::Shared;
use bytes::Bytes;
use kilo_protocol::SessionId;
use std::sync::Arc;

/// What is read for one head that lies alone: nearly every record is shorter.
const HEAD_BYTES: u64 = 4 << 10;
/// The largest piece that is read at once.
const WINDOW_BYTES_MAX: u64 = 64 << 10;

/// Where a head is.
struct Place {
    /// Of the list's sessions.
    index: usize,
    segment: Arc<Segment>,
    /// Where the segment's file ends.
    end: u64,
    offset: u64,
}

impl Shared {
    /// See [`kilo_ports::store::Store::heads_of`].
    pub(crate) fn heads_of(&self, sessions: &[SessionId]) -> Vec<Option<Bytes>> {
        let mut heads = vec![None; sessions.len()];
        let mut places = self.head_places(sessions);
        places.sort_unstable_by_key(|place| (place.segment.number, place.offset));
        let mut rest = &places[..];
        while !rest.is_empty() {
            let near = near(rest);
            read(sessions, &rest[..near], &mut heads);
            rest = &rest[near..];
        }
        // A segment that was rewritten under way, damage, an odd length: one by one, with all care.
        for (head, session) in heads.iter_mut().zip(sessions) {
            if head.is_none() {
                *head = self.head(session).ok().flatten();
            }
        }
        heads
    }

    fn head_places(&self, sessions: &[SessionId]) -> Vec<Place> {
        let places = self.with(|state| {
            let mut places = Vec::with_capacity(sessions.len());
            for (index, session) in sessions.iter().enumerate() {
                let Ok(Some(spot)) = state.existing(session).map(|meta| meta.head) else {
                    continue;
                };
                if let Some(slot) = state.slots.get(&spot.segment) {
                    places.push(Place {
                        index,
                        segment: Arc::clone(&slot.segment),
                        end: slot.info.file_bytes,
                        offset: spot.offset.into(),
                    });
                }
            }
            Ok(places)
        });
        places.unwrap_or_default()
    }
}

/// How many of these places one read can take in; at least one.
fn near(places: &[Place]) -> usize {
    let Some(first) = places.first() else {
        return 0;
    };
    let fits = |place: &&Place| {
        place.segment.number == first.segment.number
            && place.offset + HEAD_BYTES <= first.offset + WINDOW_BYTES_MAX
    };
    places.iter().take_while(fits).count().max(1)
}

/// Reads these places at once and fills in the heads that are wholly there.
fn read(sessions: &[SessionId], places: &[Place], heads: &mut [Option<Bytes>]) {
    let (Some(first), Some(last)) = (places.first(), places.last()) else {
        return;
    };
    let until = (last.offset + HEAD_BYTES).min(first.end);
    let mut bytes = Vec::new();
    let window = until.saturating_sub(first.offset) as usize;
    if first
        .segment
        .read_at(&mut bytes, first.offset, window)
        .is_err()
    {
        return;
    }
    for place in places {
        let Some(from) = bytes.get((place.offset - first.offset) as usize..) else {
            return;
        };
        let left = place.end.saturating_sub(place.offset);
        if let Parse::Whole(record, _) = record::parse(place.segment.version, from, left)
            && record.key == sessions[place.index].as_str()
            && !record.head.is_empty()
        {
            heads[place.index] = Some(Bytes::copy_from_slice(record.head));
        }
    }
}

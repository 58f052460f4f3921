//! Damage that is found above the store: records and views whose bytes are whole and that their reader does not
//! understand.

use crate::damage::Broken;
use crate::folder::unreadable;
use crate::segment::{Found, HEADER_BYTES, Segment};
use crate::shared::Shared;
use kilo_ports::store::{Pos, Seq, StoreError, Unreadable};
use kilo_protocol::SessionId;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Where a record is, and which of the session's it is.
struct Located {
    segment: Arc<Segment>,
    offset: u64,
    bytes: u64,
    seq: Seq,
}

impl Shared {
    /// See [`kilo_ports::store::Store::report`].
    pub(crate) fn report_unreadable(&self, id: &SessionId, what: Unreadable, why: &str) {
        let found = match what {
            Unreadable::View => self.place_of_view(id),
            Unreadable::Record(pos) => self.place_of(id, pos),
        };
        let name = match (what, &found) {
            (Unreadable::View, Ok(Some(at))) => format!("view up to record {}", at.seq),
            (Unreadable::Record(_), Ok(Some(at))) => format!("record {}", at.seq),
            (Unreadable::View, _) => "view".into(),
            (Unreadable::Record(pos), _) => format!("record at position {pos}"),
        };
        let place = found.unwrap_or_else(|error| {
            tracing::warn!(%error, session = %id, "the place of what cannot be understood was not found");
            None
        });
        let mut broken = Broken {
            file: self.folders.log.clone(),
            sessions: [id.clone()].into(),
            what: format!("{name} of the session cannot be understood: {why}").into(),
            whole: true,
            ..Broken::default()
        };
        if let Some(at) = &place {
            broken.number = at.segment.number;
            broken.file = at.segment.path.clone();
            (broken.offset, broken.bytes, broken.present) = (at.offset, at.bytes, true);
        }
        self.damages
            .report([broken], place.as_ref().map(|at| &*at.segment));
    }

    fn place_of_view(&self, id: &SessionId) -> Result<Option<Located>, StoreError> {
        let view = self.with(|state| Ok(state.existing(id)?.view))?;
        Ok(view.and_then(|view| {
            let (segment, _) = self.segment(view.spot.segment)?;
            Some(Located {
                segment,
                offset: u64::from(view.spot.offset),
                bytes: view.bytes,
                seq: view.seq,
            })
        }))
    }

    fn place_of(&self, id: &SessionId, pos: Pos) -> Result<Option<Located>, StoreError> {
        let near = {
            let state = self.state.lock();
            let slot = state.slots.values().find(|slot| slot.info.last_pos >= pos);
            slot.map(|slot| {
                let from = slot.info.floor(pos, HEADER_BYTES);
                (slot.segment.clone(), from, slot.info.file_bytes)
            })
        };
        let Some((segment, from, end)) = near else {
            return Ok(None);
        };
        let mut place = None;
        let scanned = segment.scan(from, end, &mut |found| {
            let Found::Record(offset, record) = found else {
                return ControlFlow::Continue(());
            };
            if record.pos == pos && record.kind.is_entry() && record.key == id.as_str() {
                place = Some((offset, record.bytes() as u64, record.seq));
            }
            // Views have the position of the record before them.
            if record.pos > pos || place.is_some() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        scanned.map_err(|error| unreadable(&segment.path, error))?;
        Ok(place.map(|(offset, bytes, seq)| Located {
            segment,
            offset,
            bytes,
            seq,
        }))
    }
}

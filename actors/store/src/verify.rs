//! Looking through segments for what is broken, while the store is open.

use crate::damage::Broken;
use crate::examine::{Examiner, blame, examine};
use crate::meta::Spot;
use crate::shared::Shared;
use kilo_ports::store::{Damage, StoreError};
use kilo_protocol::SessionId;

impl Shared {
    /// Reads all segments and reports what is broken. One window of a segment is in memory at a time (256 KiB, or a record
    /// that is longer).
    pub(crate) fn verify(&self) -> Result<Vec<Damage>, StoreError> {
        let numbers: Vec<u32> = self.state.lock().slots.keys().copied().collect();
        for number in numbers {
            self.verify_segment(number);
        }
        Ok(self.damages.open_reports())
    }

    /// Reads one segment, reports what is broken, and returns whether anything is. A segment that cannot be read at all
    /// is broken as a whole.
    pub(crate) fn verify_segment(&self, number: u32) -> bool {
        let Some((segment, end)) = self.segment(number) else {
            return true;
        };
        let mut broken = match examine(&segment, end) {
            Ok(broken) if broken.is_empty() => return false,
            Ok(broken) => broken,
            Err(error) => {
                tracing::warn!(%error, path = %segment.path.display(), "segment cannot be read");
                let mut examiner = Examiner::new(&segment);
                examiner.bad(0, end, "segment cannot be read");
                examiner.broken
            }
        };
        let named = self
            .with(|state| state.each_session(&mut |id, meta| blame(number, &mut broken, id, meta)));
        if let Err(error) = named {
            tracing::warn!(%error, "damage reports may name fewer sessions");
        }
        self.broken_segments.lock().insert(number);
        self.damages.report(broken, Some(&segment));
        self.keeper.soon();
        true
    }

    /// The index has a record of a session where none is. With a broken segment that is no wonder; with a whole one the
    /// file is not the one that was indexed, or the index is wrong: that is reported, and the index made anew from what
    /// is there. Returns whether it was.
    pub(crate) fn distrust_index(&self, id: &SessionId, spot: Spot) -> Result<bool, StoreError> {
        if self.verify_segment(spot.segment) {
            return Ok(false);
        }
        let Some((segment, _)) = self.segment(spot.segment) else {
            return Ok(false);
        };
        // An index that was made anew for it already is as right as it gets: its reader takes what it finds.
        let known = (segment.number, segment.generation);
        if !self.distrusted.lock().insert(known) {
            return Ok(false);
        }
        let mismatch = Broken {
            number: spot.segment,
            file: segment.path.clone(),
            offset: u64::from(spot.offset),
            sessions: [id.clone()].into(),
            what: "records are not where the index has them; the segment may be another one".into(),
            ..Broken::default()
        };
        self.damages.report([mismatch.lasting()], None);
        self.state.lock().index_failed = true;
        self.with(|_| Ok(true))
    }
}

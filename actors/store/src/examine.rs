//! Finding broken ranges, and whose records were in them.

use crate::damage::{Broken, SESSIONS_MAX};
use crate::meta::SessionMeta;
use crate::record::Record;
use crate::segment::{Found, HEADER_BYTES, Segment};
use kilo_protocol::SessionId;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Ranges that are told apart in one segment. A file of noise has any number of them; what comes after is one with the
/// last, and keeps its file from being rewritten.
const RANGES_MAX: usize = 100;

/// Collects the broken ranges of one segment while somebody walks it, in order.
pub(crate) struct Examiner {
    number: u32,
    file: PathBuf,
    pub(crate) broken: Vec<Broken>,
}

impl Examiner {
    pub(crate) fn new(segment: &Segment) -> Self {
        Self {
            number: segment.number,
            file: segment.path.clone(),
            broken: Vec::new(),
        }
    }

    /// A range that holds no record, behind those before.
    pub(crate) fn bad(&mut self, offset: u64, bytes: u64, what: &'static str) {
        if self.broken.len() >= RANGES_MAX
            && let Some(last) = self.broken.last_mut()
        {
            last.bytes = offset + bytes - last.offset;
            return;
        }
        let (number, file) = (self.number, self.file.clone());
        self.broken.push(Broken {
            number,
            file,
            offset,
            bytes,
            what: what.into(),
            present: true,
            ..Broken::default()
        });
    }

    /// A whole record. If the one that it points back to is in a broken range, its session has lost something.
    pub(crate) fn record(&mut self, offset: u64, record: &Record<'_>) {
        if self.broken.is_empty() || record.back == 0 {
            return;
        }
        let before = offset.saturating_sub(u64::from(record.back));
        blame_at(&mut self.broken, before, || {
            SessionId::from_wire(record.key)
        });
    }
}

/// The session that `whose` names has lost the record at `offset`, if that is in a broken range. The ranges are one
/// segment's, in order.
fn blame_at(broken: &mut [Broken], offset: u64, whose: impl FnOnce() -> SessionId) {
    let after = broken.partition_point(|range| range.offset <= offset);
    let range = after.checked_sub(1).and_then(|at| broken.get_mut(at));
    if let Some(range) = range.filter(|range| offset < range.offset + range.bytes)
        && range.sessions.len() < SESSIONS_MAX
    {
        range.sessions.insert(whose());
    }
}

/// Names a session in the segment's broken ranges if its last record there was in one, as far as an index knows.
pub(crate) fn blame(number: u32, broken: &mut [Broken], id: &SessionId, meta: &SessionMeta) {
    for chain in meta.chains.iter().filter(|chain| chain.segment == number) {
        blame_at(broken, u64::from(chain.last), || id.clone());
    }
}

/// The broken ranges of a segment up to `end`.
pub(crate) fn examine(segment: &Segment, end: u64) -> io::Result<Vec<Broken>> {
    let mut examiner = Examiner::new(segment);
    if segment.header()?.is_none() {
        examiner.bad(0, HEADER_BYTES.min(end), "segment header is damaged");
    }
    segment.scan(HEADER_BYTES, end, &mut |found| {
        match found {
            Found::Record(offset, record) => examiner.record(offset, &record),
            Found::Bad(offset, bytes) => examiner.bad(offset, bytes, "records are damaged"),
        }
        ControlFlow::Continue(())
    })?;
    Ok(examiner.broken)
}

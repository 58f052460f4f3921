//! Finding broken ranges, and whose records were in them.

use crate::damage::Broken;
use crate::meta::SessionMeta;
use crate::record::Record;
use crate::segment::{Found, HEADER_BYTES, Segment};
use kilo_protocol::SessionId;
use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Collects the broken ranges of one segment while somebody walks it.
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

    /// A range that holds no record.
    pub(crate) fn bad(&mut self, offset: u64, bytes: u64, what: &'static str) {
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
        for broken in self
            .broken
            .iter_mut()
            .filter(|b| (b.offset..b.offset + b.bytes).contains(&before))
        {
            broken.sessions.insert(SessionId::from_wire(record.key));
        }
    }
}

/// Adds the sessions whose last record of a segment was in a broken range, as far as an index knows.
pub(crate) fn blame(broken: &mut [Broken], sessions: &BTreeMap<SessionId, SessionMeta>) {
    for range in broken {
        for (id, meta) in sessions {
            let inside = |offset: u32| {
                (range.offset..range.offset + range.bytes).contains(&u64::from(offset))
            };
            if meta
                .chains
                .iter()
                .any(|chain| chain.segment == range.number && inside(chain.last))
            {
                range.sessions.insert(id.clone());
            }
        }
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

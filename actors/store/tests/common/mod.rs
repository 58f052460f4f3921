//! A log whose every record's place is known, copies of it, and what must be said of a damaged one.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(dead_code, reason = "each test target uses its part")]

use bytes::Bytes;
use kilo_ports::store::{Store, StoreError};
use kilo_ports::suite::store::{Dice, headed, plain, session, transient};
use kilo_protocol::SessionId;
use kilo_store::{LogStore, Options};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

pub const SESSIONS: u64 = 12;
const HEADER_BYTES: u64 = 64;
const RECORD_HEAD_BYTES: usize = 44;

/// One record as it was appended, and where it is.
pub struct Known {
    pub session: SessionId,
    pub seq: u64,
    pub body: Bytes,
    pub file: String,
    pub start: u64,
    pub end: u64,
}

/// A closed store.
pub struct Sample {
    pub folder: PathBuf,
    pub records: Vec<Known>,
    pub epoch: u64,
}

pub fn options(folder: &Path, segment_bytes: u64) -> Options {
    Options {
        segment_bytes,
        verify_newest: false,
        ..Options::new(folder, 1)
    }
}

/// A temporary folder in memory where there is such a place.
pub fn fast_temp() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

impl Sample {
    pub fn make(folder: PathBuf, segment_bytes: u64, log_bytes: u64) -> Self {
        Self::make_seeded(folder, segment_bytes, log_bytes, 77)
    }

    pub fn make_seeded(folder: PathBuf, segment_bytes: u64, log_bytes: u64, seed: u64) -> Self {
        let store = LogStore::open(options(&folder, segment_bytes)).unwrap();
        let mut dice = Dice::new(seed);
        let (mut records, mut next) = (Vec::new(), BTreeMap::new());
        let (mut file, mut offset, mut total) = (1, HEADER_BYTES, 0);
        while total < log_bytes {
            let id = session(dice.below(SESSIONS));
            let seq = next.entry(id.clone()).or_insert(0_u64);
            let text = "x".repeat(dice.below(600) as usize);
            let body: Bytes = format!("{id} {seq} {text}").into();
            let entry = match dice.below(4) {
                _ if *seq == 0 => headed(body.clone(), "first head"),
                0 => headed(body.clone(), format!("head {seq}")),
                1 => transient(body.clone()),
                _ => plain(body.clone()),
            };
            let head_bytes = entry.head.as_ref().map_or(0, Bytes::len);
            let bytes = (RECORD_HEAD_BYTES + id.as_str().len() + head_bytes + body.len()) as u64;
            if offset + bytes > segment_bytes {
                (file, offset) = (file + 1, HEADER_BYTES);
            }
            assert_eq!(store.append(&id, 5, &[entry]).unwrap().first_seq, *seq);
            let name = format!("{file:08}-0000.seg");
            records.push(Known {
                session: id,
                seq: *seq,
                body,
                file: name,
                start: offset,
                end: offset + bytes,
            });
            (offset, total) = (offset + bytes, total + bytes);
            *seq += 1;
        }
        let epoch = store.epoch();
        drop(store);
        for file in records
            .iter()
            .map(|record| &record.file)
            .collect::<BTreeSet<_>>()
        {
            let end = records
                .iter()
                .filter(|record| record.file == *file)
                .map(|record| record.end)
                .max()
                .unwrap();
            assert_eq!(
                fs::metadata(folder.join("log").join(file)).unwrap().len(),
                end,
                "the test's own book-keeping"
            );
        }
        Self {
            folder,
            records,
            epoch,
        }
    }

    /// Copies the folder to `to`, replacing what is there.
    pub fn copy(&self, to: &Path) {
        let _ = fs::remove_dir_all(to);
        copy_folder(&self.folder, to);
    }

    /// Opens a damaged copy, reads all of it, and checks the promises: whole records are kept (`kept` says which must
    /// be), nothing is invented, and nothing is missing without a report.
    pub fn check(
        &self,
        folder: &Path,
        segment_bytes: u64,
        kept: impl Fn(&Known) -> bool,
        context: &str,
    ) -> Outcome {
        let store = LogStore::open(options(folder, segment_bytes))
            .unwrap_or_else(|e| panic!("{context}: {e}"));
        let mut found = BTreeMap::new();
        for number in 0..SESSIONS {
            let log = match store.load(&session(number)) {
                Ok(log) => log,
                Err(StoreError::NoSession(_)) => continue,
                Err(error) => panic!("{context}: {error}"),
            };
            assert!(
                log.tail.is_sorted_by(|a, b| a.seq < b.seq && a.pos < b.pos),
                "{context}: order"
            );
            for stored in log.tail {
                found.insert((stored.session, stored.seq), stored.body);
            }
        }
        let mut missing = 0;
        for record in &self.records {
            match found.remove(&(record.session.clone(), record.seq)) {
                Some(body) => assert!(
                    body == record.body,
                    "{context}: {} {} differs",
                    record.session,
                    record.seq
                ),
                None => {
                    assert!(
                        !kept(record),
                        "{context}: {} {} in {} is lost",
                        record.session,
                        record.seq,
                        record.file
                    );
                    missing += 1;
                }
            }
        }
        assert!(found.is_empty(), "{context}: records that nobody appended");
        let mut heads = 0;
        store.heads(&mut |_, _| heads += 1).unwrap();
        let in_order = store.after(0, usize::MAX).unwrap();
        assert!(
            in_order.is_sorted_by(|a, b| a.pos < b.pos),
            "{context}: order of positions"
        );
        assert_eq!(
            in_order.len(),
            self.records.len() - missing,
            "{context}: both ways of reading agree"
        );
        let damage = store.damage();
        assert!(
            missing == 0 || !damage.is_empty(),
            "{context}: {missing} records are missing without a word"
        );
        let outcome = Outcome {
            missing,
            epoch: store.epoch(),
            heads,
            reports: damage.len(),
        };
        let named: BTreeSet<_> = damage
            .into_iter()
            .flat_map(|damage| damage.sessions)
            .collect();
        for id in named {
            assert!(
                self.records.iter().any(|record| record.session == id),
                "{context}: {id} was never there"
            );
        }
        let next = store
            .append(&session(1), 9, &[plain("goes on")])
            .unwrap_or_else(|e| panic!("{context}: {e}"));
        assert!(
            in_order.last().is_none_or(|last| last.pos < next.first_pos),
            "{context}"
        );
        outcome
    }
}

/// What a damaged store was like.
pub struct Outcome {
    pub missing: usize,
    pub epoch: u64,
    pub heads: usize,
    pub reports: usize,
}

pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

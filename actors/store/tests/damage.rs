//! Torn, garbled, emptied and missing files: the store opens, keeps every whole record, and says what is gone.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Sample, fast_temp, options};
use kilo_ports::store::Store;
use kilo_ports::suite::store::Dice;
use kilo_store::LogStore;
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

const SEGMENT_BYTES: u64 = 64 << 20;
const SMALL_SEGMENT_BYTES: u64 = 24 << 10;

#[allow(
    clippy::disallowed_methods,
    reason = "a switch for a longer run by hand"
)]
fn switch(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn cut(file: &Path, bytes: u64) {
    OpenOptions::new()
        .write(true)
        .open(file)
        .unwrap()
        .set_len(bytes)
        .unwrap();
}

/// Every record boundary of the last 64 KiB, two bytes around it, and a stride; `KILO_EVERY_CUT=1` takes all 65,536.
#[test]
fn every_cut_of_the_end_is_reported_and_keeps_what_is_whole() {
    let temp = fast_temp();
    let sample = Sample::make(temp.path().join("sample"), SEGMENT_BYTES, 80 << 10);
    let end = sample.records.last().unwrap().end;
    let from = end - (64 << 10);
    let mut cuts: BTreeSet<u64> = (from..end)
        .step_by(if switch("KILO_EVERY_CUT").is_some() {
            1
        } else {
            331
        })
        .collect();
    for record in sample.records.iter().filter(|record| record.end > from) {
        cuts.extend((record.end - 2..=record.end + 2).filter(|cut| *cut < end));
    }
    let copy = temp.path().join("copy");
    for (number, cut_at) in cuts.into_iter().enumerate() {
        sample.copy(&copy);
        cut(&copy.join("log/00000001-0000.seg"), cut_at);
        if number % 4 == 0 {
            fs::remove_dir_all(copy.join("index")).unwrap();
        }
        let context = format!("cut at {cut_at}");
        let outcome = sample.check(
            &copy,
            SEGMENT_BYTES,
            |record| record.end <= cut_at,
            &context,
        );
        assert!(outcome.missing > 0 && outcome.reports > 0, "{context}");
        assert_ne!(
            outcome.epoch, sample.epoch,
            "{context}: old positions must not be taken for new records"
        );
        assert!(outcome.heads > 0, "{context}");
    }
}

/// `KILO_GARBLINGS` sets another number than 1,000.
#[test]
fn a_thousand_garblings_are_harmless_or_reported() {
    let temp = fast_temp();
    let sample = Sample::make(temp.path().join("sample"), SMALL_SEGMENT_BYTES, 90 << 10);
    let rounds = switch("KILO_GARBLINGS")
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_000);
    let copy = temp.path().join("copy");
    for seed in 1..=rounds {
        sample.copy(&copy);
        let garbled = garble(&copy, seed);
        let context = format!("seed {seed}: {}", garbled.what);
        let kept = |record: &common::Known| {
            record.file != garbled.file
                || record.end <= garbled.range.start
                || record.start >= garbled.range.end
        };
        sample.check(&copy, SMALL_SEGMENT_BYTES, kept, &context);
    }
}

struct Garbled {
    what: String,
    file: String,
    range: std::ops::Range<u64>,
}

fn garble(folder: &Path, seed: u64) -> Garbled {
    let mut dice = Dice::new(seed);
    let mut files: Vec<_> = fs::read_dir(folder.join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    if dice.below(4) == 0 {
        files = vec![
            folder.join("index/db"),
            folder.join("index/conf"),
            folder.join("state"),
        ];
        let index = fs::read_dir(folder.join("index"))
            .unwrap()
            .map(|entry| entry.unwrap().path());
        files.extend(index.filter(|path| path.is_file()));
    }
    let path = files.swap_remove(dice.below(files.len() as u64) as usize);
    let mut bytes = fs::read(&path).unwrap();
    let len = bytes.len() as u64;
    let start = dice.below(len);
    let end = (start + 1 + dice.below(3_000)).min(len);
    let (at, to) = (start as usize, end as usize);
    let (kind, range) = match dice.below(7) {
        0 => {
            bytes[at] ^= 1 << dice.below(8);
            ("one bit flipped", start..start + 1)
        }
        1 => {
            bytes[at..to].fill(0);
            ("zeroes", start..end)
        }
        2 => {
            bytes[at..to].fill_with(|| dice.below(256) as u8);
            ("noise", start..end)
        }
        3 => {
            let noise: Vec<u8> = (0..1 + dice.below(200))
                .map(|_| dice.below(256) as u8)
                .collect();
            bytes.splice(at..at, noise);
            ("bytes inserted", start.saturating_sub(1)..start + 1)
        }
        4 => {
            bytes.drain(at..to);
            ("bytes removed", start..end)
        }
        5 => {
            bytes.truncate(at);
            ("cut", start..u64::MAX)
        }
        _ => {
            bytes.clear();
            ("emptied", 0..u64::MAX)
        }
    };
    fs::write(&path, &bytes).unwrap();
    if dice.below(40) == 0 {
        fs::remove_file(&path).unwrap();
    }
    let range = if path.exists() { range } else { 0..u64::MAX };
    let file = path.file_name().unwrap().to_str().unwrap().to_owned();
    Garbled {
        what: format!("{kind} in {} at {range:?}", path.display()),
        file,
        range,
    }
}

#[test]
fn missing_segments_are_reported_until_acknowledged() {
    let temp = fast_temp();
    let sample = Sample::make(temp.path().join("sample"), SMALL_SEGMENT_BYTES, 90 << 10);
    for with_index in [true, false] {
        for gone in [
            "00000001-0000.seg",
            "00000002-0000.seg",
            "00000004-0000.seg",
        ] {
            let copy = temp.path().join("copy");
            sample.copy(&copy);
            fs::remove_file(copy.join("log").join(gone)).unwrap();
            if !with_index {
                fs::remove_dir_all(copy.join("index")).unwrap();
            }
            let context = format!("{gone} gone, index {with_index}");
            let outcome = sample.check(
                &copy,
                SMALL_SEGMENT_BYTES,
                |record| record.file != gone,
                &context,
            );
            assert_eq!(
                (outcome.missing > 0, outcome.reports),
                (true, 1),
                "{context}"
            );
            assert_eq!(
                outcome.epoch != sample.epoch,
                gone.starts_with("00000004"),
                "{context}"
            );
            let store = LogStore::open(options(&copy, SMALL_SEGMENT_BYTES)).unwrap();
            let report = store.damage().remove(0);
            if with_index {
                let lost = sample.records.iter().filter(|record| record.file == gone);
                let lost: BTreeSet<_> = lost.map(|record| record.session.clone()).collect();
                assert_eq!(
                    report.sessions.into_iter().collect::<BTreeSet<_>>(),
                    lost,
                    "{context}"
                );
            }
            store.acknowledge_damage();
            drop(store);
            let store = LogStore::open(options(&copy, SMALL_SEGMENT_BYTES)).unwrap();
            assert!(store.damage().is_empty(), "{context}");
            assert_eq!(
                store.epoch(),
                outcome.epoch,
                "{context}: only a new loss changes it"
            );
        }
    }
}

#[test]
fn a_log_that_is_gone_is_not_a_fresh_start() {
    let temp = fast_temp();
    let sample = Sample::make(temp.path().join("sample"), SMALL_SEGMENT_BYTES, 60 << 10);
    for also in ["", "index", "state"] {
        let copy = temp.path().join("copy");
        sample.copy(&copy);
        fs::remove_dir_all(copy.join("log")).unwrap();
        let _ = fs::remove_dir_all(copy.join(also)).or_else(|_| fs::remove_file(copy.join(also)));
        if also.is_empty() {
            sample.copy(&copy);
            fs::remove_dir_all(copy.join("log")).unwrap();
        }
        let outcome = sample.check(
            &copy,
            SMALL_SEGMENT_BYTES,
            |_| false,
            &format!("log and {also:?} gone"),
        );
        assert!(outcome.reports > 0 && outcome.epoch != sample.epoch);
    }
}

#[test]
fn a_bad_range_is_set_aside_named_and_healed() {
    let temp = fast_temp();
    let sample = Sample::make(temp.path().join("sample"), SMALL_SEGMENT_BYTES, 60 << 10);
    let hit = sample
        .records
        .iter()
        .position(|record| record.file.starts_with("00000002"))
        .unwrap()
        + 10;
    let hit = &sample.records[hit];
    let path = sample.folder.join("log").join(&hit.file);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"?????", hit.start + 60).unwrap();
    let store = LogStore::open(options(&sample.folder, SMALL_SEGMENT_BYTES)).unwrap();
    assert_eq!(store.epoch(), sample.epoch);
    let reports = store.verify().unwrap();
    assert_eq!(reports.len(), 1);
    let report = &reports[0];
    assert_eq!(
        (report.offset, report.bytes),
        (hit.start, hit.end - hit.start)
    );
    assert_eq!(report.sessions, vec![hit.session.clone()]);
    let copy = fs::read(report.set_aside.as_ref().unwrap()).unwrap();
    assert_eq!(
        (copy.len() as u64, &copy[60..65]),
        (report.bytes, b"?????".as_slice())
    );
    store.rewrite_segments().unwrap();
    assert!(
        !path.exists(),
        "the segment got a new generation without the bad range"
    );
    let tail = store.load(&hit.session).unwrap().tail;
    assert!(tail.iter().all(|stored| stored.seq != hit.seq));
    let own = sample
        .records
        .iter()
        .filter(|record| record.session == hit.session)
        .count();
    assert_eq!(tail.len(), own - 1);
    drop(store);
    let store = LogStore::open(options(&sample.folder, SMALL_SEGMENT_BYTES)).unwrap();
    assert_eq!(
        store.verify().unwrap(),
        reports,
        "said once, and until it is acknowledged"
    );
}

#[test]
fn a_segment_of_a_newer_version_is_left_alone() {
    let temp = fast_temp();
    let sample = Sample::make(temp.path().join("sample"), SEGMENT_BYTES, 1 << 10);
    let path = sample.folder.join("log/00000001-0000.seg");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 2;
    let crc = crc32fast::hash(&bytes[..60]).to_le_bytes();
    bytes[60..64].copy_from_slice(&crc);
    fs::write(&path, &bytes).unwrap();
    fs::remove_dir_all(sample.folder.join("index")).unwrap();
    assert!(LogStore::open(options(&sample.folder, SEGMENT_BYTES)).is_err());
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

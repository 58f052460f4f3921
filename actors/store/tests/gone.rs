//! Files of the log that are gone, cut, replaced or out of order at a start: nothing that a witness is left of is
//! missing without a word.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Known, Sample, copy_folder, fast_temp, options};
use kilo_ports::store::Store;
use kilo_ports::suite::store::{headed, plain, session};
use kilo_store::LogStore;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const SEGMENT_BYTES: u64 = 24 << 10;

/// What is done to a data folder, and how.
type Harm<'a> = (&'a str, &'a dyn Fn(&Path));

fn segment(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("log/{number:08}-0000.seg"))
}

fn cut(file: &Path, bytes: u64) {
    let file = OpenOptions::new().write(true).open(file).unwrap();
    file.set_len(bytes).unwrap();
}

fn remove(path: &Path) {
    let _ = fs::remove_dir_all(path).or_else(|_| fs::remove_file(path));
}

/// What is left to bear witness.
const WITNESSES: [&[&str]; 5] = [
    &[],
    &["index"],
    &["state"],
    &["index", "state"],
    &["index", "state", "lock"],
];

/// Does `harm` to copies of the sample, each with other witnesses gone, and checks that every loss is reported.
fn every_loss_is_reported(sample: &Sample, what: &str, harm: &dyn Fn(&Path)) {
    let temp = fast_temp();
    for gone in WITNESSES {
        let copy = temp.path().join("copy");
        sample.copy(&copy);
        harm(&copy);
        gone.iter().for_each(|name| remove(&copy.join(name)));
        let context = format!("{what}, {gone:?} gone too");
        let outcome = sample.check(&copy, SEGMENT_BYTES, |_| false, &context);
        assert!(outcome.missing > 0, "{context}: no harm was done");
        // The second start finds the same, and nothing new.
        drop(LogStore::open(options(&copy, SEGMENT_BYTES)).unwrap());
        remove(&copy.join("index"));
        let again = LogStore::open(options(&copy, SEGMENT_BYTES)).unwrap();
        assert_eq!(again.damage().len(), outcome.reports, "{context}: again");
        assert_eq!(again.epoch(), outcome.epoch, "{context}: again");
    }
}

fn sample(temp: &Path) -> Sample {
    let sample = Sample::make(temp.join("sample"), SEGMENT_BYTES, 90 << 10);
    assert_eq!(fs::read_dir(sample.folder.join("log")).unwrap().count(), 4);
    sample
}

#[test]
fn a_segment_that_is_gone_is_reported() {
    let temp = fast_temp();
    let sample = sample(temp.path());
    for number in 1..=4 {
        every_loss_is_reported(&sample, &format!("{number} removed"), &|folder| {
            fs::remove_file(segment(folder, number)).unwrap();
        });
    }
}

#[test]
fn a_segment_that_was_cut_is_reported_wherever_the_cut_is() {
    let temp = fast_temp();
    let sample = sample(temp.path());
    for number in 1..=4 {
        let name = format!("{number:08}-0000.seg");
        let own: Vec<&Known> = sample.records.iter().filter(|r| r.file == name).collect();
        let boundaries = [0, own.len() / 2, own.len() - 2].map(|at| own[at].end);
        for bytes in [0, 1, 40, 63, 64, 65].into_iter().chain(boundaries) {
            every_loss_is_reported(&sample, &format!("{number} cut to {bytes}"), &|folder| {
                cut(&segment(folder, number), bytes);
            });
        }
    }
}

#[test]
fn a_log_that_is_gone_as_a_whole_is_not_an_empty_history() {
    let temp = fast_temp();
    let sample = sample(temp.path());
    for gone in WITNESSES.iter().take(4) {
        for also_folder in [true, false] {
            let copy = temp.path().join("copy");
            sample.copy(&copy);
            remove(&copy.join("log"));
            if !also_folder {
                fs::create_dir(copy.join("log")).unwrap();
            }
            gone.iter().for_each(|name| remove(&copy.join(name)));
            let context = format!("log and {gone:?} gone");
            let outcome = sample.check(&copy, SEGMENT_BYTES, |_| false, &context);
            assert!(outcome.reports > 0, "{context}");
            assert_ne!(outcome.epoch, sample.epoch, "{context}");
        }
    }
}

#[test]
fn a_segment_that_was_replaced_is_reported() {
    let temp = fast_temp();
    let sample = sample(temp.path());
    let other = Sample::make_seeded(temp.path().join("other"), SEGMENT_BYTES, 90 << 10, 5);
    for number in 1..=4 {
        let harm: [Harm<'_>; 5] = [
            ("a link", &|folder| {
                fs::rename(segment(folder, number), folder.join("elsewhere")).unwrap();
                symlink(folder.join("elsewhere"), segment(folder, number)).unwrap();
            }),
            ("a link to nothing", &|folder| {
                fs::remove_file(segment(folder, number)).unwrap();
                symlink("/nowhere", segment(folder, number)).unwrap();
            }),
            ("a folder", &|folder| {
                fs::remove_file(segment(folder, number)).unwrap();
                fs::create_dir(segment(folder, number)).unwrap();
            }),
            ("another segment's copy", &|folder| {
                let other = segment(folder, number % 4 + 1);
                fs::copy(other, segment(folder, number)).unwrap();
            }),
            ("noise", &|folder| {
                fs::write(segment(folder, number), vec![0xC5; 20_000]).unwrap();
            }),
        ];
        for (what, harm) in harm {
            every_loss_is_reported(&sample, &format!("{number} is {what}"), harm);
        }
        // Another data folder's segment of the same number is whole and well-formed; only the index can tell.
        for longer in [false, true] {
            let copy = temp.path().join("copy");
            sample.copy(&copy);
            let bytes = fs::metadata(segment(&copy, number)).unwrap().len();
            fs::copy(segment(&other.folder, number), segment(&copy, number)).unwrap();
            if !longer {
                cut(&segment(&copy, number), bytes);
            }
            let store = LogStore::open(options(&copy, SEGMENT_BYTES)).unwrap();
            for own in 0..common::SESSIONS {
                // Some losses are found by the reading.
                let _ = store.load(&session(own));
            }
            assert!(!store.damage().is_empty(), "{number} from another folder");
        }
    }
}

#[test]
fn segments_that_were_renamed_are_read_by_their_headers() {
    let temp = fast_temp();
    let sample = sample(temp.path());
    let orders: [&[u32]; 3] = [&[2, 1, 3, 4], &[4, 3, 2, 1], &[2, 3, 4, 1]];
    for order in orders {
        let copy = temp.path().join("copy");
        sample.copy(&copy);
        for (from, to) in (1..).zip(order) {
            let aside = segment(&copy, *to).with_extension("aside");
            fs::rename(segment(&copy, from), aside).unwrap();
        }
        for to in order {
            let aside = segment(&copy, *to).with_extension("aside");
            fs::rename(aside, segment(&copy, *to)).unwrap();
        }
        let outcome = sample.check(&copy, SEGMENT_BYTES, |_| true, &format!("{order:?}"));
        assert_eq!((outcome.missing, outcome.reports), (0, 0), "{order:?}");
    }
}

#[test]
fn stray_files_beside_the_segments_harm_nothing() {
    let temp = fast_temp();
    let sample = sample(temp.path());
    let log = sample.folder.join("log");
    for name in ["4294967295-0000.seg", "00000000-0000.seg", "x.seg", "notes"] {
        fs::write(log.join(name), b"stray").unwrap();
    }
    symlink("/nowhere", log.join("99999999-0000.seg")).unwrap();
    let outcome = sample.check(&sample.folder, SEGMENT_BYTES, |_| true, "strays");
    assert_eq!((outcome.missing, outcome.reports), (0, 0));
}

/// The first second of a data folder: no checkpoint has come, the index knows nothing.
#[test]
fn a_log_that_is_lost_in_its_first_second_is_reported() {
    let temp = fast_temp();
    let store = LogStore::open(options(&temp.path().join("data"), SEGMENT_BYTES)).unwrap();
    store.append(&session(1), 1, &[headed("a", "h")]).unwrap();
    store.append(&session(1), 1, &[plain("b")]).unwrap();
    let harms: [Harm<'_>; 4] = [
        ("removed", &|copy| {
            fs::remove_file(segment(copy, 1)).unwrap()
        }),
        ("folder removed", &|copy| remove(&copy.join("log"))),
        ("emptied", &|copy| cut(&segment(copy, 1), 0)),
        ("cut to its header", &|copy| cut(&segment(copy, 1), 64)),
    ];
    for (what, harm) in harms {
        let copy = temp.path().join("copy");
        remove(&copy);
        copy_folder(&temp.path().join("data"), &copy);
        harm(&copy);
        let killed = LogStore::open(options(&copy, SEGMENT_BYTES)).unwrap();
        assert!(killed.load(&session(1)).is_err());
        assert!(!killed.damage().is_empty(), "{what}");
        assert_ne!(killed.epoch(), store.epoch(), "{what}");
        let next = killed.append(&session(2), 1, &[plain("c")]).unwrap();
        assert!(next.first_pos > 1, "{what}: positions are not used twice");
    }
}

/// What was promised to be on the disk is expected to be there, index or not.
#[tokio::test]
async fn what_was_synced_is_missed_at_the_next_start() {
    let temp = fast_temp();
    let store = LogStore::open(options(&temp.path().join("data"), SEGMENT_BYTES)).unwrap();
    for number in 0..20 {
        store
            .append(&session(number % 3), 1, &[headed("a", "h")])
            .unwrap();
    }
    let end = fs::metadata(segment(&temp.path().join("data"), 1))
        .unwrap()
        .len();
    store.sync(store.newest()).await.unwrap();
    // Noted after the answer by the thread that synced; the next round cannot begin before.
    store.append(&session(1), 1, &[plain("later")]).unwrap();
    store.sync(store.newest()).await.unwrap();
    let copy = temp.path().join("copy");
    copy_folder(&temp.path().join("data"), &copy);
    let last = end - (44 + session(1).as_str().len() as u64 + 2);
    cut(&segment(&copy, 1), last);
    let store = LogStore::open(options(&copy, SEGMENT_BYTES)).unwrap();
    assert_eq!(store.after(0, 100).unwrap().len(), 19);
    assert_eq!(store.damage().len(), 1);
}

//! Several harms at once, at random: files cut, garbled, emptied, removed, copied, renamed, and their witnesses gone. The
//! store opens, invents nothing, and misses nothing without a word; rewriting afterwards changes nothing of that.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Sample, fast_temp, options};
use kilo_ports::store::{SessionLog, Store, Stored};
use kilo_ports::suite::store::{Dice, session};
use kilo_store::LogStore;
use std::fs;
use std::path::{Path, PathBuf};

const SEGMENT_BYTES: u64 = 12 << 10;

#[allow(
    clippy::disallowed_methods,
    reason = "a switch for a longer run by hand"
)]
fn seeds() -> std::ops::RangeInclusive<u64> {
    let number = std::env::var("KILO_CHAOS_SEEDS").ok();
    1..=number.and_then(|text| text.parse().ok()).unwrap_or(200)
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("log")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// One harm; says which.
fn harm(folder: &Path, dice: &mut Dice) -> String {
    let files = segments(folder);
    if files.is_empty() {
        return "nothing is left".into();
    }
    let pick = |dice: &mut Dice| files[dice.below(files.len() as u64) as usize].clone();
    let (one, two) = (pick(dice), pick(dice));
    let mut bytes = fs::read(&one).unwrap();
    let at = dice.below(bytes.len() as u64 + 1) as usize;
    let what = match dice.below(11) {
        0 => {
            bytes.truncate(at);
            "cut"
        }
        1 => {
            bytes.truncate(64);
            "cut to its header"
        }
        2 => {
            bytes.clear();
            "emptied"
        }
        3 if at < bytes.len() => {
            bytes[at] ^= 1 << dice.below(8);
            "a bit flipped"
        }
        4 => {
            let to = (at + dice.below(2_000) as usize).min(bytes.len());
            bytes[at..to].fill_with(|| dice.below(256) as u8);
            "noise"
        }
        10 => {
            let tail = bytes.split_off(at);
            bytes.splice(0..0, tail);
            "turned about"
        }
        5 => {
            fs::remove_file(&one).unwrap();
            return format!("{one:?} removed");
        }
        6 | 7 => {
            let aside = folder.join("aside");
            fs::rename(&one, &aside).unwrap();
            if one != two {
                fs::rename(&two, &one).unwrap();
            }
            fs::rename(&aside, &two).unwrap();
            return format!("{one:?} and {two:?} changed places");
        }
        8 => {
            bytes = fs::read(&two).unwrap();
            "became another one's copy"
        }
        _ => {
            let name = format!("{:08}-{:04}.seg", dice.below(9), dice.below(2));
            let to = folder.join("log").join(name);
            if !to.exists() {
                fs::rename(&one, &to).unwrap();
            }
            return format!("{one:?} renamed to {to:?}");
        }
    };
    fs::write(&one, bytes).unwrap();
    format!("{one:?} {what} at {at}")
}

fn everything(store: &LogStore) -> (Vec<SessionLog>, Vec<Stored>) {
    let loaded = (0..common::SESSIONS).filter_map(|number| store.load(&session(number)).ok());
    (loaded.collect(), store.after(0, usize::MAX).unwrap())
}

#[test]
fn nothing_is_missing_without_a_word_whatever_happened() {
    let temp = fast_temp();
    let sample = Sample::make(temp.path().join("sample"), SEGMENT_BYTES, 60 << 10);
    let copy = temp.path().join("copy");
    for seed in seeds() {
        let mut dice = Dice::new(seed);
        sample.copy(&copy);
        let mut context = format!("seed {seed}");
        for _ in 0..1 + dice.below(3) {
            context = format!("{context}: {}", harm(&copy, &mut dice));
        }
        for name in ["index", "state", "lock"] {
            if dice.below(3) == 0 {
                let path = copy.join(name);
                let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
                context = format!("{context}, no {name}");
            }
        }
        sample.check(&copy, SEGMENT_BYTES, |_| false, &context);
        // What was read once is read again, by whatever way, and after what is broken was written anew.
        let store = LogStore::open(options(&copy, SEGMENT_BYTES)).unwrap();
        let before = everything(&store);
        store.rotate().unwrap();
        store.rewrite_segments().unwrap();
        same(&everything(&store), &before, &context);
        drop(store);
        if dice.below(2) == 0 {
            fs::remove_dir_all(copy.join("index")).unwrap();
        }
        let store = LogStore::open(options(&copy, SEGMENT_BYTES)).unwrap();
        same(&everything(&store), &before, &context);
    }
}

fn same(
    found: &(Vec<SessionLog>, Vec<Stored>),
    before: &(Vec<SessionLog>, Vec<Stored>),
    context: &str,
) {
    let bodies = |logs: &[SessionLog]| -> Vec<Vec<Stored>> {
        logs.iter().map(|log| log.tail.clone()).collect()
    };
    assert!(bodies(&found.0) == bodies(&before.0), "{context}: sessions");
    assert!(found.1 == before.1, "{context}: in order of position");
}

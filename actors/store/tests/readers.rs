//! Readers, writers and the rewriting of segments at the same time: a reader sees every record that stays, in order.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{fast_temp, options};
use kilo_ports::store::Store;
use kilo_ports::suite::store::{Dice, headed, plain, session, transient, view};
use kilo_store::LogStore;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

const SEGMENT_BYTES: u64 = 16 << 10;
const SESSIONS: u64 = 4;
const ROUNDS: u64 = 1_500;

#[test]
fn readers_see_all_that_stays_while_segments_are_rewritten() {
    let temp = fast_temp();
    let store = LogStore::open(options(temp.path(), SEGMENT_BYTES)).unwrap();
    for number in 0..SESSIONS {
        store
            .append(&session(number), 1, &[headed("0", "h0")])
            .unwrap();
    }
    let (done, lasting) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| write(&store, &lasting, &done));
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                store.rewrite_segments().unwrap();
                store.checkpoint().unwrap();
            }
        });
        for seed in 0..2 {
            let (store, lasting, done) = (&store, &lasting, &done);
            scope.spawn(move || read(store, lasting, done, seed));
        }
    });
    assert!(store.damage().is_empty());
    assert!(store.verify().unwrap().is_empty());
    assert!(store.rewrite_segments().is_ok());
    let segments = store.stats().segments;
    assert!(
        store.stats().log_bytes < segments * SEGMENT_BYTES / 2,
        "something was rewritten"
    );
}

/// Plain records carry their number among the session's plain ones; transient ones come in between and are covered by
/// views now and then.
fn write(store: &LogStore, lasting: &AtomicU64, done: &AtomicBool) {
    for round in 1..ROUNDS {
        for number in 0..SESSIONS {
            let id = session(number);
            let noise: Vec<_> = (0..5).map(|_| transient(vec![b'd'; 150])).collect();
            store.append(&id, round, &noise).unwrap();
            let entry = headed(round.to_string(), format!("h{round}"));
            let done = store.append(&id, round, &[entry, plain("x")]).unwrap();
            if round % 10 == 0 {
                store
                    .save_view(&id, &view(done.first_seq, round.to_string()))
                    .unwrap();
            }
        }
        lasting.store(round, Ordering::SeqCst);
    }
    done.store(true, Ordering::SeqCst);
}

fn read(store: &LogStore, lasting: &AtomicU64, done: &AtomicBool, seed: u64) {
    let mut dice = Dice::new(seed + 1);
    while !done.load(Ordering::SeqCst) {
        let id = session(dice.below(SESSIONS));
        let least = lasting.load(Ordering::SeqCst);
        let whole = store.load_whole(&id).unwrap();
        let numbers: Vec<u64> = whole
            .tail
            .iter()
            .filter(|stored| stored.body.len() < 10 && stored.body != "x")
            .map(|stored| String::from_utf8_lossy(&stored.body).parse().unwrap())
            .collect();
        assert!(
            numbers.iter().copied().eq(0..numbers.len() as u64),
            "{numbers:?}"
        );
        assert!(numbers.len() as u64 > least);
        let log = store.load(&id).unwrap();
        let folded = log.view.map_or(0, |view| {
            String::from_utf8_lossy(&view.body).parse::<u64>().unwrap()
        });
        let next = log
            .tail
            .iter()
            .find(|stored| stored.body != "x" && stored.body.len() < 10);
        let next = next.map(|stored| String::from_utf8_lossy(&stored.body).into_owned());
        assert!(next.is_none_or(|next| next == (folded + u64::from(folded > 0)).to_string()));
        let head = store.head(&id).unwrap();
        let head: u64 = String::from_utf8_lossy(&head[1..]).parse().unwrap();
        assert!(head >= least);
        let from = dice.below(store.newest());
        let later = store.after(from, 500).unwrap();
        assert!(later.is_sorted_by(|a, b| a.pos < b.pos) && later[0].pos > from);
    }
}

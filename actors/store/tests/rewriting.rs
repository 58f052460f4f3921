//! Rewriting segments: dead records go, live ones stay, and a crash between two steps harms nothing.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{fast_temp, options};
use kilo_ports::store::Store;
use kilo_ports::suite::store::{Dice, headed, plain, random_operations, session, transient, view};
use kilo_store::LogStore;
use std::fs;
use std::sync::Arc;

const SEGMENT_BYTES: u64 = 32 << 10;

#[test]
fn transient_records_go_once_a_view_covers_them() {
    let temp = fast_temp();
    let store = LogStore::open(options(temp.path(), SEGMENT_BYTES)).unwrap();
    let id = session(1);
    store.append(&id, 1, &[headed("begin", "head")]).unwrap();
    for _ in 0..400 {
        store.append(&id, 2, &[transient(vec![b'd'; 200])]).unwrap();
    }
    store.append(&id, 3, &[plain("all of it")]).unwrap();
    store.rotate().unwrap();
    let before = store.stats().log_bytes;
    assert_eq!(
        store.rewrite_segments().unwrap(),
        0,
        "without a view all of it is live"
    );
    store.save_view(&id, &view(401, "folded")).unwrap();
    assert!(store.rewrite_segments().unwrap() >= 3);
    assert!(
        store.stats().log_bytes < before / 5,
        "{} of {before}",
        store.stats().log_bytes
    );
    for _ in 0..2 {
        let log = store.load(&id).unwrap();
        assert_eq!((log.view.unwrap().seq, log.tail.len()), (401, 0));
    }
    let whole = store.load_whole(&id).unwrap().tail;
    let left: Vec<_> = whole.iter().map(|s| (s.seq, &s.body[..])).collect();
    assert_eq!(
        left,
        [(0, b"begin".as_slice()), (401, b"all of it")],
        "enough to fold the view anew"
    );
    let left: Vec<_> = store
        .after(0, 1_000)
        .unwrap()
        .into_iter()
        .map(|stored| stored.body)
        .collect();
    assert_eq!(left, vec!["begin", "all of it"]);
    assert_eq!(
        store.append(&id, 4, &[plain("next")]).unwrap().first_seq,
        402
    );
    drop(store);
    let store = LogStore::rebuild(options(temp.path(), SEGMENT_BYTES)).unwrap();
    assert_eq!(store.load(&id).unwrap().tail.len(), 1);
    assert_eq!(
        store
            .append(&id, 5, &[plain("numbers go on")])
            .unwrap()
            .first_seq,
        403
    );
    assert!(store.damage().is_empty());
}

#[test]
fn deleted_sessions_and_old_values_give_their_room_back() {
    let temp = fast_temp();
    let store = LogStore::open(options(temp.path(), SEGMENT_BYTES)).unwrap();
    for number in 0..40 {
        store
            .append(&session(number % 4), 1, &[headed(vec![b'x'; 4_000], "h")])
            .unwrap();
        store.put("table", "key", &[b'v'; 2_000], number).unwrap();
    }
    for number in 1..4 {
        store.delete(&session(number), 2).unwrap();
    }
    store.rotate().unwrap();
    assert!(store.rewrite_segments().unwrap() > 0);
    drop(store);
    for _ in 0..2 {
        let store = LogStore::rebuild(options(temp.path(), SEGMENT_BYTES)).unwrap();
        assert_eq!(store.load(&session(0)).unwrap().tail.len(), 10);
        assert!(store.load(&session(1)).is_err());
        assert_eq!(store.get("table", "key").unwrap(), vec![b'v'; 2_000]);
        assert_eq!(
            (store.stats().sessions, store.after(0, 100).unwrap().len()),
            (1, 10)
        );
        assert!(
            store.stats().log_bytes < 70_000,
            "{}",
            store.stats().log_bytes
        );
        assert!(store.damage().is_empty());
    }
}

/// Random operations with rewriting at each restart, and both generations left in place as a crash would leave them.
#[test]
fn a_crash_between_the_generations_harms_nothing() {
    for seed in 20..28 {
        let temp = fast_temp();
        let mut dice = Dice::new(seed);
        let open = || LogStore::open(options(temp.path(), SEGMENT_BYTES)).unwrap();
        let mut reopen = |store: Arc<dyn Store>| -> Arc<dyn Store> {
            drop(store);
            let log = temp.path().join("log");
            let list = || {
                fs::read_dir(&log)
                    .unwrap()
                    .map(|entry| entry.unwrap().path())
                    .collect::<Vec<_>>()
            };
            let saved: Vec<_> = list()
                .into_iter()
                .map(|path| (path.clone(), fs::read(path).unwrap()))
                .collect();
            let store = open();
            store.rotate().unwrap();
            store.rewrite_segments().unwrap();
            drop(store);
            if dice.below(2) == 0 {
                for (path, bytes) in saved {
                    if !path.exists() {
                        fs::write(path, bytes).unwrap();
                    }
                }
            }
            fs::write(log.join("00000001.tmp"), b"half a segment").unwrap();
            if dice.below(3) == 0 {
                fs::remove_dir_all(temp.path().join("index")).unwrap();
            }
            Arc::new(open())
        };
        random_operations(Arc::new(open()), &mut reopen, seed, 500);
    }
}

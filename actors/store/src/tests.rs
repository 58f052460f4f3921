//! What cannot be seen or brought about from outside: an index that fails at a chosen moment, and how far it reaches.

use crate::{LogStore, Options};
use kilo_ports::store::Store;
use kilo_ports::suite::store::{headed, plain, session, view};

fn open() -> (tempfile::TempDir, LogStore) {
    let temp = tempfile::tempdir().expect("a folder");
    let options = Options {
        verify_newest: false,
        ..Options::new(temp.path(), 1)
    };
    let store = LogStore::open(options).expect("opens");
    (temp, store)
}

/// The index may fail before the work, in it or after it: whatever was appended is in the log once.
#[test]
fn nothing_is_appended_twice_when_the_index_fails() {
    for gets in 0..6 {
        let (temp, store) = open();
        let id = session(1);
        store.append(&id, 1, &[headed("a", "h")]).expect("append");
        store.put("table", "key", b"old", 1).expect("put");
        store.checkpoint().expect("checkpoint");
        let works: [&dyn Fn(&LogStore); 5] = [
            &|store| {
                let entries = [plain("b"), plain("c")];
                store.append(&session(1), 2, &entries).expect("b");
            },
            &|store| {
                store.append(&session(2), 2, &[plain("d")]).expect("d");
            },
            &|store| store.put("table", "key", b"new", 2).expect("put"),
            &|store| store.save_view(&session(1), &view(0, "v")).expect("view"),
            &|store| {
                store.delete(&session(2), 2).expect("delete");
            },
        ];
        for work in works {
            let shared = &store.shared;
            let mut state = shared.state.lock();
            // What is kept in memory needs no index; without it these have to ask.
            state.sessions.retain(|_, known| known.dirty);
            state.index.fail_after(gets);
            state.index_failed = gets == 0;
            drop(state);
            work(&store);
        }
        let check = |store: &LogStore| {
            assert_eq!(store.newest(), 7, "failing after {gets}");
            let tail = store.load_whole(&id).expect("load").tail;
            let tail: Vec<_> = tail.iter().map(|s| (s.pos, &s.body[..])).collect();
            assert_eq!(tail, [(1, b"a".as_slice()), (3, b"b"), (4, b"c")]);
            assert!(store.load(&session(2)).is_err());
            assert_eq!(store.get("table", "key").expect("value"), "new");
        };
        check(&store);
        drop(store);
        check(&LogStore::open(Options::new(temp.path(), 1)).expect("opens"));
    }
}

/// Writing the index is most of what the end of a short run would cost; reading the log's last part again is nearly free.
#[test]
fn an_end_writes_the_index_only_after_much() {
    for (bytes, reaches_end) in [(1_000, false), (400_000, true)] {
        let (temp, store) = open();
        let mark = |store: &LogStore| {
            let state = store.shared.state.lock();
            (state.index.mark().map(|mark| mark.offset), state.end())
        };
        let body = "x".repeat(bytes);
        store
            .append(&session(1), 1, &[plain(body)])
            .expect("append");
        drop(store);
        let store = LogStore::open(Options::new(temp.path(), 1)).expect("opens");
        let (offset, end) = mark(&store);
        assert_eq!(offset == Some(end.bytes), reaches_end, "{bytes}");
        let tail = store.load_whole(&session(1)).expect("load").tail;
        assert_eq!(tail.len(), 1);
        assert_eq!(store.damage(), []);
    }
}

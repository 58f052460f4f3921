//! Files that are removed, cut or replaced while the store is open: the next write is refused, not acknowledged and lost.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{copy_folder, fast_temp, options};
use kilo_ports::store::{Store, StoreError};
use kilo_ports::suite::store::{headed, plain, session, view};
use kilo_store::LogStore;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

const SEGMENT_BYTES: u64 = 64 << 20;
const SEGMENT: &str = "log/00000001-0000.seg";

fn cut(file: &Path, bytes: u64) {
    let file = OpenOptions::new().write(true).open(file).unwrap();
    file.set_len(bytes).unwrap();
}

type Harm = (&'static str, fn(&Path));

/// What can happen to the log while it is open, by somebody else's hand.
const HARMS: [Harm; 13] = [
    ("file removed", |data| {
        fs::remove_file(data.join(SEGMENT)).unwrap()
    }),
    ("file moved", |data| {
        fs::rename(data.join(SEGMENT), data.join("aside")).unwrap();
    }),
    ("cut to nothing", |data| cut(&data.join(SEGMENT), 0)),
    ("cut to its header", |data| cut(&data.join(SEGMENT), 64)),
    ("cut by a byte", |data| {
        let file = data.join(SEGMENT);
        cut(&file, fs::metadata(&file).unwrap().len() - 1);
    }),
    ("made longer", |data| {
        let file = data.join(SEGMENT);
        cut(&file, fs::metadata(&file).unwrap().len() + 1);
    }),
    ("replaced by its copy", |data| {
        fs::copy(data.join(SEGMENT), data.join("copy")).unwrap();
        fs::rename(data.join("copy"), data.join(SEGMENT)).unwrap();
    }),
    ("replaced by a link to itself", |data| {
        fs::rename(data.join(SEGMENT), data.join("aside")).unwrap();
        symlink(data.join("aside"), data.join(SEGMENT)).unwrap();
    }),
    ("replaced by a folder", |data| {
        fs::remove_file(data.join(SEGMENT)).unwrap();
        fs::create_dir(data.join(SEGMENT)).unwrap();
    }),
    ("log folder removed", |data| {
        fs::remove_dir_all(data.join("log")).unwrap();
    }),
    ("log folder made anew", |data| {
        fs::remove_dir_all(data.join("log")).unwrap();
        fs::create_dir(data.join("log")).unwrap();
    }),
    ("data folder moved", |data| {
        fs::rename(data, data.with_extension("moved")).unwrap();
    }),
    ("data folder removed", |data| {
        fs::remove_dir_all(data).unwrap();
    }),
];

fn filled(data: &Path) -> LogStore {
    let store = LogStore::open(options(data, SEGMENT_BYTES)).unwrap();
    for number in 0..30 {
        let entries = [headed(vec![b'a'; 100], "head"), plain(vec![b'b'; 200])];
        store.append(&session(number % 3), 1, &entries).unwrap();
    }
    store
}

fn is_refused<T>(outcome: Result<T, StoreError>) -> bool {
    matches!(
        outcome,
        Err(StoreError::Changed { .. } | StoreError::Closed)
    )
}

#[test]
fn the_next_write_is_refused() {
    for (what, harm) in HARMS {
        for checkpointed in [false, true] {
            let temp = fast_temp();
            let data = temp.path().join("data");
            let store = filled(&data);
            if checkpointed {
                store.checkpoint().unwrap();
            }
            harm(&data);
            let first = store.append(&session(1), 2, &[plain("lost?")]);
            assert!(matches!(first, Err(StoreError::Changed { .. })), "{what}");
            assert_eq!(store.newest(), 60, "{what}");
            for _ in 0..2 {
                assert!(is_refused(store.append(&session(9), 2, &[plain("x")])));
                assert!(is_refused(store.put("table", "key", b"value", 2)));
                assert!(is_refused(store.delete(&session(1), 2)));
                assert!(is_refused(store.save_view(&session(1), &view(1, "view"))));
            }
            assert!(!store.damage().is_empty(), "{what}: it is said");
            drop(store);
            // What takes the folder's place is not written to; what is left of the log is told apart from a new one.
            if data.exists() {
                let store = LogStore::open(options(&data, SEGMENT_BYTES)).unwrap();
                let left = store.after(0, 1_000).unwrap().len();
                assert!(left == 60 || !store.damage().is_empty(), "{what}");
                let next = store.append(&session(1), 3, &[plain("next")]).unwrap();
                assert!(next.first_pos > 60, "{what}: positions are not used twice");
            }
        }
    }
}

#[tokio::test]
async fn a_sync_of_what_is_gone_is_no_promise() {
    // Longer files hurt no record that is in them.
    for (what, harm) in HARMS.iter().filter(|(what, _)| *what != "made longer") {
        let temp = fast_temp();
        let data = temp.path().join("data");
        let store = filled(&data);
        harm(&data);
        let synced = store.sync(store.newest()).await;
        assert!(is_refused(synced), "{what}");
        assert!(
            is_refused(store.append(&session(1), 2, &[plain("x")])),
            "{what}"
        );
    }
}

#[test]
fn sessions_stay_readable_after_a_refusal() {
    let temp = fast_temp();
    let data = temp.path().join("data");
    let store = filled(&data);
    fs::remove_file(data.join(SEGMENT)).unwrap();
    assert!(store.append(&session(1), 2, &[plain("x")]).is_err());
    assert_eq!(store.load(&session(1)).unwrap().tail.len(), 20);
    assert_eq!(store.head(&session(1)).unwrap(), "head");
}

#[test]
fn a_folder_that_took_the_place_of_ours_is_left_alone() {
    let temp = fast_temp();
    let (data, other) = (temp.path().join("data"), temp.path().join("other"));
    let store = filled(&data);
    drop(filled(&other));
    fs::rename(&data, temp.path().join("moved")).unwrap();
    copy_folder(&other, &data);
    let before = fs::read(data.join("state")).unwrap();
    assert!(store.append(&session(1), 2, &[plain("x")]).is_err());
    drop(store);
    assert_eq!(fs::read(data.join("state")).unwrap(), before);
    let names: Vec<_> = fs::read_dir(temp.path()).unwrap().collect();
    assert_eq!(names.len(), 3);
    let theirs = LogStore::open(options(&data, SEGMENT_BYTES)).unwrap();
    assert!(theirs.damage().is_empty());
}

/// The keeper writes too: what took our folder's place gets no segment of ours.
#[test]
fn nothing_is_rotated_or_rewritten_into_another_folder() {
    let temp = fast_temp();
    let (data, other) = (temp.path().join("data"), temp.path().join("other"));
    let store = filled(&data);
    store.rotate().unwrap();
    for number in 0..3 {
        store.delete(&session(number), 1).unwrap();
    }
    drop(filled(&other));
    fs::rename(&data, temp.path().join("moved")).unwrap();
    copy_folder(&other, &data);
    assert!(store.rewrite_segments().is_err());
    assert!(store.rotate().is_err());
    drop(store);
    assert_eq!(fs::read_dir(data.join("log")).unwrap().count(), 1);
    let theirs = LogStore::open(options(&data, SEGMENT_BYTES)).unwrap();
    assert_eq!((theirs.newest(), theirs.damage()), (60, vec![]));
}

#[test]
fn a_removed_lock_file_lets_nobody_else_in() {
    let temp = fast_temp();
    let store = LogStore::open(options(temp.path(), SEGMENT_BYTES)).unwrap();
    fs::remove_file(temp.path().join("lock")).unwrap();
    let second = kilo_store::Options {
        lock_wait: Duration::ZERO,
        ..options(temp.path(), SEGMENT_BYTES)
    };
    let refused = LogStore::open(second.clone());
    assert!(matches!(refused, Err(StoreError::Locked { .. })));
    drop(store);
    LogStore::open(second).unwrap();
}

fn open_to_others(path: &Path, found: &mut Vec<String>) {
    let mode = fs::symlink_metadata(path).unwrap().permissions().mode();
    if mode & 0o077 != 0 {
        found.push(format!("{} {:o}", path.display(), mode & 0o777));
    }
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            open_to_others(&entry.unwrap().path(), found);
        }
    }
}

#[test]
fn files_and_folders_are_their_owners_alone() {
    let temp = fast_temp();
    let data = temp.path().join("deep/data");
    for old in [false, true] {
        if old {
            let loosen = |path: &Path, mode| {
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            };
            for folder in ["", "log", "index", "blobs", "damaged"] {
                loosen(&data.join(folder), 0o755);
            }
            for file in ["lock", "state", SEGMENT, "index/db", "damaged/reports.json"] {
                loosen(&data.join(file), 0o644);
            }
        }
        let store = filled(&data);
        store.put_blob(&[7; 5_000]).unwrap();
        store.put("table", "key", b"value", 1).unwrap();
        store.rotate().unwrap();
        store.checkpoint().unwrap();
        let mut found = Vec::new();
        open_to_others(&data, &mut found);
        assert_eq!(found, Vec::<String>::new(), "while it runs");
        drop(store);
        open_to_others(&data, &mut found);
        assert_eq!(found, Vec::<String>::new(), "after its end");
        // Damage makes files as well.
        fs::write(data.join("log/00000002-0000.seg"), b"?").unwrap();
        drop(LogStore::open(options(&data, SEGMENT_BYTES)).unwrap());
        open_to_others(&data, &mut found);
        assert_eq!(found, Vec::<String>::new(), "with damage");
    }
}

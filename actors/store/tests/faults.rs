//! A disk that fails: a failed sync closes the log, a failed write leaves nothing of itself.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{fast_temp, options};
use kilo_ports::store::{Store, StoreError};
use kilo_ports::suite::store::{headed, plain, session, transient, view};
use kilo_store::{Disk, LogStore, Options, SystemDisk};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Fails when it is told to.
#[derive(Debug)]
struct FaultyDisk {
    sync_fails: AtomicBool,
    /// Bytes of the next write that still go to the file; then comes the error. `u64::MAX` for no fault.
    room: AtomicU64,
    error: Errno,
}

impl FaultyDisk {
    fn new(error: Errno) -> Arc<Self> {
        Arc::new(Self {
            sync_fails: false.into(),
            room: u64::MAX.into(),
            error,
        })
    }
}

impl Disk for FaultyDisk {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let room = self.room.swap(u64::MAX, Ordering::SeqCst);
        if room >= bytes.len() as u64 {
            return SystemDisk.write_at(file, bytes, offset);
        }
        SystemDisk.write_at(file, &bytes[..room as usize], offset)?;
        Err(self.error.into())
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        // Once: the system forgets the error, and what it could not write, after it has told it.
        if self.sync_fails.swap(false, Ordering::SeqCst) {
            return Err(Errno::IO.into());
        }
        SystemDisk.sync(file)
    }
}

fn open(folder: &Path, disk: &Arc<FaultyDisk>) -> LogStore {
    let options = Options {
        disk: Arc::clone(disk) as Arc<dyn Disk>,
        ..options(folder, 64 << 20)
    };
    LogStore::open(options).unwrap()
}

#[tokio::test]
async fn a_failed_sync_closes_the_log_for_good() {
    let temp = fast_temp();
    let disk = FaultyDisk::new(Errno::IO);
    let store = open(temp.path(), &disk);
    store.append(&session(1), 1, &[headed("a", "h")]).unwrap();
    store.sync(store.newest()).await.unwrap();
    store.append(&session(1), 1, &[plain("b")]).unwrap();
    disk.sync_fails.store(true, Ordering::SeqCst);
    let waiting: Vec<_> = (0..3).map(|_| store.sync(store.newest())).collect();
    for synced in futures_util::future::join_all(waiting).await {
        let refused = matches!(synced, Err(StoreError::Failed { .. } | StoreError::Closed));
        assert!(refused, "{synced:?}");
    }
    // The disk would sync again; what it has lost by then nobody knows.
    assert!(matches!(store.sync(2).await, Err(StoreError::Closed)));
    assert!(matches!(
        store.append(&session(1), 2, &[plain("c")]),
        Err(StoreError::Closed)
    ));
    assert!(matches!(
        store.put("table", "key", b"v", 2),
        Err(StoreError::Closed)
    ));
    assert!(matches!(
        store.delete(&session(1), 2),
        Err(StoreError::Closed)
    ));
    store
        .sync(1)
        .await
        .expect("what was synced before stays so");
    assert_eq!(store.load(&session(1)).unwrap().tail.len(), 2);
    drop(store);
    let store = open(temp.path(), &disk);
    assert_eq!((store.newest(), store.damage()), (2, vec![]));
    store.append(&session(1), 3, &[plain("d")]).unwrap();
    store.sync(3).await.unwrap();
}

/// The index must not vouch for what a failed sync has left in the air.
#[test]
fn a_checkpoint_whose_sync_fails_writes_no_index() {
    let temp = fast_temp();
    let disk = FaultyDisk::new(Errno::IO);
    let store = open(temp.path(), &disk);
    store.append(&session(1), 1, &[headed("a", "h")]).unwrap();
    store.checkpoint().unwrap();
    store.append(&session(2), 1, &[headed("b", "h")]).unwrap();
    let state = std::fs::read(temp.path().join("state")).unwrap();
    disk.sync_fails.store(true, Ordering::SeqCst);
    assert!(store.checkpoint().is_err());
    drop(store);
    assert_eq!(std::fs::read(temp.path().join("state")).unwrap(), state);
    // The power goes, and with it what was not synced.
    let segment = temp.path().join("log/00000001-0000.seg");
    let file = File::options().write(true).open(segment).unwrap();
    file.set_len(64 + 44 + session(1).as_str().len() as u64 + 2)
        .unwrap();
    let store = open(temp.path(), &disk);
    assert_eq!((store.newest(), store.damage()), (1, vec![]));
    assert!(store.load(&session(2)).is_err());
}

#[test]
fn a_full_disk_leaves_nothing_of_a_write_wherever_it_ends() {
    let temp = fast_temp();
    let disk = FaultyDisk::new(Errno::NOSPC);
    let store = open(temp.path(), &disk);
    store
        .append(&session(1), 1, &[headed("first", "h")])
        .unwrap();
    let entries = [plain("one"), transient("two"), headed("three", "head")];
    let bytes = 3 * (44 + session(1).as_str().len() as u64) + 3 + 3 + 5 + 4;
    for room in 0..bytes {
        disk.room.store(room, Ordering::SeqCst);
        let refused = store.append(&session(1), 2, &entries);
        assert!(matches!(refused, Err(StoreError::Full { .. })), "{room}");
        for work in [
            &|| store.save_view(&session(1), &view(0, "view")),
            &|| store.put("table", "key", b"value", 2),
            &|| store.delete(&session(1), 2).map(|_| ()),
        ] as [&dyn Fn() -> Result<(), StoreError>; 3]
        {
            disk.room.store(room.min(40), Ordering::SeqCst);
            assert!(matches!(work(), Err(StoreError::Full { .. })), "{room}");
        }
        assert_eq!(store.newest(), 1, "{room}");
    }
    let next = store.append(&session(1), 3, &entries).unwrap();
    assert_eq!((next.first_seq, next.last_pos), (1, 4));
    drop(store);
    let store = open(temp.path(), &disk);
    assert_eq!(store.load(&session(1)).unwrap().tail.len(), 4);
    assert!(store.verify().unwrap().is_empty());
}

#[test]
fn any_other_failure_of_a_write_closes_the_log() {
    for room in [0, 10, 50, 100] {
        let temp = fast_temp();
        let disk = FaultyDisk::new(Errno::IO);
        let store = open(temp.path(), &disk);
        store.append(&session(1), 1, &[headed("a", "h")]).unwrap();
        disk.room.store(room, Ordering::SeqCst);
        let failed = store.append(&session(1), 2, &[plain(vec![b'b'; 200])]);
        assert!(matches!(failed, Err(StoreError::Failed { .. })));
        assert!(matches!(
            store.append(&session(1), 2, &[plain("c")]),
            Err(StoreError::Closed)
        ));
        assert_eq!(store.load(&session(1)).unwrap().tail.len(), 1);
        drop(store);
        let store = open(temp.path(), &disk);
        assert_eq!((store.newest(), store.damage()), (1, vec![]));
    }
}

/// A rewriting that fails leaves the old segment and no trace of the new one.
#[test]
fn a_rewriting_that_fails_changes_nothing() {
    for (fails_at_sync, error) in [(true, Errno::IO), (false, Errno::NOSPC), (false, Errno::IO)] {
        let temp = fast_temp();
        let disk = FaultyDisk::new(error);
        let store = open(temp.path(), &disk);
        store
            .append(&session(1), 1, &[headed("begin", "h")])
            .unwrap();
        for _ in 0..50 {
            store
                .append(&session(1), 2, &[transient(vec![b'd'; 200])])
                .unwrap();
        }
        store.save_view(&session(1), &view(50, "view")).unwrap();
        store.rotate().unwrap();
        store.checkpoint().unwrap();
        disk.sync_fails.store(fails_at_sync, Ordering::SeqCst);
        disk.room
            .store(if fails_at_sync { u64::MAX } else { 100 }, Ordering::SeqCst);
        assert!(store.rewrite_segments().is_err());
        let names = std::fs::read_dir(temp.path().join("log")).unwrap();
        assert_eq!(names.count(), 2, "the closed one and the new one");
        assert_eq!(store.load_whole(&session(1)).unwrap().tail.len(), 51);
        assert_eq!(
            store.rewrite_segments().unwrap(),
            1,
            "once the disk is well"
        );
        assert_eq!(store.load_whole(&session(1)).unwrap().tail.len(), 1);
        store.append(&session(1), 3, &[plain("next")]).unwrap();
    }
}

//! A full disk, a taken folder.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(
    clippy::disallowed_methods,
    reason = "mounting a small file system takes the mount command"
)]

mod common;

use common::{fast_temp, options};
use kilo_ports::store::{Store, StoreError};
use kilo_ports::suite::store::{headed, plain, session};
use kilo_store::{LogStore, Options};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A file system of a few MiB; gone with this value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(path)
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then(|| Self(path.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

fn is_full<T: std::fmt::Debug>(outcome: &Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Full { .. }))
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing_half_written() {
    let temp = tempfile::tempdir().unwrap();
    for size in ["1m", "2m", "4m"] {
        let Some(disk) = SmallDisk::mount(&temp.path().join(size), size) else {
            eprintln!("left out: no right to mount a tmpfs");
            return;
        };
        let ballast = disk.0.join("ballast");
        fs::write(&ballast, vec![0; 200 << 10]).unwrap();
        let folder = disk.0.join("data");
        let store = LogStore::open(options(&folder, 64 << 20)).unwrap();
        let mut kept = 0;
        let refused = loop {
            match store.append(
                &session(kept % 5),
                1,
                &[headed(vec![b'x'; 3_000], "head"), plain(vec![b'y'; 3_000])],
            ) {
                Ok(_) => kept += 1,
                Err(error) => break Err::<(), _>(error),
            }
        };
        assert!(is_full(&refused), "{refused:?}");
        assert_eq!(store.newest(), kept * 2);
        assert!(is_full(&store.put_blob(&vec![1; 300 << 10])));
        assert!(is_full(&store.append(
            &session(0),
            1,
            &[plain(vec![b'z'; 300 << 10])]
        )));
        assert_eq!(store.newest(), kept * 2);
        let count = |store: &LogStore| store.after(0, usize::MAX).unwrap().len() as u64;
        assert_eq!(count(&store), kept * 2);
        let _ = store.checkpoint();
        assert_eq!(
            count(&store),
            kept * 2,
            "an index without room changes nothing"
        );
        drop(store);
        let store = LogStore::open(options(&folder, 64 << 20)).expect("opens on a full disk");
        assert_eq!((store.newest(), count(&store)), (kept * 2, kept * 2));
        assert!(store.damage().is_empty(), "{:?}", store.damage());
        fs::remove_file(&ballast).unwrap();
        store
            .append(&session(0), 2, &[plain(vec![b'a'; 3_000])])
            .expect("goes on once there is room");
        store.put("table", "key", b"value", 3).expect("goes on");
        drop(store);
        let store = LogStore::open(options(&folder, 64 << 20)).unwrap();
        assert_eq!(
            (count(&store), store.get("table", "key").unwrap()),
            (kept * 2 + 1, "value".into())
        );
        assert!(store.damage().is_empty());
        drop(store);
    }
}

#[test]
fn a_taken_folder_says_who_has_it() {
    let temp = fast_temp();
    let store = LogStore::open(Options::new(temp.path(), 4_711)).unwrap();
    store.set_address("http://127.0.0.1:4096");
    let second = Options {
        lock_wait: Duration::from_millis(30),
        ..Options::new(temp.path(), 1)
    };
    match LogStore::open(second.clone()) {
        Err(StoreError::Locked {
            folder,
            pid,
            address,
        }) => {
            let expected = (
                temp.path().to_owned(),
                4_711,
                "http://127.0.0.1:4096".to_owned(),
            );
            assert_eq!((folder, pid, address), expected);
        }
        other => panic!("{:?}", other.err()),
    }
    drop(store);
    LogStore::open(second).unwrap();
}

/// A daemon of today is asked where it listens; nobody waits for it to end.
#[test]
fn a_living_holder_is_found_within_a_second() {
    let temp = fast_temp();
    let store = LogStore::open(Options::new(temp.path(), std::process::id())).unwrap();
    assert_eq!(kilo_store::holder(temp.path()), None);
    store.set_address("http://127.0.0.1:4096");
    let holder = (std::process::id(), "http://127.0.0.1:4096".to_owned());
    assert_eq!(kilo_store::holder(temp.path()), Some(holder));
    let begun = std::time::Instant::now();
    let second = LogStore::open(Options::new(temp.path(), 1));
    assert!(matches!(second, Err(StoreError::Locked { address, .. }) if !address.is_empty()));
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_record_over_the_limit_is_refused() {
    let temp = fast_temp();
    let store = LogStore::open(options(temp.path(), 64 << 20)).unwrap();
    let refused = store.append(&session(1), 1, &[plain("a"), plain(vec![0; 49 << 20])]);
    assert!(matches!(refused, Err(StoreError::TooLarge { .. })));
    assert_eq!(store.newest(), 0);
    store
        .append(&session(1), 1, &[plain(vec![7; 40 << 20])])
        .unwrap();
    store
        .append(&session(1), 1, &[plain(vec![8; 40 << 20])])
        .unwrap();
    assert_eq!(store.load(&session(1)).unwrap().tail_bytes, 80 << 20);
    assert_eq!(store.stats().segments, 2);
}

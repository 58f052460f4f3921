//! Both stores pass the suite; the one on the disk also with tiny segments, with its index thrown away at each restart,
//! and with segments rewritten.
#![allow(clippy::unwrap_used, reason = "tests")]

use kilo_ports::store::Store;
use kilo_ports::suite::store as suite;
use kilo_store::{LogStore, MemoryStore, Options};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn options(folder: &Path, segment_bytes: u64) -> Options {
    Options {
        segment_bytes,
        verify_newest: false,
        ..Options::new(folder, 1)
    }
}

/// Stores in folders of their own; the folder of each is found again by what is newest in the list.
struct Stores {
    root: tempfile::TempDir,
    made: usize,
    segment_bytes: u64,
}

impl Stores {
    fn new(segment_bytes: u64) -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            made: 0,
            segment_bytes,
        }
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join(self.made.to_string())
    }

    fn open(&self) -> Arc<dyn Store> {
        Arc::new(LogStore::open(options(&self.folder(), self.segment_bytes)).unwrap())
    }
}

fn close(store: Arc<dyn Store>) {
    assert_eq!(
        Arc::strong_count(&store),
        1,
        "somebody still holds the store"
    );
    drop(store);
}

async fn run(segment_bytes: u64, between: fn(&Path)) {
    let stores = std::cell::RefCell::new(Stores::new(segment_bytes));
    let mut make = || {
        stores.borrow_mut().made += 1;
        stores.borrow().open()
    };
    let mut reopen = |store| {
        close(store);
        between(&stores.borrow().folder());
        stores.borrow().open()
    };
    suite::passes(&mut make, &mut reopen).await;
}

#[tokio::test]
async fn memory_store_passes() {
    suite::passes(&mut || Arc::new(MemoryStore::new()), &mut |store| store).await;
}

#[tokio::test]
async fn log_store_passes() {
    run(64 << 20, |_| {}).await;
}

#[tokio::test]
async fn log_store_passes_with_tiny_segments() {
    run(16 << 10, |_| {}).await;
}

#[tokio::test]
async fn log_store_passes_when_its_index_is_thrown_away_each_time() {
    run(64 << 10, |folder| {
        std::fs::remove_dir_all(folder.join("index")).unwrap()
    })
    .await;
}

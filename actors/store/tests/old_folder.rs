//! Data folders that earlier versions wrote open, whole and without a word, and go on.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{fast_temp, options};
use flate2::read::GzDecoder;
use kilo_ports::store::Store;
use kilo_ports::suite::store::{plain, session};
use kilo_protocol::SessionId;
use kilo_store::LogStore;
use std::fs::{self, File};
use std::path::Path;

const FOLDER_1: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/fixtures/data-folder-1"
);
const SEGMENT: &str = "log/00000001-0000.seg";

fn unpack(to: &Path) {
    let from = Path::new(FOLDER_1);
    for folder in ["log", "index/blobs", "blobs"] {
        fs::create_dir_all(to.join(folder)).unwrap();
    }
    for file in ["state", "lock", "index/conf", "index/db"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let packed = File::open(from.join(format!("{SEGMENT}.gz"))).unwrap();
    let mut segment = File::create(to.join(SEGMENT)).unwrap();
    std::io::copy(&mut GzDecoder::new(packed), &mut segment).unwrap();
}

#[test]
fn the_first_format_opens_whole_and_goes_on() {
    for gone in [None, Some("index"), Some("lock")] {
        let temp = fast_temp();
        unpack(temp.path());
        if let Some(gone) = gone {
            let path = temp.path().join(gone);
            let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        }
        let store = LogStore::open(options(temp.path(), 64 << 20)).unwrap();
        assert_eq!(store.damage(), [], "{gone:?} gone");
        assert_eq!(store.newest(), 133);
        let mut heads: Vec<SessionId> = Vec::new();
        store.heads(&mut |id, _| heads.push(id.clone())).unwrap();
        assert_eq!(heads.len(), 3);
        let mut views = 0;
        for id in &heads {
            let (log, whole) = (store.load(id).unwrap(), store.load_whole(id).unwrap());
            let formats = whole.tail.iter().map(|stored| stored.format);
            assert!(formats.eq(whole.tail.iter().map(|_| 0)));
            assert!(whole.tail.ends_with(&log.tail) && log.tail.len() <= whole.tail.len());
            assert!(
                whole
                    .tail
                    .iter()
                    .map(|stored| stored.seq)
                    .eq(0..whole.tail.len() as u64)
            );
            if let Some(view) = log.view {
                views += 1;
                assert_eq!(view.format, 0);
                assert_eq!(
                    view.seq + 1 + log.tail.len() as u64,
                    whole.tail.len() as u64
                );
            }
        }
        assert_eq!(views, 1);
        assert!(store.verify().unwrap().is_empty());
        store.append(&heads[0], 1, &[plain("goes on")]).unwrap();
        store.append(&session(1), 1, &[plain("and new")]).unwrap();
        drop(store);
        let store = LogStore::open(options(temp.path(), 64 << 20)).unwrap();
        assert_eq!((store.damage(), store.newest()), (vec![], 135));
    }
}

//! Figures of the store: `cargo run --release --example store-bench -p kilo-store [-- FOLDER [open]]`.
#![allow(clippy::unwrap_used, reason = "a bench may stop at the first fault")]

use kilo_ports::store::Store;
use kilo_ports::suite::store::{headed, plain, session, transient, view};
use kilo_store::{LogStore, Options};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn main() {
    let temp = tempfile::tempdir().unwrap();
    let root = std::env::args()
        .nth(1)
        .map_or_else(|| temp.path().to_owned(), PathBuf::from);
    println!("at start                     {}", memory());
    if std::env::args().nth(2).as_deref() == Some("open") {
        return once(&root);
    }
    opens(&root, "few", 10);
    opens(&root, "thousand", 1_000);
    small_appends(&root.join("appends"));
    long_session(&root.join("long"));
    syncs(&root.join("syncs"));
    creates(&root.join("creates"));
    opens(&root, "ten-thousand", 10_000);
    gibibyte(&root.join("gibibyte"));
}

/// One open of a used folder in a fresh process: the figures of a daemon's start.
fn once(folder: &Path) {
    let begun = Instant::now();
    let store = open(folder);
    println!(
        "open                         {:?} {}",
        begun.elapsed(),
        memory()
    );
    let begun = Instant::now();
    let mut seen = 0;
    store.heads(&mut |_, _| seen += 1).unwrap();
    println!(
        "{seen} heads read            {:?} {}",
        begun.elapsed(),
        memory()
    );
}

fn open(folder: &Path) -> LogStore {
    LogStore::open(Options::new(folder, 1)).unwrap()
}

fn per(begun: Instant, count: u64) -> String {
    let each = begun.elapsed().as_secs_f64() * 1e6 / count as f64;
    format!("{each:.2} us each, {:.0}/s", 1e6 / each)
}

fn small_appends(folder: &Path) {
    const COUNT: u64 = 200_000;
    let store = open(folder);
    let entry = [transient(vec![b'x'; 120])];
    let begun = Instant::now();
    for number in 0..COUNT {
        store.append(&session(number % 8), number, &entry).unwrap();
    }
    println!("append 120 B, 1 thread       {}", per(begun, COUNT));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (store, entry) = (&store, &entry);
            scope.spawn(move || {
                for number in 0..COUNT / 2 {
                    store
                        .append(&session(100 + thread * 8 + number % 8), number, entry)
                        .unwrap();
                }
            });
        }
    });
    println!("append 120 B, 2 threads      {}", per(begun, COUNT));
    let file = tempfile::tempfile().unwrap();
    let begun = Instant::now();
    for number in 0..COUNT {
        std::os::unix::fs::FileExt::write_all_at(&file, &[b'x'; 194], number * 194).unwrap();
    }
    println!("  the bare write call        {}", per(begun, COUNT));
    let newest = store.newest();
    let begun = Instant::now();
    for _ in 0..1_000 {
        assert_eq!(store.after(newest - 100, 1_000).unwrap().len(), 100);
    }
    println!("after(newest - 100)          {}", per(begun, 1_000));
    let begun = Instant::now();
    for number in 0..200 {
        assert_eq!(store.after(number * 1_999, 100).unwrap().len(), 100);
    }
    println!("after(old, 100)              {}", per(begun, 200));
}

fn creates(folder: &Path) {
    const COUNT: u64 = 10_000;
    let store = open(folder);
    let begun = Instant::now();
    for number in 0..COUNT {
        store
            .append(
                &session(number),
                number,
                &[headed(vec![b'b'; 300], vec![b'h'; 600])],
            )
            .unwrap();
    }
    println!("create with head (900 B)     {}", per(begun, COUNT));
    println!("after 10,000 creates         {}", memory());
    let begun = Instant::now();
    store.checkpoint().unwrap();
    println!("checkpoint after             {:?}", begun.elapsed());
    let begun = Instant::now();
    let mut seen = 0;
    store.heads(&mut |_, _| seen += 1).unwrap();
    println!("heads of all                 {}", per(begun, seen));
}

fn long_session(folder: &Path) {
    let store = open(folder);
    for number in 0..20_000_u64 {
        store
            .append(&session(1), number, &[plain(vec![b'p'; 500])])
            .unwrap();
        store
            .append(
                &session(2 + number % 50),
                number,
                &[transient(vec![b'q'; 120])],
            )
            .unwrap();
    }
    store
        .save_view(&session(1), &view(19_500, vec![b'v'; 200 << 10]))
        .unwrap();
    let begun = Instant::now();
    for _ in 0..20 {
        let log = store.load(&session(1)).unwrap();
        assert_eq!((log.tail.len(), log.tail_bytes), (499, 249_500));
    }
    println!(
        "load 20,000 records, view    {:?} (view 200 KiB, tail 244 KiB)",
        begun.elapsed() / 20
    );
    for _ in 0..2 {
        let begun = Instant::now();
        assert_eq!(store.load(&session(2)).unwrap().tail.len(), 400);
        println!("load 400 scattered records   {:?}", begun.elapsed());
    }
}

fn syncs(folder: &Path) {
    let store = open(folder);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let one = [plain(vec![b'x'; 200])];
    let begun = Instant::now();
    for number in 0..500 {
        let done = store.append(&session(1), number, &one).unwrap();
        runtime.block_on(store.sync(done.last_pos)).unwrap();
    }
    println!("append + sync, alone         {}", per(begun, 500));
    let begun = Instant::now();
    for round in 0..50 {
        let waits: Vec<_> = (0..100)
            .map(|number| {
                store.sync(
                    store
                        .append(&session(number), round, &one)
                        .unwrap()
                        .last_pos,
                )
            })
            .collect();
        for wait in waits {
            runtime.block_on(wait).unwrap();
        }
    }
    println!("append + sync, 100 at once   {}", per(begun, 5_000));
}

fn opens(root: &Path, name: &str, sessions: u64) {
    let folder = root.join(name);
    let begun = Instant::now();
    let store = open(&folder);
    let fresh = begun.elapsed();
    for number in 0..sessions {
        store
            .append(
                &session(number),
                number,
                &[headed(vec![b'b'; 300], vec![b'h'; 600])],
            )
            .unwrap();
    }
    drop(store);
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..15 {
        let begun = Instant::now();
        let store = open(&folder);
        times.push(begun.elapsed());
        assert!(store.damage().is_empty());
        drop(store);
    }
    times.sort();
    println!(
        "open {sessions:>6} sessions         fresh {fresh:?}, used: median {:?}, worst {:?}",
        times[7], times[14]
    );
    let store = open(&folder);
    store.heads(&mut |_, _| ()).unwrap();
    println!("  open, all heads read       {}", memory());
}

fn gibibyte(folder: &Path) {
    let store = open(folder);
    let entry = vec![plain(vec![b'x'; 1_000]); 64];
    let mut round = 0;
    while store.stats().log_bytes < 1 << 30 {
        store.append(&session(round % 200), round, &entry).unwrap();
        round += 1;
    }
    println!("1 GiB written                {}", memory());
    drop(store);
    let begun = Instant::now();
    drop(open(folder));
    println!("open and close 1 GiB         {:?}", begun.elapsed());
    std::fs::remove_dir_all(folder.join("index")).unwrap();
    let begun = Instant::now();
    let store = open(folder);
    println!("rebuild of 1 GiB             {:?}", begun.elapsed());
    let begun = Instant::now();
    assert!(store.verify().unwrap().is_empty());
    println!(
        "verify 1 GiB                 {:?}  {}",
        begun.elapsed(),
        memory()
    );
}

fn memory() -> String {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let pss = rollup
        .lines()
        .find(|line| line.starts_with("Pss:"))
        .unwrap_or("Pss: ?");
    pss.split_whitespace().collect::<Vec<_>>().join(" ")
}

//! SIGKILL at random points: nothing that was acknowledged is lost, reordered or doubled.
//!
//! 30 cycles; `KILO_CRASH_CYCLES=1000` for the long form.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(
    clippy::disallowed_methods,
    reason = "the test starts itself as the child that is killed"
)]

mod common;

use common::{fast_temp, options};
use kilo_ports::store::{RecordKind, Store};
use kilo_ports::suite::store::{Dice, headed, plain, session, transient, view};
use kilo_store::LogStore;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const CHILD: &str = "KILO_STORE_CRASH_CHILD";
const SEGMENT_BYTES: u64 = 256 << 10;
const SESSIONS: u64 = 8;

fn body(number: u64, seq: u64) -> String {
    format!("{number} {seq} {}", "x".repeat((seq * 37 % 900) as usize))
}

/// The child: appends and says so, for ever.
fn torture(folder: &Path) {
    let options = kilo_store::Options {
        lock_wait: Duration::from_secs(20),
        ..options(folder, SEGMENT_BYTES)
    };
    let store = LogStore::open(options).unwrap();
    let mut dice = Dice::new(store.newest() + 99);
    let mut out = std::io::stdout().lock();
    let mut next: BTreeMap<u64, u64> = BTreeMap::new();
    for counter in store.newest().. {
        let number = dice.below(SESSIONS);
        let first = match next.get(&number) {
            Some(seq) => *seq,
            None => next_seq(&store, number),
        };
        let count = 1 + dice.below(4);
        let entries: Vec<_> = (first..first + count)
            .map(|seq| match seq % 5 {
                0 => headed(body(number, seq), format!("h{seq}")),
                1 | 2 => transient(body(number, seq)),
                _ => plain(body(number, seq)),
            })
            .collect();
        assert!(
            entries
                .iter()
                .all(|entry| entry.kind != RecordKind::Head || entry.head.is_some())
        );
        let done = store.append(&session(number), 1, &entries).unwrap();
        assert_eq!(done.first_seq, first);
        next.insert(number, first + count);
        let mut line = format!("ack {number} {} {}\n", first + count - 1, done.last_pos);
        if dice.below(50) == 0 {
            store
                .save_view(&session(number), &view(first + count - 1, "view"))
                .unwrap();
        }
        if dice.below(20) == 0 {
            store
                .put("table", "counter", counter.to_string().as_bytes(), 1)
                .unwrap();
            line.push_str(&format!("put {counter}\n"));
        }
        if out.write_all(line.as_bytes()).is_err() {
            return;
        }
    }
}

fn next_seq(store: &LogStore, number: u64) -> u64 {
    let Ok(log) = store.load(&session(number)) else {
        return 0;
    };
    let viewed = log.view.map_or(0, |view| view.seq + 1);
    log.tail.last().map_or(viewed, |last| last.seq + 1)
}

/// What the child acknowledged.
#[derive(Default)]
struct Acknowledged {
    seqs: BTreeMap<u64, u64>,
    pos: u64,
    counter: u64,
}

#[test]
fn sigkill_loses_nothing_that_was_acknowledged() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return torture(Path::new(&folder));
    }
    let mut temp = fast_temp();
    let cycles: u64 = std::env::var("KILO_CRASH_CYCLES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(30);
    let mut acknowledged = Acknowledged::default();
    let mut dice = Dice::new(4_242);
    for cycle in 0..cycles {
        // Each check reads the whole log; a new folder now and then keeps a long run linear.
        if cycle % 30 == 29 {
            (temp, acknowledged) = (fast_temp(), Acknowledged::default());
        }
        kill_after(temp.path(), 1 + dice.below(1_500), &mut acknowledged);
        check(temp.path(), &acknowledged, cycle);
    }
}

fn kill_after(folder: &Path, lines: u64, acknowledged: &mut Acknowledged) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "sigkill_loses_nothing_that_was_acknowledged",
            "--nocapture",
        ])
        .env(CHILD, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let (mut line, mut seen) = (String::new(), 0);
    while reader.read_line(&mut line).unwrap() > 0 {
        if line.ends_with('\n') {
            acknowledged.take(&line);
        }
        line.clear();
        seen += 1;
        if seen == lines {
            child.kill().unwrap();
        }
    }
    let _ = child.kill();
    child.wait().unwrap();
    assert!(seen >= lines, "the child ended by itself");
}

impl Acknowledged {
    fn take(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["ack", number, seq, pos] => {
                self.seqs
                    .insert(number.parse().unwrap(), seq.parse().unwrap());
                self.pos = pos.parse().unwrap();
            }
            ["put", counter] => self.counter = counter.parse().unwrap(),
            _ => {}
        }
    }
}

fn check(folder: &Path, acknowledged: &Acknowledged, cycle: u64) {
    let store = LogStore::open(options(folder, SEGMENT_BYTES)).unwrap();
    assert!(store.newest() >= acknowledged.pos, "cycle {cycle}");
    for (number, last) in &acknowledged.seqs {
        let log = store.load(&session(*number)).unwrap();
        let floor = log.view.map_or(0, |view| view.seq + 1);
        for (stored, seq) in log.tail.iter().zip(floor..) {
            assert_eq!(
                (stored.seq, &stored.body[..]),
                (seq, body(*number, seq).as_bytes()),
                "cycle {cycle}"
            );
        }
        assert!(
            next_seq(&store, *number) > *last,
            "cycle {cycle}: session {number} ends before {last}"
        );
        assert!(
            store.head(&session(*number)).is_some() || *last == 0,
            "cycle {cycle}"
        );
    }
    let counter = store
        .get("table", "counter")
        .map_or(0, |value| String::from_utf8_lossy(&value).parse().unwrap());
    assert!(counter >= acknowledged.counter, "cycle {cycle}");
    let all = store.after(0, usize::MAX).unwrap();
    assert!(all.is_sorted_by(|a, b| a.pos < b.pos), "cycle {cycle}");
    let mut last: BTreeMap<_, u64> = BTreeMap::new();
    for stored in all {
        let before = last.insert(stored.session.clone(), stored.seq);
        assert!(
            before.is_none_or(|before| before < stored.seq),
            "cycle {cycle}: doubled or out of order"
        );
    }
}

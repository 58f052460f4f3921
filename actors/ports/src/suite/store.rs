//! What every store must do.
//!
//! [`passes`] runs all of it. `reopen` takes a store away and gives it back as a restart would find it; a store without
//! a disk gives back what it got. The random parts print their seed when they fail.

use crate::store::{
    AFTER_BYTES, Entry, RecordKind, SavedView, Seq, Store, StoreError, Stored, Unreadable,
};
use bytes::Bytes;
use kilo_protocol::SessionId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Makes an empty store.
pub type Make<'a> = &'a mut dyn FnMut() -> Arc<dyn Store>;
/// Closes a store and opens it again.
pub type Reopen<'a> = &'a mut dyn FnMut(Arc<dyn Store>) -> Arc<dyn Store>;

/// Runs the whole suite.
pub async fn passes(make: Make<'_>, reopen: Reopen<'_>) {
    numbers_and_positions(make(), reopen);
    one_read_has_a_bound_in_bytes(make());
    deleting_hides_a_session(make(), reopen);
    small_values_are_kept(make(), reopen);
    blobs_are_named_by_content(make(), reopen);
    views_shorten_the_tail(make(), reopen);
    reports_from_above_are_damage(make(), reopen);
    many_sessions_write_at_once(make(), reopen);
    syncs_are_answered(make()).await;
    for seed in 1..=6 {
        random_operations(make(), reopen, seed, 600);
    }
}

/// A plain record.
pub fn plain(body: impl Into<Bytes>) -> Entry {
    Entry {
        kind: RecordKind::Plain,
        format: 1,
        body: body.into(),
        head: None,
    }
}

/// A record that a view makes needless.
pub fn transient(body: impl Into<Bytes>) -> Entry {
    Entry {
        kind: RecordKind::Transient,
        format: 1,
        body: body.into(),
        head: None,
    }
}

/// A record with a new head.
pub fn headed(body: impl Into<Bytes>, head: impl Into<Bytes>) -> Entry {
    Entry {
        kind: RecordKind::Head,
        format: 1,
        body: body.into(),
        head: Some(head.into()),
    }
}

/// A view of all records up to `seq`.
pub fn view(seq: Seq, body: impl Into<Bytes>) -> SavedView {
    SavedView {
        seq,
        format: 1,
        body: body.into(),
    }
}

/// A session's id for tests.
pub fn session(number: u64) -> SessionId {
    SessionId::from_wire(format!("ses_{number:012x}0123456789abcd"))
}

/// A small generator: the same numbers for the same seed.
pub struct Dice(u64);

impl Dice {
    /// Begins with `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `limit`, which is above 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % limit
    }

    /// Up to `limit` bytes.
    pub fn bytes(&mut self, limit: u64) -> Vec<u8> {
        let count = self.below(limit);
        (0..count).map(|_| self.below(256) as u8).collect()
    }
}

fn heads_of(store: &dyn Store) -> Vec<(SessionId, Bytes)> {
    let mut heads = Vec::new();
    store
        .heads(&mut |id, head| heads.push((id.clone(), Bytes::copy_from_slice(head))))
        .expect("heads are readable");
    let mut wanted = vec![session(999_999)];
    wanted.extend(heads.iter().rev().map(|(id, _)| id.clone()));
    let mut listed = store.heads_of(&wanted);
    assert_eq!(listed.remove(0), None);
    let each: Vec<_> = heads
        .iter()
        .rev()
        .map(|(_, head)| Some(head.clone()))
        .collect();
    assert_eq!(listed, each, "together as one by one");
    heads
}

fn is_unknown<T>(outcome: Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::NoSession(_)))
}

fn numbers_and_positions(store: Arc<dyn Store>, reopen: Reopen<'_>) {
    let (one, two) = (session(1), session(2));
    assert_eq!(store.newest(), 0);
    assert!(is_unknown(store.load(&one)));
    let first = store
        .append(&one, 10, &[headed("a", "{}"), plain("b")])
        .expect("append");
    let other = store.append(&two, 11, &[plain("c")]).expect("append");
    let third = store.append(&one, 12, &[transient("d")]).expect("append");
    assert_eq!(
        (first.first_pos, first.last_pos, first.first_seq),
        (1, 2, 0)
    );
    assert_eq!(
        (other.first_pos, other.last_pos, other.first_seq),
        (3, 3, 0)
    );
    assert_eq!(
        (third.first_pos, third.last_pos, third.first_seq),
        (4, 4, 2)
    );
    let epoch = store.epoch();
    let store = reopen(store);
    assert_eq!((store.newest(), store.epoch()), (4, epoch));
    let stored = |pos, session: &SessionId, seq, at, body: &'static str| Stored {
        pos,
        session: session.clone(),
        seq,
        at,
        format: 1,
        body: Bytes::from_static(body.as_bytes()),
    };
    let all = vec![
        stored(1, &one, 0, 10, "a"),
        stored(2, &one, 1, 10, "b"),
        stored(3, &two, 0, 11, "c"),
        stored(4, &one, 2, 12, "d"),
    ];
    assert_eq!(store.after(0, 10).expect("after"), all);
    assert_eq!(store.after(1, 2).expect("after"), all[1..3]);
    assert_eq!(store.after(4, 10).expect("after"), Vec::new());
    assert_eq!(store.after(99, 10).expect("after"), Vec::new());
    assert_eq!(store.load(&two).expect("load").tail, all[2..3]);
    assert_eq!(heads_of(&*store), vec![(one, Bytes::from_static(b"{}"))]);
    assert_eq!(store.head(&two), None);
    assert_eq!(store.stats().sessions, 2);
    assert!(store.damage().is_empty());
}

/// Large records come a few at a time; one that is larger than the bound comes alone, and none is left out.
fn one_read_has_a_bound_in_bytes(store: Arc<dyn Store>) {
    let id = session(1);
    let sizes = [3 << 20, 3 << 20, 3 << 20, 10, AFTER_BYTES + 1, 10];
    for size in sizes {
        store
            .append(&id, 1, &[plain(vec![b'x'; size])])
            .expect("append");
    }
    let (mut pos, mut reads) = (0, Vec::new());
    loop {
        let read = store.after(pos, usize::MAX).expect("after");
        let Some(last) = read.last() else { break };
        pos = last.pos;
        reads.push(read.len());
    }
    assert_eq!(reads, [3, 2, 1]);
}

fn deleting_hides_a_session(store: Arc<dyn Store>, reopen: Reopen<'_>) {
    let (gone, stays) = (session(1), session(2));
    store
        .append(&gone, 1, &[headed("a", "1"), plain("b")])
        .expect("append");
    store
        .append(&stays, 2, &[headed("c", "2")])
        .expect("append");
    let tomb = store.delete(&gone, 3).expect("delete");
    assert_eq!((tomb.first_pos, tomb.last_pos, tomb.first_seq), (4, 4, 2));
    let mut store = store;
    for _ in 0..2 {
        assert!(is_unknown(store.load(&gone)));
        assert!(is_unknown(store.append(&gone, 4, &[plain("x")])));
        assert!(is_unknown(store.save_view(&gone, &view(0, "v"))));
        assert!(is_unknown(store.delete(&gone, 5)));
        assert_eq!(store.head(&gone), None);
        assert_eq!(
            heads_of(&*store),
            vec![(stays.clone(), Bytes::from_static(b"2"))]
        );
        let left: Vec<_> = store
            .after(0, 10)
            .expect("after")
            .into_iter()
            .map(|stored| stored.pos)
            .collect();
        assert_eq!(left, vec![3]);
        assert_eq!((store.newest(), store.stats().sessions), (4, 1));
        store = reopen(store);
    }
}

fn small_values_are_kept(store: Arc<dyn Store>, reopen: Reopen<'_>) {
    store.put("rules", "b", b"2", 1).expect("put");
    store.put("rules", "a", b"1", 1).expect("put");
    store.put("rules", "a", b"11", 2).expect("put");
    store.put("rulesets", "a", b"other", 2).expect("put");
    store.put("rules", "c", b"", 3).expect("put");
    store.remove("rules", "b", 4).expect("remove");
    store.remove("rules", "never", 4).expect("remove");
    let mut store = store;
    for _ in 0..2 {
        assert_eq!(store.get("rules", "a").as_deref(), Some(b"11".as_slice()));
        assert_eq!(store.get("rules", "b"), None);
        assert_eq!(store.get("nothing", "a"), None);
        let values = vec![
            ("a".to_owned(), Bytes::from_static(b"11")),
            ("c".to_owned(), Bytes::new()),
        ];
        assert_eq!(store.scan("rules"), values);
        assert_eq!(store.after(0, 10).expect("after"), Vec::new());
        store = reopen(store);
    }
}

fn blobs_are_named_by_content(store: Arc<dyn Store>, reopen: Reopen<'_>) {
    let name = store.put_blob(b"large").expect("put");
    assert_eq!(name, store.put_blob(b"large").expect("put"));
    assert_ne!(name, store.put_blob(b"other").expect("put"));
    let store = reopen(store);
    assert_eq!(
        store.get_blob(&name).expect("get").as_deref(),
        Some(b"large".as_slice())
    );
    for unknown in ["", "../../lock", &"0".repeat(64)] {
        assert_eq!(store.get_blob(unknown).expect("get"), None);
    }
}

fn views_shorten_the_tail(store: Arc<dyn Store>, reopen: Reopen<'_>) {
    let id = session(7);
    assert!(is_unknown(store.save_view(&id, &view(0, "v"))));
    for number in 0..10 {
        store
            .append(&id, number, &[plain(format!("r{number}"))])
            .expect("append");
    }
    store.save_view(&id, &view(3, "first")).expect("view");
    store.save_view(&id, &view(6, "second")).expect("view");
    let mut store = store;
    for _ in 0..2 {
        let log = store.load(&id).expect("load");
        assert_eq!(log.view, Some(view(6, "second")));
        let tail: Vec<_> = log
            .tail
            .iter()
            .map(|stored| (stored.seq, stored.body.clone()))
            .collect();
        assert_eq!(
            tail,
            vec![(7, "r7".into()), (8, "r8".into()), (9, "r9".into())]
        );
        assert_eq!(log.tail_bytes, 6);
        store = reopen(store);
    }
    let whole = store.load_whole(&id).expect("load");
    let bodies: Vec<_> = whole.tail.into_iter().map(|stored| stored.body).collect();
    let all: Vec<Bytes> = (0..10).map(|number| format!("r{number}").into()).collect();
    assert_eq!((whole.view, bodies), (None, all));
    let next = store.append(&id, 20, &[plain("r10")]).expect("append");
    assert_eq!((next.first_seq, next.first_pos), (10, 11));
}

/// What is reported from above is damage: said once, by session, restarts included.
fn reports_from_above_are_damage(store: Arc<dyn Store>, reopen: Reopen<'_>) {
    let (one, two) = (session(1), session(2));
    for id in [&one, &two, &one] {
        store.append(id, 1, &[plain("record")]).expect("append");
    }
    store.save_view(&one, &view(0, "view")).expect("view");
    let mut store = store;
    for _ in 0..2 {
        for _ in 0..2 {
            store.report(&one, Unreadable::View, "unknown format 7");
            store.report(&one, Unreadable::Record(3), "no JSON");
            store.report(&two, Unreadable::Record(2), "no JSON");
        }
        let sessions: Vec<_> = store.damage().into_iter().map(|d| d.sessions).collect();
        assert_eq!(
            sessions,
            [vec![one.clone()], vec![one.clone()], vec![two.clone()]]
        );
        assert_eq!(store.load(&one).expect("load").tail.len(), 1);
        store = reopen(store);
    }
    // What is not there is still a report, and no panic.
    store.report(&session(9), Unreadable::View, "gone");
    store.report(&two, Unreadable::Record(99), "gone");
    assert_eq!(store.damage().len(), 5);
    store.append(&one, 1, &[plain("goes on")]).expect("append");
}

/// 1,000 sessions, written by several threads at once: numbers without gaps, positions without doubles.
fn many_sessions_write_at_once(store: Arc<dyn Store>, reopen: Reopen<'_>) {
    const THREADS: u64 = 8;
    const EACH: u64 = 125;
    const ROUNDS: u64 = 4;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = store.clone();
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    for number in 0..EACH {
                        let id = session(thread * EACH + number);
                        let entries = [
                            headed(format!("{round}a"), format!("h{round}")),
                            plain(format!("{round}b")),
                        ];
                        let done = store.append(&id, round, &entries).expect("append");
                        assert_eq!(
                            (done.first_seq, done.last_pos),
                            (round * 2, done.first_pos + 1)
                        );
                    }
                }
            });
        }
    });
    let store = reopen(store);
    let all = store.after(0, usize::MAX).expect("after");
    assert_eq!(all.len() as u64, THREADS * EACH * ROUNDS * 2);
    let mut next: BTreeMap<SessionId, Seq> = BTreeMap::new();
    for (stored, pos) in all.iter().zip(1..) {
        let seq = next.entry(stored.session.clone()).or_default();
        assert_eq!((stored.pos, stored.seq), (pos, *seq));
        *seq += 1;
    }
    assert_eq!(next.len() as u64, THREADS * EACH);
    assert!(heads_of(&*store).iter().all(|(_, head)| head == "h3"));
    for number in [0, 1, 500, 999] {
        assert_eq!(
            store.load(&session(number)).expect("load").tail.len() as u64,
            ROUNDS * 2
        );
    }
}

async fn syncs_are_answered(store: Arc<dyn Store>) {
    store.sync(0).await.expect("nothing to wait for");
    let mut waits = Vec::new();
    for number in 0..100 {
        let done = store
            .append(&session(number), 1, &[plain("x")])
            .expect("append");
        waits.push(store.sync(done.last_pos));
    }
    for wait in waits {
        wait.await.expect("synced");
    }
}

/// What a store should hold, kept the simplest way.
#[derive(Default)]
struct Model {
    /// All records, and whether a view may make one needless.
    order: Vec<(Stored, bool)>,
    sessions: BTreeMap<SessionId, Known>,
    deleted: BTreeSet<SessionId>,
    values: BTreeMap<String, Bytes>,
}

#[derive(Default)]
struct Known {
    next_seq: Seq,
    head: Option<Bytes>,
    view: Option<SavedView>,
}

/// Random appends, views, heads, deletes, values and restarts; after each restart everything is compared.
pub fn random_operations(
    mut store: Arc<dyn Store>,
    reopen: Reopen<'_>,
    seed: u64,
    operations: u64,
) {
    let mut dice = Dice::new(seed);
    let mut model = Model::default();
    for step in 0..operations {
        let id = session(dice.below(24));
        match dice.below(100) {
            0..70 => model.append(&*store, &mut dice, &id, step),
            70..80 => model.save_view(&*store, &mut dice, &id),
            80..83 => model.delete(&*store, &id),
            83..92 => model.change_value(&*store, &mut dice),
            92..97 => model.compare_session(&*store, &id, seed),
            97 => store = reopen(store),
            _ => model.compare_after(&*store, &mut dice, seed),
        }
    }
    model.compare(&*store, seed);
    let store = reopen(store);
    model.compare(&*store, seed);
    assert!(store.damage().is_empty(), "seed {seed}");
}

impl Model {
    fn append(&mut self, store: &dyn Store, dice: &mut Dice, id: &SessionId, at: u64) {
        let count = 1 + dice.below(5);
        let size = if dice.below(20) == 0 { 70_000 } else { 200 };
        let mut entries = Vec::new();
        for _ in 0..count {
            let body = dice.bytes(size);
            entries.push(match dice.below(4) {
                0 => headed(body, dice.bytes(100)),
                1 => transient(body),
                _ => plain(body),
            });
        }
        for entry in &mut entries {
            entry.format = dice.below(1 << 16) as u16;
        }
        let done = store.append(id, at, &entries);
        if self.deleted.contains(id) {
            assert!(is_unknown(done));
            return;
        }
        let done = done.expect("append");
        let known = self.sessions.entry(id.clone()).or_default();
        assert_eq!(
            (done.first_seq, done.last_pos),
            (known.next_seq, store.newest())
        );
        assert!(
            self.order
                .last()
                .is_none_or(|(last, _)| last.pos < done.first_pos)
        );
        for (entry, pos) in entries.iter().zip(done.first_pos..) {
            let (seq, body) = (known.next_seq, entry.body.clone());
            let stored = Stored {
                pos,
                session: id.clone(),
                seq,
                at,
                format: entry.format,
                body,
            };
            self.order
                .push((stored, entry.kind == RecordKind::Transient));
            known.next_seq += 1;
            if entry.head.is_some() {
                known.head.clone_from(&entry.head);
            }
        }
    }

    fn save_view(&mut self, store: &dyn Store, dice: &mut Dice, id: &SessionId) {
        let Some(known) = self.sessions.get_mut(id) else {
            return;
        };
        // Views only move on.
        let least = known.view.as_ref().map_or(0, |view| view.seq);
        let (seq, body) = (
            least + dice.below(known.next_seq - least),
            dice.bytes(2_000),
        );
        let view = SavedView {
            seq,
            format: dice.below(1 << 16) as u16,
            body: body.into(),
        };
        store.save_view(id, &view).expect("view");
        known.view = Some(view);
    }

    fn delete(&mut self, store: &dyn Store, id: &SessionId) {
        if self.sessions.remove(id).is_some() {
            store.delete(id, 1).expect("delete");
            self.order.retain(|(stored, _)| stored.session != *id);
            self.deleted.insert(id.clone());
        }
    }

    fn change_value(&mut self, store: &dyn Store, dice: &mut Dice) {
        let key = format!("k{}", dice.below(10));
        if dice.below(3) == 0 {
            store.remove("table", &key, 1).expect("remove");
            self.values.remove(&key);
        } else {
            let value = dice.bytes(300);
            store.put("table", &key, &value, 1).expect("put");
            self.values.insert(key, value.into());
        }
    }

    fn compare_session(&self, store: &dyn Store, id: &SessionId, seed: u64) {
        let Some(known) = self.sessions.get(id) else {
            assert!(is_unknown(store.load(id)), "seed {seed}");
            return;
        };
        let log = store.load(id).expect("load");
        let floor = known.view.as_ref().map(|view| view.seq);
        let own = self
            .order
            .iter()
            .map(|(stored, _)| stored)
            .filter(|stored| stored.session == *id);
        let tail: Vec<_> = own
            .filter(|stored| floor.is_none_or(|seq| stored.seq > seq))
            .cloned()
            .collect();
        assert_eq!(
            log.tail_bytes,
            tail.iter()
                .map(|stored| stored.body.len() as u64)
                .sum::<u64>(),
            "seed {seed}"
        );
        assert!(
            (&log.view, &log.tail) == (&known.view, &tail),
            "seed {seed}: {id} differs"
        );
        assert_eq!(store.head(id), known.head, "seed {seed}");
    }

    fn compare_after(&self, store: &dyn Store, dice: &mut Dice, seed: u64) {
        let pos = dice.below(store.newest() + 1);
        let limit = dice.below(50) as usize;
        self.expect_after(store, pos, limit, seed);
    }

    /// All records after `pos` are there, in order; only transient ones that a view covers may be left out.
    fn expect_after(&self, store: &dyn Store, pos: u64, limit: usize, seed: u64) {
        let got = store.after(pos, limit).expect("after");
        let mut next = got.iter().peekable();
        for (stored, transient) in self.order.iter().filter(|(stored, _)| stored.pos > pos) {
            if next.peek() == Some(&stored) {
                next.next();
                continue;
            }
            let view = self
                .sessions
                .get(&stored.session)
                .and_then(|known| known.view.as_ref());
            let needless = *transient && view.is_some_and(|view| stored.seq <= view.seq);
            let is_full = got.len() == limit && next.peek().is_none();
            assert!(
                needless || is_full,
                "seed {seed}: position {} is missing after {pos}",
                stored.pos
            );
            if is_full {
                return;
            }
        }
        assert_eq!(next.next(), None, "seed {seed}: more than was appended");
    }

    fn compare(&self, store: &dyn Store, seed: u64) {
        for id in self.sessions.keys().chain(&self.deleted) {
            self.compare_session(store, id, seed);
        }
        self.expect_after(store, 0, usize::MAX, seed);
        let heads = self
            .sessions
            .iter()
            .filter_map(|(id, known)| Some((id.clone(), known.head.clone()?)));
        assert_eq!(heads_of(store), heads.collect::<Vec<_>>(), "seed {seed}");
        let values: Vec<_> = self
            .values
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        assert_eq!(store.scan("table"), values, "seed {seed}");
        assert_eq!(
            store.stats().sessions,
            self.sessions.len() as u64,
            "seed {seed}"
        );
    }
}

//! A client that was away is shown what one that stayed has seen, byte for byte, wherever it goes on.

use crate::chance::Chance;
use crate::world::{World, answer_with_calls, run};
use bytes::Bytes;
use kilo_protocol::model::FileDiff;
use kilo_protocol::{MessageId, SessionId};
use kilo_runtime::{Received, Subscription};
use kilo_session::input::Input;

/// Some of a few files, each changed in one of a few ways; the patches are long enough for views to be saved.
fn some_diff(chance: &mut Chance) -> Vec<FileDiff> {
    let mut files = Vec::new();
    for name in ["a", "b", "c/d", "e"] {
        if chance.percent(60) {
            let kind = chance.below(3);
            files.push(FileDiff {
                file: name.into(),
                patch: format!("{name}{kind}\n").repeat(2_000 * kind),
                additions: kind as u64,
                deletions: 0,
                status: None,
            });
        }
    }
    files
}

async fn diff(world: &World, session: &SessionId, chance: &mut Chance) {
    let (turn, all) = (some_diff(chance), some_diff(chance));
    let whole = chance.percent(80);
    let given = world.engine.sessions().give(session, || {
        let nobody = MessageId::from_wire("msg_nobody");
        Input::Diff(nobody, Some(turn.clone()), whole.then(|| all.clone()))
    });
    given.await.expect("taken");
}

/// What the bus has for a client that stays: the JSON of each frame, and positions where they are.
fn take_live(live: &mut Subscription, seen: &mut Vec<(Option<u64>, Bytes)>) {
    while let Some(received) = live.try_next() {
        match received {
            Received::Frame(frame) => seen.push((frame.pos, frame.json.clone())),
            other => panic!("the test is too slow for the ring: {other:?}"),
        }
    }
}

/// What a client that comes back with `after` is shown, read in pieces of some size.
fn read_again(world: &World, mut after: u64, chance: &mut Chance) -> Vec<(Option<u64>, Bytes)> {
    let mut reading = world.engine.queries().catch_up();
    let mut shown = Vec::new();
    loop {
        if chance.percent(10) {
            reading = world.engine.queries().catch_up();
        }
        let store = world.engine.core().ledger.store();
        let records = store.after(after, 1 + chance.below(40)).expect("records");
        let Some(last) = records.last() else {
            return shown;
        };
        after = last.pos;
        for record in &records {
            let logged = reading.parse(record).expect("a record");
            let frames = reading.frames(record, &logged).expect("frames");
            shown.extend(frames.into_iter().map(|frame| (frame.pos, frame.json)));
        }
    }
}

#[test]
fn whoever_comes_back_is_shown_what_was_shown_live() {
    run(async |world: World| {
        let mut chance = Chance::new(7);
        let (mut live, begin) = world.engine.core().ledger.journal().subscribe();
        let mut seen = Vec::new();
        let sessions = [world.session().await, world.session().await];
        for _ in 0..100 {
            let session = chance.pick(&sessions);
            match chance.below(3) {
                0 => {
                    world.model.answer(answer_with_calls(2, "show"));
                    world.prompt(&session, "go").await;
                }
                _ => diff(&world, &session, &mut chance).await,
            }
            take_live(&mut live, &mut seen);
        }
        let views = sessions.iter().filter(|session| {
            let store = world.engine.core().ledger.store();
            store.load(session).expect("a log").view.is_some()
        });
        assert_eq!(
            views.count(),
            2,
            "there are views that some readers are behind of"
        );
        let progress = |record: &&Bytes| record.windows(7).any(|text| text == b"\"field2");
        assert!(seen.iter().map(|(_, json)| json).filter(progress).count() > 200);
        let newest = world.engine.core().ledger.store().newest();
        for _ in 0..20 {
            let after = begin + chance.below((newest - begin) as usize) as u64;
            // A frame without a position belongs to the next that has one.
            let old = seen
                .iter()
                .rposition(|(pos, _)| pos.is_some_and(|pos| pos <= after));
            let missed = &seen[old.map_or(0, |old| old + 1)..];
            let shown = read_again(&world, after, &mut chance);
            assert!(shown == missed, "from {after} on something else is shown");
        }
    });
}

//! What a session stores grows with what happens in it, not with what it holds.

use super::bench::Bench;
use crate::input::Input;
use crate::record::{Logged, Record};
use kilo_protocol::MessageId;
use kilo_protocol::model::{FileDiff, ToolState};
use serde_json::{Map, Value, json};

fn file(number: usize, version: usize) -> FileDiff {
    FileDiff {
        file: format!("src/file{number:03}.rs"),
        patch: format!("@@ -1 +1 @@\n-old\n+version {version}\n").repeat(10),
        additions: 10,
        deletions: 10,
        status: Some("modified".into()),
    }
}

fn bytes(records: &[Logged]) -> usize {
    let body = |logged| serde_json::to_vec(logged).expect("a record is JSON").len();
    records.iter().map(body).sum()
}

#[test]
fn a_turn_stores_the_files_that_it_changed() {
    let mut bench = Bench::new();
    bench.play("prompt 'one'\ntext 'x'\nfinish");
    let prompt = MessageId::from_wire(bench.names.long("m1"));
    let mut files: Vec<FileDiff> = (0..500).map(|number| file(number, 0)).collect();
    let one = bytes_of_one(&files);
    let give = |bench: &mut Bench, turn: Vec<FileDiff>, files: &[FileDiff]| {
        let input = Input::Diff(prompt.clone(), Some(turn), Some(files.to_vec()));
        let decision = bench.machine.handle(input, bench.now, &bench.ids);
        assert!(bench.machine.state.diff == files);
        let stored = bytes(&decision.records);
        bench.log.extend(decision.records);
        stored
    };
    give(&mut bench, files.clone(), &files);
    for turn in 1..=200 {
        let changed = turn * 7 % 500;
        files[changed] = file(changed, turn);
        let stored = give(&mut bench, vec![files[changed].clone()], &files);
        // The file in the session's diff and in the turn's, and the head.
        assert!(
            stored < 2 * one + 2_000,
            "turn {turn} stored {stored} bytes"
        );
    }
    let stored = give(&mut bench, Vec::new(), &files[1..]);
    assert!(stored < 2_000, "taking a file back stored {stored} bytes");
    bench.assert_replay();
}

fn bytes_of_one(files: &[FileDiff]) -> usize {
    serde_json::to_vec(&files[0]).expect("JSON").len()
}

/// Output of which the last 30,000 bytes are shown, so many bytes further each time. Gives what that stores, and how often
/// it is shown.
fn stored_of_a_call_that_shows(step: usize, written: usize) -> (usize, usize) {
    const SHOWN: usize = 30_000;
    let mut bench = Bench::new();
    let input = json!({"command": "x".repeat(50_000)});
    bench.play(&format!(
        "prompt 'go'\ncall c1 bash {input}\nfinish tool-calls"
    ));
    let text: String = (0..written / 7)
        .map(|line| format!("{line:06}\n"))
        .collect();
    let (stamp, call) = (bench.stamp, bench.names.call_id("c1"));
    let (mut stored, mut ticks) = (0, 0);
    for end in (step..text.len()).step_by(step) {
        let output = &text[end.saturating_sub(SHOWN)..end];
        let shown = Map::from_iter([("output".to_string(), output.into())]);
        let input = Input::Progress(stamp, call.clone(), None, shown);
        let decision = bench.machine.handle(input, bench.now, &bench.ids);
        stored += bytes(&decision.records);
        bench.log.extend(decision.records);
        ticks += 1;
        let message = MessageId::from_wire(bench.names.long("m2"));
        let (_, call) = bench.machine.state.calls(&message).next().expect("a call");
        let ToolState::Running { metadata, .. } = &call.state else {
            panic!("{:?}", call.state);
        };
        let known = metadata
            .as_ref()
            .and_then(|metadata| metadata.get("output"));
        assert!(known.and_then(Value::as_str) == Some(output));
    }
    bench.assert_replay();
    (stored, ticks)
}

#[test]
fn live_output_stores_what_came_and_not_what_is_shown() {
    for (step, written) in [(700, 300_000), (7_000, 3_000_000), (70_000, 3_000_000)] {
        let (stored, ticks) = stored_of_a_call_that_shows(step, written);
        // Of each look what is new in it, at most all that it shows; the line ends take two bytes in JSON.
        let new = ticks * step.min(30_000);
        let most = new + new / 7 + ticks * 250;
        assert!(
            stored <= most,
            "{step}: {stored} of {most} bytes, {ticks} times"
        );
    }
}

#[test]
fn a_diff_that_failed_leaves_what_was_known() {
    let mut bench = Bench::new();
    bench.play("prompt 'one'\ntext 'x'\nfinish\ndiff m1");
    let known = bench.machine.state.clone();
    assert_eq!(known.diff.len(), 1);
    let records = bench.log.len();
    bench.play("diff m1 failed");
    assert_eq!(bench.machine.state.diff, known.diff);
    assert_eq!(bench.machine.state.info, known.info);
    assert_eq!(bench.log.len(), records, "nothing is said of it");
}

#[test]
fn whole_diffs_of_older_logs_are_read_and_added_to() {
    let mut bench = Bench::new();
    let (ids, now) = (&bench.ids, bench.now);
    let old = vec![file(2, 0), file(1, 0)];
    let mut log = bench.log.clone();
    log.push(Logged {
        event: ids.event(now),
        sync: None,
        record: Record::DiffChanged(old),
    });
    let text = serde_json::to_string(&log[1].record).expect("JSON");
    assert!(text.starts_with(r#"{"diff":[{"#), "{text}");
    bench = Bench::of(log);
    let new = vec![file(1, 0), file(3, 0)];
    let nobody = MessageId::from_wire("msg_nobody");
    bench.give(Input::Diff(nobody, None, Some(new.clone())));
    assert_eq!(bench.machine.state.diff, new);
    let last = &bench.log.last().expect("a record").record;
    let Record::DiffMerged(merge) = last else {
        panic!("{last:?}");
    };
    assert_eq!((merge.changed.len(), merge.gone.len()), (1, 1));
}

//! The process ends after any record: the next one closes what was open, runs nothing again, and can go on.

use super::bench::Bench;
use super::{Outcome, script};
use crate::record::Record;
use crate::state::State;
use kilo_protocol::MessageId;

/// Everything that a session can be in the middle of.
const LONG: &str = r#"
    rules bash:ask
    compact at 1000
    prompt 'one'
    reasoning 'hm'
    text 'Let me see.'
    call c1 bash {"command":"ls"}
    prompt 'two'
    call c2 read {"path":"a"}
    begin c3 question {
    finish tool-calls 2000
    ask c1 bash 'ls'
    done c2 'A'
    answer per1 once
    progress c1 'Listing'
    done c1 'a.txt' files=/work/a snapshot=h1
    text 'We spoke.'
    finish
    fail overloaded 'busy'
    retry
    call c4 question {}
    finish tool-calls
    question c4
    reply que1 'yes'
    done c4 'yes'
    fail network 'gone'
    network back
    text 'Done.'
    finish
    prompt 'three'
    text 'Second'
    abort
    text 'Third'
    fail cut 'connection reset'
    summarize
    text 'All in all'
    finish
    prompt 'four'
    fail overflow 'too long'
    text 'In short'
    finish
    text 'Fourth'
    finish
"#;

#[test]
fn nothing_stays_open_wherever_the_log_ends() {
    let whole = script(LONG);
    whole.is_settled();
    for records in 1..whole.bench.log.len() {
        let mut bench = Bench::of(whole.bench.log[..records].to_vec());
        let state = &bench.machine.state;
        let queue: Vec<MessageId> = state.next.iter().chain(&state.queue).cloned().collect();
        bench.crash();
        bench.assert_settled();
        assert_eq!(
            bench.machine.state.queue, queue,
            "the queue changed after a crash at record {records}"
        );
        assert!(
            !bench.lines.iter().any(|line| line.starts_with("effect")),
            "recovery at {records} ran something"
        );
    }
}

#[test]
fn a_resumed_session_answers_every_prompt_that_was_accepted() {
    let whole = script(LONG);
    for records in 1..whole.bench.log.len() {
        let mut bench = Bench::of(whole.bench.log[..records].to_vec());
        bench.crash();
        let accepted = whole
            .bench
            .accepted
            .iter()
            .filter(|(at, _)| *at <= records)
            .map(|(_, prompt)| prompt);
        let promised = promised(&bench);
        bench.give(crate::input::Input::Resume);
        for _ in 0..20 {
            if bench.machine.stamp().is_none() {
                break;
            }
            bench.play("text 'At last'\nfinish");
        }
        bench.assert_settled();
        assert!(
            bench.machine.state.queue.is_empty(),
            "the queue is not worked off after record {records}"
        );
        for prompt in accepted {
            assert!(
                bench.machine.state.last_answer(prompt).is_some(),
                "{prompt} is lost after record {records}"
            );
        }
        for prompt in promised {
            let answer = bench
                .machine
                .state
                .last_answer(&prompt)
                .and_then(|entry| entry.info.assistant());
            let finish = answer.and_then(|answer| answer.finish.clone());
            assert_eq!(
                finish.as_deref(),
                Some("stop"),
                "{prompt} has no answer after a crash at record {records}"
            );
        }
    }
}

/// The prompts whose turns have to be opened again: the interrupted one and the queue.
fn promised(bench: &Bench) -> Vec<MessageId> {
    let state = &bench.machine.state;
    state
        .unfinished
        .iter()
        .map(|head| &head.prompt)
        .chain(&state.queue)
        .cloned()
        .collect()
}

#[test]
fn a_running_call_is_closed_and_not_run_again() {
    let outcome = script(
        r#"
        rules bash:ask
        prompt 'one'
        prompt 'two'
        reasoning 'hm'
        text 'Let me see.'
        call c1 bash {"command":"make"}
        begin c2 bash {"comm
        ask c1 bash 'make'
        crash
        resume
        text 'It was cut off.'
        finish
        "#,
    );
    outcome.since("crash", "
            - crash
            record permission per1 reject
            record failed MessageAbortedError 'The daemon ended during this turn. Resume to go on.'
            record part m2.p6 call c1 bash error 'The daemon ended while this call was running. It was not run again; what it did up to then is unknown.' interrupted
            record part m2.p7 call c2 bash error 'The daemon ended while this call was running. It was not run again; what it did up to then is unknown.' interrupted
            record message m2 answers m1 MessageAbortedError complete
            record status idle
            record idle
            record turn closed interrupted
            record head
            - resume
            record turn opened m1
            record status busy
            record head
            record message m4 answers m1
            record status busy
            effect track
            effect call_model m4 for m1 code
            record part m4.p8 step-start h0
            - text 'It was cut off.'
            record part m4.p9 text ''
            record delta p9 'It was cut off.'
            - finish
            record part m4.p9 text 'It was cut off.' ended
            record part m4.p10 step-finish stop h0
            record message m4 answers m1 stop
            record message m4 answers m1 stop complete
            record head cost tokens
            record status idle
            record idle
            record turn closed completed
            record head
            record queue []
            record turn opened m3
            record status busy
            record head
            record message m5 answers m3
            record status busy
            effect turn_ended m1
            effect track
            effect call_model m5 for m3 code
            record part m5.p11 step-start h0
        ");
}

#[test]
fn an_interrupted_summary_is_made_again_and_its_turn_goes_on() {
    let outcome = script(
        "
        prompt 'one'
        fail overflow 'too long'
        text 'We sp'
        crash
        resume
        text 'We spoke.'
        finish
        text 'Hi'
        finish
        ",
    );
    outcome
        .since(
            "crash",
            "
            - crash
            record failed MessageAbortedError 'The daemon ended during this turn. Resume to go on.'
            record part m4.p5 text 'We sp' ended
            record message m4 answers m3 summary MessageAbortedError complete
            record status idle
            record idle
            record turn closed interrupted
            record head
            - resume
            record turn opened m3 summary, then m1
            record status busy
            record head
            record message m5 answers m3 summary
            record status busy
            record part m5.p6 step-start -
            effect call_model m5 for m3 compaction
            - text 'We spoke.'
            record part m5.p7 text ''
            record delta p7 'We spoke.'
            - finish
            record part m5.p7 text 'We spoke.' ended
            record part m5.p8 step-finish stop -
            record message m5 answers m3 summary stop
            record message m5 answers m3 summary stop complete
            record head cost tokens
            record compacted
            record turn went on m1
            record message m6 answers m1
            record status busy
            effect turn_ended m3
            effect track
            effect call_model m6 for m1 code
            record part m6.p9 step-start h0
            - text 'Hi'
            record part m6.p10 text ''
            record delta p10 'Hi'
            - finish
            record part m6.p10 text 'Hi' ended
            record part m6.p11 step-finish stop h0
            record message m6 answers m1 stop
            record message m6 answers m1 stop complete
            record head cost tokens
            record status idle
            record idle
            record turn closed completed
            record head
            effect turn_ended m1
        ",
        )
        .is_settled();
}

#[test]
fn a_prompt_after_a_crash_comes_behind_the_queue() {
    let outcome = script(
        "
        prompt 'one'
        prompt 'two'
        crash
        prompt 'three'
        ",
    );
    outcome.since(
        "prompt 'three'",
        "
            - prompt 'three'
            record message m4 user code
            record part m4.p4 text 'three'
            record queue [m3 m4]
            record queue [m4]
            record turn opened m3
            record status busy
            record head
            record message m5 answers m3
            record status busy
            effect track
            effect call_model m5 for m3 code
            record part m5.p5 step-start h0
        ",
    );
}

#[test]
fn a_half_answer_without_a_turn_is_closed_too() {
    // A fork of a busy session has such a copy.
    let mut log = script("prompt 'one'\ntext 'half'\ncall c1 read {}")
        .bench
        .log;
    log.retain(|logged| {
        !matches!(
            logged.record,
            Record::TurnOpened(_) | Record::StatusChanged(_)
        )
    });
    let mut bench = Bench::of(log);
    bench.play("crash\nresume");
    let outcome = Outcome {
        lines: bench.lines.clone(),
        bench,
    };
    outcome.since("crash", "
            - crash
            record failed MessageAbortedError 'The daemon ended during this turn. Resume to go on.'
            record part m1.p1 call c1 read error 'The daemon ended while this call was running. It was not run again; what it did up to then is unknown.' interrupted
            record message m1 answers m2 MessageAbortedError complete
            record status idle
            record idle
            record head
            - resume
        ").is_settled();
}

#[test]
fn a_stored_view_gives_the_state_back() {
    let state = script(LONG).bench.machine.state;
    let body = serde_json::to_vec(&state).expect("a state is JSON");
    let mut read: State = serde_json::from_slice(&body).expect("a view can be read");
    read.reindex();
    assert_eq!(read.messages, state.messages);
    assert_eq!(read.places, state.places);
    assert_eq!(serde_json::to_vec(&read).expect("a state is JSON"), body);
}

#[test]
fn a_second_start_finds_nothing_to_do() {
    let outcome = script(
        "
        prompt 'one'
        text 'half'
        crash
        crash
        ",
    );
    outcome.since("crash", "- crash").is_settled();
}

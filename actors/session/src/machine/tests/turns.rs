//! Turns as models and clients want them: nothing goes wrong.

use super::script;

#[test]
fn a_prompt_is_answered() {
    let outcome = script(
        "
        prompt 'hello'
        text 'Hi '
        text 'there'
        finish
        ",
    );
    outcome
        .expect(
            "
            - prompt 'hello'
            record head agent model
            record message m1 user code
            record part m1.p1 text 'hello'
            record turn opened m1
            record status busy
            record head
            record message m2 answers m1
            record status busy
            effect track
            effect call_model m2 for m1 code
            record part m2.p2 step-start h0
            - text 'Hi '
            record part m2.p3 text ''
            record delta p3 'Hi '
            - text 'there'
            record delta p3 'there'
            - finish
            record part m2.p3 text 'Hi there' ended
            record part m2.p4 step-finish stop h0
            record message m2 answers m1 stop
            record message m2 answers m1 stop complete
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
fn reasoning_and_text_alternate_in_parts_of_their_own() {
    let outcome = script(
        "
        prompt 'hello'
        reasoning 'hm'
        reasoning-end
        text 'a'
        text-end
        text 'b'
        reasoning 'well'
        text 'c'
        finish
        ",
    );
    outcome
        .since(
            "reasoning 'hm'",
            "
            - reasoning 'hm'
            record part m2.p3 reasoning ''
            record delta p3 'hm'
            - reasoning-end
            record part m2.p3 reasoning 'hm' ended
            - text 'a'
            record part m2.p4 text ''
            record delta p4 'a'
            - text-end
            record part m2.p4 text 'a' ended
            - text 'b'
            record part m2.p5 text ''
            record delta p5 'b'
            - reasoning 'well'
            record part m2.p5 text 'b' ended
            record part m2.p6 reasoning ''
            record delta p6 'well'
            - text 'c'
            record part m2.p6 reasoning 'well' ended
            record part m2.p7 text ''
            record delta p7 'c'
            - finish
            record part m2.p7 text 'c' ended
            record part m2.p8 step-finish stop h0
            record message m2 answers m1 stop
            record message m2 answers m1 stop complete
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
fn a_turn_waits_for_its_checkpoint_and_may_do_without() {
    let outcome = script(
        "
        snapshots held
        prompt 'hello'
        snapshot h7
        text 'Hi'
        finish
        ",
    );
    outcome
        .expect(
            "
            - prompt 'hello'
            record head agent model
            record message m1 user code
            record part m1.p1 text 'hello'
            record turn opened m1
            record status busy
            record head
            record message m2 answers m1
            record status busy
            effect track
            effect call_model m2 for m1 code
            - snapshot h7
            record part m2.p2 step-start h7
            - text 'Hi'
            record part m2.p3 text ''
            record delta p3 'Hi'
            - finish
            record part m2.p3 text 'Hi' ended
            record part m2.p4 step-finish stop h7
            record message m2 answers m1 stop
            record message m2 answers m1 stop complete
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
fn a_prompt_without_reply_is_only_stored() {
    let outcome = script(
        "
        prompt 'by the way' no-reply
        resume
        ",
    );
    outcome
        .expect(
            "
            - prompt 'by the way' no-reply
            record message m1 user code
            record part m1.p1 text 'by the way'
            - resume
        ",
        )
        .is_settled();
}

#[test]
fn a_structured_answer_ends_the_turn() {
    let outcome = script(
        r#"
        offer StructuredOutput
        prompt 'as an object'
        call c1 StructuredOutput {"city":"Rome"}
        finish tool-calls
        "#,
    );
    outcome
        .since(
            "call",
            r#"
            - call c1 StructuredOutput {"city":"Rome"}
            record part m2.p3 call c1 StructuredOutput pending
            record part m2.p3 call c1 StructuredOutput running
            record message m2 answers m1 structured {"city":"Rome"}
            record part m2.p3 call c1 StructuredOutput completed 'The structured answer was taken.'
            - finish tool-calls
            record part m2.p4 step-finish tool-calls h0
            record message m2 answers m1 tool-calls structured {"city":"Rome"}
            record message m2 answers m1 tool-calls structured {"city":"Rome"} complete
            record head cost tokens
            record status idle
            record idle
            record turn closed completed
            record head
            effect make_title
            effect turn_ended m1
        "#,
        )
        .is_settled();
}

#[test]
fn the_last_step_has_no_tools_and_ends_the_turn_whatever_the_model_says() {
    let outcome = script(
        "
        steps 2
        prompt 'go'
        call c1 read {}
        finish tool-calls
        done c1 'one'
        call c2 read {}
        finish tool-calls
        done c2 'two'
        ",
    );
    outcome.since("done c1", "
            - done c1 'one'
            record part m2.p3 call c1 read completed 'one'
            record part m2.p4 step-finish tool-calls h0
            record message m2 answers m1 tool-calls
            record message m2 answers m1 tool-calls complete
            record head cost tokens
            record message m3 answers m1
            record status busy
            record part m3.p5 step-start h0
            effect call_model m3 for m1 code last
            - call c2 read {}
            record part m3.p6 call c2 read pending
            record part m3.p6 call c2 read error 'Model tried to call unavailable tool 'read'. Available tools: none.'
            - finish tool-calls
            record part m3.p7 step-finish tool-calls h0
            record message m3 answers m1 tool-calls
            record message m3 answers m1 tool-calls complete
            record head cost tokens
            record status idle
            record idle
            record turn closed completed
            record head
            effect make_title
            effect turn_ended m1
            - done c2 'two'
        ").is_settled();
}

#[test]
fn a_title_is_made_after_the_first_turn_with_tools_and_never_replaces_a_chosen_one() {
    let outcome = script(
        "
        prompt 'go'
        call c1 read {}
        finish tool-calls
        done c1 'one'
        text 'Done'
        finish
        title 'Reading things'
        title 'Another'
        ",
    );
    outcome
        .since(
            "finish",
            "
            - finish
            record part m3.p6 text 'Done' ended
            record part m3.p7 step-finish stop h0
            record message m3 answers m1 stop
            record message m3 answers m1 stop complete
            record head cost tokens
            record status idle
            record idle
            record turn closed completed
            record head
            effect make_title
            effect turn_ended m1
            - title 'Reading things'
            record head title
            - title 'Another'
        ",
        )
        .is_settled();
}

#[test]
fn a_diff_is_worked_out_for_a_turn_that_changed_files() {
    let outcome = script(
        r#"
        prompt 'go'
        call c1 edit {"path":"/work/a"}
        finish tool-calls
        done c1 'edited' files=/work/b,/work/a snapshot=h1
        text 'Done'
        finish
        diff m1
        "#,
    );
    outcome
        .since(
            "done c1",
            r#"
            - done c1 'edited' files=/work/b,/work/a snapshot=h1
            record files m2 ["/work/b", "/work/a"]
            record part m2.p3 call c1 edit completed 'edited'
            record part m2.p4 step-finish tool-calls h1
            record message m2 answers m1 tool-calls
            record part m2.p5 patch h0 ["/work/a", "/work/b"]
            record message m2 answers m1 tool-calls complete
            record head cost tokens
            record message m3 answers m1
            record status busy
            record part m3.p6 step-start h1
            effect call_model m3 for m1 code
            - text 'Done'
            record part m3.p7 text ''
            record delta p7 'Done'
            - finish
            record part m3.p7 text 'Done' ended
            record part m3.p8 step-finish stop h1
            record message m3 answers m1 stop
            record message m3 answers m1 stop complete
            record head cost tokens
            record status idle
            record idle
            record turn closed completed
            record head
            effect make_diff m1
            effect make_title
            effect turn_ended m1
            - diff m1
            record head summary
            record diff changed 1 gone 0
            record message m1 user code diff
        "#,
        )
        .is_settled();
}

#[test]
fn a_drain_is_told_only_to_an_idle_session_with_an_empty_queue() {
    let outcome = script(
        "
        drain one
        prompt 'go'
        drain two
        text 'Hi'
        finish
        drain three
        ",
    );
    outcome
        .since(
            "drain two",
            "
            - drain two
            - text 'Hi'
            record part m2.p3 text ''
            record delta p3 'Hi'
            - finish
            record part m2.p3 text 'Hi' ended
            record part m2.p4 step-finish stop h0
            record message m2 answers m1 stop
            record message m2 answers m1 stop complete
            record head cost tokens
            record status idle
            record idle
            record turn closed completed
            record head
            effect turn_ended m1
            - drain three
            record drained three
        ",
        )
        .is_settled();
    assert!(outcome.lines.contains(&"record drained one".to_string()));
}

#[test]
fn a_prompt_after_a_revert_takes_the_hidden_messages_away() {
    let outcome = script(
        "
        prompt 'one'
        text 'First'
        finish
        prompt 'two'
        text 'Second'
        finish
        revert m3
        prompt 'three'
        ",
    );
    outcome.since(
        "revert",
        "
            - revert m3
            record undo to m3 began
            effect move redo [] void undo []
            record undo ended
            record head revert
            effect undo_ended
            - prompt 'three'
            record message m3 removed
            record message m4 removed
            record head revert
            record message m5 user code
            record part m5.p9 text 'three'
            record turn opened m5
            record status busy
            record head
            record message m6 answers m5
            record status busy
            effect track
            effect call_model m6 for m5 code
            record part m6.p10 step-start h0
        ",
    );
}

#[test]
fn a_revert_to_a_part_takes_away_that_part_and_what_follows() {
    let outcome = script(
        "
        prompt 'one'
        text 'First'
        text-end
        text 'Second'
        finish
        prompt 'two'
        finish
        revert m2 p4
        prompt 'three'
        ",
    );
    outcome.since(
        "revert",
        "
            - revert m2 p4
            record undo to m2 p4 began
            effect move redo [] void undo []
            record undo ended
            record head revert
            effect undo_ended
            - prompt 'three'
            record message m3 removed
            record message m4 removed
            record part p4 removed
            record part p5 removed
            record head revert
            record message m5 user code
            record part m5.p9 text 'three'
            record turn opened m5
            record status busy
            record head
            record message m6 answers m5
            record status busy
            effect track
            effect call_model m6 for m5 code
            record part m6.p10 step-start h0
        ",
    );
}

#[test]
fn what_people_were_promised_has_to_be_on_the_disk() {
    let outcome = script(
        "
        rules bash:ask
        prompt 'one'
        text 'Hm'
        call c1 bash {}
        progress c1 'Working'
        call c2 question {}
        ask c1 bash 'ls'
        answer per1 once
        question c2
        reply que1 'yes'
        finish tool-calls
        done c1 'A'
        done c2 'yes'
        prompt 'two'
        fail cut 'gone'
        title 'Chosen'
        abort
        drain token
        revert m1
        ",
    );
    assert_eq!(
        outcome.bench.durable,
        [
            "prompt 'one'",
            "call c1 bash {}",
            "call c2 question {}",
            "answer per1 once",
            "reply que1 'yes'",
            "done c1 'A'",
            "done c2 'yes'",
            "prompt 'two'",
            "fail cut 'gone'",
            "abort",
            // Its beginning, and what became of the files.
            "revert m1",
            "revert m1",
        ]
    );
}

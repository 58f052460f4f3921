//! Conversations that grow too long.

use super::script;

#[test]
fn a_client_has_the_conversation_summarised() {
    let outcome = script(
        "
        prompt 'one'
        text 'First'
        finish
        summarize
        text 'We spoke.'
        finish
        ",
    );
    outcome
        .since(
            "summarize",
            "
            - summarize
            record message m3 user code
            record part m3.p5 compaction by hand
            record turn opened m3 summary
            record status busy
            record head
            record message m4 answers m3 summary
            record status busy
            record part m4.p6 step-start -
            effect call_model m4 for m3 compaction
            - text 'We spoke.'
            record part m4.p7 text ''
            record delta p7 'We spoke.'
            - finish
            record part m4.p7 text 'We spoke.' ended
            record part m4.p8 step-finish stop -
            record message m4 answers m3 summary stop
            record message m4 answers m3 summary stop complete
            record head cost tokens
            record compacted
            record status idle
            record idle
            record turn closed completed
            record head
            effect turn_ended m3
        ",
        )
        .is_settled();
}

#[test]
fn a_conversation_that_outgrows_the_model_within_an_answer_is_summarised_as_well() {
    let outcome = script(
        "
        prompt 'one'
        text 'half'
        fail overflow 'full'
        ",
    );
    outcome.since(
        "fail",
        "
            - fail overflow 'full'
            record failed ContextOverflowError 'full'
            record part m2.p3 text 'half' ended
            record message m2 answers m1 ContextOverflowError complete
            record message m3 user code
            record part m3.p4 compaction overflow
            record turn went on m3 summary, then m1
            record message m4 answers m3 summary
            record status busy
            record part m4.p5 step-start -
            effect call_model m4 for m3 compaction
        ",
    );
}

#[test]
fn an_answer_that_called_tools_is_not_begun_again_for_want_of_room() {
    let outcome = script(
        "
        prompt 'one'
        call c1 read {}
        fail overflow 'full'
        ",
    );
    assert!(
        outcome
            .lines
            .contains(&"record turn closed error".to_string())
    );
}

#[test]
fn a_conversation_that_does_not_fit_is_summarised_and_the_prompt_goes_on_in_the_same_turn() {
    let outcome = script(
        "
        prompt 'one'
        fail overflow 'too long'
        text 'We spoke.'
        finish
        text 'Hi'
        finish
        ",
    );
    outcome
        .since(
            "fail",
            "
            - fail overflow 'too long'
            record failed ContextOverflowError 'too long'
            record message m2 answers m1 ContextOverflowError complete
            record message m3 user code
            record part m3.p3 compaction overflow
            record turn went on m3 summary, then m1
            record message m4 answers m3 summary
            record status busy
            record part m4.p4 step-start -
            effect call_model m4 for m3 compaction
            - text 'We spoke.'
            record part m4.p5 text ''
            record delta p5 'We spoke.'
            - finish
            record part m4.p5 text 'We spoke.' ended
            record part m4.p6 step-finish stop -
            record message m4 answers m3 summary stop
            record message m4 answers m3 summary stop complete
            record head cost tokens
            record compacted
            record turn went on m1
            record message m5 answers m1
            record status busy
            effect turn_ended m3
            effect track
            effect call_model m5 for m1 code
            record part m5.p7 step-start h0
            - text 'Hi'
            record part m5.p8 text ''
            record delta p8 'Hi'
            - finish
            record part m5.p8 text 'Hi' ended
            record part m5.p9 step-finish stop h0
            record message m5 answers m1 stop
            record message m5 answers m1 stop complete
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
fn a_conversation_that_does_not_fit_after_its_summary_fails_the_turn() {
    let outcome = script(
        "
        prompt 'one'
        fail overflow 'too long'
        text 'We spoke.'
        finish
        fail overflow 'still too long'
        ",
    );
    outcome
        .since(
            "fail overflow 'still",
            "
            - fail overflow 'still too long'
            record failed ContextOverflowError 'still too long'
            record message m5 answers m1 ContextOverflowError complete
            record status idle
            record idle
            record turn closed error
            record head
            effect stop_tools
            effect turn_ended m1
        ",
        )
        .is_settled();
}

#[test]
fn a_summary_that_does_not_fit_fails_the_turn_and_the_waiting_client_hears_of_it() {
    let outcome = script(
        "
        prompt 'one'
        fail overflow 'too long'
        fail overflow 'too long to summarise'
        ",
    );
    outcome
        .since(
            "fail overflow 'too long to",
            "
            - fail overflow 'too long to summarise'
            record failed ContextOverflowError 'too long to summarise'
            record message m4 answers m3 summary ContextOverflowError complete
            record status idle
            record idle
            record turn closed error
            record head
            effect stop_tools
            effect turn_ended m1
            effect turn_ended m3
        ",
        )
        .is_settled();
}

#[test]
fn a_step_that_reaches_the_limit_is_followed_by_a_summary() {
    let outcome = script(
        "
        compact at 1000
        prompt 'one'
        call c1 read {}
        finish tool-calls 995
        done c1 'A'
        text 'We spoke.'
        finish
        text 'Hi'
        finish
        ",
    );
    outcome
        .since(
            "done c1",
            "
            - done c1 'A'
            record part m2.p3 call c1 read completed 'A'
            record part m2.p4 step-finish tool-calls h0
            record message m2 answers m1 tool-calls
            record message m2 answers m1 tool-calls complete
            record head cost tokens
            record message m3 user code
            record part m3.p5 compaction auto
            record turn went on m3 summary, then m1
            record message m4 answers m3 summary
            record status busy
            record part m4.p6 step-start -
            effect call_model m4 for m3 compaction
            - text 'We spoke.'
            record part m4.p7 text ''
            record delta p7 'We spoke.'
            - finish
            record part m4.p7 text 'We spoke.' ended
            record part m4.p8 step-finish stop -
            record message m4 answers m3 summary stop
            record message m4 answers m3 summary stop complete
            record head cost tokens
            record compacted
            record turn went on m1
            record message m5 answers m1
            record status busy
            effect turn_ended m3
            effect track
            effect call_model m5 for m1 code
            record part m5.p9 step-start h0
            - text 'Hi'
            record part m5.p10 text ''
            record delta p10 'Hi'
            - finish
            record part m5.p10 text 'Hi' ended
            record part m5.p11 step-finish stop h0
            record message m5 answers m1 stop
            record message m5 answers m1 stop complete
            record head cost tokens
            record status idle
            record idle
            record turn closed completed
            record head
            effect make_title
            effect turn_ended m1
        ",
        )
        .is_settled();
}

#[test]
fn a_long_turn_is_compacted_again_once_a_step_fitted_in_between() {
    let outcome = script(
        "
        compact at 1000
        prompt 'one'
        call c1 read {}
        finish tool-calls 2000
        done c1 'A'
        text 'Summary one.'
        finish
        call c2 read {}
        finish tool-calls 2000
        done c2 'B'
        call c3 read {}
        finish tool-calls 100
        done c3 'C'
        call c4 read {}
        finish tool-calls 2000
        done c4 'D'
        ",
    );
    let calls: Vec<&str> = outcome
        .lines
        .iter()
        .filter_map(|line| line.strip_prefix("effect call_model "))
        .collect();
    assert_eq!(
        calls,
        [
            "m2 for m1 code",
            "m4 for m3 compaction",
            "m5 for m1 code",
            "m6 for m1 code",
            "m7 for m1 code",
            "m9 for m8 compaction",
        ]
    );
}

#[test]
fn the_bound_of_steps_holds_for_the_whole_turn() {
    let outcome = script(
        "
        steps 4
        compact at 1000
        prompt 'one'
        call c1 read {}
        finish tool-calls 2000
        done c1 'A'
        text 'Summary one.'
        finish
        call c2 read {}
        finish tool-calls 100
        done c2 'B'
        ",
    );
    outcome.since(
        "done c2",
        "
            - done c2 'B'
            record part m5.p10 call c2 read completed 'B'
            record part m5.p11 step-finish tool-calls h0
            record message m5 answers m1 tool-calls
            record message m5 answers m1 tool-calls complete
            record head cost tokens
            record message m6 answers m1
            record status busy
            record part m6.p12 step-start h0
            effect call_model m6 for m1 code last
        ",
    );
}

#[test]
fn a_summary_without_a_word_does_not_wipe_out_the_conversation() {
    let outcome = script(
        "
        prompt 'one'
        text 'First'
        finish
        summarize
        call c1 read {}
        finish tool-calls
        ",
    );
    outcome.since("call c1", "
            - call c1 read {}
            record part m4.p7 call c1 read pending
            record part m4.p7 call c1 read error 'Model tried to call unavailable tool 'read'. Available tools: none.'
            - finish tool-calls
            record part m4.p8 step-finish tool-calls -
            record message m4 answers m3 summary tool-calls
            record message m4 answers m3 summary tool-calls complete
            record head cost tokens
            record failed UnknownError 'The model gave no summary of the conversation.'
            record message m4 answers m3 summary tool-calls UnknownError complete
            record status idle
            record idle
            record turn closed error
            record head
            effect turn_ended m3
        ").is_settled();
}

//! Prompts to a busy session, and going on with what was interrupted.

use super::script;

#[test]
fn a_prompt_to_a_busy_session_waits_for_the_end_of_the_turn() {
    let outcome = script(
        "
        prompt 'one'
        prompt 'two'
        prompt 'three'
        text 'First'
        finish
        text 'Second'
        finish
        ",
    );
    outcome.since(
        "prompt 'two'",
        "
            - prompt 'two'
            record message m3 user code
            record part m3.p3 text 'two'
            record queue [m3]
            - prompt 'three'
            record message m4 user code
            record part m4.p4 text 'three'
            record queue [m3 m4]
            - text 'First'
            record part m2.p5 text ''
            record delta p5 'First'
            - finish
            record part m2.p5 text 'First' ended
            record part m2.p6 step-finish stop h0
            record message m2 answers m1 stop
            record message m2 answers m1 stop complete
            record head cost tokens
            record status idle
            record idle
            record turn closed completed
            record head
            record queue [m4]
            record turn opened m3
            record status busy
            record head
            record message m5 answers m3
            record status busy
            effect turn_ended m1
            effect track
            effect call_model m5 for m3 code
            record part m5.p7 step-start h0
            - text 'Second'
            record part m5.p8 text ''
            record delta p8 'Second'
            - finish
            record part m5.p8 text 'Second' ended
            record part m5.p9 step-finish stop h0
            record message m5 answers m3 stop
            record message m5 answers m3 stop complete
            record head cost tokens
            record status idle
            record idle
            record turn closed completed
            record head
            record queue []
            record turn opened m4
            record status busy
            record head
            record message m6 answers m4
            record status busy
            effect turn_ended m3
            effect track
            effect call_model m6 for m4 code
            record part m6.p10 step-start h0
        ",
    );
}

#[test]
fn after_an_abort_the_next_prompt_is_answered() {
    let outcome = script(
        "
        prompt 'one'
        prompt 'two'
        abort
        text 'Second'
        finish
        ",
    );
    outcome
        .since(
            "abort",
            "
            - abort
            record failed MessageAbortedError 'The turn was stopped.'
            record status idle
            record idle
            record message m2 answers m1 MessageAbortedError complete
            record turn closed interrupted
            record head
            record drain interrupted
            record queue []
            record turn opened m3
            record status busy
            record head
            record message m4 answers m3
            record status busy
            effect stop_model
            effect stop_tools
            effect abort_children
            effect turn_ended m1
            effect track
            effect call_model m4 for m3 code
            record part m4.p4 step-start h0
            - text 'Second'
            record part m4.p5 text ''
            record delta p5 'Second'
            - finish
            record part m4.p5 text 'Second' ended
            record part m4.p6 step-finish stop h0
            record message m4 answers m3 stop
            record message m4 answers m3 stop complete
            record head cost tokens
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
fn after_a_failure_the_next_prompt_is_answered() {
    let outcome = script(
        "
        prompt 'one'
        prompt 'two'
        fail auth 'no key'
        ",
    );
    outcome.since(
        "fail",
        "
            - fail auth 'no key'
            record failed ProviderAuthError 'no key'
            record message m2 answers m1 ProviderAuthError complete
            record status idle
            record idle
            record turn closed error
            record head
            record queue []
            record turn opened m3
            record status busy
            record head
            record message m4 answers m3
            record status busy
            effect stop_tools
            effect turn_ended m1
            effect track
            effect call_model m4 for m3 code
            record part m4.p4 step-start h0
        ",
    );
}

#[test]
fn resume_goes_on_with_an_aborted_turn_and_not_with_a_note_stored_after_it() {
    let outcome = script(
        "
        prompt 'one'
        text 'half'
        abort
        prompt 'by the way' no-reply
        resume
        resume
        ",
    );
    outcome.since("resume", "- resume");
    assert_eq!(
        outcome
            .lines
            .iter()
            .filter(|line| *line == "effect call_model m4 for m1 code")
            .count(),
        1
    );
}

#[test]
fn resume_has_nothing_to_do_after_a_turn_that_completed() {
    let outcome = script(
        "
        prompt 'one'
        text 'All'
        finish
        resume
        ",
    );
    outcome.since("resume", "- resume").is_settled();
}

#[test]
fn a_summary_is_refused_while_a_turn_runs() {
    let outcome = script(
        "
        prompt 'one'
        summarize
        ",
    );
    outcome.since("summarize", "- summarize");
}

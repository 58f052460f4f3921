//! An abort at every point of a turn: what runs is stopped, what was written stays, nothing is left open.

use super::script;

#[test]
fn while_the_checkpoint_is_made() {
    let outcome = script(
        "
        snapshots held
        prompt 'go'
        abort
        late snapshot h1
        snapshot h1
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
            record part m2.p2 step-start -
            record message m2 answers m1 MessageAbortedError complete
            record turn closed interrupted
            record head
            record drain interrupted
            effect stop_model
            effect stop_tools
            effect abort_children
            effect turn_ended m1
            - late snapshot h1
            - snapshot h1
        ",
        )
        .is_settled();
}

#[test]
fn while_text_streams() {
    let outcome = script(
        "
        prompt 'go'
        reasoning 'hm'
        text 'half'
        abort
        text ' more'
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
            record part m2.p4 text 'half' ended
            record message m2 answers m1 MessageAbortedError complete
            record turn closed interrupted
            record head
            record drain interrupted
            effect stop_model
            effect stop_tools
            effect abort_children
            effect turn_ended m1
            - text ' more'
            - finish
        ",
        )
        .is_settled();
}

#[test]
fn while_arguments_stream() {
    let outcome = script(
        r#"
        prompt 'go'
        begin c1 bash {"comm
        abort
        "#,
    );
    outcome
        .since(
            "abort",
            "
            - abort
            record failed MessageAbortedError 'The turn was stopped.'
            record status idle
            record idle
            record part m2.p3 call c1 bash error 'The call was aborted by the user.' interrupted
            record message m2 answers m1 MessageAbortedError complete
            record turn closed interrupted
            record head
            record drain interrupted
            effect stop_model
            effect stop_tools
            effect abort_children
            effect turn_ended m1
        ",
        )
        .is_settled();
}

#[test]
fn while_a_call_runs_and_its_late_files_are_kept_for_undo() {
    let outcome = script(
        r#"
        prompt 'go'
        call c1 bash {"command":"make"}
        finish tool-calls
        progress c1 'Making'
        abort
        done c1 'made' files=/work/a
        "#,
    );
    outcome
        .since(
            "abort",
            r#"
            - abort
            record failed MessageAbortedError 'The turn was stopped.'
            record status idle
            record idle
            record part m2.p3 call c1 bash error 'The call was aborted by the user.' interrupted
            record message m2 answers m1 MessageAbortedError complete
            record turn closed interrupted
            record head
            record drain interrupted
            effect stop_model
            effect stop_tools
            effect abort_children
            effect turn_ended m1
            - done c1 'made' files=/work/a
            record files m2 ["/work/a"]
            effect make_diff m1
        "#,
        )
        .is_settled();
}

#[test]
fn while_a_person_is_asked() {
    let outcome = script(
        "
        rules bash:ask
        prompt 'go'
        call c1 bash {}
        call c2 question {}
        finish tool-calls
        ask c1 bash 'ls'
        question c2
        abort
        answer per1 once
        reply que1 'yes'
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
            record permission per1 reject
            record question que1 dismissed
            record part m2.p3 call c1 bash error 'The call was aborted by the user.' interrupted
            record part m2.p4 call c2 question error 'The call was aborted by the user.' interrupted
            record message m2 answers m1 MessageAbortedError complete
            record turn closed interrupted
            record head
            record drain interrupted
            effect stop_model
            effect stop_tools
            effect abort_children
            effect turn_ended m1
            - answer per1 once
            - reply que1 'yes'
        ",
        )
        .is_settled();
}

#[test]
fn while_a_retry_waits() {
    let outcome = script(
        "
        prompt 'go'
        fail overloaded 'busy'
        abort
        retry
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
            effect stop_model
            effect stop_tools
            effect abort_children
            effect turn_ended m1
            - retry
        ",
        )
        .is_settled();
}

#[test]
fn while_the_network_is_gone() {
    let outcome = script(
        "
        prompt 'go'
        fail network 'gone'
        abort
        network back
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
            record network que1 given up
            record message m2 answers m1 MessageAbortedError complete
            record turn closed interrupted
            record head
            record drain interrupted
            effect stop_model
            effect stop_tools
            effect abort_children
            effect turn_ended m1
            - network back
        ",
        )
        .is_settled();
}

#[test]
fn while_a_conversation_is_compacted_the_waiting_client_hears_of_it() {
    let outcome = script(
        "
        prompt 'go'
        fail overflow 'too long'
        text 'We spoke'
        abort
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
            record part m4.p5 text 'We spoke' ended
            record message m4 answers m3 summary MessageAbortedError complete
            record turn closed interrupted
            record head
            record drain interrupted
            effect stop_model
            effect stop_tools
            effect abort_children
            effect turn_ended m1
            effect turn_ended m3
        ",
        )
        .is_settled();
}

#[test]
fn with_nothing_to_stop_does_nothing() {
    let outcome = script(
        "
        abort
        prompt 'go'
        finish
        abort
        ",
    );
    outcome.since("abort", "- abort").is_settled();
}

//! Commands of the user's own.

use super::script;

#[test]
fn a_command_runs_at_once_and_nobody_is_asked_whatever_the_rules_say() {
    let outcome = script(
        "
        rules bash:deny
        shell 'ls -l'
        ask call-m2 bash 'ls -l' must
        ",
    );
    outcome.expect(
        r#"
            - shell 'ls -l'
            record message m1 user code
            record part m1.p1 text 'run this'
            record turn opened m1 shell 'ls -l'
            record status busy
            record head
            record message m2 answers m1
            record status busy
            record part m2.p2 call call-m2 bash pending
            record part m2.p2 call call-m2 bash running
            effect run_tool call-m2 bash {"command":"ls -l"}
            - ask call-m2 bash 'ls -l' must
            effect answer call-m2 allowed
        "#,
    );
}

#[test]
fn a_command_ends_its_turn_and_the_queue_goes_on() {
    let outcome = script(
        "
        shell 'ls'
        prompt 'two'
        done call-m2 'a.txt' files=/work/a
        ",
    );
    outcome.since(
        "done",
        r#"
            - done call-m2 'a.txt' files=/work/a
            record files m2 ["/work/a"]
            record part m2.p2 call call-m2 bash completed 'a.txt'
            record message m2 answers m1 stop complete
            record status idle
            record idle
            record turn closed completed
            record head
            record queue []
            record head agent model
            record turn opened m3
            record status busy
            record head
            record message m4 answers m3
            record status busy
            effect make_diff m1
            effect turn_ended m1
            effect track
            effect call_model m4 for m3 code
            record part m4.p4 step-start h0
        "#,
    );
}

#[test]
fn a_command_is_refused_while_a_turn_runs() {
    let outcome = script(
        "
        prompt 'one'
        shell 'ls'
        ",
    );
    outcome.since("shell", "- shell 'ls'");
}

#[test]
fn an_abort_stops_a_command() {
    let outcome = script(
        "
        shell 'sleep 60'
        abort
        ",
    );
    outcome.since("abort", "
            - abort
            record failed MessageAbortedError 'The turn was stopped.'
            record status idle
            record idle
            record part m2.p2 call call-m2 bash error 'The call was aborted by the user.' interrupted
            record message m2 answers m1 MessageAbortedError complete
            record turn closed interrupted
            record head
            record drain interrupted
            effect stop_model
            effect stop_tools
            effect abort_children
            effect turn_ended m1
        ").is_settled();
}

#[test]
fn an_interrupted_command_is_closed_and_never_run_again() {
    let outcome = script(
        "
        shell 'make'
        crash
        resume
        ",
    );
    outcome.since("crash", "
            - crash
            record failed MessageAbortedError 'The daemon ended during this turn. Resume to go on.'
            record part m2.p2 call call-m2 bash error 'The daemon ended while this call was running. It was not run again; what it did up to then is unknown.' interrupted
            record message m2 answers m1 MessageAbortedError complete
            record status idle
            record idle
            record turn closed interrupted
            record head
            - resume
        ").is_settled();
}

//! Permissions and questions.

use super::script;

/// A turn whose one call `c1` of bash runs and may ask.
const RUNNING: &str = r#"
    rules bash:ask
    prompt 'go'
    call c1 bash {"command":"ls"}
    finish tool-calls
"#;

fn running(rest: &str) -> super::Outcome {
    script(&format!("{RUNNING}{rest}"))
}

#[test]
fn a_rule_that_allows_answers_at_once_and_is_named_in_the_part() {
    let outcome = script(
        "
        rules bash:allow
        prompt 'go'
        call c1 bash {}
        finish tool-calls
        ask c1 bash 'ls'
        done c1 'a'
        ",
    );
    outcome.since(
        "ask c1",
        r#"
            - ask c1 bash 'ls'
            effect answer c1 allowed
            - done c1 'a'
            record part m2.p3 call c1 bash completed 'a' (allowed by agent "*")
            record part m2.p4 step-finish tool-calls h0
            record message m2 answers m1 tool-calls
            record message m2 answers m1 tool-calls complete
            record head cost tokens
            record message m3 answers m1
            record status busy
            record part m3.p5 step-start h0
            effect call_model m3 for m1 code
        "#,
    );
}

#[test]
fn a_rule_that_denies_answers_with_a_sentence_and_the_turn_goes_on() {
    let outcome = script(
        r#"
        rules bash:allow 'bash:rm *:deny'
        prompt 'go'
        call c1 bash '{"command":"rm x"}'
        finish tool-calls
        ask c1 bash 'rm x'
        refused c1
        "#,
    );
    outcome.since("ask c1", r#"
            - ask c1 bash 'rm x'
            effect answer c1 denied: A rule denies this: permission bash for "rm x" (rule bash "rm *" deny).
            - refused c1
            record part m2.p3 call c1 bash error 'A rule denies this: permission bash for "rm x" (rule bash "rm *" deny).'
            record part m2.p4 step-finish tool-calls h0
            record message m2 answers m1 tool-calls
            record message m2 answers m1 tool-calls complete
            record head cost tokens
            record message m3 answers m1
            record status busy
            record part m3.p5 step-start h0
            effect call_model m3 for m1 code
        "#);
}

#[test]
fn once_allows_this_call_alone() {
    let outcome = running(
        "
        ask c1 bash 'ls'
        answer per1 once
        done c1 'a'
        call c2 bash {}
        ask c2 bash 'ls'
        ",
    );
    outcome.since(
        "ask c1",
        r#"
            - ask c1 bash 'ls'
            record permission per1 asked c1 bash ["ls"]
            - answer per1 once
            record permission per1 once
            effect answer per1 allowed
            - done c1 'a'
            record part m2.p3 call c1 bash completed 'a' (allowed by manual "ls")
            record part m2.p4 step-finish tool-calls h0
            record message m2 answers m1 tool-calls
            record message m2 answers m1 tool-calls complete
            record head cost tokens
            record message m3 answers m1
            record status busy
            record part m3.p5 step-start h0
            effect call_model m3 for m1 code
            - call c2 bash {}
            record part m3.p6 call c2 bash pending
            record part m3.p6 call c2 bash running
            effect run_tool c2 bash {}
            - ask c2 bash 'ls'
            record permission per2 asked c2 bash ["ls"]
        "#,
    );
}

#[test]
fn always_allows_what_waits_and_what_comes_but_no_other_command() {
    let outcome = script(
        r#"
        rules bash:ask
        prompt 'go'
        call c1 bash {"command":"ls"}
        call c2 bash '{"command":"ls -l"}'
        call c3 bash '{"command":"rm x"}'
        finish tool-calls
        ask c1 bash 'ls'
        ask c2 bash 'ls -l'
        ask c3 bash 'rm x'
        answer per1 always
        ask c1 bash 'ls again'
        "#,
    );
    outcome.since(
        "answer per1",
        r#"
            - answer per1 always
            record permission per1 always
            record permission per2 always
            effect answer per1 allowed
            effect answer per2 allowed
            effect save_rules ["bash:ls *"]
            - ask c1 bash 'ls again'
            effect answer c1 allowed
        "#,
    );
}

#[test]
fn always_of_a_tool_that_may_change_holds_for_its_present_form() {
    let outcome = script(
        "
        offer srv_tool
        rules srv_tool:ask
        prompt 'go'
        call c1 srv_tool {}
        call c2 srv_tool {}
        call c3 srv_tool {}
        finish tool-calls
        ask c1 srv_tool x version=v1
        ask c2 srv_tool x version=v1
        ask c3 srv_tool x version=v2
        answer per1 always
        ",
    );
    // The waiting call of the same form is covered, that of another is not.
    outcome.since(
        "answer per1",
        r#"
            - answer per1 always
            record permission per1 always
            record permission per2 always
            effect answer per1 allowed
            effect answer per2 allowed
            effect save_rules ["srv_tool@v1:x *"]
        "#,
    );
    let later = |version: &str, saved: &str| {
        script(&format!(
            "
            offer srv_tool
            rules srv_tool:ask
            saved {saved}
            prompt 'go'
            call c1 srv_tool {{}}
            finish tool-calls
            ask c1 srv_tool x {version}
            "
        ))
    };
    let asked = |version: &str| {
        format!(
            r#"
            - ask c1 srv_tool x {version}
            record permission per1 asked c1 srv_tool ["x"]
        "#
        )
    };
    let allowed = "
            - ask c1 srv_tool x version=v1
            effect answer c1 allowed
        ";
    later("version=v1", "srv_tool@v1:x:allow").since("ask c1", allowed);
    for version in ["version=v2", ""] {
        later(version, "srv_tool@v1:x:allow").since("ask c1", &asked(version));
    }
    // What was allowed before tools had forms is asked again, what was denied stays so in every form.
    later("version=v1", "srv_tool:x:allow").since("ask c1", &asked("version=v1"));
    let denied = later("version=v1", "srv_tool:x:deny");
    denied.since("ask c1", r#"
            - ask c1 srv_tool x version=v1
            effect answer c1 denied: A rule denies this: permission srv_tool for "x" (rule srv_tool "x" deny).
        "#);
}

#[test]
fn always_never_overrules_a_deny() {
    let outcome = script(
        "
        rules bash:ask
        prompt 'go'
        call c1 bash {}
        finish tool-calls
        ask c1 bash 'rm a'
        answer per1 always
        done c1 'gone'
        rules bash:ask 'bash:rm *:deny'
        text 'next'
        finish
        prompt 'again'
        call c2 bash {}
        ask c2 bash 'rm b'
        ",
    );
    outcome.since("ask c2", r#"
            - ask c2 bash 'rm b'
            effect answer c2 denied: A rule denies this: permission bash for "rm b" (rule bash "rm *" deny).
        "#);
}

#[test]
fn a_reject_rejects_the_siblings_and_ends_the_turn() {
    let outcome = script(
        "
        rules bash:ask
        prompt 'go'
        call c1 bash {}
        call c2 bash {}
        finish tool-calls
        ask c1 bash 'ls'
        ask c2 bash 'rm x'
        answer per1 reject
        refused c1
        refused c2
        ",
    );
    outcome
        .since(
            "answer per1",
            "
            - answer per1 reject
            record permission per1 reject
            record permission per2 reject
            effect answer per1 rejected
            effect answer per2 rejected
            - refused c1
            record part m2.p3 call c1 bash error 'The user rejected permission for this call.'
            - refused c2
            record part m2.p4 call c2 bash error 'The user rejected permission for this call.'
            record part m2.p5 step-finish tool-calls h0
            record message m2 answers m1 tool-calls
            record message m2 answers m1 tool-calls complete
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
fn a_reject_with_a_message_goes_back_to_the_model_and_the_turn_goes_on() {
    let outcome = running(
        "
        ask c1 bash 'ls'
        answer per1 reject 'use read instead'
        refused c1
        ",
    );
    outcome.since("answer per1", "
            - answer per1 reject 'use read instead'
            record permission per1 reject
            effect answer per1 denied: The user rejected this call and says: use read instead
            - refused c1
            record part m2.p3 call c1 bash error 'The user rejected this call and says: use read instead'
            record part m2.p4 step-finish tool-calls h0
            record message m2 answers m1 tool-calls
            record message m2 answers m1 tool-calls complete
            record head cost tokens
            record message m3 answers m1
            record status busy
            record part m3.p5 step-start h0
            effect call_model m3 for m1 code
        ");
}

#[test]
fn what_must_be_asked_is_asked_where_a_rule_allows_it() {
    let outcome = script(
        "
        rules bash:allow
        prompt 'go'
        call c1 bash {}
        finish tool-calls
        ask c1 bash 'eval x' must
        ",
    );
    outcome.since(
        "ask c1",
        r#"
            - ask c1 bash 'eval x' must
            record permission per1 asked c1 bash ["eval x"]
        "#,
    );
}

#[test]
fn what_must_be_asked_is_not_covered_by_an_answer_to_something_else() {
    let outcome = script(
        "
        rules bash:ask
        prompt 'go'
        call c1 bash {}
        call c2 bash {}
        finish tool-calls
        ask c1 bash 'eval x' must
        ask c2 bash 'eval y'
        answer per2 always
        ",
    );
    outcome.since(
        "answer per2",
        r#"
            - answer per2 always
            record permission per2 always
            effect answer per2 allowed
            effect save_rules ["bash:eval *"]
        "#,
    );
}

#[test]
fn a_request_about_nothing_is_judged_as_one_about_everything() {
    let outcome = running("ask c1 bash ''");
    outcome.since(
        "ask c1",
        r#"
            - ask c1 bash ''
            record permission per1 asked c1 bash ["*"]
        "#,
    );
}

#[test]
fn a_call_that_ends_takes_its_open_request_along() {
    let outcome = running(
        "
        ask c1 bash 'ls'
        error c1 'the tool failed unexpectedly'
        answer per1 once
        ",
    );
    outcome.since(
        "error c1",
        "
            - error c1 'the tool failed unexpectedly'
            record permission per1 reject
            record part m2.p3 call c1 bash error 'the tool failed unexpectedly'
            record part m2.p4 step-finish tool-calls h0
            record message m2 answers m1 tool-calls
            record message m2 answers m1 tool-calls complete
            record head cost tokens
            record message m3 answers m1
            record status busy
            record part m3.p5 step-start h0
            effect call_model m3 for m1 code
            - answer per1 once
        ",
    );
}

#[test]
fn a_call_that_ended_cannot_ask() {
    let outcome = running(
        "
        done c1 'a'
        ask c1 bash 'ls'
        question c1
        ",
    );
    outcome.since(
        "ask c1",
        "
            - ask c1 bash 'ls'
            effect answer c1 Tool execution aborted
            - question c1
        ",
    );
}

#[test]
fn an_answer_counts_once() {
    let outcome = running(
        "
        ask c1 bash 'ls'
        answer per1 once
        answer per1 reject
        ",
    );
    outcome.since(
        "answer per1 reject",
        "
            - answer per1 reject
        ",
    );
}

#[test]
fn a_question_is_answered() {
    let outcome = script(
        "
        prompt 'go'
        call c1 question {}
        finish tool-calls
        question c1
        reply que1 'yes'
        reply que1 'no'
        done c1 'The user says: yes'
        ",
    );
    outcome.since(
        "question c1",
        r#"
            - question c1
            record question que1 asked c1
            - reply que1 'yes'
            record question que1 answered [["yes"]]
            effect answer que1 [["yes"]]
            - reply que1 'no'
            - done c1 'The user says: yes'
            record part m2.p3 call c1 question completed 'The user says: yes'
            record part m2.p4 step-finish tool-calls h0
            record message m2 answers m1 tool-calls
            record message m2 answers m1 tool-calls complete
            record head cost tokens
            record message m3 answers m1
            record status busy
            record part m3.p5 step-start h0
            effect call_model m3 for m1 code
        "#,
    );
}

#[test]
fn a_question_that_is_dismissed_ends_the_turn() {
    let outcome = script(
        "
        prompt 'go'
        call c1 question {}
        finish tool-calls
        question c1
        dismiss que1
        done c1 'The user dismissed the question.' ends
        ",
    );
    outcome
        .since(
            "dismiss que1",
            "
            - dismiss que1
            record question que1 dismissed
            effect answer que1 dismissed
            - done c1 'The user dismissed the question.' ends
            record part m2.p3 call c1 question completed 'The user dismissed the question.'
            record part m2.p4 step-finish tool-calls h0
            record message m2 answers m1 tool-calls
            record message m2 answers m1 tool-calls complete
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
fn under_a_broken_configuration_saved_answers_do_not_count() {
    let outcome = script(&format!(
        "configuration broken\n{}",
        r#"
        rules bash:ask
        prompt 'go'
        call c1 bash {"command":"ls"}
        call c2 bash {"command":"ls"}
        finish tool-calls
        ask c1 bash 'ls'
        answer per1 always
        ask c2 bash 'ls'
        "#
    ));
    outcome.since(
        "ask c2",
        r#"
            - ask c2 bash 'ls'
            record permission per2 asked c2 bash ["ls"]
        "#,
    );
}

#[test]
fn a_saved_denial_holds_where_the_others_allow_and_a_saved_allowance_does_not_where_they_deny() {
    let outcome = script(
        r#"
        rules bash:allow read:deny
        saved bash:x*:deny read:allow
        prompt 'go'
        call c1 bash {"command":"x"}
        call c2 read {"filePath":"b"}
        call c3 bash {"command":"y"}
        finish tool-calls
        ask c1 bash 'x'
        ask c2 read 'b'
        ask c3 bash 'y'
        "#,
    );
    outcome.since(
        "ask c1",
        r#"
            - ask c1 bash 'x'
            effect answer c1 denied: A rule denies this: permission bash for "x" (rule bash "x*" deny).
            - ask c2 read 'b'
            effect answer c2 denied: A rule denies this: permission read for "b" (rule read "*" deny).
            - ask c3 bash 'y'
            effect answer c3 allowed
        "#,
    );
}

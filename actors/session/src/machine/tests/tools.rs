//! Tool calls: how they start, run side by side, end and fail.

use super::script;

#[test]
fn a_call_runs_and_its_output_goes_back_to_the_model() {
    let outcome = script(
        r#"
        prompt 'list the files'
        text 'Let me look.'
        call c1 bash {"command":"ls"}
        finish tool-calls
        progress c1 'Listing'
        done c1 'a.txt'
        text 'There is a.txt.'
        finish
        "#,
    );
    outcome
        .since(
            "text 'Let me look.'",
            r#"
            - text 'Let me look.'
            record part m2.p3 text ''
            record delta p3 'Let me look.'
            - call c1 bash {"command":"ls"}
            record part m2.p3 text 'Let me look.' ended
            record part m2.p4 call c1 bash pending
            record part m2.p4 call c1 bash running
            effect run_tool c1 bash {"command":"ls"}
            - finish tool-calls
            - progress c1 'Listing'
            record part m2.p4 goes on 'Listing'
            - done c1 'a.txt'
            record part m2.p4 call c1 bash completed 'a.txt'
            record part m2.p5 step-finish tool-calls h0
            record message m2 answers m1 tool-calls
            record message m2 answers m1 tool-calls complete
            record head cost tokens
            record message m3 answers m1
            record status busy
            record part m3.p6 step-start h0
            effect call_model m3 for m1 code
            - text 'There is a.txt.'
            record part m3.p7 text ''
            record delta p7 'There is a.txt.'
            - finish
            record part m3.p7 text 'There is a.txt.' ended
            record part m3.p8 step-finish stop h0
            record message m3 answers m1 stop
            record message m3 answers m1 stop complete
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
fn two_calls_run_side_by_side_and_the_step_waits_for_both() {
    let outcome = script(
        r#"
        prompt 'read both'
        begin c1 read {"path":"a"}
        begin c2 read {"path":"b"}
        finish tool-calls
        done c2 'B'
        done c1 'A'
        "#,
    );
    outcome.since(
        "begin c1",
        r#"
            - begin c1 read {"path":"a"}
            record part m2.p3 call c1 read pending
            - begin c2 read {"path":"b"}
            record part m2.p4 call c2 read pending
            - finish tool-calls
            record part m2.p3 call c1 read running
            record part m2.p4 call c2 read running
            effect run_tool c1 read {"path":"a"}
            effect run_tool c2 read {"path":"b"}
            - done c2 'B'
            record part m2.p4 call c2 read completed 'B'
            - done c1 'A'
            record part m2.p3 call c1 read completed 'A'
            record part m2.p5 step-finish tool-calls h0
            record message m2 answers m1 tool-calls
            record message m2 answers m1 tool-calls complete
            record head cost tokens
            record message m3 answers m1
            record status busy
            record part m3.p6 step-start h0
            effect call_model m3 for m1 code
        "#,
    );
}

#[test]
fn a_call_may_end_before_the_model_does() {
    let outcome = script(
        r#"
        prompt 'go'
        call c1 read {"path":"a"}
        done c1 'A'
        text 'and'
        call c2 read {"path":"b"}
        finish tool-calls
        done c2 'B'
        "#,
    );
    outcome.since(
        "done c1",
        r#"
            - done c1 'A'
            record part m2.p3 call c1 read completed 'A'
            - text 'and'
            record part m2.p4 text ''
            record delta p4 'and'
            - call c2 read {"path":"b"}
            record part m2.p4 text 'and' ended
            record part m2.p5 call c2 read pending
            record part m2.p5 call c2 read running
            effect run_tool c2 read {"path":"b"}
            - finish tool-calls
            - done c2 'B'
            record part m2.p5 call c2 read completed 'B'
            record part m2.p6 step-finish tool-calls h0
            record message m2 answers m1 tool-calls
            record message m2 answers m1 tool-calls complete
            record head cost tokens
            record message m3 answers m1
            record status busy
            record part m3.p7 step-start h0
            effect call_model m3 for m1 code
        "#,
    );
}

#[test]
fn arguments_that_are_no_json_object_fail_the_call_and_the_model_hears_why() {
    let outcome = script(
        r#"
        prompt 'go'
        call c1 bash {"command":
        call c2 bash [1]
        finish tool-calls
        "#,
    );
    outcome.since("call c1", r#"
            - call c1 bash {"command":
            record part m2.p3 call c1 bash pending
            record part m2.p3 call c1 bash error 'The arguments of the call to bash are not valid JSON: EOF while parsing a value at line 1 column 11. Send the call again with a JSON object.'
            - call c2 bash [1]
            record part m2.p4 call c2 bash pending
            record part m2.p4 call c2 bash error 'The arguments of the call to bash are not valid JSON: arguments must be a JSON object. Send the call again with a JSON object.'
            - finish tool-calls
            record part m2.p5 step-finish tool-calls h0
            record message m2 answers m1 tool-calls
            record message m2 answers m1 tool-calls complete
            record head cost tokens
            record message m3 answers m1
            record status busy
            record part m3.p6 step-start h0
            effect call_model m3 for m1 code
        "#);
}

#[test]
fn an_unknown_tool_fails_the_call_with_the_tools_there_are() {
    let outcome = script(
        r#"
        prompt 'go'
        call c1 fly {"to":"moon"}
        finish tool-calls
        "#,
    );
    outcome.since("call c1", r#"
            - call c1 fly {"to":"moon"}
            record part m2.p3 call c1 fly pending
            record part m2.p3 call c1 fly error 'Model tried to call unavailable tool 'fly'. Available tools: bash, edit, read, question.'
            - finish tool-calls
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
fn a_failed_call_goes_back_to_the_model() {
    let outcome = script(
        r#"
        prompt 'go'
        call c1 bash {"command":"false"}
        finish tool-calls
        error c1 'exit code 1'
        "#,
    );
    outcome.since(
        "error c1",
        "
            - error c1 'exit code 1'
            record part m2.p3 call c1 bash error 'exit code 1'
            record part m2.p4 step-finish tool-calls h0
            record message m2 answers m1 tool-calls
            record message m2 answers m1 tool-calls complete
            record head cost tokens
            record message m3 answers m1
            record status busy
            record part m3.p5 step-start h0
            effect call_model m3 for m1 code
        ",
    );
}

#[test]
fn the_third_same_call_in_a_row_is_marked() {
    let outcome = script(
        r#"
        prompt 'go'
        call c1 read {"path":"a"}
        finish tool-calls
        done c1 'A'
        call c2 read {"path":"a"}
        finish tool-calls
        done c2 'A'
        call c3 read {"path":"a"}
        finish tool-calls
        done c3 'A'
        call c4 read {"path":"b"}
        finish tool-calls
        done c4 'B'
        call c5 read {"path":"a"}
        "#,
    );
    let runs: Vec<&str> = outcome
        .lines
        .iter()
        .filter_map(|line| line.strip_prefix("effect run_tool "))
        .collect();
    assert_eq!(
        runs,
        [
            r#"c1 read {"path":"a"}"#,
            r#"c2 read {"path":"a"}"#,
            r#"c3 read {"path":"a"} doom_loop"#,
            r#"c4 read {"path":"b"}"#,
            r#"c5 read {"path":"a"}"#,
        ]
    );
}

#[test]
fn two_calls_under_one_id_get_ids_of_their_own() {
    let outcome = script(
        r#"
        prompt 'go'
        call c1 read {"path":"a"}
        call c1 read {"path":"b"}
        finish tool-calls
        done c1 'A'
        done c1_1 'B'
        "#,
    );
    outcome.since(
        "call c1",
        r#"
            - call c1 read {"path":"b"}
            record part m2.p4 call c1_1 read pending
            record part m2.p4 call c1_1 read running
            effect run_tool c1_1 read {"path":"b"}
            - finish tool-calls
            - done c1 'A'
            record part m2.p3 call c1 read completed 'A'
            - done c1_1 'B'
            record part m2.p4 call c1_1 read completed 'B'
            record part m2.p5 step-finish tool-calls h0
            record message m2 answers m1 tool-calls
            record message m2 answers m1 tool-calls complete
            record head cost tokens
            record message m3 answers m1
            record status busy
            record part m3.p6 step-start h0
            effect call_model m3 for m1 code
        "#,
    );
}

#[test]
fn a_call_ends_once() {
    let outcome = script(
        r#"
        prompt 'go'
        call c1 read {"path":"a"}
        call c2 read {"path":"b"}
        finish tool-calls
        done c1 'A'
        done c1 'again'
        progress c1 'late'
        "#,
    );
    outcome.since(
        "done c1 'again'",
        "
            - done c1 'again'
            - progress c1 'late'
        ",
    );
}

#[test]
fn a_tool_is_known_by_a_name_in_other_clothes() {
    let outcome = script(
        r#"
        prompt 'go'
        call c1 functions.Read {"filePath":"a"}
        finish tool-calls
        "#,
    );
    outcome.since(
        "call c1",
        r#"
            - call c1 functions.Read {"filePath":"a"}
            record part m2.p3 call c1 read pending
            record part m2.p3 call c1 read running
            effect run_tool c1 read {"filePath":"a"}
            - finish tool-calls
        "#,
    );
}

#[test]
fn arguments_that_were_written_as_a_string_are_read() {
    let outcome = script(
        r#"
        prompt 'go'
        call c1 read "{\"filePath\":\"a\"}"
        finish tool-calls
        "#,
    );
    outcome.since(
        "call c1",
        r#"
            - call c1 read "{\"filePath\":\"a\"}"
            record part m2.p3 call c1 read pending
            record part m2.p3 call c1 read running
            effect run_tool c1 read {"filePath":"a"}
            - finish tool-calls
        "#,
    );
}

#[test]
fn half_a_character_in_arguments_does_not_cost_the_call() {
    let outcome = script(
        r#"
        prompt 'go'
        call c1 read {"filePath":"a\ud83d"}
        "#,
    );
    let text = outcome.lines.join("\n");
    assert!(text.contains("effect run_tool c1"), "{text}");
    assert!(!text.contains("not valid JSON"), "{text}");
}

//! Provider trouble: retries, the lost network, streams that break.

use super::script;

#[test]
fn a_refused_call_is_tried_again_and_succeeds() {
    let outcome = script(
        "
        prompt 'go'
        fail overloaded 'too busy'
        wait 2000
        retry
        text 'Hi'
        finish
        ",
    );
    outcome
        .since(
            "fail",
            "
            - fail overloaded 'too busy'
            record status retry 1 'too busy'
            effect retry_after 2500
            - retry
            record status busy
            effect call_model m2 for m1 code
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
        ",
        )
        .is_settled();
}

#[test]
fn the_provider_says_how_long_to_wait() {
    let outcome = script(
        "
        prompt 'go'
        fail overloaded 'slow down' 7000
        ",
    );
    outcome.since(
        "fail",
        "
            - fail overloaded 'slow down' 7000
            record status retry 1 'slow down'
            effect retry_after 7000
        ",
    );
}

#[test]
fn a_wish_for_an_endless_pause_is_bounded_and_told() {
    let waits = |wish: &str| {
        let outcome = script(&format!("prompt 'go'\nfail overloaded 'slow down' {wish}"));
        outcome.lines[outcome.lines.len() - 2..].to_vec()
    };
    assert_eq!(
        waits("300000"),
        [
            "record status retry 1 'slow down'",
            "effect retry_after 300000"
        ]
    );
    assert_eq!(
        waits("1000000000000"),
        [
            "record status retry 1 'slow down (it asks for a pause of 11575 days; the longest pause taken is 5 min)'",
            "effect retry_after 300000"
        ]
    );
    assert_eq!(waits(&u64::MAX.to_string())[1], "effect retry_after 300000");
}

#[test]
fn after_five_retries_the_turn_fails() {
    let outcome = script(
        "
        prompt 'go'
        fail overloaded 'busy'
        retry
        fail overloaded 'busy'
        retry
        fail overloaded 'busy'
        retry
        fail overloaded 'busy'
        retry
        fail overloaded 'busy'
        retry
        fail overloaded 'busy for good'
        ",
    );
    let waits: Vec<&str> = outcome
        .lines
        .iter()
        .filter_map(|line| line.strip_prefix("effect retry_after "))
        .collect();
    // Doubled up to 30 s, and the bench's clock happens to add the whole quarter.
    assert_eq!(waits, ["2500", "5000", "10000", "20000", "37500"]);
    outcome
        .since(
            "fail overloaded 'busy for good'",
            "
            - fail overloaded 'busy for good'
            record failed APIError 'busy for good'
            record message m2 answers m1 APIError complete
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
fn a_second_failure_of_the_same_call_changes_nothing() {
    let outcome = script(
        "
        prompt 'go'
        fail overloaded 'busy'
        fail overloaded 'busy'
        fail network 'gone'
        retry
        retry
        ",
    );
    outcome.since(
        "fail overloaded",
        "
            - fail overloaded 'busy'
            - fail network 'gone'
            - retry
            record status busy
            effect call_model m2 for m1 code
            - retry
        ",
    );
}

#[test]
fn the_last_step_is_still_the_last_after_a_retry() {
    let outcome = script(
        "
        steps 2
        prompt 'go'
        call c1 read {}
        finish tool-calls
        done c1 'A'
        fail overloaded 'busy'
        retry
        ",
    );
    outcome.since(
        "retry",
        "
            - retry
            record status busy
            effect call_model m3 for m1 code last
        ",
    );
}

#[test]
fn a_stream_that_stalls_in_the_middle_keeps_its_text_and_fails_the_turn() {
    let outcome = script(
        r#"
        prompt 'go'
        text 'half an ans'
        begin c1 bash {"comm
        fail stalled 'no data came for 60 s'
        "#,
    );
    outcome.since("fail", "
            - fail stalled 'no data came for 60 s'
            record failed APIError 'no data came for 60 s'
            record part m2.p4 call c1 bash error 'The call was stopped because the turn failed.' interrupted
            record message m2 answers m1 APIError complete
            record status idle
            record idle
            record turn closed error
            record head
            effect stop_tools
            effect turn_ended m1
        ").is_settled();
}

#[test]
fn a_stream_that_breaks_stops_the_calls_it_made() {
    let outcome = script(
        r#"
        rules bash:ask
        prompt 'go'
        call c1 bash {"command":"ls"}
        ask c1 bash 'ls'
        fail cut 'connection reset'
        "#,
    );
    outcome.since("fail", "
            - fail cut 'connection reset'
            record failed APIError 'connection reset'
            record permission per1 reject
            record part m2.p3 call c1 bash error 'The call was stopped because the turn failed.' interrupted
            record message m2 answers m1 APIError complete
            record status idle
            record idle
            record turn closed error
            record head
            effect stop_tools
            effect turn_ended m1
        ").is_settled();
}

#[test]
fn trouble_that_will_not_change_is_not_retried() {
    let outcome = script(
        "
        prompt 'go'
        refuse auth 'no key for fake'
        ",
    );
    outcome
        .since(
            "refuse",
            "
            - refuse auth 'no key for fake'
            record failed ProviderAuthError 'no key for fake'
            record message m2 answers m1 ProviderAuthError complete
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
fn a_turn_waits_for_the_network_and_goes_on() {
    let outcome = script(
        "
        prompt 'go'
        fail network 'connection refused'
        retry
        network back
        text 'Hi'
        finish
        ",
    );
    outcome
        .since(
            "fail",
            "
            - fail network 'connection refused'
            record network que1 asked 'connection refused'
            record status offline que1 'connection refused'
            effect watch_network que1
            - retry
            - network back
            record network que1 again
            record status busy
            effect call_model m2 for m1 code
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
        ",
        )
        .is_settled();
}

#[test]
fn a_client_gives_the_network_up() {
    let outcome = script(
        "
        prompt 'go'
        fail network 'connection refused'
        network give-up
        network back
        ",
    );
    outcome
        .since(
            "network give-up",
            "
            - network give-up
            record network que1 given up
            record failed APIError 'connection refused'
            record message m2 answers m1 APIError complete
            record status idle
            record idle
            record turn closed error
            record head
            effect turn_ended m1
            - network back
        ",
        )
        .is_settled();
}

#[test]
fn an_error_after_the_answer_is_whole_changes_nothing() {
    let outcome = script(
        "
        prompt 'go'
        call c1 read {}
        finish tool-calls
        fail cut 'connection reset'
        done c1 'A'
        ",
    );
    outcome.since(
        "fail",
        "
            - fail cut 'connection reset'
            - done c1 'A'
            record part m2.p3 call c1 read completed 'A'
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

/// A step whose only call is `call`, ended the way `ends` says.
fn step(call: usize, tool: &str, ends: &str) -> String {
    format!("call c{call} {tool} {{\"n\":{call}}}\nfinish tool-calls\n{ends}\n")
}

fn denied(call: usize) -> String {
    step(
        call,
        "bash",
        &format!("ask c{call} bash 'rm x'\nrefused c{call}"),
    )
}

#[test]
fn a_turn_ends_when_ten_calls_in_a_row_are_denied_unknown_or_malformed() {
    let kinds = [
        denied,
        |call| step(call, "conjure", ""),
        |call| format!("call c{call} bash [{call}]\nfinish tool-calls\n"),
    ];
    let mut text = String::from("rules bash:deny\nprompt 'go'\n");
    for call in 1..=9 {
        text.push_str(&kinds[call % kinds.len()](call));
    }
    let nine = script(&text);
    assert!(nine.says("effect call_model m11"), "{}", nine.text());
    text.push_str(&denied(10));
    let ten = script(&text);
    assert!(!ten.says("effect call_model m12"), "{}", ten.text());
    assert!(ten.says("record turn closed error"), "{}", ten.text());
    ten.is_settled();
}

#[test]
fn a_call_that_runs_starts_the_count_of_refusals_anew() {
    let mut text = String::from("rules bash:deny\nprompt 'go'\n");
    for call in 1..=20 {
        text.push_str(&if call == 10 {
            step(call, "read", &format!("done c{call} 'text'"))
        } else {
            denied(call)
        });
        if call == 19 {
            let outcome = script(&text);
            assert!(!outcome.says("record turn closed"), "{}", outcome.text());
        }
    }
    let outcome = script(&text);
    assert!(
        outcome.says("record turn closed error"),
        "{}",
        outcome.text()
    );
}

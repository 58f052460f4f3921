//! Inputs that come too late: of an older turn, or of one that is over.

use super::script;

#[test]
fn inputs_of_an_older_turn_change_nothing() {
    let outcome = script(
        "
        prompt 'one'
        call c1 read {}
        abort
        prompt 'two'
        late text 'ghost'
        late call c2 bash {}
        late finish
        late fail overloaded 'busy'
        late refuse auth 'no key'
        late retry
        late snapshot h9
        late progress c1 'ghost'
        late done c1 'ghost'
        late question c1
        ",
    );
    let late: Vec<&String> = outcome
        .lines
        .iter()
        .skip_while(|line| !line.starts_with("- late"))
        .collect();
    assert!(
        late.iter().all(|line| line.starts_with("- late")),
        "{late:#?}"
    );
}

#[test]
fn a_request_of_an_older_turn_is_refused_at_once() {
    let outcome = script(
        "
        prompt 'one'
        call c1 bash {}
        abort
        prompt 'two'
        late ask c1 bash 'rm x'
        ",
    );
    outcome.since(
        "late ask",
        "
            - late ask c1 bash 'rm x'
            effect answer c1 Tool execution aborted
        ",
    );
}

//! Answers that end otherwise than well: cut, refused, empty. None of them is a silent success.

use super::script;
use crate::texts;

/// The lines of a script from its last `finish` on that people notice.
fn noticed(text: &str) -> Vec<String> {
    let outcome = script(text);
    let last = outcome
        .lines
        .iter()
        .rposition(|line| line.starts_with("- finish"));
    let lines = &outcome.lines[last.expect("a finish")..];
    let marks = ["failed", "closed", "ignored", "complete", "call_model"];
    lines
        .iter()
        .filter(|line| marks.iter().any(|mark| line.contains(mark)))
        .cloned()
        .collect()
}

#[test]
fn an_answer_that_is_cut_is_kept_and_says_so() {
    let lines = noticed("prompt 'go'\ntext 'half'\nfinish length");
    let note = format!("record part m2.p5 text '{}' ignored", texts::CUT_AT_LIMIT);
    assert_eq!(
        lines,
        [
            note.as_str(),
            "record message m2 answers m1 length complete",
            "record turn closed completed"
        ]
    );
}

#[test]
fn a_limit_reached_by_thinking_alone_says_so_as_well() {
    let lines = noticed("prompt 'go'\nreasoning 'hm'\nfinish length");
    assert!(lines[0].ends_with("ignored"), "{lines:?}");
    assert_eq!(lines[2], "record turn closed completed");
}

#[test]
fn a_refused_answer_fails_the_turn_and_keeps_its_text() {
    for begin in ["", "text 'I will'\n"] {
        let lines = noticed(&format!("prompt 'go'\n{begin}finish content-filter"));
        assert_eq!(
            lines,
            [
                "record message m2 answers m1 content-filter complete",
                &format!("record failed ContentFilterError '{}'", texts::FILTERED),
                "record message m2 answers m1 content-filter ContentFilterError complete",
                "record turn closed error",
            ]
        );
    }
}

#[test]
fn an_answer_without_a_word_fails_the_turn() {
    for said in ["", "text ' '\n", "reasoning 'hm'\n"] {
        for reason in ["stop", "other", "unknown"] {
            let lines = noticed(&format!("prompt 'go'\n{said}finish {reason}"));
            assert_eq!(
                lines[1..],
                [
                    format!("record failed UnknownError '{}'", texts::NO_WORD),
                    format!("record message m2 answers m1 {reason} UnknownError complete"),
                    "record turn closed error".to_owned(),
                ]
            );
        }
    }
}

#[test]
fn a_turn_that_ends_without_a_word_after_its_calls_fails_as_well() {
    let lines = noticed(
        "
        prompt 'go'
        call c1 read {}
        finish tool-calls
        done c1 'A'
        finish
        ",
    );
    assert!(
        lines[1].starts_with("record failed UnknownError"),
        "{lines:?}"
    );
}

#[test]
fn a_limit_reached_within_a_call_goes_back_to_the_model() {
    let outcome = script(
        "
        prompt 'go'
        begin c1 read {\"filePa
        finish length
        ",
    );
    let text = outcome.lines.join("\n");
    assert!(!text.contains("ignored"), "{text}");
    assert!(text.contains("effect call_model m3"), "{text}");
}

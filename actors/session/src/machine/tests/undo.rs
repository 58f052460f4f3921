//! Undo and redo: a state that nothing gets into, and that a killed process takes up again.

use super::script;

const TWO_TURNS: &str = r"
    prompt 'one'
    call c1 edit {}
    finish tool-calls
    done c1 'ok' files=/a snapshot=h1
    text 'done'
    finish
    prompt 'two'
    call c2 edit {}
    finish tool-calls
    done c2 'ok' files=/b snapshot=h2
    text 'done'
    finish
";

#[test]
fn nothing_starts_while_files_are_moved() {
    let outcome = script(&format!(
        "{TWO_TURNS}
        files held
        revert m4
        prompt 'three'
        shell 'ls'
        summarize
        resume
        revert m1
        unrevert
        drain token
        abort
        moved restored
        moved restored
        "
    ));
    outcome
        .since(
            "revert m4",
            "
            - revert m4
            record undo to m4 began
            effect move redo [] void undo [/b:h2->h0]
            - prompt 'three'
            - shell 'ls'
            - summarize
            - resume
            - revert m1
            - unrevert
            - drain token
            - abort
            - moved restored
            record undo ended
            record head revert
            effect undo_ended
            - moved restored
            ",
        )
        .is_settled();
}

#[test]
fn an_undo_further_back_first_does_again_what_was_undone() {
    let outcome = script(&format!("{TWO_TURNS}\nrevert m4\nrevert m1\nunrevert"));
    outcome
        .since(
            "revert m1",
            "
            - revert m1
            record undo to m1 began
            effect move redo [/b:h2->h0] undo [/b:h2->h0 /a:h1->h0]
            record undo ended
            record head revert
            effect undo_ended
            - unrevert
            record redo began
            effect move redo [/a:h1->h0 /b:h2->h0] undo []
            record undo ended
            record head revert
            effect undo_ended
            ",
        )
        .is_settled();
}

#[test]
fn what_was_left_is_said_and_kept_in_the_head() {
    let outcome = script(&format!(
        "{TWO_TURNS}\nfiles held\nrevert m4\nmoved partial /b"
    ));
    outcome
        .since(
            "moved",
            "
            - moved partial /b
            record undo ended
            record failed UnknownError 'Left as they are: /b (others changed it in the same place)'
            record head revert
            effect undo_ended
            ",
        )
        .is_settled();
    let revert = &outcome.bench.machine.state.info.revert;
    let revert = revert.as_ref().expect("an undo");
    assert_eq!(revert.workspace.as_deref(), Some("partial"));
    assert_eq!(revert.left[0].path, "/b");
    assert_eq!(revert.left[0].reason, "others changed it in the same place");
}

#[test]
fn a_process_that_ends_in_an_undo_leaves_it_to_the_next_one() {
    let outcome = script(&format!(
        "{TWO_TURNS}\nfiles held\nrevert m4\ncrash\nmoved restored\ncrash"
    ));
    outcome
        .since(
            "revert m4",
            "
            - revert m4
            record undo to m4 began
            effect move redo [] void undo [/b:h2->h0]
            - crash
            effect move redo [] void undo [/b:h2->h0]
            - moved restored
            record undo ended
            record head revert
            effect undo_ended
            - crash
            ",
        )
        .is_settled();
}

#[test]
fn a_redo_without_an_undo_changes_nothing() {
    script(&format!("{TWO_TURNS}\nunrevert"))
        .since("unrevert", "- unrevert")
        .is_settled();
}

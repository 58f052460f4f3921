//! Undo and redo: a state that nothing gets into, and that a killed process takes up again.

use super::bench::{Bench, model_ref};
use super::script;
use crate::apply::fold;
use crate::input::Input;
use crate::machine::Machine;
use crate::record::{Logged, Record};
use crate::state::REINDEXED;
use kilo_protocol::MessageId;
use kilo_protocol::model::{Created, Message, Revert, UserMessage};

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

/// Counted, not timed: one pass over all messages while living, one while reading the log.
#[test]
fn twenty_thousand_hidden_messages_go_in_one_pass() {
    let mut bench = Bench::new();
    let state = &bench.machine.state;
    let (mut ids, mut number) = (Vec::new(), state.sync_next);
    for _ in 0..20_000 {
        let id = bench.ids.message(bench.now);
        bench.log.push(Logged {
            event: bench.ids.event(bench.now),
            sync: Some(number),
            record: Record::MessageUpdated(Box::new(Message::User(UserMessage {
                id: id.clone(),
                session_id: state.info.id.clone(),
                time: Created { created: bench.now },
                format: None,
                summary: None,
                agent: "code".into(),
                model: model_ref(),
                system: None,
                tools: None,
                editor_context: None,
            }))),
        });
        ids.push(id);
        number += 1;
    }
    let mut info = state.info.clone();
    info.revert = Some(Revert {
        message_id: ids[1].clone(),
        part_id: None,
        snapshot: None,
        diff: None,
        workspace: None,
        left: Vec::new(),
    });
    bench.log.push(Logged {
        event: bench.ids.event(bench.now),
        sync: Some(number),
        record: Record::SessionUpdated(Box::new(info)),
    });
    let mut machine =
        Machine::new(fold(None, &bench.log).expect("the log begins with the session"));
    REINDEXED.set(0);
    let to = model_ref();
    let decision = machine.handle(Input::Summarize(to, false), bench.now, &bench.ids);
    assert_eq!(REINDEXED.get(), 1);
    let gone = decision.records.iter().map(|logged| &logged.record);
    let gone: Vec<&MessageId> = gone
        .filter_map(|record| match record {
            Record::MessageRemoved(message) => Some(message),
            _ => None,
        })
        .collect();
    assert!(gone.into_iter().eq(&ids[1..]), "in their order");
    assert_eq!(
        machine.state.messages.len(),
        3,
        "the first, the summary's prompt and its answer"
    );
    let numbers = decision.records.iter().filter_map(|logged| logged.sync);
    assert!(numbers.eq(number + 1..machine.state.sync_next));
    bench.log.extend(decision.records);
    REINDEXED.set(0);
    let folded = fold(None, &bench.log).expect("the log begins with the session");
    assert_eq!(REINDEXED.get(), 1);
    assert_eq!(folded.messages, machine.state.messages);
    assert_eq!(folded.places, machine.state.places);
    assert_eq!(folded.sync_next, machine.state.sync_next);
}

//! Edits by clients, and requests that come twice.

use super::bench::Bench;
use crate::input::Input;
use crate::machine::{Edit, Refusal};
use crate::state::REINDEXED;
use kilo_protocol::model::FileChangeKind;
use kilo_protocol::{MessageId, PartId};

fn played(text: &str) -> Bench {
    let mut bench = Bench::new();
    bench.play(text);
    bench
}

fn edit(bench: &mut Bench, edit: Edit) -> Result<usize, Refusal> {
    let decided = bench.machine.edit(edit, bench.now, &bench.ids)?;
    let count = decided.records.len();
    bench.log.extend(decided.records);
    Ok(count)
}

fn remove(bench: &Bench, message: &str, part: Option<&str>) -> Edit {
    let message = MessageId::from_wire(bench.names.long(message));
    match part {
        None => Edit::RemoveMessage(message),
        Some(part) => Edit::RemovePart(message, PartId::from_wire(bench.names.long(part))),
    }
}

const RUNS: &str = r#"
    prompt 'go'
    text 'Let me look.'
    call c1 bash {"command":"ls"}
"#;

#[test]
fn nothing_of_a_running_answer_is_edited() {
    let mut bench = played(RUNS);
    for (message, part) in [
        ("m2", Some("p3")),
        ("m2", Some("p4")),
        ("m2", None),
        ("m1", None),
    ] {
        let order = remove(&bench, message, part);
        assert_eq!(
            edit(&mut bench, order),
            Err(Refusal::Busy),
            "{message} {part:?}"
        );
    }
    // The prompt's own text is whole, and is not read again by this turn.
    let order = remove(&bench, "m1", Some("p1"));
    assert_eq!(edit(&mut bench, order), Ok(1));
    // The call ends as if nobody had tried.
    bench.play("done c1 'a.txt'\nfinish tool-calls\ntext 'There.'\nfinish");
    bench.assert_settled();
    for (message, part) in [("m2", Some("p4")), ("m2", None)] {
        let order = remove(&bench, message, part);
        assert_eq!(edit(&mut bench, order), Ok(1), "{message} {part:?}");
    }
}

#[test]
fn what_is_not_there_is_not_edited() {
    let mut bench = played("prompt 'go'\ntext 'ok'\nfinish");
    let message = MessageId::from_wire(bench.names.long("m1"));
    let part = PartId::from_wire("prt_none");
    let order = Edit::RemovePart(message, part);
    assert_eq!(edit(&mut bench, order), Err(Refusal::NoPart));
    let order = Edit::RemoveMessage(MessageId::from_wire("msg_none"));
    assert_eq!(edit(&mut bench, order), Err(Refusal::NoMessage));
}

#[test]
fn todos_and_edited_files_of_an_older_turn_change_nothing() {
    let mut bench = played("prompt 'one'\ntext 'ok'\nfinish\nprompt 'two'");
    let (records, late) = (bench.log.len(), bench.stamp - 1);
    bench.give(Input::Todos(late, Vec::new()));
    bench.give(Input::FileEdited(late, "/a".into(), FileChangeKind::Add));
    assert_eq!(bench.log.len(), records);
    let now = bench.stamp;
    bench.give(Input::Todos(now, Vec::new()));
    bench.give(Input::FileEdited(now, "/a".into(), FileChangeKind::Add));
    assert_eq!(bench.log.len(), records + 3);
}

#[test]
fn a_prompt_or_command_that_comes_twice_changes_nothing_at_all() {
    let mut bench = played(RUNS);
    let prompt = bench.prompt_again("m1");
    let records = bench.log.len();
    bench.give(Input::Prompt(prompt.clone()));
    bench.give(Input::Shell(prompt.clone(), "make".into()));
    assert_eq!(bench.log.len(), records);
    bench.play("done c1 'a.txt'\nfinish tool-calls\ntext 'There.'\nfinish");
    let records = bench.log.len();
    bench.give(Input::Prompt(prompt.clone()));
    bench.give(Input::Shell(prompt, "make".into()));
    assert_eq!(bench.log.len(), records, "also when its turn is over");
}

/// Counted, not timed: whoever takes a long conversation away message by message must not pay for all of it each time.
#[test]
fn one_message_goes_without_a_look_at_the_others() {
    let mut bench = played(&"prompt 'go'\ntext 'x'\nfinish\n".repeat(4));
    REINDEXED.set(0);
    for message in ["m3", "m8", "m1", "m2", "m6"] {
        let order = remove(&bench, message, None);
        assert_eq!(edit(&mut bench, order), Ok(1), "{message}");
        let state = &bench.machine.state;
        let mut places: Vec<_> = state.places.iter().collect();
        places.sort_by_key(|(_, place)| **place);
        let ids = state.messages.iter().map(|entry| entry.info.id());
        assert!(
            ids.zip(0..)
                .eq(places.into_iter().map(|(id, place)| (id, *place)))
        );
    }
    assert_eq!(bench.machine.state.messages.len(), 3);
    assert_eq!(REINDEXED.get(), 0);
    bench.assert_replay();
    bench.play("prompt 'and'\ntext 'on'\nfinish");
    bench.assert_settled();
}

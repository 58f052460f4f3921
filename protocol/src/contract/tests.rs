use super::{LINE_BYTES_MAX, NAME_BYTES_MAX, check};
use crate::endpoints::{self, Body, Operation, find};
use serde_json::{Value, json};

/// What the contract says about a body: nothing, or the sentence that the client gets.
fn said(id: &str, body: Value) -> Option<String> {
    let misfit = check(find(id).unwrap(), &body).err()?;
    Some(crate::Fault::from(misfit).message)
}

fn expect(id: &str, body: Value, sentence: &str) {
    assert_eq!(said(id, body).as_deref(), Some(sentence));
}

#[test]
fn no_operation_takes_a_body_of_another_kind() {
    let others = [json!([]), json!(5), json!("x"), json!(null), json!(true)];
    // The terminal client may answer with anything.
    let takes_one = |row: &&Operation| row.body != Body::None && row.id != "tui.control.response";
    for operation in endpoints::all().filter(takes_one) {
        for other in &others {
            assert!(check(operation, other).is_err(), "{} {other}", operation.id);
        }
    }
}

#[test]
fn the_field_and_what_it_should_be_are_named() {
    expect(
        "session.create",
        json!([]),
        "Expected an object, got an array",
    );
    expect(
        "session.create",
        json!({"title": null}),
        "Expected a string, got null\n  at [\"title\"]",
    );
    expect(
        "session.create",
        json!({"model": ["a", "b"]}),
        "Expected an object, got an array\n  at [\"model\"]",
    );
    expect(
        "session.create",
        json!({"model": {"id": "a"}}),
        "Expected a string\n  at [\"model\"][\"providerID\"]",
    );
    expect(
        "session.create",
        json!({"parentID": "x"}),
        "Expected a string starting with \"ses\", got string \"x\"\n  at [\"parentID\"]",
    );
    expect(
        "permission.reply",
        json!({"reply": "perhaps"}),
        "Expected \"once\" | \"always\" | \"reject\", got string \"perhaps\"\n  at [\"reply\"]",
    );
    expect(
        "sync.history.list",
        json!({"ses_1": -1}),
        "Expected a number of at least 0, got integer `-1`\n  at [\"ses_1\"]",
    );
    expect(
        "sync.history.list",
        json!({"ses_1": 1.5}),
        "Expected a whole number, got floating point `1.5`\n  at [\"ses_1\"]",
    );
}

#[test]
fn of_several_forms_the_one_that_was_meant_is_told_about() {
    let prompt = |part: Value| said("session.prompt", json!({"parts": [part]})).unwrap();
    assert_eq!(
        prompt(json!({"type": "text"})),
        "Expected a string\n  at [\"parts\"][0][\"text\"]"
    );
    assert_eq!(
        prompt(json!({"type": "file", "mime": 5, "url": "x"})),
        "Expected a string, got integer `5`\n  at [\"parts\"][0][\"mime\"]"
    );
    assert_eq!(
        prompt(json!({"type": "nonsense"})),
        "Expected \"text\" | \"file\" | \"agent\" | \"subtask\", got string \"nonsense\"\n  at [\"parts\"][0][\"type\"]"
    );
    assert_eq!(
        prompt(json!(5)),
        "Expected an object, got integer `5`\n  at [\"parts\"][0]"
    );
}

#[test]
fn short_texts_have_short_limits_and_long_ones_do_not() {
    let long = |bytes: usize| "x".repeat(bytes);
    let line = LINE_BYTES_MAX;
    assert_eq!(said("session.update", json!({"title": long(line)})), None);
    expect(
        "session.update",
        json!({"title": long(line + 1)}),
        "Expected a string of at most 4096 bytes, got a string of 4097 bytes\n  at [\"title\"]",
    );
    let rule = |pattern: String| json!({"permission": [{"permission": "bash", "pattern": pattern, "action": "deny"}]});
    assert!(said("session.update", rule(long(line + 1))).is_some());
    assert!(said("session.create", json!({"agent": long(NAME_BYTES_MAX + 1)})).is_some());
    let part = json!({"type": "text", "text": long(1 << 20)});
    assert_eq!(said("session.prompt", json!({"parts": [part]})), None);
    let id = format!("msg_{}", long(NAME_BYTES_MAX));
    assert!(said("session.prompt", json!({"parts": [], "messageID": id})).is_some());
    assert!(
        said(
            "permission.saveAlwaysRules",
            json!({"deniedAlways": [long(line + 1)]})
        )
        .is_some()
    );
}

#[test]
fn fields_that_the_contract_does_not_name_are_let_through() {
    let model = json!({"providerID": "a", "modelID": "b", "variant": "high"});
    let body = json!({"parts": [], "model": model, "newer": [1]});
    assert_eq!(said("session.prompt", body), None);
}

#[test]
fn what_a_client_shows_comes_with_the_viewer() {
    let viewer = |id: &str| json!({"id": id, "active": true});
    let shown = |viewer: Value| json!({"viewer": viewer, "attached": ["ses_1"], "visible": []});
    let uuid = "6f1c0b9e-7a43-4d58-9f0e-2b7a5c1d3e4f";
    assert_eq!(said("session.viewed", shown(viewer(uuid))), None);
    expect(
        "session.viewed",
        json!({"attached": [], "visible": []}),
        "Expected an object\n  at [\"viewer\"]",
    );
    expect(
        "session.viewed",
        shown(viewer("me")),
        "Expected a UUID, got string \"me\"\n  at [\"viewer\"][\"id\"]",
    );
    let many = json!({"viewer": viewer(uuid), "attached": [], "visible": vec!["ses_1"; 200]});
    assert!(said("session.viewed", many).is_some());
}

#[test]
fn every_schema_that_the_program_carries_can_be_read() {
    for row in super::BODIES.iter().chain(&super::NAMED) {
        assert!(row.get().is_some(), "{}", row.name);
    }
}

/// The tables are searched by halves.
#[test]
fn every_schema_is_found_by_its_name() {
    for rows in [&super::BODIES[..], &super::NAMED] {
        for row in rows {
            assert!(super::find(rows, row.name).is_some(), "{}", row.name);
        }
    }
}

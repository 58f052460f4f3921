//! What a model gets of a session: a line for each piece.

mod talk;

use super::{Selection, conversation, title_material};
use crate::state::State;
use kilo_ports::provider::ModelMessage;
use kilo_protocol::model::{PartBody, SubtaskPart, TextPart, ToolSpan, ToolState};
use serde_json::{Map, Value, json};
use talk::{Talk, call, compaction, done, failed, file, id, lines, reasoning, text};

#[test]
fn answers_stand_behind_their_prompts_and_the_running_one_is_left_out() {
    let talk = Talk::default()
        .says("m1", "one")
        .answers("m2", "m1", vec![text("First")])
        .says("m3", "two")
        .answers("m4", "m3", vec![]);
    talk.expect("m3", "m4", &["user: one", "model: First", "user: two"]);
}

#[test]
fn a_prompt_that_waits_is_left_out_and_one_that_waited_comes_after_what_it_waited_for() {
    let mut talk = Talk::default()
        .says("m1", "one")
        .answers("m2", "m1", vec![done("c1", "A")])
        .says("m3", "two")
        .answers("m4", "m1", vec![text("First")]);
    talk.queue = vec![id("m3")];
    talk.expect(
        "m1",
        "m4",
        &[
            r#"user: one"#,
            r#"model: call c1 read {"path":"a"}"#,
            "tool: c1: A",
        ],
    );
    talk.queue.clear();
    let talk = talk.answers("m5", "m3", vec![]);
    talk.expect(
        "m3",
        "m5",
        &[
            "user: one",
            r#"model: call c1 read {"path":"a"}"#,
            "tool: c1: A",
            "model: First",
            "user: two",
        ],
    );
}

#[test]
fn a_note_that_came_during_a_turn_stands_before_its_prompt() {
    let talk = Talk::default()
        .says("m1", "one")
        .answers("m2", "m1", vec![done("c1", "A")])
        .says("m3", "by the way")
        .answers("m4", "m1", vec![]);
    talk.expect(
        "m1",
        "m4",
        &[
            "user: by the way",
            "user: one",
            r#"model: call c1 read {"path":"a"}"#,
            "tool: c1: A",
        ],
    );
}

#[test]
fn a_summary_takes_the_place_of_what_came_before() {
    let talk = Talk::default()
        .says("m1", "one")
        .answers("m2", "m1", vec![text("First")])
        .user("m3", vec![compaction(None)])
        .answers("m4", "m3", vec![]);
    talk.expect(
        "m3",
        "m4",
        &["user: one", "model: First", "user: <summarise>"],
    );
    let talk = Talk {
        messages: talk.messages[..3].to_vec(),
        ..Default::default()
    }
    .summary("m4", "m3", "We spoke.")
    .says("m5", "two")
    .answers("m6", "m5", vec![]);
    talk.expect("m5", "m6", &["user: <summary> We spoke.", "user: two"]);
}

#[test]
fn a_turn_that_was_compacted_keeps_its_prompt_but_not_the_steps_that_were_summarised() {
    let talk = Talk::default()
        .says("m1", "before")
        .answers("m2", "m1", vec![text("Before")])
        .says("m3", "one")
        .answers("m4", "m3", vec![done("c1", "very long")])
        .user("m5", vec![compaction(None)])
        .summary("m6", "m5", "We spoke.")
        .answers("m7", "m3", vec![done("c2", "B")])
        .answers("m8", "m3", vec![]);
    let goes_on = [
        "user: <summary> We spoke.",
        "user: one",
        r#"model: call c2 read {"path":"a"}"#,
        "tool: c2: B",
    ];
    talk.expect("m3", "m8", &goes_on);
    let later = talk.says("m9", "two").answers("m10", "m9", vec![]);
    later.expect("m9", "m10", &[&goes_on[..], &["user: two"]].concat());
}

#[test]
fn a_compaction_with_a_tail_keeps_the_tail_as_it_is() {
    let talk = Talk::default()
        .says("m1", "one")
        .answers("m2", "m1", vec![text("First")])
        .says("m3", "two")
        .answers("m4", "m3", vec![text("Second")])
        .user("m5", vec![compaction(Some("m3"))])
        .summary("m6", "m5", "We spoke.")
        .says("m7", "three")
        .answers("m8", "m7", vec![]);
    talk.expect(
        "m7",
        "m8",
        &[
            "user: <summary> We spoke.",
            "user: two",
            "model: Second",
            "user: three",
        ],
    );
}

#[test]
fn a_prompt_that_waited_during_a_compaction_is_not_lost() {
    let talk = Talk::default()
        .says("m1", "one")
        .answers("m2", "m1", vec![text("First")])
        .says("m3", "two")
        .user("m4", vec![compaction(None)])
        .summary("m5", "m4", "We spoke.")
        .answers("m6", "m3", vec![]);
    talk.expect("m3", "m6", &["user: <summary> We spoke.", "user: two"]);
}

#[test]
fn the_newest_summary_counts_and_a_failed_one_does_not() {
    let talk = Talk::default()
        .says("m1", "one")
        .user("m2", vec![compaction(None)])
        .summary("m3", "m2", "Old.")
        .says("m4", "two")
        .answers("m5", "m4", vec![text("Second")])
        .user("m6", vec![compaction(None)])
        .half_summary("m7", "m6")
        .says("m8", "three")
        .answers("m9", "m8", vec![]);
    talk.expect(
        "m8",
        "m9",
        &[
            "user: <summary> Old.",
            "user: two",
            "model: Second",
            "user: three",
        ],
    );
}

#[test]
fn an_interrupted_answer_keeps_its_text_but_not_its_reasoning_and_the_model_is_told_to_go_on() {
    let talk = Talk::default()
        .says("m1", "one")
        .fails("m2", "m1", vec![reasoning("hm"), text("half an ans")])
        .answers("m3", "m1", vec![]);
    talk.expect(
        "m1",
        "m3",
        &["user: one", "model: half an ans", "user: <go on>"],
    );
}

#[test]
fn reasoning_of_a_whole_answer_goes_back_and_an_answer_of_nothing_else_is_left_out() {
    let talk = Talk::default()
        .says("m1", "one")
        .answers("m2", "m1", vec![reasoning("hm"), text("First")])
        .says("m3", "two")
        .answers("m4", "m3", vec![reasoning("only thoughts")])
        .says("m5", "three")
        .answers("m6", "m5", vec![]);
    talk.expect(
        "m5",
        "m6",
        &[
            "user: one",
            "model thinks: hm",
            "model: First",
            "user: two",
            "user: three",
        ],
    );
}

#[test]
fn every_call_has_a_result_even_one_that_never_ended() {
    let pending = ToolState::Pending {
        input: json!({}),
        raw: String::new(),
    };
    let talk = Talk::default()
        .says("m1", "one")
        .fails(
            "m2",
            "m1",
            vec![
                done("c1", "A"),
                failed(
                    "c2",
                    "The call was aborted.",
                    json!({"output": "so far", "interrupted": true}),
                ),
                failed("c3", "no such file", json!({})),
                call("c4", pending),
            ],
        )
        .answers("m3", "m1", vec![]);
    talk.expect(
        "m1",
        "m3",
        &[
            "user: one",
            r#"model: call c1 read {"path":"a"}"#,
            "model: call c2 read {}",
            "model: call c3 read {}",
            "model: call c4 read {}",
            "tool: c1: A",
            "tool: c2 failed: The call was aborted.\n\nOutput so far:\nso far",
            "tool: c3 failed: no such file",
            "tool: c4 failed: (The call did not end.)",
        ],
    );
}

#[test]
fn an_output_that_was_taken_out_says_so_and_attached_files_go_along() {
    let state = |compacted, attachments: Option<Vec<Value>>| ToolState::Completed {
        input: json!({}),
        output: "long".into(),
        title: String::new(),
        metadata: Map::new(),
        time: ToolSpan {
            start: 1,
            end: 2,
            compacted,
        },
        attachments,
    };
    let image = json!({"url": "data:image/png;base64,AAAA", "mime": "image/png"});
    let talk = Talk::default()
        .says("m1", "one")
        .answers(
            "m2",
            "m1",
            vec![
                call("c1", state(Some(3), None)),
                call("c2", state(None, Some(vec![image]))),
            ],
        )
        .answers("m3", "m1", vec![]);
    talk.expect(
        "m1",
        "m3",
        &[
            "user: one",
            "model: call c1 read {}",
            "model: call c2 read {}",
            "tool: c1: (This output was taken out to save room. Run the call again if it is needed.)",
            "tool: c2: long +image/png AAAA",
        ],
    );
}

#[test]
fn images_go_to_a_model_that_takes_them_and_are_named_to_one_that_does_not() {
    let parts = || {
        vec![
            text("look"),
            file("image/png", "shot.png", "data:image/png;base64,AAAA"),
            file(
                "application/pdf",
                "paper.pdf",
                "data:application/pdf;base64,BBBB",
            ),
            file("text/plain", "a.txt", "file:///work/a.txt"),
            file("application/x-directory", "src", "file:///work/src"),
        ]
    };
    let mut talk = Talk::default()
        .user("m1", parts())
        .answers("m2", "m1", vec![]);
    let paper = "user: (The user attached paper.pdf (application/pdf), which this model cannot read. Say so if it matters.)";
    let shot = "user: (The user attached shot.png (image/png), which this model cannot read. Say so if it matters.)";
    talk.expect("m1", "m2", &["user: look", shot, paper]);
    talk.images = true;
    talk.expect(
        "m1",
        "m2",
        &["user: look", "user: file shot.png image/png AAAA", paper],
    );
}

#[test]
fn ignored_and_empty_texts_are_left_out_and_a_subtask_is_told() {
    let ignored = PartBody::Text(TextPart {
        text: "for people".into(),
        ignored: true,
        ..Default::default()
    });
    let task = PartBody::Subtask(SubtaskPart {
        prompt: "count files".into(),
        description: "Count".into(),
        agent: "explore".into(),
        ..Default::default()
    });
    let talk = Talk::default()
        .user("m1", vec![ignored, text(""), task])
        .answers("m2", "m1", vec![]);
    talk.expect(
        "m1",
        "m2",
        &["user: Run this task with the subagent explore and report its result: count files"],
    );
}

#[test]
fn the_material_for_a_summary_has_short_outputs_and_no_files() {
    let long = "0123456789".repeat(1_000);
    let mut talk = Talk::default()
        .user(
            "m1",
            vec![
                text("look"),
                file("image/png", "shot.png", "data:image/png;base64,AAAA"),
            ],
        )
        .answers("m2", "m1", vec![done("c1", &long)])
        .user("m3", vec![compaction(None)])
        .answers("m4", "m3", vec![]);
    talk.images = true;
    let half = "0123456789".repeat(200);
    talk.expect(
        "m3",
        "m4",
        &[
            "user: look",
            "user: (The user attached shot.png (image/png).)",
            r#"model: call c1 read {"path":"a"}"#,
            &format!("tool: c1: {half}\n(… 6000 bytes left out …)\n{half}"),
            "user: <summarise>",
        ],
    );
}

#[test]
fn the_material_for_a_summary_fits_the_model_and_begins_with_a_user() {
    let mut talk = Talk::default();
    for turn in 0..20 {
        let (prompt, reply) = (format!("m{turn}a"), format!("m{turn}b"));
        talk = talk
            .says(&prompt, &format!("{turn} {}", "word ".repeat(40)))
            .answers(
                &reply,
                &prompt,
                vec![
                    text(&"reply ".repeat(40)),
                    done("c1", &"output ".repeat(40)),
                ],
            );
    }
    talk.context = 1_000;
    let talk = talk
        .user("m98", vec![compaction(None)])
        .answers("m99", "m98", vec![]);
    let (prompt, answer) = (id("m98"), id("m99"));
    let selection = Selection {
        prompt: &prompt,
        answer: &answer,
    };
    let messages = conversation(&talk.messages, &[], &selection, &talk.model());
    let bytes: usize = messages.iter().flat_map(lines).map(|line| line.len()).sum();
    assert!(bytes < 3_000, "{bytes} bytes for a model of 1,000 tokens");
    assert!(
        matches!(messages.first(), Some(ModelMessage::User(_))),
        "{messages:#?}"
    );
    assert!(
        messages.len() > 3,
        "only {} messages are left",
        messages.len()
    );
    assert_eq!(
        messages.last().map(lines),
        Some(vec!["user: <summarise>".to_string()])
    );
}

#[test]
fn a_title_is_made_of_the_users_words_and_two_outputs() {
    let synthetic = PartBody::Text(TextPart {
        text: "made up".into(),
        synthetic: true,
        ..Default::default()
    });
    let talk = Talk::default()
        .says("m1", "too old")
        .says("m2", "one")
        .answers(
            "m3",
            "m2",
            vec![done("c1", "oldest"), done("c2", "older"), text("Sure")],
        )
        .user("m4", vec![text("two"), synthetic])
        .says("m5", &"x".repeat(2_000))
        .says("m6", "four")
        .answers("m7", "m6", vec![done("c3", &"y".repeat(600))]);
    let mut state: State = State::new(crate::samples::session(0));
    state.messages = talk.messages;
    let cut = format!("User: {}", "x".repeat(1_000));
    let output = format!("Output of read: {}", "y".repeat(500));
    let expected = [
        "User: one",
        "User: two",
        &cut,
        "User: four",
        &output,
        "Output of read: older",
    ]
    .join("\n\n");
    assert_eq!(title_material(&state), expected);
}

use crate::testing::Stage;
use kilo_protocol::model::{Action, Rule};
use serde_json::{Value, json};

#[tokio::test]
async fn matches_are_grouped_by_file() {
    let stage = Stage::new();
    stage.write("src/foo.ts", "export function foo() {\n");
    stage.write("other.md", "nothing\n");
    let output = stage.done("grep", json!({"pattern": "foo"})).await;
    assert_eq!(
        output.output,
        format!(
            "Found 1 matches\n{}:\n  Line 1: export function foo() {{\n",
            stage.shown("src/foo.ts")
        )
    );
    assert_eq!(output.title, "foo");
    assert_eq!(
        Value::Object(output.metadata),
        json!({"matches": 1, "truncated": false})
    );
    assert_eq!(
        stage.permissions(),
        [("grep".to_owned(), vec!["foo".to_owned()])]
    );
}

#[tokio::test]
async fn files_are_narrowed_and_nothing_is_found() {
    let stage = Stage::new();
    stage.write("a.ts", "needle\n");
    stage.write("b.md", "needle\n");
    let output = stage
        .done(
            "grep",
            json!({"pattern": "needle", "include": "*.{md,txt}"}),
        )
        .await;
    assert_eq!(
        output.output,
        format!(
            "Found 1 matches\n{}:\n  Line 1: needle\n",
            stage.shown("b.md")
        )
    );
    let output = stage
        .done("grep", json!({"pattern": "needle", "include": "*.rs"}))
        .await;
    assert_eq!(output.output, "No files found");
    assert_eq!(output.metadata["matches"], 0);
}

#[tokio::test]
async fn context_case_and_plain_text() {
    let stage = Stage::new();
    stage.write("a.txt", "one\ntwo (x)\nthree\nfour\nfive\nTWO (X)\n");
    let input = json!({"pattern": "two (x)", "literal": true, "ignoreCase": true, "context": 1});
    let output = stage.done("grep", input).await.output;
    assert_eq!(
        output,
        format!(
            "Found 2 matches\n{}:\n  Line 1- one\n  Line 2: two (x)\n  Line 3- three\n  --\n  Line 5- five\n  Line 6: TWO (X)\n",
            stage.shown("a.txt")
        )
    );
    let error = stage.fails("grep", json!({"pattern": "two ("})).await;
    assert!(
        error.contains("not valid") && error.contains("literal"),
        "{error}"
    );
}

#[tokio::test]
async fn the_limit_and_long_lines() {
    let stage = Stage::new();
    stage.write("a.txt", "hit\n".repeat(250));
    let output = stage.done("grep", json!({"pattern": "hit"})).await;
    assert!(
        output
            .output
            .starts_with("Found 250 matches (the first 100 are shown; raise limit")
    );
    assert_eq!(output.output.matches("  Line ").count(), 100);
    assert_eq!(
        Value::Object(output.metadata),
        json!({"matches": 250, "truncated": true})
    );
    let output = stage
        .done("grep", json!({"pattern": "hit", "limit": 300}))
        .await;
    assert_eq!(output.output.matches("  Line ").count(), 250);
    stage.write("a.txt", format!("{}\n", "ä".repeat(3_000)));
    let output = stage.done("grep", json!({"pattern": "ä"})).await.output;
    assert!(output.contains(&format!(
        "  Line 1: {}… (line cut at 2000 characters)\n",
        "ä".repeat(2_000)
    )));
}

#[tokio::test]
async fn ignored_binary_and_linked_files_are_left_out() {
    let stage = Stage::new();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("x.txt"), "needle\n").unwrap();
    std::os::unix::fs::symlink(outside.path().join("x.txt"), stage.path("link.txt")).unwrap();
    stage.write(".git/config", "needle\n");
    stage.write(".gitignore", "ignored.txt\n");
    stage.write("ignored.txt", "needle\n");
    stage.write("bin", b"needle\n\0\x01");
    stage.write(".hidden", "needle\n");
    let output = stage
        .done("grep", json!({"pattern": "needle"}))
        .await
        .output;
    assert_eq!(
        output,
        format!(
            "Found 1 matches\n{}:\n  Line 1: needle\n",
            stage.shown(".hidden")
        )
    );
}

#[tokio::test]
async fn a_single_file_is_asked_for_as_read_asks() {
    let stage = Stage::new();
    stage.write(".env", "SECRET=1\n");
    let output = stage
        .done("grep", json!({"pattern": "SECRET", "path": ".env"}))
        .await;
    assert_eq!(output.metadata["matches"], 1);
    assert_eq!(
        stage.permissions()[1],
        ("read".to_owned(), vec![".env".to_owned()])
    );
}

#[tokio::test]
async fn the_end_of_a_line_is_before_its_carriage_return() {
    let stage = Stage::new();
    stage.write("dos.txt", "one word\r\nword two\r\n");
    stage.write("unix.txt", "one word\nword two\n");
    for (pattern, matches) in [
        ("word$", 2),
        ("^word", 2),
        ("word.*$", 4),
        ("two\\r$", 1),
        ("two\\s*$", 2),
    ] {
        let output = stage.done("grep", json!({"pattern": pattern})).await;
        assert_eq!(output.metadata["matches"], matches, "{pattern}");
        assert!(!output.output.contains('\r'));
    }
}

#[test]
fn files_that_need_a_question_are_withheld() {
    let rule = |pattern: &'static str, action| Rule {
        permission: "read".into(),
        pattern: pattern.into(),
        action,
    };
    let stage = Stage::new();
    stage.write("deep/.env", "SECRET=1\n");
    stage.write("a.txt", "SECRET=2\n");
    let search = super::Search {
        matcher: grep_regex::RegexMatcher::new("SECRET").unwrap(),
        include: None,
        context: 0,
        limit: 100,
        rules: vec![rule("*", Action::Allow), rule("*.env", Action::Ask)],
        place: crate::place::Place::of(&stage.cx, ".").unwrap(),
    };
    let output = search
        .run(&stage.cx.cancel)
        .unwrap()
        .shown("SECRET".into(), 100)
        .output;
    assert!(
        !output.contains("SECRET=1") && output.contains("SECRET=2"),
        "{output}"
    );
    assert!(
        output.ends_with(
            "(1 files were left out because reading them needs permission, such as .env files; use read for them.)"
        ),
        "{output}"
    );
}

//! The lines of `kilo run --format json` beside the answer: docs/run.md lists them.

use kilo_tests::{Daemon, Ended, Home, Model, Project, Turn};
use serde_json::{Value, json};

/// The lines of one type.
fn told(ended: &Ended, kind: &str) -> Vec<Value> {
    let lines = ended.out.lines().map(|line| {
        let line = serde_json::from_str::<Value>(line);
        line.unwrap_or_else(|_| panic!("not JSON: {}", ended.out))
    });
    lines.filter(|line| line["type"] == kind).collect()
}

/// A run of one script with more words before its prompt.
fn run(more: &Value, script: Vec<Turn>, words: &[&str]) -> Ended {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::with(&model, more);
    model.script("k", script);
    let words: Vec<&str> = ["run", "--format", "json"]
        .iter()
        .chain(words)
        .chain(&["go [[k]]"])
        .copied()
        .collect();
    home.run(project.path(), &words)
}

#[test]
fn what_a_flag_decided_has_a_line() {
    let asks = json!({"permission": {"bash": "ask"}});
    let make = || {
        Turn::call(
            "bash",
            &json!({"command": "make all", "description": "make"}),
        )
    };
    for (words, answer, code) in [(&[][..], "reject", 1), (&["--auto"], "once", 0)] {
        let ended = run(&asks, vec![make(), Turn::text("done")], words);
        assert_eq!(ended.code, Some(code), "{}{}", ended.out, ended.err);
        let lines = told(&ended, "permission");
        assert_eq!(lines.len(), 1, "{}", ended.out);
        let facts = &lines[0]["permission"];
        assert_eq!(facts["permission"], "bash");
        assert_eq!(facts["answer"], answer);
        assert!(facts["patterns"].to_string().contains("make"), "{facts}");
        assert!(lines[0]["sessionID"].is_string() && lines[0]["timestamp"].is_u64());
    }
}

/// A session that `kilo run` makes is not offered the tool; one that was made where somebody could answer is.
#[tokio::test]
async fn a_dismissed_question_has_a_line() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let question = json!({"questions": [{
        "question": "Which way?", "header": "Way",
        "options": [{"label": "left", "description": "l"}, {"label": "right", "description": "r"}],
    }]});
    model.script("k", [Turn::call("question", &question), Turn::text("done")]);
    let daemon = Daemon::start(&home);
    let session = daemon.api(&project).session().await;
    let words = ["run", "--format", "json", "--session", &session, "go [[k]]"];
    let ended = home.run(project.path(), &words);
    let lines = told(&ended, "question");
    assert_eq!(lines.len(), 1, "{}{}", ended.out, ended.err);
    let facts = &lines[0]["question"];
    assert_eq!(facts["answer"], "dismissed");
    assert_eq!(facts["questions"][0]["question"], "Which way?");
}

#[test]
fn a_refused_key_has_a_line_that_says_what_helps() {
    let ended = run(&json!({}), vec![Turn::error(401, "bad key")], &[]);
    assert_eq!(ended.code, Some(1), "{}", ended.out);
    assert_eq!(told(&ended, "error").len(), 1, "{}", ended.out);
    let hints = told(&ended, "hint");
    assert_eq!(hints.len(), 1, "{}", ended.out);
    let hint = &hints[0]["hint"];
    assert_eq!(hint["providerID"], "test");
    let words = hint["message"].as_str().unwrap_or_default();
    assert!(words.contains("kilo auth login test"), "{words}");
}

/// The provider is not there at all: without `--auto` nobody waits for it.
#[test]
fn a_lost_network_has_a_line() {
    let gone = json!({"provider": {"test": {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": "http://127.0.0.1:9/v1", "apiKey": "x"},
        "models": {"test-model": {}, "small": {}},
    }}});
    let ended = run(&gone, Vec::new(), &[]);
    assert_eq!(ended.code, Some(1), "{}", ended.out);
    let lines = told(&ended, "network");
    assert_eq!(lines.len(), 1, "{}{}", ended.out, ended.err);
    assert_eq!(lines[0]["network"]["waits"], false);
    assert!(lines[0]["network"]["message"].is_string());
}

#[test]
fn a_summary_on_the_way_has_a_line() {
    let full = "This model's maximum context length is 10 tokens, however you requested 99";
    let script = vec![Turn::error(400, full), Turn::text("the answer")];
    let ended = run(&json!({}), script, &[]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    let lines = told(&ended, "compaction");
    assert_eq!(lines.len(), 1, "{}", ended.out);
    let words = lines[0]["compaction"]["message"]
        .as_str()
        .unwrap_or_default();
    assert!(words.contains("summarised"), "{words}");
    assert_eq!(told(&ended, "text").len(), 1, "{}", ended.out);
}

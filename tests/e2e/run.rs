//! The command line against a scripted model: what it prints, how it ends.

use kilo_tests::{Ended, Home, Model, Project, Step, Turn};
use serde_json::{Value, json};
use std::io::Read;
use std::process::Stdio;

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect()
}

#[test]
fn into_a_pipe_goes_the_answer_alone() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    model.script("k", [Turn::text("forty-two")]);
    let ended = home.run(project.path(), &["run", "what is it? [[k]]"]);
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (Some(0), "forty-two\n"),
        "{}",
        ended.err
    );
}

#[test]
fn json_is_one_object_a_line() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let command = json!({"command": "echo from the shell", "description": "say it"});
    model.script("k", [Turn::call("bash", &command), Turn::text("done")]);
    let ended = home.run(project.path(), &["run", "--format", "json", "go [[k]]"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let events = lines(&ended.out);
    let text = ended.out.as_str();
    assert!(
        events.iter().all(|event| event["type"].is_string()),
        "{text}"
    );
    assert!(
        text.contains("from the shell") && text.contains("done"),
        "{text}"
    );
}

#[test]
fn a_failed_turn_is_a_failed_command() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    model.script("k", [Turn::error(400, "this model is on strike")]);
    let ended = home.run(project.path(), &["run", "go [[k]]"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("on strike"), "{}", ended.err);
}

/// An answer of `text` that ends for `reason`.
fn ended_by(text: &str, reason: &str) -> Turn {
    let delta =
        json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}]});
    Turn::of([
        Step::Raw(format!("data: {delta}\n\ndata: [DONE]\n\n")),
        Step::End,
    ])
}

#[test]
fn an_answer_that_is_cut_refused_or_empty_is_no_success() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let table = [
        (
            "half",
            "length",
            "half\n",
            "output tokens",
            "MessageOutputLengthError",
        ),
        (
            "no",
            "content_filter",
            "no\n",
            "refused",
            "ContentFilterError",
        ),
        ("", "content_filter", "", "refused", "ContentFilterError"),
        ("", "stop", "", "without a word", "UnknownError"),
    ];
    for (text, reason, out, said, name) in table {
        model.script("k", [ended_by(text, reason)]);
        let ended = home.run(project.path(), &["run", "go [[k]]"]);
        assert_eq!(
            (ended.code, ended.out.as_str()),
            (Some(1), out),
            "{}",
            ended.err
        );
        assert_eq!(ended.err.matches(said).count(), 1, "{}", ended.err);
        model.script("k", [ended_by(text, reason)]);
        let ended = home.run(project.path(), &["run", "--format", "json", "go [[k]]"]);
        assert_eq!(ended.code, Some(1), "{}", ended.err);
        let errors: Vec<Value> = lines(&ended.out)
            .into_iter()
            .filter(|line| line["type"] == "error")
            .collect();
        assert_eq!(errors.len(), 1, "{}", ended.out);
        assert_eq!(errors[0]["error"]["name"], name);
    }
}

#[test]
fn what_would_ask_is_refused_and_auto_allows_it() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::with(&model, &json!({"permission": {"bash": "ask"}}));
    let call = || {
        Turn::call(
            "bash",
            &json!({"command": "touch ran.mark", "description": "leave a mark"}),
        )
    };
    model.script("no", [call(), Turn::text("pity")]);
    let ended = home.run(project.path(), &["run", "go [[no]]"]);
    assert_eq!(ended.code, Some(1), "{} {}", ended.out, ended.err);
    assert!(!project.path().join("ran.mark").exists());
    model.script("yes", [call(), Turn::text("done")]);
    let ended = home.run(project.path(), &["run", "--auto", "go [[yes]]"]);
    assert_eq!(ended.code, Some(0), "{} {}", ended.out, ended.err);
    assert!(project.path().join("ran.mark").exists());
}

#[test]
fn a_session_goes_on_and_moves_to_another_home() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    assert_eq!(
        home.run(project.path(), &["run", "first [[one]]"]).code,
        Some(0)
    );
    assert_eq!(
        home.run(project.path(), &["run", "-c", "second [[two]]"])
            .code,
        Some(0)
    );
    let asked = model.asked("two").pop().expect("a request");
    assert!(
        asked.text().contains("echo of one"),
        "the second prompt knows the first answer"
    );
    let listed = home.run(project.path(), &["session", "list", "--format", "json"]);
    let sessions: Value = serde_json::from_str(&listed.out)
        .unwrap_or_else(|_| panic!("{} {}", listed.out, listed.err));
    assert_eq!(sessions.as_array().map(Vec::len), Some(1), "{sessions}");
    let id = sessions[0]["id"].as_str().expect("an id");
    let exported = home.run(project.path(), &["export", id]);
    assert_eq!(exported.code, Some(0), "{}", exported.err);
    project.write("session.json", &exported.out);

    let other = Home::new();
    let imported = other.run(project.path(), &["import", "session.json"]);
    assert_eq!(imported.code, Some(0), "{} {}", imported.out, imported.err);
    let again = other.run(project.path(), &["export", id]);
    let parse = |text: &str| -> Value { serde_json::from_str(text).expect("JSON") };
    assert_eq!(
        parse(&again.out)["messages"],
        parse(&exported.out)["messages"]
    );
}

#[test]
fn run_uses_the_daemon_that_is_there() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let started = home.run(project.path(), &["daemon", "start", "--json"]);
    assert_eq!(started.code, Some(0), "{}", started.err);
    let ended = home.run(project.path(), &["run", "hello [[k]]"]);
    let stopped = home.run(project.path(), &["daemon", "stop"]);
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (Some(0), "echo of k\n"),
        "{}",
        ended.err
    );
    assert_eq!(stopped.code, Some(0), "{}", stopped.err);
    assert_eq!(
        home.run(project.path(), &["daemon", "status"]).code,
        Some(1)
    );
}

#[test]
fn text_reaches_a_pipe_as_it_comes() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let steps = ["\n\none ", "two\n"].map(|text| Step::Text(text.into()));
    let [first, last] = steps;
    model.script("k", [Turn::of([first, Step::Gate("g".into()), last])]);
    let mut run = home
        .kilo(&["run", "go [[k]]"])
        .current_dir(project.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a run");
    let mut out = run.stdout.take().expect("its output");
    let mut piece = [0; 3];
    out.read_exact(&mut piece).expect("the first piece");
    assert_eq!(&piece, b"one");
    model.open("g");
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("the rest");
    assert_eq!(rest, " two\n");
    assert_eq!(run.wait().expect("an end").code(), Some(0));
}

#[test]
fn an_open_input_that_stays_silent_does_not_hold_the_prompt() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let mut silent = home
        .kilo(&["run", "go [[k]]"])
        .current_dir(project.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a run");
    let held = silent.stdin.take();
    let ended = Ended::from(silent.wait_with_output().expect("an end"));
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (Some(0), "echo of k\n"),
        "{}",
        ended.err
    );
    assert!(
        ended.err.contains("nothing came from standard input"),
        "{}",
        ended.err
    );
    drop(held);
}

#[test]
fn the_title_is_stored_when_the_command_ends() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let look = json!({"command": "echo hi", "description": "look"});
    model.script("k", [Turn::call("bash", &look), Turn::text("done")]);
    let ended = home.run(project.path(), &["run", "go [[k]]"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let listed = home.run(project.path(), &["session", "list", "--format", "json"]);
    assert!(!listed.out.contains("New session"), "{}", listed.out);
}

#[test]
fn a_provider_that_is_not_there_is_said_once() {
    let (home, model) = (Home::new(), Model::start());
    let away = json!({"provider": {"test": {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": "http://127.0.0.1:9/v1"},
        "models": {"test-model": {}},
    }}});
    let project = Project::with(&model, &away);
    let ended = home.run(project.path(), &["run", "go"]);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert_eq!(
        ended.err.matches("Cannot connect").count(),
        1,
        "{}",
        ended.err
    );
}

#[test]
fn a_summary_of_the_conversation_is_no_answer() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let first = home.run(project.path(), &["run", "first [[a]]"]);
    assert_eq!(first.code, Some(0), "{}", first.err);
    let overflow =
        "This model's maximum context length is 10 tokens. Reduce the length of the messages.";
    model.script("k", [Turn::error(400, overflow), Turn::text("the answer")]);
    for format in ["default", "json"] {
        let ended = home.run(
            project.path(),
            &["run", "-c", "--format", format, "go [[k]]"],
        );
        assert_eq!(ended.code, Some(0), "{} {}", ended.out, ended.err);
        let texts = match format {
            "default" => vec![ended.out.trim().to_owned()],
            _ => lines(&ended.out)
                .iter()
                .filter_map(|line| line["part"]["text"].as_str().map(str::to_owned))
                .collect(),
        };
        assert_eq!(texts, ["the answer"], "{}", ended.err);
        model.script("k", [Turn::error(400, overflow), Turn::text("the answer")]);
    }
}

#[test]
fn a_prompt_is_taken_back_and_done_again_with_its_files() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let write = |name: &str| {
        let path = project.path().join(name);
        Turn::call("write", &json!({"filePath": path, "content": "new\n"}))
    };
    model.script("k", [write("one.txt"), Turn::text("first answer")]);
    model.script("l", [write("two.txt"), Turn::text("second answer")]);
    let kilo = |words: &[&str], code: i32| {
        let ended = home.run(project.path(), words);
        assert_eq!(
            ended.code,
            Some(code),
            "{words:?}: {} {}",
            ended.out,
            ended.err
        );
        ended.out
    };
    kilo(&["run", "make one [[k]]"], 0);
    kilo(&["run", "-c", "make two [[l]]"], 0);
    let shown = kilo(&["session", "show"], 0);
    assert!(
        shown.contains("> make one") && shown.contains("second answer"),
        "{shown}"
    );
    let there = || ["one.txt", "two.txt"].map(|name| project.path().join(name).exists());
    let said = kilo(&["undo"], 0);
    assert!(
        said.contains("make two") && said.contains("restored two.txt"),
        "{said}"
    );
    assert_eq!(there(), [true, false]);
    let said = kilo(&["undo"], 0);
    assert!(
        said.contains("restored one.txt") && !said.contains("two.txt"),
        "{said}"
    );
    assert_eq!(there(), [false, false]);
    kilo(&["undo"], 1);
    let said = kilo(&["redo"], 0);
    assert!(
        said.contains("make one") && said.contains("restored one.txt"),
        "{said}"
    );
    assert_eq!(there(), [true, false]);
    kilo(&["redo"], 0);
    assert_eq!(there(), [true, true]);
    kilo(&["redo"], 1);
}

#[test]
fn a_key_that_is_not_accepted_is_said_with_the_remedy() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    model.script("k", [Turn::error(401, "bad key")]);
    let ended = home.run(project.path(), &["run", "go [[k]]"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("kilo auth login"), "{}", ended.err);
    let listed = home.run(project.path(), &["session", "list"]);
    assert!(listed.out.contains("go [[k]]"), "{}", listed.out);
}

#[test]
fn what_an_undo_left_alone_is_named_with_the_reason() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let file = project.path().join("one.txt");
    let write = Turn::call("write", &json!({"filePath": file, "content": "new\n"}));
    model.script("k", [write, Turn::text("done")]);
    let ended = home.run(project.path(), &["run", "make one [[k]]"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    std::fs::write(&file, "a person's\n").expect("written");
    let ended = home.run(project.path(), &["undo"]);
    assert_eq!(ended.code, Some(1), "{}", ended.out);
    let told = ended.out.lines().find(|line| line.contains("one.txt"));
    let is_told = told.is_some_and(|line| line.contains("others changed it"));
    assert!(is_told, "{}", ended.out);
    // Nothing was moved, so nothing can be done again: the messages are shown, and the file is named once more.
    let ended = home.run(project.path(), &["redo"]);
    assert_eq!(ended.code, Some(1), "{}", ended.out);
    let told = ended.out.lines().find(|line| line.contains("one.txt"));
    let is_told = told.is_some_and(|line| line.contains("others changed it"));
    assert!(is_told && !ended.out.contains("restored"), "{}", ended.out);
    let kept = std::fs::read_to_string(&file).expect("kept");
    assert_eq!(kept, "a person's\n");
}

#[test]
fn a_wait_for_the_provider_has_a_line_of_json() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    model.script(
        "k",
        [Turn::error(503, "too busy"), Turn::text("the answer")],
    );
    let ended = home.run(project.path(), &["run", "--format", "json", "go [[k]]"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let told = lines(&ended.out);
    let retry = told.iter().find(|line| line["type"] == "retry");
    let retry = retry.unwrap_or_else(|| panic!("no line: {}", ended.out));
    assert_eq!(retry["retry"]["attempt"], 1);
    let words = retry["retry"]["message"].as_str().unwrap_or_default();
    assert!(words.contains("too busy"), "{retry}");
    assert!(retry["retry"]["next"].as_u64() > retry["timestamp"].as_u64());
}

/// A list that is empty because the log is gone must not look like one that never had anything.
#[test]
fn what_a_damaged_log_has_lost_is_said_by_whoever_lists_it() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    model.script("k", [Turn::text("an answer")]);
    let ran = home.run(project.path(), &["run", "go [[k]]"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let listed = home.run(project.path(), &["session", "list"]);
    assert!(!listed.err.contains("damaged"), "{}", listed.err);
    let log = home.path().join(".local/share/kilo/engine/log");
    for segment in std::fs::read_dir(log).expect("the log") {
        let path = segment.expect("a segment").path();
        let file = std::fs::File::options().write(true).open(path);
        file.expect("a segment").set_len(100).expect("cut");
    }
    for words in [&["session", "list"][..], &["stats"], &["undo"], &["export"]] {
        let ended = home.run(project.path(), words);
        assert!(ended.err.contains("damaged"), "{words:?}: {}", ended.err);
    }
}

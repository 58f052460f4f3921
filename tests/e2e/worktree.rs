//! Worktrees from outside: the command line, the routes, sessions that move, several versions of one prompt.

use kilo_tests::{Daemon, Home, Model, Project, Turn};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

fn folder(text: &str) -> PathBuf {
    PathBuf::from(text.trim())
}

#[test]
fn a_worktree_goes_from_made_to_restored_on_the_command_line() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let kilo = |words: &[&str]| home.run(project.path(), words);
    project.write(
        ".kilo/setup-script",
        "echo \"ports from $KILO_PORT_BASE\"; touch made\n",
    );
    let made = kilo(&["worktree", "create", "My work"]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    assert!(made.err.contains("ports from 2"), "{}", made.err);
    let tree = folder(&made.out);
    assert!(tree.ends_with("my-work") && tree.join("made").exists());
    fs::write(tree.join("a.txt"), "changed\n").expect("written");
    let listed = kilo(&["worktree", "list"]);
    assert!(
        listed.out.contains("my-work") && listed.out.contains("2 uncommitted"),
        "{}",
        listed.out
    );
    let shown = kilo(&["worktree", "diff", "my-work", "--stat"]);
    assert!(shown.out.contains("+1     -2  a.txt"), "{}", shown.out);
    let refused = kilo(&["worktree", "remove", "my-work"]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.err.contains("1 changed (a.txt)") && refused.err.contains("--force"),
        "{}",
        refused.err
    );
    let applied = kilo(&["worktree", "apply", "my-work", "a.txt"]);
    assert_eq!(
        (applied.code, applied.out.as_str()),
        (Some(0), "a.txt\n"),
        "{}",
        applied.err
    );
    assert_eq!(project.read("a.txt"), "changed\n");
    project.write("a.txt", "else\n");
    let conflict = kilo(&["worktree", "apply", "my-work"]);
    assert_eq!(conflict.code, Some(1));
    assert!(
        conflict.err.contains("a.txt: both-changed") && conflict.err.contains("<<<<<<< here"),
        "{}",
        conflict.err
    );
    let removed = kilo(&["worktree", "remove", "--force", "my-work"]);
    assert_eq!(removed.code, Some(0), "{}", removed.err);
    assert!(!tree.exists());
    let kept = kilo(&["worktree", "restore"]);
    assert!(kept.out.contains("opencode/my-work"), "{}", kept.out);
    let restored = kilo(&["worktree", "restore", "my-work"]);
    assert_eq!(
        (restored.code, folder(&restored.out)),
        (Some(0), tree.clone()),
        "{}",
        restored.err
    );
    assert_eq!(
        fs::read_to_string(tree.join("a.txt")).expect("read"),
        "changed\n"
    );
    let merged = kilo(&["worktree", "merge", "my-work", "-m", "the work"]);
    assert_eq!(merged.code, Some(1), "{}", merged.out);
    project.git(&["checkout", "-q", "a.txt"]);
    let merged = kilo(&["worktree", "merge", "my-work", "-m", "again"]);
    assert_eq!(merged.code, Some(0), "{}", merged.err);
    assert_eq!(project.read("a.txt"), "changed\n");
}

#[test]
fn a_run_works_in_the_worktree_that_it_names_and_finds_it_again() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let command =
        json!({"command": "echo \"$KILO_PORT_BASE\" >> ports.txt; pwd", "description": "say it"});
    model.script(
        "k",
        [
            Turn::call("bash", &command),
            Turn::text("done"),
            Turn::call("bash", &command),
            Turn::text("done"),
        ],
    );
    for _ in 0..2 {
        let ended = home.run(
            project.path(),
            &["run", "--auto", "--worktree", "side", "go [[k]]"],
        );
        assert_eq!(
            (ended.code, ended.out.as_str()),
            (Some(0), "done\n"),
            "{}",
            ended.err
        );
    }
    let listed = home.run(project.path(), &["worktree", "list", "--format", "json"]);
    let listed: Value = serde_json::from_str(&listed.out).expect("JSON");
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    let tree = folder(listed[0]["directory"].as_str().unwrap_or_default());
    let base = listed[0]["tree"]["portBase"].as_u64().unwrap_or_default();
    assert_eq!(
        fs::read_to_string(tree.join("ports.txt")).expect("ports"),
        format!("{base}\n{base}\n")
    );
    assert!(!project.path().join("ports.txt").exists());
}

#[tokio::test]
async fn a_session_goes_on_in_a_worktree_with_what_is_uncommitted() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let session = api.session().await;
    model.script(
        "k",
        [
            Turn::text("first"),
            Turn::call("bash", &json!({"command": "pwd", "description": "where"})),
            Turn::text("second"),
        ],
    );
    api.prompt(&session, "one [[k]]").await.ok();
    project.write("a.txt", "not committed\n");
    let moved = api
        .post(
            &format!("/x/session/{session}/worktree"),
            &json!({"name": "moved", "clear": true}),
        )
        .await
        .ok();
    let tree = folder(moved["worktree"]["directory"].as_str().unwrap_or_default());
    assert_eq!(moved["session"]["directory"], json!(tree));
    assert_eq!(
        fs::read_to_string(tree.join("a.txt")).expect("read"),
        "not committed\n"
    );
    assert_eq!(project.read("a.txt"), "hello world\nsecond line\n");
    let there = daemon.api_in(&tree);
    there.prompt(&session, "two [[k]]").await.ok();
    let tools = there.tools(&session).await;
    assert!(
        tools[0].to_string().contains(&*tree.to_string_lossy()),
        "{tools:?}"
    );
    assert!(there.answers(&session).await.contains("first"));

    let back = json!({"sessionID": session, "destination": {"directory": project.path()}, "moveChanges": true});
    assert_eq!(
        api.post("/experimental/control-plane/move-session", &back)
            .await
            .status,
        204
    );
    assert_eq!(project.read("a.txt"), "not committed\n");
    assert_eq!(
        fs::read_to_string(tree.join("a.txt")).expect("read"),
        "hello world\nsecond line\n"
    );
    let nowhere = json!({"sessionID": session, "destination": {"directory": "/nowhere"}});
    api.post("/experimental/control-plane/move-session", &nowhere)
        .await
        .refused(400, "MoveSessionError");
}

#[tokio::test]
async fn the_answer_for_a_new_worktree_says_that_its_set_up_is_still_to_end() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let body = json!({"name": "slow", "wait": true, "startCommand": "exec sleep 60"});
    let made = api.post("/x/worktree", &body).await.ok();
    assert_eq!(made["setup"]["state"], "running");
    let listed = api.get("/x/worktree").await.ok();
    assert_eq!(listed[0]["tree"]["setup"]["state"], "running");
    let plain = api.post("/x/worktree", &json!({"wait": true})).await.ok();
    assert_eq!(plain["setup"]["state"], "none");
}

#[tokio::test]
async fn a_worktree_in_which_a_session_works_is_not_removed() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let made = api
        .post("/x/worktree", &json!({"name": "busy", "wait": true}))
        .await
        .ok();
    let tree = folder(made["directory"].as_str().unwrap_or_default());
    let there = daemon.api_in(&tree);
    let session = there.session().await;
    model.script(
        "k",
        [Turn::of([
            kilo_tests::Step::Gate("g".into()),
            kilo_tests::Step::Text("done".into()),
        ])],
    );
    there.prompt_async(&session, "wait [[k]]").await;
    model.at_gate("g").await;
    let body = json!({"directory": tree});
    let refused = api
        .change(reqwest::Method::DELETE, "/experimental/worktree", &body)
        .await;
    assert!(
        refused
            .refused(400, "WorktreeRemoveFailedError")
            .contains(&session)
    );
    let refused = api
        .post("/x/worktree/remove", &json!({"worktree": "busy"}))
        .await;
    refused.refused(409, "WorktreeWouldLose");
    model.open("g");
    there.idle(&session).await;
    api.change(reqwest::Method::DELETE, "/experimental/worktree", &body)
        .await
        .ok();
    assert!(!Path::new(&tree).exists());
}

#[test]
fn versions_of_a_prompt_are_compared_and_one_is_kept() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let write =
        |text: &str| Turn::call("write", &json!({"filePath": "answer.txt", "content": text}));
    model.script(
        "k",
        [
            write("one\n"),
            write("two\n"),
            Turn::text("done"),
            Turn::text("done"),
        ],
    );
    let ended = home.run(
        project.path(),
        &[
            "fleet",
            "write it [[k]]",
            "--models",
            "test/test-model,test/small",
            "--check",
            "grep -q one answer.txt",
            "--auto",
        ],
    );
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.out, ended.err);
    let rows: Vec<&str> = ended.out.lines().skip(1).collect();
    assert_eq!(rows.len(), 2, "{}", ended.out);
    assert_eq!(
        rows.iter().filter(|row| row.contains(" ok ")).count(),
        1,
        "{}",
        ended.out
    );
    assert!(
        rows.iter().all(|row| row.contains("1 files +1 -0")),
        "{}",
        ended.out
    );
    let good = rows
        .iter()
        .find(|row| row.contains(" ok "))
        .and_then(|row| row.split(' ').next())
        .expect("one is good");
    let kept = home.run(project.path(), &["fleet", "--keep", good, "--remove"]);
    assert_eq!(
        (kept.code, kept.out.as_str()),
        (Some(0), "answer.txt\n"),
        "{}",
        kept.err
    );
    assert_eq!(project.read("answer.txt"), "one\n");
    let listed = home.run(project.path(), &["worktree", "list", "--format", "json"]);
    assert_eq!(listed.out.trim(), "[]");
}

#[test]
fn worktrees_of_a_server_elsewhere_are_made_and_listed_there() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let daemon = Daemon::start(&home);
    let other = Home::new();
    let folder = project.path().display().to_string();
    let kilo = |words: &[&str]| {
        let place = ["--attach", &daemon.url, "--dir", &folder];
        other.run(Path::new("/"), &[words, &place].concat())
    };
    let made = kilo(&["worktree", "create", "far"]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    assert!(
        self::folder(&made.out).starts_with(home.path()),
        "{}",
        made.out
    );
    let listed = kilo(&["worktree", "list"]);
    assert!(listed.out.contains("opencode/far"), "{}", listed.out);
    assert_eq!(kilo(&["fleet", "--list"]).code, Some(0));
    let nowhere = other.run(Path::new("/"), &["worktree", "--dir", "/nowhere", "list"]);
    assert!(
        nowhere.err.contains("/nowhere is not a folder"),
        "{}",
        nowhere.err
    );
}

/// A worktree where a session, a terminal and a background process are at work.
async fn busy(
    daemon: &Daemon,
    api: &kilo_tests::Api,
    model: &Model,
    key: &str,
) -> (PathBuf, String) {
    let made = api
        .post("/x/worktree", &json!({"name": key, "wait": true}))
        .await
        .ok();
    let tree = folder(made["directory"].as_str().unwrap_or_default());
    let there = daemon.api_in(&tree);
    let session = there.session().await;
    let start = json!({"action": "start", "command": "exec sleep 600", "persistent": true});
    let gate = Turn::of([kilo_tests::Step::Gate(key.into())]);
    model.script(key, [Turn::call("background_process", &start), gate]);
    there.prompt_async(&session, &format!("go [[{key}]]")).await;
    model.at_gate(key).await;
    let terminal = json!({"command": "sleep", "args": ["601"]});
    there.post("/pty", &terminal).await.ok();
    let running = api.get("/x/process").await.ok();
    let below = |it: &&Value| {
        let at = it["directory"].as_str().unwrap_or_default();
        Path::new(at).starts_with(&tree)
    };
    let count = running
        .as_array()
        .into_iter()
        .flatten()
        .filter(below)
        .count();
    assert_eq!(count, 2, "{running}");
    (tree, session)
}

#[tokio::test]
async fn a_teardown_answers_when_nothing_works_in_the_worktree_any_more() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let (tree, session) = busy(&daemon, &api, &model, "one").await;
    let (other, _) = busy(&daemon, &api, &model, "two").await;
    let answer = api
        .post("/kilocode/worktree/teardown", &json!({"worktree": tree}))
        .await
        .ok();
    assert_eq!(answer, json!({"disposed": true}));
    let statuses = daemon.api_in(&tree).get("/session/status").await.ok();
    assert!(statuses.get(&session).is_none(), "{statuses}");
    let running = api.get("/x/process").await.ok();
    let left: Vec<_> = running.as_array().into_iter().flatten().collect();
    assert_eq!(left.len(), 2, "{running}");
    assert!(
        left.iter().all(|it| it["directory"] == json!(other)),
        "{running}"
    );
    assert!(tree.join("a.txt").exists(), "its files stay");
    let unknown = json!({"worktree": "/nowhere"});
    let answer = api.post("/kilocode/worktree/teardown", &unknown).await.ok();
    assert_eq!(answer, json!({"disposed": true}));
}

#[tokio::test]
async fn a_forced_removal_ends_what_works_there_first() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let (tree, session) = busy(&daemon, &api, &model, "one").await;
    let refused = api
        .post("/x/worktree/remove", &json!({"worktree": "one"}))
        .await;
    let why = refused.refused(409, "WorktreeWouldLose");
    assert!(why.contains(&session) && why.contains("process"), "{why}");
    let forced = json!({"worktree": "one", "force": true});
    api.post("/x/worktree/remove", &forced).await.ok();
    assert!(!tree.exists());
    assert_eq!(api.get("/x/process").await.ok(), json!([]));
}

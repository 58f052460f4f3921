//! Several versions of one prompt over the end of the daemon: each goes on, or says why not.

use kilo_tests::{Api, Daemon, Home, Model, Project, Step, Turn, eventually};
use serde_json::{Value, json};

async fn start(api: &Api, body: &Value) -> String {
    let fleet = api.post("/x/fleet", body).await.ok();
    fleet["id"].as_str().expect("an id").to_owned()
}

async fn look(api: &Api, id: &str) -> Value {
    api.get(&format!("/x/fleet/{id}")).await.ok()
}

/// Waits until all versions have come to an end; answers the first.
async fn ended(api: &Api, id: &str) -> Value {
    eventually("the end of the versions", async || {
        let fleet = look(api, id).await;
        (fleet["done"] == true).then(|| fleet["members"][0].clone())
    })
    .await
}

#[tokio::test]
async fn a_version_that_worked_when_the_daemon_was_killed_says_so_and_is_checked() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let write = Turn::call("write", &json!({"filePath": "a.txt", "content": "new\n"}));
    model.script("k", [write, Turn::of([Step::Gate("g".into())])]);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let allowed = json!([{"permission": "*", "pattern": "*", "action": "allow"}]);
    let body = json!({"prompt": "go [[k]]", "check": "grep -q new a.txt", "permission": allowed});
    let id = start(&api, &body).await;
    model.at_gate("g").await;
    assert_eq!(look(&api, &id).await["members"][0]["status"], "busy");
    daemon.kill();

    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let version = ended(&api, &id).await;
    assert_eq!(version["status"], "failed");
    let why = version["error"].as_str().expect("a reason");
    assert!(why.contains("the daemon ended while"), "{why}");
    assert_eq!(version["check"]["ok"], true, "{version}");
    assert_eq!(version["diff"]["files"], 1);
    assert_eq!(model.asked("k").len(), 2, "nothing goes on by itself");
}

#[tokio::test]
async fn a_version_goes_on_by_itself_where_sessions_do() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::with(&model, &json!({"session": {"resume": "auto"}}));
    model.script("k", [Turn::held("k", 3, "never"), Turn::text("the rest")]);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let id = start(&api, &json!({"prompt": "go [[k]]"})).await;
    model.at_gate("never").await;
    daemon.kill();

    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let version = ended(&api, &id).await;
    assert_eq!(
        (&version["status"], &version["error"]),
        (&json!("done"), &Value::Null)
    );
    let session = version["sessionID"].as_str().expect("a session");
    assert!(api.answers(session).await.contains("the rest"));
}

#[tokio::test]
async fn a_version_that_was_not_asked_yet_says_so_and_a_check_that_was_cut_off_runs_again() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    model.script("k", [Turn::text("done")]);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    // the first run of the check never ends, the second is short
    let check = "test -e begun || { touch begun; exec sleep 600; }";
    let checked = start(&api, &json!({"prompt": "go [[k]]", "check": check})).await;
    let tree = look(&api, &checked).await["members"][0]["directory"].clone();
    let begun = std::path::Path::new(tree.as_str().expect("a folder")).join("begun");
    eventually("the check", async || begun.exists().then_some(())).await;
    project.write(".kilo/setup-script", "touch begun; exec sleep 600\n");
    let unasked = start(&api, &json!({"prompt": "go [[k]]"})).await;
    assert_eq!(
        look(&api, &unasked).await["members"][0]["status"],
        "waiting"
    );
    daemon.kill();

    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let version = ended(&api, &unasked).await;
    assert_eq!(version["status"], "failed");
    let why = version["error"].as_str().expect("a reason");
    assert!(why.contains("before this version was told"), "{why}");
    let version = ended(&api, &checked).await;
    assert_eq!(
        (&version["status"], &version["check"]["ok"]),
        (&json!("done"), &json!(true)),
        "{version}"
    );
    assert_eq!(model.asked("k").len(), 1);
}

//! `kilo ps`: what the daemon runs for whom.

use kilo_tests::{Daemon, Home, Model, Project, Turn, eventually};
use serde_json::{Value, json};

fn listed(home: &Home, project: &Project) -> Vec<Value> {
    let ended = home.run(project.path(), &["ps", "--json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    serde_json::from_str(&ended.out).expect("a list")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_and_a_background_process_are_listed_while_they_run() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let none = home.run(project.path(), &["ps"]);
    assert_eq!(none.code, Some(1), "{}", none.out);
    assert!(none.err.contains("no kilo daemon runs"), "{}", none.err);

    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    assert_eq!(listed(&home, &project), Vec::<Value>::new());
    let terminal = json!({"command": "sleep", "args": ["1000"], "title": "long"});
    let terminal = api.post("/pty", &terminal).await.ok();
    let session = api.session().await;
    let start = json!({"action": "start", "command": "exec sleep 1001", "description": "a server"});
    model.script(
        "k",
        [
            Turn::call("background_process", &start),
            Turn::text("started"),
        ],
    );
    api.prompt(&session, "start it [[k]]").await.ok();

    let running = listed(&home, &project);
    let (pty, background) = (&running[0], &running[1]);
    assert_eq!(running.len(), 2, "{running:?}");
    assert_eq!(
        (
            &pty["title"],
            &pty["pid"],
            &pty["terminal"],
            &pty["directory"]
        ),
        (
            &json!("terminal long"),
            &terminal["pid"],
            &json!(true),
            &json!(project.path())
        )
    );
    assert_eq!(
        (&background["title"], &background["sessionID"]),
        (&json!("background a server"), &json!(session))
    );
    for one in &running {
        assert!(one["memoryBytes"].as_u64() > Some(0), "{one}");
        assert!(one["started"].as_u64() > Some(1_700_000_000_000), "{one}");
    }
    let shown = home.run(project.path(), &["ps"]).out;
    assert!(shown.starts_with("PID"), "{shown}");
    assert!(
        shown.contains("terminal long") && shown.contains(&format!("a server ({session})")),
        "{shown}"
    );

    let path = format!("/pty/{}", terminal["id"].as_str().expect("an id"));
    api.change(reqwest::Method::DELETE, &path, &json!({}))
        .await
        .ok();
    let path = format!("/background-process/session/{session}/stop");
    api.post(&path, &json!({})).await.ok();
    eventually("an empty list", || async {
        listed(&home, &project).is_empty().then_some(())
    })
    .await;
}

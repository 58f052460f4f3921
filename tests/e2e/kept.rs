//! Background processes and who outlives whom: persistent ones the daemon, the others nobody.

use kilo_tests::{Api, Daemon, Home, Model, Project, Turn, eventually};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Starts a process by way of the model; answers it as it is listed.
async fn start(api: &Api, model: &Model, session: &str, order: Value) -> Value {
    let mut order = order;
    order["action"] = "start".into();
    let key = format!("start{}", order["description"].as_str().unwrap_or("it"));
    let turns = [Turn::call("background_process", &order), Turn::text("done")];
    model.script(&key, turns);
    api.prompt(session, &format!("go [[{key}]]")).await.ok();
    let all = api.get("/background-process").await.ok();
    all.as_array()
        .and_then(|all| all.last().cloned())
        .expect("a process")
}

async fn get(api: &Api, process: &Value) -> Value {
    api.get(&path(process, "")).await.ok()
}

fn path(process: &Value, what: &str) -> String {
    let id = process["id"].as_str().expect("an id");
    format!("/background-process/{id}{what}")
}

fn lives(pid: &Value) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.starts_with(" Z"))
}

async fn until_gone(pid: &Value) {
    eventually("the end of the process", async || {
        (!lives(pid)).then_some(())
    })
    .await;
}

/// A process that is none of the daemon's.
#[allow(clippy::disallowed_methods, reason = "it is this test's")]
fn stranger() -> std::process::Child {
    let mut sleep = std::process::Command::new("sleep");
    sleep.arg("600").spawn().expect("sleep")
}

/// The folder of a kept process.
fn folder(home: &Home, process: &Value) -> PathBuf {
    fn find(below: &Path, id: &str) -> Option<PathBuf> {
        for entry in std::fs::read_dir(below).ok()?.flatten() {
            let path = entry.path();
            if entry.file_name().to_str() == Some(id) {
                return Some(path);
            }
            if path.is_dir()
                && let Some(found) = find(&path, id)
            {
                return Some(found);
            }
        }
        None
    }
    find(home.path(), process["id"].as_str().expect("an id")).expect("a folder")
}

const COUNTS: &str = "echo up; n=0; while :; do n=$((n+1)); echo tick $n; sleep 0.05; done";

#[tokio::test]
async fn a_persistent_process_outlives_a_killed_daemon_and_the_next_one_has_it() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let session = api.session().await;
    let order = json!({"command": COUNTS, "persistent": true, "ready": {"pattern": "tick 1"}});
    let process = start(&api, &model, &session, order).await;
    assert_eq!(
        (&process["status"], &process["lifetime"]),
        (&json!("ready"), &json!("persistent"))
    );
    let running = api.get("/x/process").await.ok();
    assert_eq!(running[0]["pid"], process["pid"], "{running}");
    assert_eq!(running[0]["sessionID"], json!(session));
    assert!(running[0]["memoryBytes"].as_u64() > Some(0), "{running}");
    daemon.kill();
    assert!(lives(&process["pid"]));

    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let again = get(&api, &process).await;
    for field in ["id", "pid", "status", "sessionID", "command", "ready"] {
        assert_eq!(again[field], process[field], "{field}");
    }
    let logs = api.get(&path(&process, "/logs")).await.ok();
    let logs = logs["output"].as_str().expect("output").to_owned();
    assert!(logs.starts_with("up\ntick 1\ntick 2\n"), "{logs}");
    eventually("more output", async || {
        let now = api.get(&path(&process, "/logs")).await.ok();
        (now["output"].as_str()?.len() > logs.len()).then_some(())
    })
    .await;
    assert_eq!(api.get("/x/process").await.ok()[0]["pid"], process["pid"]);
    let listed = home.run(project.path(), &["ps"]);
    assert!(listed.out.contains("background echo up"), "{}", listed.out);

    let anew = api.post(&path(&process, "/restart"), &json!({})).await.ok();
    assert_eq!(anew["id"], process["id"]);
    assert_ne!(anew["pid"], process["pid"]);
    until_gone(&process["pid"]).await;
    assert_eq!(daemon.stop(), Some(0));
    assert!(lives(&anew["pid"]), "also when the daemon ends on purpose");

    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let stopped = api.post(&path(&process, "/stop"), &json!({})).await.ok();
    assert_eq!(
        (&stopped["status"], &stopped["pid"], &stopped["signal"]),
        (&json!("stopped"), &anew["pid"], &json!("SIGTERM"))
    );
    until_gone(&anew["pid"]).await;
    assert_eq!(api.get("/x/process").await.ok(), json!([]));
    daemon.kill();

    let daemon = Daemon::start(&home);
    let listed = get(&daemon.api(&project), &process).await;
    assert_eq!(listed["status"], "stopped");
    assert!(listed["output"].as_str().expect("output").contains("tick"));
}

#[tokio::test]
async fn one_that_ended_while_no_daemon_ran_says_how_and_a_lost_one_takes_nobody_along() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let session = api.session().await;
    let waits = "until [ -e stop ]; do sleep 0.02; done; echo bye; exit 3";
    let ends = start(
        &api,
        &model,
        &session,
        json!({"command": waits, "persistent": true, "description": "ends"}),
    )
    .await;
    let lost = start(
        &api,
        &model,
        &session,
        json!({"command": "exec sleep 600", "persistent": true, "description": "lost"}),
    )
    .await;
    daemon.kill();
    project.write("stop", "");
    until_gone(&ends["pid"]).await;
    let file = folder(&home, &lost).join("state.json");
    let text = std::fs::read_to_string(&file).expect("a state");
    let mut state: Value = serde_json::from_str(&text).expect("JSON");
    let keeper = state["keeper"][0].as_i64().expect("a number") as i32;
    let keeper = rustix::process::Pid::from_raw(keeper).expect("a process");
    rustix::process::kill_process(keeper, rustix::process::Signal::KILL).expect("killed");
    until_gone(&lost["pid"]).await;
    // its numbers are somebody else's now
    let mut foreign = stranger();
    state["keeper"][0] = foreign.id().into();
    state["pid"] = foreign.id().into();
    std::fs::write(&file, state.to_string()).expect("written");

    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let ended = get(&api, &ends).await;
    assert_eq!(
        (&ended["status"], &ended["exitCode"], &ended["output"]),
        (&json!("failed"), &json!(3), &json!("bye\n"))
    );
    let gone = get(&api, &lost).await;
    assert_eq!(gone["status"], "failed");
    assert!(
        gone["output"]
            .as_str()
            .expect("output")
            .contains("that kept it is gone"),
        "{gone}"
    );
    api.post(&path(&lost, "/stop"), &json!({})).await.ok();
    assert!(
        foreign.try_wait().expect("a state").is_none(),
        "nobody touches it"
    );
    let anew = api.post(&path(&lost, "/restart"), &json!({})).await.ok();
    assert_eq!(anew["status"], "running");
    assert!(lives(&anew["pid"]) && foreign.try_wait().expect("a state").is_none());
    let stopped = api.post(&path(&lost, "/stop"), &json!({})).await.ok();
    assert_eq!(stopped["status"], "stopped");
    foreign.kill().and_then(|()| foreign.wait()).expect("ended");
}

#[tokio::test]
async fn what_does_not_start_says_why_and_a_wrong_folder_hinders_nobody() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let session = api.session().await;
    let quick = json!({"command": "echo done", "persistent": true});
    let process = start(&api, &model, &session, quick).await;
    let ended = eventually("its end", async || {
        let process = get(&api, &process).await;
        (process["status"] == "exited").then_some(process)
    })
    .await;
    assert_eq!(
        (&ended["exitCode"], &ended["output"]),
        (&json!(0), &json!("done\n"))
    );
    let kept = folder(&home, &process);
    daemon.kill();
    let root = kept.parent().expect("a folder");
    for (name, file, text) in [
        ("bgp_empty", "none", ""),
        ("bgp_torn", "order.json", "{\"token\":"),
    ] {
        std::fs::create_dir(root.join(name)).expect("a folder");
        std::fs::write(root.join(name).join(file), text).expect("a file");
    }

    let daemon = Daemon::start(&home);
    let all = daemon.api(&project).get("/background-process").await.ok();
    assert_eq!(all.as_array().map(Vec::len), Some(1), "{all}");
    assert_eq!(all[0]["status"], "exited");
}

#[tokio::test]
async fn what_an_earlier_daemon_started_may_not_call_the_next_one() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let session = api.session().await;
    // asks whatever address it is told, and says what it heard
    let asks = "while :; do [ -s port ] && { exec 3<>/dev/tcp/127.0.0.1/$(cat port); \
        printf 'GET /session HTTP/1.1\\r\\nhost: localhost\\r\\nconnection: close\\r\\n\\r\\n' >&3; \
        head -n 1 <&3 > heard; exit; }; sleep 0.02; done";
    let process = start(
        &api,
        &model,
        &session,
        json!({"command": asks, "persistent": true}),
    )
    .await;
    daemon.kill();
    let daemon = Daemon::start(&home);
    project.write("port", &daemon.port().to_string());
    until_gone(&process["pid"]).await;
    let heard = project.read("heard");
    assert!(
        heard.contains(" 403 ") || heard.contains(" 401 "),
        "{heard}"
    );
}

#[tokio::test]
async fn what_a_task_starts_for_itself_ends_with_it_and_what_it_leaves_to_its_parent_goes_on() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let session = api.session().await;
    let start = |more: Value| {
        let mut order = json!({"action": "start", "command": "exec sleep 600"});
        for (name, value) in more.as_object().into_iter().flatten() {
            order[name] = value.clone();
        }
        Turn::call("background_process", &order)
    };
    let task = json!({"description": "a task", "prompt": "go [[sub]]", "subagent_type": "general"});
    model.script("top", [Turn::call("task", &task), Turn::text("all done")]);
    let own = start(json!({"description": "own"}));
    let left = start(json!({"description": "left", "inherit": true}));
    model.script("sub", [own, left, Turn::text("done")]);
    api.prompt(&session, "go [[top]]").await.ok();
    let all = eventually("the end of the task's process", async || {
        let all = api.get("/background-process").await.ok();
        let stopped = all.as_array()?.iter().any(|it| it["status"] == "stopped");
        stopped.then_some(all)
    })
    .await;
    let named = |name: &str| {
        let mut all = all.as_array().into_iter().flatten();
        all.find(|it| it["description"] == name)
            .cloned()
            .expect("listed")
    };
    let (own, left) = (named("own"), named("left"));
    assert_eq!(own["status"], "stopped");
    assert_ne!(own["sessionID"], json!(session));
    assert_eq!(
        (&left["status"], &left["sessionID"]),
        (&json!("running"), &json!(session))
    );
    assert!(!lives(&own["pid"]) && lives(&left["pid"]));
}

#[tokio::test]
async fn the_processes_of_a_session_that_is_deleted_end_and_persistent_ones_go_on() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let session = api.session().await;
    let tree = "sleep 600 & sleep 601 & wait";
    let plain = start(
        &api,
        &model,
        &session,
        json!({"command": tree, "description": "a"}),
    )
    .await;
    let kept = json!({"command": tree, "description": "b", "persistent": true});
    let kept = start(&api, &model, &session, kept).await;
    assert_eq!(
        api.get("/x/process").await.ok().as_array().map(Vec::len),
        Some(2)
    );
    api.change(
        reqwest::Method::DELETE,
        &format!("/session/{session}"),
        &json!({}),
    )
    .await
    .ok();
    until_gone(&plain["pid"]).await;
    eventually("one process", async || {
        let left = api.get("/background-process").await.ok();
        (left.as_array()?.len() == 1).then_some(())
    })
    .await;
    assert!(lives(&kept["pid"]));
    let stopped = api.post(&path(&kept, "/stop"), &json!({})).await.ok();
    assert_eq!(stopped["status"], "stopped");
}

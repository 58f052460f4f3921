//! Answers that hold: "always" is saved for the project.

use kilo_tests::{Api, Daemon, Home, Model, Project, Turn, eventually};
use serde_json::{Value, json};

/// Starts a turn that runs `command`.
async fn runs(api: &Api, model: &Model, key: &str, command: &str) -> String {
    let session = api.session().await;
    model.script(
        key,
        [
            Turn::call(
                "bash",
                &json!({"command": command, "description": "run it"}),
            ),
            Turn::text("done"),
        ],
    );
    api.prompt_async(&session, &format!("go [[{key}]]"))
        .await
        .ok();
    session
}

async fn request(api: &Api, session: &str) -> Value {
    eventually("a request", async || {
        let open = api.get("/permission").await.ok();
        open.as_array()?
            .iter()
            .find(|request| request["sessionID"] == session)
            .cloned()
    })
    .await
}

async fn reply(api: &Api, request: &Value, reply: &str) {
    let path = format!(
        "/permission/{}/reply",
        request["id"].as_str().expect("an id")
    );
    api.post(&path, &json!({"reply": reply})).await.ok();
}

async fn ran(api: &Api, session: &str) {
    eventually("the command's end", async || {
        let call = api.tools(session).await.pop()?;
        (call["state"]["status"] == "completed").then_some(())
    })
    .await;
    api.idle(session).await;
}

#[tokio::test]
async fn always_is_saved_for_the_project_and_for_it_alone() {
    let (home, model) = (Home::new(), Model::start());
    let asks = json!({"permission": {"bash": "ask"}});
    let (project, elsewhere) = (Project::with(&model, &asks), Project::with(&model, &asks));
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let first = runs(&api, &model, "first", "touch a.mark").await;
    let asked = request(&api, &first).await;
    reply(&api, &asked, "always").await;
    ran(&api, &first).await;

    let second = runs(&api, &model, "second", "touch b.mark").await;
    ran(&api, &second).await;
    assert_eq!(
        api.get("/permission").await.ok(),
        json!([]),
        "another session of the project does not ask"
    );

    daemon.kill();
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let third = runs(&api, &model, "third", "touch c.mark").await;
    ran(&api, &third).await;

    let other = daemon.api(&elsewhere);
    let foreign = runs(&other, &model, "foreign", "touch d.mark").await;
    let asked = request(&other, &foreign).await;
    assert_eq!(elsewhere.read("d.mark"), "");
    reply(&other, &asked, "reject").await;
    other.idle(&foreign).await;
    assert!(
        !elsewhere.path().join("d.mark").exists(),
        "another project asks, and a refusal holds"
    );
    assert!(
        ["a.mark", "b.mark", "c.mark"]
            .iter()
            .all(|name| project.path().join(name).exists())
    );
}

#[tokio::test]
async fn once_is_for_one_call() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::with(&model, &json!({"permission": {"bash": "ask"}}));
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    for key in ["first", "second"] {
        let session = runs(&api, &model, key, "touch a.mark").await;
        let asked = request(&api, &session).await;
        reply(&api, &asked, "once").await;
        ran(&api, &session).await;
    }
}

#[tokio::test]
async fn what_a_session_or_a_saved_answer_denies_no_search_shows() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::with(&model, &json!({"permission": {"bash": "ask"}}));
    project.write("notes.txt", "needle in notes\n");
    project.write("secret.txt", "needle in secret\n");
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let denial = json!([{"permission": "read", "pattern": "secret.txt", "action": "deny"}]);
    let session = api
        .post("/session", &json!({"permission": denial}))
        .await
        .ok()["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let search = Turn::call("grep", &json!({"pattern": "needle"}));
    model.script("search", [search, Turn::text("done")]);
    api.prompt(&session, "go [[search]]").await.ok();
    let call = api.tools(&session).await.pop().expect("a call");
    let found = call["state"]["output"].as_str().unwrap_or_default();
    assert!(
        found.contains("in notes") && !found.contains("in secret"),
        "{found}"
    );
}

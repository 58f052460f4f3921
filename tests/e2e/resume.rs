//! What a restart leaves of an open turn, and how it goes on.

use kilo_tests::{Api, Daemon, Home, Model, Project, Step, Turn, eventually};
use serde_json::{Value, json};

async fn resume(api: &Api, session: &str) -> Value {
    api.post(&format!("/kilocode/session/{session}/resume"), &json!({}))
        .await
        .ok()
}

/// Waits until the restart has closed what was open; answers the last message.
async fn closed(api: &Api, session: &str) -> Value {
    eventually("a closed turn", async || {
        let last = api.messages(session).await.pop()?;
        last["info"]["time"]["completed"].is_u64().then_some(last)
    })
    .await
}

/// Waits until the session's answers hold `text`.
async fn says(api: &Api, session: &str, text: &str) {
    eventually(text, async || {
        api.answers(session).await.contains(text).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_interrupted_answer_is_closed_visibly_and_resume_goes_on() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    model.script("k", [Turn::held("k", 5, "never"), Turn::text("the rest")]);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let session = api.session().await;
    api.prompt_async(&session, "go [[k]]").await.ok();
    says(&api, &session, "k.4").await;
    daemon.kill();

    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let last = closed(&api, &session).await;
    assert_eq!(last["info"]["error"]["name"], "MessageAbortedError");
    let told = last["info"]["error"]["data"]["message"]
        .as_str()
        .expect("a message");
    assert!(told.contains("ended during this turn"), "{told}");
    assert_eq!(api.answers(&session).await, "k.0 k.1 k.2 k.3 k.4 ");
    assert_eq!(model.asked("k").len(), 1, "nothing goes on by itself");
    api.idle(&session).await;

    assert_eq!(resume(&api, &session).await, json!(true));
    says(&api, &session, "the rest").await;
    api.idle(&session).await;
    let asked = model.asked_times("k", 2).await;
    assert!(
        asked[1].text().contains("k.4"),
        "the model is told what it said already"
    );
    let messages = api.messages(&session).await;
    let users = messages
        .iter()
        .filter(|message| message["info"]["role"] == "user")
        .count();
    assert_eq!(users, 1, "the prompt is not there twice");
    assert_eq!(
        resume(&api, &session).await,
        json!(false),
        "nothing is left to resume"
    );
    assert_eq!(model.asked("k").len(), 2);
}

#[tokio::test]
async fn a_started_call_is_reported_and_never_run_again() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let command = json!({"command": "echo $$ >> ran.txt; sleep 300", "description": "wait"});
    model.script(
        "k",
        [Turn::call("bash", &command), Turn::text("understood")],
    );
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let session = api.session().await;
    api.prompt_async(&session, "go [[k]]").await.ok();
    let shell = eventually("the command runs", async || {
        Some(project.read("ran.txt")).filter(|text| text.ends_with('\n'))
    })
    .await;
    let shell = format!("/proc/{}", shell.trim());
    daemon.kill();

    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    closed(&api, &session).await;
    let call = api.tools(&session).await.pop().expect("the call");
    assert_eq!(call["state"]["status"], "error");
    let told = call["state"]["error"].as_str().expect("a message");
    assert!(
        told.contains("was running") && told.contains("not run again"),
        "{told}"
    );
    eventually("the command's end", async || {
        (!std::path::Path::new(&shell).exists()).then_some(())
    })
    .await;
    assert_eq!(resume(&api, &session).await, json!(true));
    says(&api, &session, "understood").await;
    let asked = model.asked_times("k", 2).await;
    assert!(
        asked[1].text().contains("not run again"),
        "the model is told as well"
    );
    assert_eq!(
        project.read("ran.txt").lines().count(),
        1,
        "the command ran again"
    );
}

#[tokio::test]
async fn a_request_that_was_open_is_closed_and_asked_anew() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::with(&model, &json!({"permission": {"bash": "ask"}}));
    let call = json!({"command": "echo ran >> ran.txt", "description": "leave a mark"});
    model.script(
        "k",
        [
            Turn::call("bash", &call),
            Turn::call("bash", &call),
            Turn::text("done"),
        ],
    );
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let session = api.session().await;
    let asked = async |api: &Api| {
        eventually("a request", async || {
            api.get("/permission")
                .await
                .ok()
                .as_array()?
                .first()
                .cloned()
        })
        .await
    };
    api.prompt_async(&session, "go [[k]]").await.ok();
    let first = asked(&api).await;
    daemon.kill();

    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    closed(&api, &session).await;
    assert_eq!(
        api.get("/permission").await.ok(),
        json!([]),
        "the old request is gone"
    );
    let stale = format!("/permission/{}/reply", first["id"].as_str().expect("an id"));
    assert_eq!(
        api.post(&stale, &json!({"reply": "once"})).await.status,
        404
    );
    assert_eq!(project.read("ran.txt"), "", "nothing ran without an answer");
    assert_eq!(resume(&api, &session).await, json!(true));
    let second = asked(&api).await;
    let reply = format!(
        "/permission/{}/reply",
        second["id"].as_str().expect("an id")
    );
    api.post(&reply, &json!({"reply": "once"})).await.ok();
    says(&api, &session, "done").await;
    assert_eq!(project.read("ran.txt"), "ran\n");
}

#[tokio::test]
async fn resume_auto_goes_on_by_itself_and_answers_the_queue() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::with(&model, &json!({"session": {"resume": "auto"}}));
    model.script("k", [Turn::held("k", 3, "never"), Turn::text("the rest")]);
    model.script("next", [Turn::text("and the next")]);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let session = api.session().await;
    api.prompt_async(&session, "go [[k]]").await.ok();
    says(&api, &session, "k.2").await;
    api.prompt_async(&session, "then [[next]]").await.ok();
    daemon.kill();

    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    says(&api, &session, "and the next").await;
    api.idle(&session).await;
    let answers = api.answers(&session).await;
    assert_eq!(answers, "k.0 k.1 k.2 the restand the next");
    assert_eq!((model.asked("k").len(), model.asked("next").len()), (2, 1));
}

#[tokio::test]
async fn resume_off_leaves_the_turn_and_keeps_the_queue() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::with(&model, &json!({"session": {"resume": "off"}}));
    model.script("k", [Turn::held("k", 3, "never"), Turn::text("the rest")]);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let session = api.session().await;
    api.prompt_async(&session, "go [[k]]").await.ok();
    says(&api, &session, "k.2").await;
    api.prompt_async(&session, "then [[next]]").await.ok();
    daemon.kill();

    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    eventually("an idle session with a closed answer", async || {
        let messages = api.messages(&session).await;
        let answer = messages
            .iter()
            .find(|message| message["info"]["role"] == "assistant")?;
        answer["info"]["time"]["completed"].is_u64().then_some(())
    })
    .await;
    assert_eq!(
        resume(&api, &session).await,
        json!(false),
        "it is switched off"
    );
    assert_eq!((model.asked("k").len(), model.asked("next").len()), (1, 0));
    api.prompt_async(&session, "and [[last]]").await.ok();
    says(&api, &session, "echo of last").await;
    let answers = api.answers(&session).await;
    assert_eq!(
        answers, "k.0 k.1 k.2 echo of nextecho of last",
        "a prompt takes the queue along, in order"
    );
}

#[tokio::test]
async fn an_orderly_stop_closes_turns_too() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    model.script("k", [Turn::of([Step::Text("begun".into()), Step::Stall])]);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let session = api.session().await;
    api.prompt_async(&session, "go [[k]]").await.ok();
    says(&api, &session, "begun").await;
    assert_eq!(daemon.stop(), Some(0));

    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let last = closed(&api, &session).await;
    assert_eq!(last["info"]["error"]["name"], "MessageAbortedError");
    assert_eq!(api.answers(&session).await, "begun");
    assert_eq!(resume(&api, &session).await, json!(true));
    says(&api, &session, "echo of k").await;
}

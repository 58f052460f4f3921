//! Supervision: a panic costs one session its turn, and nobody anything else.

use super::{Options, Readiness, Running, start};
use kilo_config::Environment;
use kilo_protocol::SessionId;
use kilo_session::Engine;
use kilo_tests::{Api, Follower, Home, Mirror, Model, Project, Turn, eventually};
use serde_json::{Value, json};
use std::sync::Arc;

async fn daemon(home: &Home) -> Running {
    let path = home.path().to_path_buf();
    let environment = Environment {
        home: path.clone(),
        cwd: path.clone(),
        temp: path,
        ..Environment::default()
    };
    let options = Options {
        environment,
        hostname: "127.0.0.1".into(),
        port: 0,
        cors: Vec::new(),
        embedded: true,
    };
    start(options).await.expect("a daemon")
}

fn engine(running: &Running) -> Arc<Engine> {
    match &*running.readiness.borrow() {
        Readiness::Ready(engine) => Arc::clone(engine),
        _ => panic!("not ready"),
    }
}

/// A caller within the daemon's own process, which nobody trusts without the token.
fn api(running: &Running, project: &Project) -> Api {
    let token = running.token.as_deref().expect("a token");
    Api::new(&running.url, project.path().into()).with_token(token)
}

async fn says(api: &Api, session: &str, text: &str) {
    eventually(text, async || {
        (api.answers(session).await == text).then_some(())
    })
    .await;
}

async fn panics(engine: &Arc<Engine>, session: &str) {
    engine
        .sessions()
        .inject_panic(&SessionId::from_wire(session))
        .await
        .expect("a session");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_loses_no_record_and_no_other_session() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let running = daemon(&home).await;
    let api = api(&running, &project);
    let mut client = Follower::new("/event");
    client.attach(&api).await;
    let (dies, lives) = (api.session().await, api.session().await);
    model.script("dies", [Turn::held("dies", 5, "never")]);
    model.script("lives", [Turn::held("lives", 5, "go")]);
    for (session, key) in [(&dies, "dies"), (&lives, "lives")] {
        api.prompt_async(session, &format!("go [[{key}]]"))
            .await
            .ok();
    }
    let begun: String = (0..5).map(|n| Turn::piece("dies", n)).collect();
    says(&api, &dies, &begun).await;
    model.at_gate("go").await;
    panics(&engine(&running), &dies).await;

    client
        .until("the turn's end", |seen| {
            seen.iter().any(|seen| seen.is("session.turn.close", &dies))
        })
        .await;
    let close = client.look(|seen| {
        seen.iter()
            .find(|seen| seen.is("session.turn.close", &dies))
            .cloned()
    });
    assert_eq!(close.expect("an end").field("reason"), "interrupted");
    assert_eq!(api.answers(&dies).await, begun, "what was said is there");
    let last = api.messages(&dies).await.pop().expect("an answer");
    assert_eq!(last["info"]["error"]["name"], "MessageAbortedError");

    model.open("go");
    let whole: String = (0..5)
        .map(|n| Turn::piece("lives", n))
        .chain(["end".into()])
        .collect();
    says(&api, &lives, &whole).await;
    api.idle(&lives).await;
    api.prompt(&dies, "still there? [[again]]").await.ok();
    says(&api, &dies, &format!("{begun}echo of again")).await;
    for session in [&dies, &lives] {
        let stored = api.messages(session).await;
        let ended = |seen: &kilo_tests::Seen| seen.is("session.idle", session);
        client
            .until("the last event", |seen| seen.iter().rev().any(ended))
            .await;
        client.look(|seen| assert_eq!(Mirror::of(seen).messages(session), stored));
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_dies_again_and_again_is_left_alone_and_readable() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let running = daemon(&home).await;
    let api = api(&running, &project);
    let (dies, lives) = (api.session().await, api.session().await);
    api.prompt(&dies, "remember [[history]]").await.ok();
    let history: Vec<Value> = api.messages(&dies).await;
    let engine = engine(&running);
    for _ in 0..2 {
        panics(&engine, &dies).await;
        eventually("a rebuilt session", async || {
            (api.messages(&dies).await == history).then_some(())
        })
        .await;
    }
    api.prompt(&dies, "two deaths are no end [[two]]")
        .await
        .ok();
    let history = api.messages(&dies).await;
    panics(&engine, &dies).await;
    let refused = eventually("a refusal", async || {
        let answer = api.prompt_async(&dies, "and now?").await;
        (answer.status != 204).then_some(answer)
    })
    .await;
    assert!(
        refused.status >= 500 && refused.body["name"].is_string(),
        "{}",
        refused.text
    );
    assert!(
        !refused.body["data"]["message"]
            .as_str()
            .unwrap_or_default()
            .is_empty(),
        "{}",
        refused.text
    );
    let readable = api.messages(&dies).await;
    assert_eq!(readable[..history.len()], history[..], "it can be read");
    api.prompt(&lives, "hello [[other]]").await.ok();
    assert_eq!(api.answers(&lives).await, "echo of other");
    assert_eq!(api.get("/global/health").await.ok()["healthy"], json!(true));
    drop(engine);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemon_does_not_trust_itself() {
    let home = Home::new();
    let running = daemon(&home).await;
    let bare = Api::new(&running.url, home.path().into());
    for path in ["/config", "/session", "/file/content?path=.env"] {
        bare.get(path).await.refused(401, "Unauthorized");
    }
    let token = running.token.clone().expect("a token");
    bare.with_token(&token).get("/config").await.ok();
    running.stop().await;
}

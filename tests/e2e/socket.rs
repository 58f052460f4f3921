//! `/ws`: events with positions and commands over one socket, and the way back after the connection was lost.

use kilo_client::{Auth, Client, Socket};
use kilo_tests::{Daemon, Home, Model, Project, Turn};
use serde_json::{Value, json};
use std::time::Duration;

async fn open(daemon: &Daemon, project: &Project, query: &[(&str, &str)]) -> Socket {
    let url = format!("http://127.0.0.1:{}", daemon.port());
    let client = Client::new(&url, Auth::None)
        .expect("a client")
        .in_directory(project.path().display().to_string());
    client.socket("/ws", query).await.expect("an open socket")
}

/// The next message that `fits`.
async fn next(socket: &mut Socket, fits: impl Fn(&Value) -> bool) -> Value {
    let wait = async {
        loop {
            let text = socket
                .next_text()
                .await
                .expect("a message")
                .expect("an open socket");
            let message: Value = serde_json::from_str(&text).expect("JSON");
            if fits(&message) {
                return message;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .expect("it comes in time")
}

async fn command(socket: &mut Socket, command: Value) -> Value {
    let id = command["id"].clone();
    socket.send(command.to_string()).await.expect("sent");
    next(socket, |message| {
        message["type"] == "reply" && message["id"] == id
    })
    .await
}

fn is_event<'a>(name: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |message| message["type"] == "event" && message["event"]["type"] == name
}

#[tokio::test]
async fn a_socket_takes_commands_and_shows_events_with_positions() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    model.script("k", [Turn::text("over the socket")]);
    let daemon = Daemon::start(&home);
    let mut socket = open(&daemon, &project, &[]).await;
    next(&mut socket, is_event("server.connected")).await;

    let made = command(
        &mut socket,
        json!({"id": 1, "op": "session.create", "body": {"title": "ws"}}),
    )
    .await;
    assert_eq!(made["status"], 200, "{made}");
    let session = made["body"]["id"].as_str().expect("an id").to_string();
    let prompt = json!({
        "id": "p",
        "op": "session.prompt",
        "params": {"sessionID": session},
        "body": {"parts": [{"type": "text", "text": "go [[k]]"}]},
    });
    let answered = command(&mut socket, prompt).await;
    assert_eq!(
        answered["body"]["parts"][1]["text"], "over the socket",
        "{answered}"
    );

    let unknown = command(&mut socket, json!({"id": 2, "op": "no.such"})).await;
    assert_eq!(unknown["status"], 404);
    let stream = command(&mut socket, json!({"id": 3, "op": "event.subscribe"})).await;
    assert_eq!(stream["status"], 400);
    let climbing = json!({"id": 4, "op": "session.get", "params": {"sessionID": "../.."}});
    assert_eq!(command(&mut socket, climbing).await["status"], 400);
    let missing = json!({"id": 5, "op": "session.share", "params": {"sessionID": "ses_1"}});
    assert_eq!(command(&mut socket, missing).await["status"], 501);
}

#[tokio::test]
async fn a_lost_socket_goes_on_after_its_position_even_across_a_kill() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let daemon = Daemon::start(&home);
    let mut socket = open(&daemon, &project, &[]).await;
    command(
        &mut socket,
        json!({"id": 1, "op": "session.create", "body": {"title": "first"}}),
    )
    .await;
    let mut socket = open(&daemon, &project, &[]).await;
    next(&mut socket, is_event("server.connected")).await;
    let api = daemon.api(&project);
    api.session().await;
    let seen = next(&mut socket, is_event("sync")).await;
    let pos = seen["pos"].as_str().expect("a position").to_string();
    drop(socket);
    let missed = api.session().await;
    daemon.kill();

    let daemon = Daemon::start(&home);
    let mut socket = open(&daemon, &project, &[("after", &pos)]).await;
    let next_one = next(&mut socket, |message| message["pos"].is_string()).await;
    assert_eq!(
        next_one["event"]["syncEvent"]["aggregateID"],
        missed.as_str(),
        "{next_one}"
    );
    let mut lost = open(&daemon, &project, &[("after", "1234-99")]).await;
    next(&mut lost, is_event("server.resync")).await;
}

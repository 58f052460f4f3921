//! The event stream and the calls against a server that is nothing but a socket.

use kilo_client::{Auth, Client, ClientError, Item, Prompt};
use kilo_protocol::SessionId;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
const CONNECTED: &str = "data: {\"type\":\"server.connected\",\"properties\":{}}\n\n";

/// Reads one request: its head, and its body as far as `content-length` says.
async fn request(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).await.expect("a request head");
        seen.push(byte[0]);
    }
    let head = String::from_utf8(seen).expect("text");
    let length = head
        .lines()
        .find_map(|line| {
            line.to_lowercase()
                .strip_prefix("content-length: ")
                .and_then(|n| n.parse().ok())
        })
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.expect("a request body");
    head + &String::from_utf8(body).expect("text")
}

/// Serves one connection per answer, in order; gives the requests back.
async fn serve(answers: Vec<String>) -> (Client, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = tokio::spawn(async move {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            requests.push(request(&mut stream).await);
            stream
                .write_all(answer.as_bytes())
                .await
                .expect("an answer");
            stream.shutdown().await.expect("closing");
        }
        requests
    });
    let auth = Auth::basic(None, Some("secret"));
    (
        Client::new(&url, auth)
            .expect("a client")
            .in_directory("/p q"),
        server,
    )
}

fn event(id: &str, name: &str) -> String {
    format!(
        "id: {id}\ndata: {{\"id\":\"evt_1\",\"type\":\"{name}\",\"properties\":{{\"sessionID\":\"ses_1\",\"directory\":\"/p q\"}}}}\n\n"
    )
}

fn plain(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

fn name(item: Option<Item>) -> String {
    match item {
        Some(Item::Event(received)) => received.event.name().to_owned(),
        Some(Item::Resync) => "resync".into(),
        None => "end".into(),
    }
}

#[tokio::test]
async fn a_broken_stream_goes_on_after_the_last_event_seen() {
    let first = format!(
        "{STREAM_HEAD}{CONNECTED}{}{}",
        event("1-5", "session.idle"),
        "id: 1-6\ndata: {\"type\":\"half"
    );
    let second = format!(
        "{STREAM_HEAD}{CONNECTED}{}{}{}",
        event("1-6", "session.status"),
        event("1-7", "sync"),
        event("1-8", "server.instance.disposed")
    );
    let (client, server) = serve(vec![first, second]).await;
    let mut events = client.events().await.expect("a stream");
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(name(events.next().await.expect("an item")));
    }
    assert_eq!(
        seen,
        [
            "session.idle",
            "session.status",
            "server.instance.disposed",
            "end"
        ]
    );
    let requests = server.await.expect("the server");
    assert!(
        requests[0].starts_with("GET /event?directory=%2Fp+q HTTP/1.1\r\n"),
        "{}",
        requests[0]
    );
    assert!(
        requests[0]
            .to_lowercase()
            .contains("authorization: basic a2lsbzpzzwnyzxq="),
        "{}",
        requests[0]
    );
    assert!(!requests[0].to_lowercase().contains("last-event-id"));
    assert!(
        requests[1].contains("last-event-id: 1-5\r\n"),
        "{}",
        requests[1]
    );
}

#[tokio::test]
async fn a_daemon_that_cannot_go_on_is_never_taken_for_one_that_did() {
    let first = format!("{STREAM_HEAD}{CONNECTED}{}", event("1-5", "session.idle"));
    let resync =
        "data: {\"type\":\"server.resync\",\"properties\":{\"reason\":\"another epoch\"}}\n\n";
    let second = format!(
        "{STREAM_HEAD}{CONNECTED}{resync}{}{}",
        event("2-1", "session.idle"),
        event("2-2", "server.instance.disposed")
    );
    let (client, _server) = serve(vec![first, second]).await;
    let mut events = client.events().await.expect("a stream");
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(name(events.next().await.expect("an item")));
    }
    assert_eq!(
        seen,
        [
            "session.idle",
            "resync",
            "session.idle",
            "server.instance.disposed"
        ]
    );
}

#[tokio::test]
async fn without_ids_the_caller_is_told_that_events_may_be_missing() {
    let body = "data: {\"type\":\"session.idle\"}\n\n";
    let (client, _server) = serve(vec![
        format!("{STREAM_HEAD}{CONNECTED}{body}"),
        format!("{STREAM_HEAD}{CONNECTED}{body}"),
    ])
    .await;
    let mut events = client.events().await.expect("a stream");
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(name(events.next().await.expect("an item")));
    }
    assert_eq!(seen, ["session.idle", "resync", "session.idle"]);
}

#[tokio::test]
async fn a_refusal_while_reopening_ends_the_stream() {
    let (client, _server) = serve(vec![
        format!("{STREAM_HEAD}{CONNECTED}"),
        plain("401 Unauthorized", ""),
    ])
    .await;
    let mut events = client.events().await.expect("a stream");
    let error = events.next().await.expect_err("a refusal");
    assert_eq!(error.status(), Some(401));
    assert_eq!(name(events.next().await.expect("the end")), "end");
}

#[tokio::test]
async fn a_page_that_is_no_stream_is_not_taken_for_one() {
    let (client, _server) = serve(vec![plain("200 OK", "{}")]).await;
    assert!(matches!(
        client.events().await,
        Err(ClientError::Protocol { .. })
    ));
}

#[tokio::test]
async fn the_global_stream_tells_the_directory() {
    let wrapped = "data: {\"directory\":\"/d\",\"payload\":{\"id\":\"evt_2\",\"type\":\"session.idle\",\"properties\":{}}}\n\n";
    let (client, _server) = serve(vec![format!("{STREAM_HEAD}{CONNECTED}{wrapped}")]).await;
    let mut events = client.global_events().await.expect("a stream");
    let Some(Item::Event(received)) = events.next().await.expect("an item") else {
        panic!("an event")
    };
    assert_eq!(
        (received.directory.as_deref(), received.event.name()),
        (Some("/d"), "session.idle")
    );
}

#[tokio::test]
async fn errors_carry_status_name_and_sentence() {
    let body = json!({"name": "NotFoundError", "data": {"message": "Session not found: ses_x"}})
        .to_string();
    let (client, server) = serve(vec![plain("404 Not Found", &body)]).await;
    let error = client
        .prompt(&SessionId::from_wire("ses_x"), &Prompt::text("hi"))
        .await
        .expect_err("no session");
    assert_eq!(
        (error.status(), error.name(), error.to_string().as_str()),
        (Some(404), Some("NotFoundError"), "Session not found: ses_x")
    );
    let sent = server.await.expect("the server").remove(0);
    assert!(
        sent.ends_with(r#"{"parts":[{"type":"text","text":"hi"}]}"#),
        "{sent}"
    );
}

#[tokio::test]
async fn nobody_at_the_port_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let client = Client::new(&url, Auth::None).expect("a client");
    assert!(matches!(
        client.config().await,
        Err(ClientError::Unreachable { .. })
    ));
}

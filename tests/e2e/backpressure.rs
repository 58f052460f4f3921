//! Clients that come late, read slowly or not at all.

use kilo_tests::{
    Api, Daemon, Events, Home, Mirror, Model, Project, Step, Turn, eventually, eventually_within,
};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

#[tokio::test]
async fn a_growing_part_is_readable_and_a_late_client_misses_nothing() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let later = (20..40).map(|n| Step::Text(Turn::piece("k", n)));
    let first = (0..20).map(|n| Step::Text(Turn::piece("k", n)));
    model.script(
        "k",
        [Turn::of(
            first.chain([Step::Gate("go".into())]).chain(later),
        )],
    );
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let session = api.session().await;
    api.prompt_async(&session, "go [[k]]").await.ok();
    model.at_gate("go").await;
    let text = |end| (0..end).map(|n| Turn::piece("k", n)).collect::<String>();
    eventually("the text so far", async || {
        (api.answers(&session).await == text(20)).then_some(())
    })
    .await;
    let mut late = api.events().await;
    let so_far = api.messages(&session).await;
    model.open("go");
    let mut deltas = String::new();
    loop {
        let seen = late.next().await.expect("an event");
        if seen.is("message.part.delta", &session) {
            deltas += seen.field("delta").as_str().expect("a text");
        }
        if seen.is("session.idle", &session) {
            break;
        }
    }
    let known = so_far[1]["parts"]
        .as_array()
        .expect("parts")
        .iter()
        .find(|part| part["type"] == "text");
    let known = known.expect("the growing part")["text"]
        .as_str()
        .expect("a text")
        .to_owned();
    assert_eq!(
        known + &deltas,
        text(40),
        "GET and the events after it are the whole"
    );
}

/// The daemon cuts a connection whose bytes were not read for a minute.
const CUT_MAX: Duration = Duration::from_secs(150);

/// A client that attaches, reads its greeting and then nothing more.
async fn never_reads(api: &Api) -> TcpStream {
    let host = api.url().trim_start_matches("http://").to_owned();
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    let mut stream = socket
        .connect(host.parse().expect("an address"))
        .await
        .expect("a connection");
    let request =
        format!("GET /global/event HTTP/1.1\r\nhost: {host}\r\naccept: text/event-stream\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .expect("a request");
    let mut greeting = String::new();
    while !greeting.contains("server.connected") {
        let mut bytes = [0; 256];
        let count = stream.read(&mut bytes).await.expect("the greeting");
        greeting += std::str::from_utf8(&bytes[..count]).expect("text");
    }
    stream
}

/// A client that asks for a path and reads nothing of the answer but its first bytes.
async fn asks_and_never_reads(api: &Api, path: &str) -> TcpStream {
    let host = api.url().trim_start_matches("http://").to_owned();
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    let address = host.parse().expect("an address");
    let mut stream = socket.connect(address).await.expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .expect("a request");
    stream.read_exact(&mut [0; 12]).await.expect("a status");
    stream
}

#[tokio::test]
async fn clients_that_never_read_a_long_list_cost_a_bounded_number_of_bytes() {
    const CLIENTS: usize = 50;
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let session = api.session().await;
    let path = format!("/session/{session}/message");
    let text = "0123456789abcdef".repeat(3 << 15);
    for _ in 0..20 {
        let part = serde_json::json!({"type": "text", "text": text});
        let body = serde_json::json!({"noReply": true, "parts": [part]});
        api.post(&path, &body).await.ok();
    }
    let whole = api.get(&path).await;
    assert!(whole.text.len() > 30_000_000, "{}", whole.text.len());
    let warm = daemon.memory_kib("VmRSS");
    let mut lazy = Vec::new();
    for _ in 0..CLIENTS {
        lazy.push(asks_and_never_reads(&api, &path).await);
    }
    let grown = daemon.memory_kib("VmRSS").saturating_sub(warm) / 1_024;
    println!("{CLIENTS} clients that never read 30 MB: {grown} MiB");
    assert!(grown < 200, "they cost {grown} MiB");
    assert_eq!(api.get("/global/health").await.ok()["healthy"], true);
    drop(lazy);
    let again = eventually("room for another", async || {
        let answer = api.get(&path).await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert!(again.text == whole.text, "one that reads gets it whole");
}

/// Sockets that the daemon holds.
fn sockets(daemon: &Daemon) -> usize {
    let folder = format!("/proc/{}/fd", daemon.pid());
    let files = std::fs::read_dir(folder).expect("its files").flatten();
    files
        .filter(|file| {
            std::fs::read_link(file.path())
                .is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))
        })
        .count()
}

async fn flood(api: &Api, model: &Model, session: &str, key: &str) {
    let piece = "0123456789abcdef".repeat(512);
    let steps = (0..1_000).flat_map(|_| {
        [
            Step::Text(piece.clone()),
            Step::Pause(Duration::from_millis(1)),
        ]
    });
    model.script(key, [Turn::of(steps)]);
    api.prompt(session, &format!("flood [[{key}]]")).await.ok();
}

#[tokio::test]
async fn a_client_that_never_reads_costs_bounded_memory_and_is_dropped_with_a_position() {
    const CLIENTS: usize = 24;
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let session = api.session().await;
    flood(&api, &model, &session, "warm").await;
    flood(&api, &model, &session, "warmer").await;
    let other = api.session().await;
    let mut reader = api.events().await;
    flood(&api, &model, &other, "again").await;
    let warm = daemon.memory_kib("VmRSS");
    let before = sockets(&daemon);
    let mut lazy = Vec::new();
    for _ in 0..CLIENTS {
        lazy.push(never_reads(&api).await);
    }
    let position = reader
        .until("a position", |seen| seen.id.is_some())
        .await
        .id;
    drop(reader);
    let third = api.session().await;
    flood(&api, &model, &third, "third").await;
    let grown = daemon.memory_kib("VmRSS").saturating_sub(warm) / 1_024;
    println!(
        "{CLIENTS} clients that never read: {grown} MiB more than {} MiB",
        warm / 1_024
    );
    assert!(
        grown < 64,
        "{CLIENTS} clients that never read cost {grown} MiB"
    );

    eventually_within(CUT_MAX, "the connections are cut", async || {
        (sockets(&daemon) < before + CLIENTS / 2).then_some(())
    })
    .await;
    drop(lazy);
    let mut back = Events::open(&api, "/global/event", position.as_deref())
        .await
        .expect("a stream");
    let mut seen = Vec::new();
    loop {
        let event = back.next().await.expect("an event");
        let done = event.is("session.idle", &third);
        seen.push(event);
        if done {
            break;
        }
    }
    let mirror = Mirror::of(
        seen.iter()
            .filter(|seen| seen.field("sessionID") == third.as_str()),
    );
    assert_eq!(
        mirror.messages(&third),
        api.messages(&third).await,
        "what it missed is in the log"
    );
}

#[tokio::test]
async fn a_long_answer_leaves_little_more_than_itself() {
    const PIECES: usize = 1_000;
    const PIECE: usize = 8 << 10;
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let warm = api.session().await;
    model.script("warm", [Turn::text("a short answer")]);
    api.prompt(&warm, "go [[warm]]").await.ok();
    let before = daemon.memory_kib("RssAnon");
    let session = api.session().await;
    let pieces = (0..PIECES).map(|_| Step::Text("x".repeat(PIECE)));
    model.script("long", [Turn::of(pieces)]);
    let answer = api.prompt(&session, "go [[long]]").await;
    assert!(answer.text.len() > PIECES * PIECE);
    drop(answer);
    // The connection's own buffer goes with the next answer.
    api.get("/global/health").await.ok();
    let grown = eventually("memory that is given back", async || {
        let grown = daemon.memory_kib("RssAnon").saturating_sub(before) / 1_024;
        (grown < 32).then_some(grown)
    })
    .await;
    println!("an answer of 8 MiB: {grown} MiB");
}

//! Terminals through the program: the calls of both generations, and who may open one.

use kilo_client::{Auth, Client, Socket};
use kilo_tests::{Api, Daemon, Home, Model, Project, Start};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

fn client(daemon: &Daemon, auth: Auth) -> Client {
    Client::new(&daemon.url, auth).expect("a client")
}

/// What the socket says until it says `wanted`.
async fn read_until(socket: &mut Socket, wanted: &str) -> String {
    let mut all = String::new();
    let wait = async {
        while !all.contains(wanted) {
            let text = socket.next_text().await.expect("a message");
            all.push_str(&text.expect("an open socket"));
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), wait).await;
    in_time.unwrap_or_else(|_| panic!("no {wanted:?} in {all:?}"));
    all
}

async fn ticket(api: &Api, terminal: &str) -> String {
    let path = format!("/pty/{terminal}/connect-token");
    let asked = api
        .request(Method::POST, &path)
        .basic_auth("kilo", Some("p"));
    let answer = api.send(asked.header("x-kilo-ticket", "1")).await.ok();
    answer["ticket"].as_str().expect("a ticket").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_generation_serves_the_same_terminals_in_its_envelope() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let place = |answer: &Value| answer["location"]["directory"] == json!(project.path());
    let none = api.get("/api/pty").await.ok();
    assert!(place(&none) && none["data"] == json!([]), "{none}");

    let cat = json!({"command": "/bin/sh", "args": ["-c", "echo ready; cat"], "title": "t"});
    let made = api.post("/api/pty", &cat).await.ok();
    assert!(place(&made), "{made}");
    let id = made["data"]["id"].as_str().expect("an id").to_owned();
    assert_eq!(made["data"]["status"], "running", "{made}");
    let path = format!("/api/pty/{id}");
    let new = json!({"title": "t2", "size": {"rows": 40, "cols": 100}});
    let changed = api.change(Method::PUT, &path, &new).await.ok();
    assert_eq!(changed["data"]["title"], "t2", "{changed}");
    let seen = api.get(&path).await.ok();
    assert_eq!(seen, changed);
    assert_eq!(
        api.get("/api/pty").await.ok()["data"],
        api.get("/pty").await.ok()
    );

    let refused = api.post(&format!("{path}/connect-token"), &json!({})).await;
    assert_eq!(
        (refused.status, &refused.body["_tag"]),
        (403, &json!("ForbiddenError"))
    );
    let folder = project.path().display().to_string();
    let query = [("location[directory]", folder.as_str()), ("cursor", "0")];
    let mut socket = client(&daemon, Auth::None)
        .socket(&format!("{path}/connect"), &query)
        .await
        .expect("an open terminal");
    read_until(&mut socket, "ready").await;
    socket.send("typed\r").await.expect("sent");
    read_until(&mut socket, "typed\r\ntyped\r\n").await;

    let gone = api.change(Method::DELETE, &path, &json!({})).await;
    assert_eq!((gone.status, gone.text.as_str()), (204, ""));
    assert_eq!(socket.next_text().await.ok().flatten(), None);
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::PUT, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::POST, format!("{path}/connect-token")),
    ] {
        let missing = api.change(method, &path, &json!({})).await;
        assert_eq!(
            (
                missing.status,
                &missing.body["_tag"],
                &missing.body["ptyID"]
            ),
            (404, &json!("PtyNotFoundError"), &json!(id)),
            "{path}"
        );
    }
}

/// A handshake with these fields: its status, 101 if the terminal is open.
async fn handshake(api: &Api, path: &str, fields: &[(&str, &str)]) -> u16 {
    let asked = api
        .request(Method::GET, path)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let asked = fields
        .iter()
        .fold(asked, |asked, (name, value)| asked.header(*name, *value));
    asked.send().await.expect("an answer").status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_page_opens_no_terminal() {
    let home = Home::new();
    let daemon = Daemon::start(&home);
    let api = daemon.api_in(home.path());
    let made = api.post("/pty", &json!({"command": "cat"})).await.ok();
    let id = made["id"].as_str().expect("an id");
    let asked = api.request(Method::POST, &format!("/pty/{id}/connect-token"));
    let token = api.send(asked.header("x-kilo-ticket", "1")).await.ok();
    let token = token["ticket"].as_str().expect("a ticket").to_owned();
    for path in [
        format!("/pty/{id}/connect"),
        format!("/api/pty/{id}/connect"),
        // A ticket that got into the wrong hands does not help a page.
        format!("/pty/{id}/connect?ticket={token}"),
    ] {
        for origin in [
            "https://evil.example",
            "null",
            "http://127.0.0.1.evil.example",
        ] {
            assert_eq!(handshake(&api, &path, &[("origin", origin)]).await, 403);
        }
        let rebound = [("host", "evil.example")];
        assert_eq!(handshake(&api, &path, &rebound).await, 421);
    }
    let own = format!("http://127.0.0.1:{}", daemon.port());
    let page = [("origin", own.as_str()), ("sec-fetch-site", "same-origin")];
    let plain = format!("/pty/{id}/connect");
    assert_eq!(handshake(&api, &plain, &page).await, 401);
    let with_ticket = format!("{plain}?ticket={token}");
    assert_eq!(handshake(&api, &with_ticket, &page).await, 101);
    assert_eq!(handshake(&api, &plain, &[]).await, 101);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_password_a_ticket_opens_its_terminal_once() {
    let home = Home::new();
    let start = Start::new(&home).env("KILO_SERVER_PASSWORD", "p");
    let daemon = start.go().expect("a daemon");
    let api = daemon.api_in(home.path());
    let mut ids = Vec::new();
    for _ in 0..2 {
        let asked = api
            .request(Method::POST, "/pty")
            .basic_auth("kilo", Some("p"))
            .header("content-type", "application/json")
            .body(json!({"command": "cat"}).to_string());
        let made = api.send(asked).await.ok();
        ids.push(made["id"].as_str().expect("an id").to_owned());
    }
    let open = async |generation: &str, id: &str, ticket: &str| {
        let path = format!("{generation}/pty/{id}/connect?ticket={ticket}");
        handshake(&api, &path, &[]).await
    };
    assert_eq!(open("", &ids[0], "").await, 401);
    assert_eq!(
        open("", &ids[0], "00000000-0000-4000-8000-000000000000").await,
        401
    );
    for generation in ["", "/api"] {
        let given = ticket(&api, &ids[0]).await;
        assert_eq!(open(generation, &ids[1], &given).await, 401, "another's");
        let elsewhere = format!("/session?ticket={given}");
        assert_eq!(api.get(&elsewhere).await.status, 401, "another call");
        assert_eq!(open(generation, &ids[0], &given).await, 101);
        assert_eq!(open(generation, &ids[0], &given).await, 401, "used twice");
    }
    // The password opens it as well, but no ticket that does not fit beside it.
    let path = format!("/pty/{}/connect", ids[0]);
    let basic = [("authorization", "Basic a2lsbzpw")];
    assert_eq!(handshake(&api, &path, &basic).await, 101);
    let path = format!("{path}?ticket=wrong");
    assert_eq!(handshake(&api, &path, &basic).await, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_holds_up_nobody() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let flood = "stty -echo; echo ready; read x; head -c 4000000 /dev/zero | tr '\\0' x | fold -w 79; echo over; exec cat";
    let wanted = json!({"command": "/bin/sh", "args": ["-c", flood]});
    let made = api.post("/pty", &wanted).await.ok();
    let path = format!("/pty/{}/connect", made["id"].as_str().expect("an id"));
    let open = async || {
        client(&daemon, Auth::None)
            .socket(&path, &[])
            .await
            .expect("an open terminal")
    };
    let mut idlers = Vec::new();
    for _ in 0..20 {
        idlers.push(open().await);
    }
    let mut reader = open().await;
    read_until(&mut reader, "ready").await;
    let before = daemon.memory_kib("VmRSS");
    reader.send("\n").await.expect("sent");
    read_until(&mut reader, "over").await;
    reader.send("typed\n").await.expect("sent");
    read_until(&mut reader, "typed").await;
    let grown = daemon.memory_kib("VmRSS").saturating_sub(before);
    // 34 messages of 64 KiB on their way to each of the twenty, at most; the kernel holds most of it.
    assert!(grown < 64 << 10, "{grown} KiB");
    // One that wakes up sees the screen as it is now, not all that it missed.
    let woken = read_until(&mut idlers[0], "typed").await;
    assert!(woken.len() < 12_000_000, "{} bytes", woken.len());
}

/// Lets the daemon answer small calls for a while, or until `until` is over; the slowest of a hundred.
async fn slowest_of_hundred(api: &Api, session: &str, until: impl Future<Output = ()>) -> Duration {
    let path = format!("/session/{session}");
    let mut times = Vec::new();
    tokio::pin!(until);
    loop {
        let begun = std::time::Instant::now();
        api.get(&path).await.ok();
        times.push(begun.elapsed());
        tokio::select! {
            () = &mut until => break,
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
    }
    times.sort();
    times[times.len() * 99 / 100]
}

/// `cargo nextest run -p kilo-tests --run-ignored only --no-capture figures_of_terminals`, with `KILO_BIN` of a release.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures and takes a minute"]
async fn figures_of_terminals() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let session = api.session().await;
    let open = async |command: &str| {
        let wanted = json!({"command": "/bin/sh", "args": ["-c", command]});
        let made = api.post("/pty", &wanted).await.ok();
        let path = format!("/pty/{}/connect", made["id"].as_str().expect("an id"));
        let opened = client(&daemon, Auth::None).socket(&path, &[]).await;
        opened.expect("an open terminal")
    };

    let mut socket = open("stty -echo; echo ready; exec cat").await;
    read_until(&mut socket, "ready").await;
    let mut echoes = Vec::new();
    for number in 0..1_000 {
        let begun = std::time::Instant::now();
        let typed = format!("<{number}>");
        socket.send(format!("{typed}\n")).await.expect("sent");
        read_until(&mut socket, &typed).await;
        echoes.push(begun.elapsed());
    }
    echoes.sort();
    println!(
        "echo through a WebSocket: p50 {:?}, p99 {:?}",
        echoes[500], echoes[990]
    );

    let idle = async { tokio::time::sleep(Duration::from_secs(5)).await };
    let alone = slowest_of_hundred(&api, &session, idle).await;
    let before = daemon.memory_kib("VmRSS");
    let mut socket = open(
        "stty -echo; read x; head -c 200000000 /dev/zero | tr '\\0' x | fold -w 79; echo over",
    )
    .await;
    socket.send("\n").await.expect("sent");
    let begun = std::time::Instant::now();
    let (mut most, mut seen) = (before, 0);
    let reading = async {
        loop {
            let text = socket.next_text().await.expect("a message").expect("open");
            seen += text.len();
            most = most.max(daemon.memory_kib("VmRSS"));
            if text.contains("over") {
                return;
            }
        }
    };
    let beside = slowest_of_hundred(&api, &session, reading).await;
    println!(
        "200 MB in {:.1} s, of which the client was shown {} MB; memory {} MiB before, {} MiB at most; \
         another session's call p99 {alone:?} alone, {beside:?} beside it",
        begun.elapsed().as_secs_f64(),
        seen / 1_000_000,
        before >> 10,
        most >> 10,
    );
    assert!(most - before < 32 << 10, "{} KiB more", most - before);
}

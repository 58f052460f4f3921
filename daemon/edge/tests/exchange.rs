//! Routes, bodies, replies.

mod support;

use kilo_edge::{EdgeOptions, Router, bind, serve};
use serde_json::{Value, json};
use std::io::Write as _;
use std::time::{Duration, Instant};
use support::{LONG, Server};

const LIMIT: usize = 16 * 1024 * 1024;

fn server() -> Server {
    Server::start(EdgeOptions::default())
}

/// A masked text or binary frame, as clients send them; `first` has the final bit and the kind.
fn masked(first: u8, content: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut frame = vec![first, 0x80 | content.len() as u8];
    frame.extend(mask);
    frame.extend(
        content
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

fn handshake(path: &str, fields: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}"
    )
}

#[test]
fn unknown_routes_and_methods_are_404_and_missing_handlers_501() {
    let server = server();
    for request in [
        "GET /no-such-route",
        "DELETE /global/health",
        "TRACE /session",
        "GET /session/",
    ] {
        let answer = server.ask(&format!("{request} HTTP/1.1\r\n"), "");
        assert_eq!(
            (answer.status, answer.json()),
            (404, json!({"error": "Not Found"})),
            "{request}"
        );
    }
    let answer = server.get("/memory/status", "");
    assert_eq!(answer.status, 501);
    assert_eq!(answer.json()["name"], "NotImplemented");
}

#[test]
fn a_request_reaches_its_handler_whole() {
    let server = server();
    let answer = server.ask(
        "POST /session HTTP/1.1\r\nuser-agent: t\r\nx-kilo-directory: %2Fa%20b\r\n\
         content-type: application/json; charset=utf-8\r\ncontent-length: 9\r\n",
        "{\"a\": 1}\n",
    );
    let expected = json!({
        "op": "session.create", "directory": "/a b", "body": {"a": 1}, "session": "",
        "agent": "t", "peer": "127.0.0.1",
    });
    assert_eq!((answer.status, answer.json()), (200, expected));
    assert_eq!(answer.field("content-type"), Some("application/json"));
}

#[test]
fn directories_come_encoded_or_plain_and_the_query_wins() {
    let server = server();
    let ask = |query: &str, fields: &str| {
        let answer = server.get(&format!("/session/ses_1{query}"), fields);
        (answer.status, answer.json()["directory"].clone())
    };
    assert_eq!(ask("", ""), (200, Value::Null));
    assert_eq!(
        ask("", "x-kilo-directory: /plain/dir\r\n"),
        (200, json!("/plain/dir"))
    );
    assert_eq!(
        ask("", "x-kilo-directory: %2Fa%2Fb\r\n"),
        (200, json!("/a/b"))
    );
    assert_eq!(
        ask("?directory=%2Fq", "x-kilo-directory: /h\r\n"),
        (200, json!("/q"))
    );
    assert_eq!(ask("", "x-opencode-directory: /h\r\n"), (200, Value::Null));
    assert_eq!(ask("?directory=%2Fa%00", "").0, 400);
}

#[test]
fn path_parameters_are_decoded_and_steps_out_refused() {
    let server = server();
    let ask = |name: &str| {
        let answer = server.ask(&format!("POST /mcp/{name}/auth HTTP/1.1\r\n"), "");
        (answer.status, answer.json())
    };
    assert_eq!(ask("my%20server"), (200, json!("my server")));
    assert_eq!(ask("a%2Fb"), (200, json!("a/b")));
    for name in ["%2e%2e", "..", "a%2F..%2Fb", "a%00"] {
        let (status, body) = ask(name);
        assert_eq!(
            (status, &body["data"]["kind"]),
            (400, &json!("Params")),
            "{name}"
        );
    }
}

#[test]
fn a_missing_query_parameter_is_named() {
    let answer = server().get("/find", "");
    assert_eq!(
        (answer.status, &answer.json()["name"]),
        (400, &json!("BadRequest"))
    );
    assert_eq!(
        answer.json()["data"]["message"],
        "Expected a string\n  at [\"pattern\"]"
    );
}

#[test]
fn bodies_that_do_not_fit_are_400() {
    let server = server();
    let field = server.post("/session/ses_1/message", r#"{"parts":"x"}"#);
    assert_eq!(field.status, 400);
    assert_eq!(field.json()["data"]["kind"], "Payload");
    assert_eq!(
        field.json()["data"]["message"],
        "Expected an array, got string \"x\"\n  at [\"parts\"]"
    );
    for body in ["{bad", "{} {}", &"[".repeat(200_000)] {
        assert_eq!(server.post("/session", body).status, 400);
    }
    assert_eq!(
        server.post("/session/ses_1/message", "").status,
        400,
        "parts are missing"
    );
    assert_eq!(
        server.post("/api/session", "").status,
        400,
        "the body is required"
    );
    assert_eq!(
        server
            .post(
                "/session/ses_1/message",
                r#"{"parts":[{"type":"text","text":"a"}]}"#
            )
            .text(),
        "1"
    );
}

#[test]
fn only_json_is_taken_where_there_is_a_body() {
    let server = server();
    let ask = |path: &str, kind: &str, body: &str| {
        let length = body.len();
        let fields = format!("{kind}content-length: {length}\r\n");
        server.ask(&format!("POST {path} HTTP/1.1\r\n{fields}"), body)
    };
    for kind in [
        "content-type: text/plain\r\n",
        "content-type: multipart/form-data\r\n",
        "",
    ] {
        let answer = ask("/session", kind, "{}");
        assert_eq!(answer.status, 415, "{kind}");
        assert!(
            answer
                .field("content-type")
                .unwrap()
                .starts_with("text/plain")
        );
    }
    let packed = "content-type: application/json\r\ncontent-encoding: gzip\r\n";
    assert_eq!(ask("/session", packed, "{}").status, 415);
    assert_eq!(
        ask(
            "/session",
            "content-type: application/problem+json\r\n",
            "{}"
        )
        .status,
        200
    );
    assert_eq!(
        ask("/session", "", "").json()["body"],
        json!({}),
        "no body, no type"
    );
    assert_eq!(
        ask("/session/ses_1/abort", "", "x").status,
        200,
        "it takes no body"
    );
}

#[test]
fn a_body_over_the_limit_is_refused_unread() {
    let server = server();
    let mut client = server.client();
    let fields = format!(
        "content-type: application/json\r\ncontent-length: {}\r\n",
        300 << 20
    );
    let answer = client.ask(&format!("POST /session HTTP/1.1\r\n{fields}"), "");
    assert_eq!(
        (answer.status, &answer.json()["name"]),
        (413, &json!("PayloadTooLarge"))
    );
    assert_eq!(answer.field("connection"), Some("close"));
}

#[test]
fn a_chunked_body_is_refused_where_it_grows_over_the_limit() {
    let server = server();
    let mut client = server.client();
    let head = "POST /session HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\n\r\n";
    client.send(head.as_bytes());
    let mut sender = client.stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        let chunk = [b"100000\r\n".as_slice(), &[b' '; 1 << 20], b"\r\n"].concat();
        let start = Instant::now();
        while start.elapsed() < LONG {
            if sender.write_all(&chunk).is_err() {
                return true;
            }
        }
        false
    });
    assert_eq!(client.answer(false).status, 413);
    drop(client.rest());
    assert!(writer.join().unwrap(), "the connection is closed soon");
    assert_eq!(server.get("/global/health", "").status, 200);
}

#[test]
fn a_body_of_the_largest_size_is_taken() {
    let server = server();
    let prompt = |text: &str| format!(r#"{{"parts":[{{"type":"text","text":"{text}"}}]}}"#);
    let body = prompt(&"x".repeat(LIMIT - prompt("").len()));
    let answer = server.post("/session/ses_1/message", &body);
    assert_eq!((answer.status, body.len()), (200, LIMIT));
}

#[test]
fn an_operation_that_carries_no_content_takes_a_small_body_only() {
    let server = server();
    let body = |bytes: usize| format!(r#"{{"metadata":{{"a":"{}"}}}}"#, "x".repeat(bytes));
    assert_eq!(server.post("/session", &body(200 * 1024)).status, 200);
    let mut client = server.client();
    let large = body(LIMIT - 1024);
    let head = format!(
        "POST /session HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
        large.len()
    );
    assert_eq!(client.ask(&head, &large).status, 413);
    let next = client.ask("GET /global/health HTTP/1.1\r\n", "");
    assert_eq!(
        next.status, 200,
        "it was read to its end, so the connection goes on"
    );
}

#[test]
fn a_half_sent_body_ends_the_connection_after_the_longest_pause() {
    let server = Server::start(EdgeOptions {
        body_pause_max: Duration::from_millis(300),
        ..EdgeOptions::default()
    });
    for path in ["/session", "/session/ses_1/abort", "/no/such/route", "/mcp"] {
        let start = Instant::now();
        let mut client = server.client();
        client.send(
            format!(
                "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                 content-length: 100\r\n\r\n{{\"ti"
            )
            .as_bytes(),
        );
        drop(client.rest());
        let took = start.elapsed();
        assert!(took < Duration::from_secs(3), "{path}: {took:?}");
    }
    // A byte now and then does not keep the connection either.
    let mut client = server.client();
    client.send(
        b"POST /session HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
          content-length: 100\r\n\r\n",
    );
    let mut sender = client.stream.try_clone().unwrap();
    let start = Instant::now();
    let dripping = std::thread::spawn(move || {
        let mut pieces = 0;
        while pieces < 90 && sender.write_all(b" ").is_ok() {
            pieces += 1;
            std::thread::park_timeout(Duration::from_millis(100));
        }
        pieces
    });
    assert_eq!(client.answer(false).status, 408);
    assert!(start.elapsed() < Duration::from_secs(3));
    drop(client);
    assert!(dripping.join().unwrap() < 90);
}

#[test]
fn faults_have_the_shape_that_clients_know() {
    let server = server();
    let unknown = server.get("/provider", "");
    assert_eq!(unknown.status, 500);
    let body = unknown.json();
    assert_eq!(
        (&body["name"], &body["data"]["message"]),
        (&json!("UnknownError"), &json!("no such agent"))
    );
    let reference = body["data"]["ref"].as_str().unwrap();
    assert!(
        reference.starts_with("err_") && reference.len() == 12,
        "{reference}"
    );

    let busy = server.get("/vcs", "");
    assert_eq!((busy.status, busy.field("retry-after")), (503, Some("1")));

    let mut client = server.client();
    let defect = client.ask("GET /agent HTTP/1.1\r\n", "");
    assert_eq!(
        (defect.status, &defect.json()["name"]),
        (500, &json!("UnknownError"))
    );
    assert_eq!(
        client.ask("GET /global/health HTTP/1.1\r\n", "").status,
        200,
        "the connection lives on"
    );

    let empty = server.ask("DELETE /session/ses_1 HTTP/1.1\r\n", "");
    assert_eq!(
        (empty.status, empty.field("x-made-by")),
        (204, Some("test"))
    );
}

#[test]
fn what_changes_something_runs_to_its_end_whatever_the_client_does() {
    let server = server();
    let mut client = server.client();
    client.send(b"POST /session/ses_1/unrevert HTTP/1.1\r\nhost: localhost\r\n\r\n");
    // The handler is at work when the next answer comes.
    assert_eq!(server.get("/global/health", "").status, 200);
    drop(client);
    server.dropped.recv_timeout(LONG).unwrap();
}

#[test]
fn what_only_waits_for_an_answer_ends_with_its_client() {
    let server = server();
    let mut client = server.client();
    client.send(b"POST /session/ses_1/share HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!(server.get("/global/health", "").status, 200);
    drop(client);
    server.dropped.recv_timeout(LONG).unwrap();
}

#[test]
fn head_is_get_without_the_body() {
    let server = server();
    let mut client = server.client();
    let answer = client.ask("HEAD /global/health HTTP/1.1\r\n", "");
    assert_eq!(
        (answer.status, answer.field("content-length")),
        (200, Some("16"))
    );
    let answer = client.ask("HEAD /event HTTP/1.1\r\n", "");
    assert_eq!(
        (answer.status, answer.field("content-type")),
        (200, Some("text/event-stream"))
    );
    assert_eq!(
        client.ask("GET /global/health HTTP/1.1\r\n", "").status,
        200
    );
}

#[test]
fn events_are_sent_at_once_and_the_source_goes_with_the_client() {
    let server = server();
    let mut client = server.client();
    client.send(b"GET /event HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let head = client.head();
    assert_eq!(head.status, 200);
    assert_eq!(head.field("content-type"), Some("text/event-stream"));
    assert_eq!(head.field("cache-control"), Some("no-cache, no-transform"));
    assert_eq!(head.field("x-accel-buffering"), Some("no"));
    assert_eq!(head.field("x-content-type-options"), Some("nosniff"));
    client.until("data: {\"n\":1}\n\n");
    client.until("id: e-2\ndata: {\"n\":2}\n\n");
    drop(client);
    server.dropped.recv_timeout(LONG).unwrap();
}

#[test]
fn a_stop_ends_streams_and_sockets_soon() {
    let mut server = server();
    let mut events = server.client();
    events.send(b"GET /event HTTP/1.1\r\nhost: localhost\r\n\r\n");
    events.until("{\"n\":2}");
    let mut socket = server.client();
    assert_eq!(socket.ask(&handshake("/ws", ""), "").status, 101);
    let idle = server.client();

    let start = Instant::now();
    server.stop().unwrap();
    assert!(
        start.elapsed() < Duration::from_millis(300),
        "{:?}",
        start.elapsed()
    );
    server.dropped.recv_timeout(LONG).unwrap();
    assert!(
        events.rest().ends_with(b"0\r\n\r\n"),
        "the stream has an end"
    );
    assert_eq!(
        socket.exactly(4),
        [0x88, 2, 0x03, 0xe9],
        "closed with 1001, going away"
    );
    drop(idle);
    assert!(
        std::net::TcpStream::connect(server.addr).is_err(),
        "nobody listens any more"
    );
}

#[test]
fn a_socket_carries_messages_both_ways() {
    let server = server();
    let mut client = server.client();
    assert_eq!(client.ask(&handshake("/ws", ""), "").status, 101);
    client.send(&masked(0x81, b"hello"));
    assert_eq!(client.exactly(7), b"\x81\x05hello");
    client.send(&masked(0x82, &[0, 255]));
    assert_eq!(client.exactly(4), [0x82, 2, 0, 255]);
    client.send(&[masked(0x01, b"in two "), masked(0x80, b"frames")].concat());
    assert_eq!(client.exactly(15), b"\x81\x0din two frames");
    client.send(&masked(0x89, b"p"));
    assert_eq!(client.exactly(3), b"\x8a\x01p");
    client.send(&masked(0x81, b"bye"));
    assert_eq!(client.exactly(7), b"\x88\x05\x03\xe8bye");
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_socket_is_refused_to_foreign_pages_unknown_things_and_plain_requests() {
    let server = server();
    let ask = |head: &str| server.ask(head, "").status;
    assert_eq!(
        ask(&handshake("/ws", "origin: https://evil.example\r\n")),
        403
    );
    assert_eq!(
        ask(&handshake("/ws", "origin: http://localhost:3000\r\n")),
        401
    );
    assert_eq!(ask(&handshake("/pty/pty_x/connect", "")), 404);
    assert_eq!(ask("GET /ws HTTP/1.1\r\n"), 400);
}

#[test]
fn handlers_of_unknown_operations_do_not_start() {
    let options = EdgeOptions::default();
    let bound = bind(&options).unwrap();
    let routes = || Router::new().on("session.creat", |_| async { unreachable!() });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let result = runtime.block_on(serve(bound, &options, routes, std::future::pending()));
    assert_eq!(
        result.unwrap_err().to_string(),
        "no such operations: session.creat"
    );
    assert!(
        Router::new()
            .on("session.create", |_| async { unreachable!() })
            .implemented("session.create")
    );
}

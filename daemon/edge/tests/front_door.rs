//! Who is let in.

mod support;

use kilo_edge::{BindError, EdgeOptions, Secret, bind};
use serde_json::json;
use std::sync::atomic::Ordering;
use support::{Server, asked};

const HEALTH: &str = "/global/health";
/// `kilo:s3cret` and `kilo:wrong`.
const RIGHT: &str = "authorization: Basic a2lsbzpzM2NyZXQ=\r\n";
const WRONG: &str = "authorization: Basic a2lsbzp3cm9uZw==\r\n";

fn with_password() -> Server {
    let password = Some(Secret::from("s3cret"));
    Server::start(EdgeOptions {
        password,
        ..EdgeOptions::default()
    })
}

fn with_token() -> Server {
    Server::start(EdgeOptions {
        token: Some(Secret::from("t0ken")),
        ..EdgeOptions::default()
    })
}

#[test]
fn a_program_of_the_same_user_comes_in() {
    let server = Server::start(EdgeOptions::default());
    for fields in [
        "",
        "sec-fetch-mode: cors\r\n",
        "sec-fetch-site: none\r\n",
        WRONG,
    ] {
        let answer = server.get(HEALTH, fields);
        assert_eq!(
            (answer.status, answer.json()),
            (200, json!({"healthy": true})),
            "{fields}"
        );
    }
}

#[test]
fn what_the_daemon_connects_needs_the_token() {
    let (is_own, count) = asked(true);
    let token = Some(Secret::from("t0ken"));
    let options = EdgeOptions {
        token,
        is_own: Some(is_own),
        ..EdgeOptions::default()
    };
    let server = Server::start(options);
    let bearer = "authorization: Bearer t0ken\r\n";
    assert_eq!(server.get(HEALTH, bearer).status, 200);
    assert_eq!(
        server.get("/global/health?auth_token=t0ken", "").status,
        200
    );
    assert_eq!(
        count.load(Ordering::SeqCst),
        0,
        "with the token nobody asks"
    );
    assert_eq!(server.get(HEALTH, "").status, 401);
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn whose_it_is_is_asked_once_per_connection() {
    let (is_own, count) = asked(false);
    let server = Server::start(EdgeOptions {
        is_own: Some(is_own),
        ..EdgeOptions::default()
    });
    let mut client = server.client();
    for _ in 0..3 {
        assert_eq!(
            client.ask("GET /global/health HTTP/1.1\r\n", "").status,
            200
        );
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn a_foreign_host_name_is_refused() {
    let server = with_token();
    for host in [
        "host: evil.example\r\n",
        "host: localhost.evil.example:80\r\n",
    ] {
        let mut client = server.client();
        let bearer = "authorization: Bearer t0ken\r\n";
        client.send(format!("GET {HEALTH} HTTP/1.1\r\n{host}{bearer}\r\n").as_bytes());
        assert_eq!(client.answer(false).status, 421, "{host}");
    }
    for host in ["127.0.0.1", "[::1]:80", "LOCALHOST:1"] {
        let mut client = server.client();
        client.send(format!("GET {HEALTH} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes());
        assert_eq!(client.answer(false).status, 200, "{host}");
    }
}

#[test]
fn a_target_that_names_a_foreign_host_is_refused_whatever_host_says() {
    let server = with_token();
    let ask = |target: &str, host: &str| {
        let mut client = server.client();
        let bearer = "authorization: Bearer t0ken";
        client
            .send(format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n{bearer}\r\n\r\n").as_bytes());
        client.answer(false).status
    };
    for authority in [
        "evil.example",
        "evil.example:80",
        "localhost@evil.example",
        "localhost.evil.example",
        "192.168.1.5",
        "user@localhost",
    ] {
        let target = format!("http://{authority}{HEALTH}");
        assert_eq!(ask(&target, "localhost"), 421, "{target}");
        assert_eq!(ask(&target, authority), 421, "{target}");
    }
    let own = server.addr.port();
    let here = format!("http://localhost:{own}{HEALTH}");
    assert_eq!(ask(&here, "localhost"), 200);
    assert_eq!(ask(&here, "evil.example"), 421);
    for target in [
        format!("http://localhost:{}{HEALTH}", own ^ 1),
        format!("http://localhost{HEALTH}"),
        format!("http://пример.example:{own}{HEALTH}"),
        format!("//localhost:{own}{HEALTH}"),
        format!("/\\evil.example{HEALTH}"),
        "evil.example:80".to_owned(),
    ] {
        let refused = ask(&target, &format!("localhost:{own}"));
        let expected = if target.is_ascii() { 421 } else { 400 };
        assert_eq!(refused, expected, "{target}");
    }
}

#[test]
fn a_foreign_page_is_refused_whatever_it_knows() {
    let server = with_token();
    let pages = [
        "origin: https://evil.example\r\n",
        "origin: null\r\n",
        "sec-fetch-site: cross-site\r\n",
    ];
    for page in pages {
        let answer = server.get("/global/health?auth_token=t0ken", page);
        assert_eq!(answer.status, 403, "{page}");
        assert_eq!(answer.field("access-control-allow-origin"), None);
        assert_eq!(answer.field("vary"), Some("Origin"));
    }
}

#[test]
fn a_friendly_page_needs_the_token_and_may_read_the_answer() {
    let server = with_token();
    for origin in [
        "http://localhost:3000",
        "https://app.kilo.ai",
        "tauri://localhost",
    ] {
        let page = format!("origin: {origin}\r\nsec-fetch-site: cross-site\r\n");
        let answer = server.get(HEALTH, &page);
        assert_eq!(answer.status, 401);
        assert_eq!(answer.field("access-control-allow-origin"), Some(origin));
        assert_eq!(answer.field("vary"), Some("Origin"));
        let answer = server.get(HEALTH, &format!("{page}authorization: Bearer t0ken\r\n"));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.field("access-control-allow-origin"), Some(origin));
    }
    assert_eq!(
        server.get(HEALTH, "sec-fetch-site: same-origin\r\n").status,
        401
    );
    assert_eq!(
        server.get(HEALTH, "sec-fetch-site: same-site\r\n").status,
        401
    );
}

#[test]
fn with_a_password_every_route_needs_it() {
    let server = with_password();
    for path in [HEALTH, "/event", "/no-such-route", "/session/x", "/ws"] {
        for fields in ["", WRONG] {
            let answer = server.get(path, fields);
            assert_eq!(answer.status, 401, "{path}");
            assert!(
                answer
                    .field("www-authenticate")
                    .unwrap()
                    .starts_with("Basic")
            );
        }
    }
    assert_eq!(server.get(HEALTH, RIGHT).status, 200);
    assert_eq!(
        server
            .get("/global/health?auth_token=a2lsbzpzM2NyZXQ%3D", "")
            .status,
        200
    );
    assert_eq!(
        server
            .get("/global/health?auth_token=a2lsbzp3cm9uZw==", "")
            .status,
        401
    );
    assert_eq!(server.get("/no-such-route", RIGHT).status, 404);
}

#[test]
fn a_preflight_is_answered_without_credentials() {
    let server = with_password();
    let ask = |origin: &str| {
        let fields = "access-control-request-method: POST\r\n\
                      access-control-request-headers: content-type,x-kilo-directory\r\n";
        server.ask(
            &format!("OPTIONS /session HTTP/1.1\r\norigin: {origin}\r\n{fields}"),
            "",
        )
    };
    let answer = ask("http://localhost:3000");
    assert_eq!(answer.status, 204);
    assert_eq!(
        answer.field("access-control-allow-origin"),
        Some("http://localhost:3000")
    );
    let methods = Some("GET,HEAD,PUT,PATCH,POST,DELETE");
    assert_eq!(answer.field("access-control-allow-methods"), methods);
    let fields = Some("content-type,x-kilo-directory");
    assert_eq!(answer.field("access-control-allow-headers"), fields);
    assert_eq!(answer.field("access-control-max-age"), Some("86400"));
    let answer = ask("https://evil.example");
    assert_eq!(
        (answer.status, answer.field("access-control-allow-methods")),
        (204, None)
    );
}

#[test]
fn a_one_time_link_opens_the_door_for_one_browser() {
    let server = with_password();
    let token = server.door.one_time();
    let path = format!("/session?a=1&auth_token={token}&b=2");
    let opened = server.get(
        &path,
        "sec-fetch-mode: navigate\r\nsec-fetch-site: none\r\n",
    );
    assert_eq!(
        (opened.status, opened.field("location")),
        (303, Some("/session?a=1&b=2"))
    );
    let cookie = opened.field("set-cookie").unwrap();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
    let cookie = format!("cookie: {}\r\n", cookie.split(';').next().unwrap());

    assert_eq!(server.get(&path, "").status, 401, "the link is used up");
    assert_eq!(server.get(HEALTH, &cookie).status, 200);
    let port = server.addr.port();
    let mine = format!("{cookie}origin: http://localhost\r\n");
    assert_eq!(server.get(HEALTH, &mine).status, 200, "our own page");
    let neighbour = format!("{cookie}origin: http://localhost:{}\r\n", port ^ 1);
    assert_eq!(
        server.get(HEALTH, &neighbour).status,
        401,
        "a page on another port"
    );
    assert_eq!(
        server
            .get(HEALTH, &format!("{cookie}sec-fetch-site: same-site\r\n"))
            .status,
        401
    );
}

#[test]
fn other_machines_are_served_only_with_a_password() {
    let open = EdgeOptions {
        host: "0.0.0.0".into(),
        ..EdgeOptions::default()
    };
    let refused = bind(&open).unwrap_err();
    assert!(
        matches!(refused, BindError::PasswordRequired { .. }),
        "{refused}"
    );
    let refused = bind(&EdgeOptions {
        host: "::".into(),
        ..EdgeOptions::default()
    })
    .unwrap_err();
    assert!(
        matches!(refused, BindError::PasswordRequired { .. }),
        "{refused}"
    );
    let closed = EdgeOptions {
        password: Some("s3cret".into()),
        ..open
    };
    assert!(bind(&closed).is_ok());
}

#[test]
fn the_url_names_the_host_as_it_was_given() {
    let url = |host: &str| {
        let bound = bind(&EdgeOptions {
            host: host.into(),
            ..EdgeOptions::default()
        })
        .unwrap();
        (bound.url(), bound.addr().port())
    };
    for (host, shown) in [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "localhost"),
        ("[::1]", "[::1]"),
    ] {
        let (url, port) = url(host);
        assert_eq!(url, format!("http://{shown}:{port}"));
    }
    let taken = bind(&EdgeOptions::default()).unwrap();
    let port = taken.addr().port();
    let refused = bind(&EdgeOptions {
        port,
        ..EdgeOptions::default()
    })
    .unwrap_err();
    assert!(matches!(refused, BindError::Listen { .. }), "{refused}");
}

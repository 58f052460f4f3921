use super::*;
use actix_web::http::header::HeaderName;

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    map
}

#[test]
fn only_local_names_and_the_bound_one_are_hosts() {
    let hosts = Hosts::new(
        "box.lan",
        "127.0.0.1".parse().unwrap(),
        &["Proxy.example".into()],
    );
    let named = [
        "localhost",
        "LOCALHOST:4096",
        "127.0.0.1",
        "127.0.0.1:1",
        "[::1]",
        "[::1]:80",
        "box.lan:9",
        "proxy.example",
    ];
    for host in named {
        assert!(hosts.knows(host), "{host}");
    }
    let others = [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.168.1.5",
        "localhost:x",
        "localhost:1:2",
        "[::1",
        "::1",
        "0.0.0.0",
        "localhost.",
        "user@localhost",
    ];
    for host in others {
        assert!(!hosts.knows(host), "{host}");
    }
    let plain = Uri::from_static("/session");
    assert_eq!(hosts.named(&plain, &headers(&[])), None);
    let two = [("host", "localhost"), ("host", "localhost")];
    assert_eq!(hosts.named(&plain, &headers(&two)), None);
}

#[test]
fn a_server_on_all_addresses_takes_any_address_but_no_foreign_name() {
    let hosts = Hosts::new("0.0.0.0", "0.0.0.0".parse().unwrap(), &[]);
    assert!(hosts.knows("192.168.1.5:4096"));
    assert!(!hosts.knows("evil.example:4096"));
}

#[test]
fn origins_are_told_apart() {
    let origins = Origins::new(&["https://extra.example/".into()]);
    let told = |fields: &[(&'static str, &'static str)]| {
        let caller = origins.caller(&headers(fields), "box:4096");
        (
            caller.page,
            caller.foreign,
            caller.own,
            caller.cors.is_some(),
        )
    };
    let program = (false, false, true, false);
    let own_page = (true, false, true, false);
    let friend = (true, false, false, true);
    let foreign = (true, true, false, false);
    let cases: &[(&[(&'static str, &'static str)], _)] = &[
        (&[], program),
        (&[("sec-fetch-mode", "cors")], program),
        (&[("sec-fetch-site", "none")], program),
        (&[("sec-fetch-site", "same-origin")], own_page),
        (
            &[("sec-fetch-site", "same-site")],
            (true, false, false, false),
        ),
        (&[("sec-fetch-site", "cross-site")], foreign),
        (
            &[
                ("origin", "http://box:4096"),
                ("sec-fetch-site", "same-origin"),
            ],
            own_page,
        ),
        (&[("origin", "http://localhost:3000")], friend),
        (&[("origin", "https://127.0.0.1")], friend),
        (
            &[
                ("origin", "tauri://localhost"),
                ("sec-fetch-site", "cross-site"),
            ],
            friend,
        ),
        (&[("origin", "https://app.kilo.ai")], friend),
        (&[("origin", "https://extra.example")], friend),
        (&[("origin", "https://evil.example")], foreign),
        (&[("origin", "https://app.kilo.ai.evil.example")], foreign),
        (&[("origin", "http://localhost.evil.example")], foreign),
        (&[("origin", "http://localhost:3000@evil.example")], foreign),
        (&[("origin", "null")], foreign),
        (
            &[
                ("origin", "http://localhost"),
                ("origin", "http://localhost"),
            ],
            foreign,
        ),
    ];
    for (fields, expected) in cases {
        assert_eq!(told(fields), *expected, "{fields:?}");
    }
}

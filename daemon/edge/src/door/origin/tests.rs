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
        "127.0.0.1:4096".parse().unwrap(),
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
fn a_target_counts_for_itself_whatever_host_says() {
    let hosts = Hosts::new("box.lan", "127.0.0.1:4096".parse().unwrap(), &[]);
    let ours = [
        "/session",
        "/",
        "/find?query=http://evil.example//x",
        "/a//evil",
        "*",
        "http://127.0.0.1:4096/session",
        "http://localhost:4096",
        "HTTP://LOCALHOST:4096/session",
        "http://BOX.lan:4096/session",
        "http://[::1]:4096/session",
        "https://localhost:4096/session",
        "localhost:4096",
    ];
    let foreign = [
        // another port, or the scheme's own
        "http://127.0.0.1:4097/session",
        "http://127.0.0.1/session",
        "http://127.0.0.1:80/session",
        "https://localhost/session",
        "http://[::1]:1/session",
        "http://[::1]/session",
        "http://127.0.0.1:/session",
        "http://127.0.0.1:69632/session",
        // another host
        "http://evil.example:4096/session",
        "HTTP://EVIL.EXAMPLE:4096/session",
        "http://localhost.:4096/session",
        "http://localhost.evil.example:4096/session",
        "http://xn--e1afmkfd.example:4096/session",
        "http://[2001:db8::1]:4096/session",
        "http://[::ffff:127.0.0.1]:4096/session",
        "http://2130706433:4096/session",
        "http://0x7f.1:4096/session",
        // user information
        "http://user@localhost:4096/session",
        "http://user:word@127.0.0.1:4096/session",
        "http://localhost:4096@evil.example/session",
        "http://@localhost:4096/session",
        // other schemes
        "ftp://localhost:4096/session",
        "ws://localhost:4096/ws",
        // the form of CONNECT
        "evil.example:4096",
        "evil.example",
        "localhost:1",
        "localhost",
        // a reference without a scheme
        "//evil.example/session",
        "//localhost:4096/session",
        "///session",
        "//",
        "/\\evil.example/session",
        "/\\/evil.example",
        "http://127.0.0.1:4096//evil.example/session",
    ];
    let good = headers(&[("host", "127.0.0.1:4096")]);
    let named = |target: &str| {
        target
            .parse::<Uri>()
            .map(|uri| hosts.named(&uri, &good).is_some())
    };
    for target in ours {
        assert_eq!(named(target).ok(), Some(true), "{target}");
    }
    for target in foreign {
        // What is no target at all never comes so far: actix answers it with 400.
        assert_ne!(named(target).ok(), Some(true), "{target}");
    }
    for target in [
        "http://пример.example:4096/",
        "http://loc\u{ff41}lhost:4096/",
        "\\\\evil/x",
    ] {
        assert!(named(target).is_err(), "{target}");
    }
}

#[test]
fn a_server_on_all_addresses_takes_any_address_but_no_foreign_name() {
    let hosts = Hosts::new("0.0.0.0", "0.0.0.0:4096".parse().unwrap(), &[]);
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

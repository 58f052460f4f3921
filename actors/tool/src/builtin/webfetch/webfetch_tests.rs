use super::WebFetch;
use crate::testing::Stage;
use crate::web::target::{Lookup, system_lookup};
use kilo_ports::tool::{Tool, ToolOutput};
use kilo_protocol::model::{Action, Rule};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A server that gives the answers of `script` by path, and the address to reach it by.
async fn server(script: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let script = Arc::new(script);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let script = script.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = socket.read_u8().await else {
                        return;
                    };
                    head.push(byte);
                }
                let head = String::from_utf8(head).unwrap();
                let _ = socket.write_all(&script(&head)).await;
                let _ = socket.shutdown().await;
            });
        }
    });
    address
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

async fn fetch(stage: &Stage, url: &str, format: &str) -> Result<ToolOutput, String> {
    stage
        .run("webfetch", json!({"url": url, "format": format}))
        .await
        .map_err(|error| error.to_string())
}

/// The addresses that were asked about under a permission.
fn asked(stage: &Stage, permission: &str) -> Vec<String> {
    let asks = stage.permissions().into_iter();
    let its = asks.filter(|(name, _)| name == permission);
    its.flat_map(|(_, patterns)| patterns).collect()
}

/// The tool with resolver and daemon's address of its own.
fn tool(lookup: Lookup, own: Option<SocketAddr>) -> WebFetch {
    WebFetch {
        agent: "kilo".into(),
        own,
        proxied: false,
        lookup,
    }
}

async fn fetch_by(tool: &WebFetch, stage: &Stage, url: &str) -> Result<String, String> {
    let input = json!({"url": url, "format": "text"});
    let output = tool.run(input, stage.cx.clone()).await;
    output
        .map(|output| output.output)
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn json_comes_as_it_is() {
    let stage = Stage::new();
    let base = server(|_| {
        answer(
            "200 OK",
            "content-type: application/json; charset=utf-8\r\n",
            b"{\"a\":1}",
        )
    })
    .await;
    let output = fetch(&stage, &format!("{base}/v1/models"), "text")
        .await
        .unwrap();
    assert_eq!(output.output, "{\"a\":1}");
    assert_eq!(output.title, format!("{base}/v1/models (application/json)"));
    assert_eq!(Value::Object(output.metadata), json!({"truncated": false}));
    let ask = stage.host.asks.lock()[0].clone();
    assert_eq!(
        (ask.permission.as_str(), ask.patterns, ask.always),
        (
            "webfetch",
            vec![format!("{base}/v1/models")],
            vec![format!("{base}/*")]
        )
    );
}

#[tokio::test]
async fn html_is_turned_into_the_wanted_form() {
    let stage = Stage::new();
    let page = b"<h1>T</h1><p>caf\xE9 <a href=\"/x\">l</a></p>";
    let base = server(move |_| {
        answer(
            "200 OK",
            "content-type: text/html; charset=ISO-8859-1\r\n",
            page,
        )
    })
    .await;
    let markdown = fetch(&stage, &base, "markdown").await.unwrap().output;
    assert_eq!(markdown, format!("# T\n\ncafé [l]({base}/x)"));
    assert_eq!(
        fetch(&stage, &base, "text").await.unwrap().output,
        "T\n\ncafé l"
    );
    assert!(
        fetch(&stage, &base, "html")
            .await
            .unwrap()
            .output
            .starts_with("<h1>T</h1><p>café")
    );
}

#[tokio::test]
async fn bad_answers_are_errors() {
    let stage = Stage::new();
    let base = server(|head| match head.split(' ').nth(1).unwrap() {
        "/big" => b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\nx".to_vec(),
        "/grows" => [
            b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec(),
            vec![b'x'; 6 * 1024 * 1024],
        ]
        .concat(),
        "/binary" => answer("200 OK", "content-type: application/zip\r\n", b"PK\0\0"),
        "/loop" => answer("302 Found", "location: /loop\r\n", b""),
        "/file" => answer("302 Found", "location: file:///etc/passwd\r\n", b""),
        _ => answer("404 Not Found", "", b"no"),
    })
    .await;
    for (path, words) in [
        ("/nope", "404"),
        ("/big", "larger than"),
        ("/grows", "larger than"),
        ("/binary", "binary"),
        ("/loop", "more than 5 redirects"),
        ("/file", "http:// or https://"),
    ] {
        let error = fetch(&stage, &format!("{base}{path}"), "text")
            .await
            .unwrap_err();
        assert!(error.contains(words), "{path}: {error}");
    }
    for url in ["file:///etc/passwd", "ftp://h/x", "not a url", "http://"] {
        assert!(fetch(&stage, url, "text").await.is_err(), "{url}");
    }
    let gone = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let error = fetch(&stage, &format!("http://{gone}/"), "text")
        .await
        .unwrap_err();
    assert!(error.contains("Cannot fetch"), "{error}");
}

#[tokio::test]
async fn a_redirect_to_another_origin_is_asked_for() {
    let stage = Stage::new();
    let other = server(|_| answer("200 OK", "content-type: text/plain\r\n", b"there")).await;
    let target = other.clone();
    let base = server(move |head| match head.split(' ').nth(1).unwrap() {
        "/near" => answer("301 Moved", "location: /here\r\n", b""),
        "/far" => answer("302 Found", &format!("location: {target}/x\r\n"), b""),
        _ => answer("200 OK", "", b"here"),
    })
    .await;
    assert_eq!(
        fetch(&stage, &format!("{base}/near"), "text")
            .await
            .unwrap()
            .output,
        "here"
    );
    assert_eq!(asked(&stage, "webfetch").len(), 1);
    assert_eq!(
        fetch(&stage, &format!("{base}/far"), "text")
            .await
            .unwrap()
            .output,
        "there"
    );
    let webfetch = asked(&stage, "webfetch");
    assert_eq!(webfetch.len(), 3);
    assert_eq!(webfetch[2], format!("{other}/x"));
    let local = asked(&stage, "local_network");
    assert_eq!(
        local,
        [
            format!("{base}/near"),
            format!("{base}/far"),
            format!("{other}/x")
        ]
    );
}

#[tokio::test]
async fn images_are_attached_and_challenges_met_once_more() {
    let stage = Stage::new();
    let base = server(|head| {
        if head.contains("Mozilla") {
            return answer("403 Forbidden", "cf-mitigated: challenge\r\n", b"prove it");
        }
        answer("200 OK", "content-type: image/png\r\n", b"\x89PNG")
    })
    .await;
    let output = fetch(&stage, &base, "markdown").await.unwrap();
    assert_eq!(
        output.attachments,
        [json!({"type": "file", "mime": "image/png", "url": "data:image/png;base64,iVBORw=="})]
    );
}

#[tokio::test]
async fn a_silent_server_times_out_and_a_stopped_call_stops() {
    let mut stage = Stage::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let error = stage
        .fails("webfetch", json!({"url": url, "timeout": 0.05}))
        .await;
    assert!(error.contains("timed out"), "{error}");
    stage.cx.cancel = tokio_util::sync::CancellationToken::new();
    let cancel = stage.cx.cancel.clone();
    let input = json!({"url": url});
    let running = stage.run("webfetch", input);
    tokio::pin!(running);
    // Both earlier connections stay in the backlog; a third one means that this call is under way.
    let accepted = async {
        for _ in 0..2 {
            listener.accept().await.unwrap();
        }
    };
    tokio::select! {
        _ = &mut running => panic!("it cannot end by itself"),
        () = accepted => cancel.cancel(),
    }
    assert_eq!(
        running.await.unwrap_err().to_string(),
        "Tool execution aborted"
    );
}

#[tokio::test]
async fn what_only_this_machine_reaches_is_a_question_of_its_own() {
    let stage = Stage::new();
    let base = server(|_| answer("200 OK", "", b"secret")).await;
    let port = base.rsplit(':').next().unwrap();
    stage.host.denied.lock().push("local_network".into());
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "localhost",
        "LOCALHOST",
        "[::ffff:127.0.0.1]",
        "user:pw@127.1",
    ] {
        let url = format!("http://{host}:{port}/");
        assert_eq!(fetch(&stage, &url, "text").await.unwrap_err(), "rejected");
        let ask = stage.host.asks.lock().pop().unwrap();
        assert_eq!(ask.permission, "local_network", "{url}");
        let named = format!("http://127.0.0.1:{port}/");
        assert!(ask.patterns.contains(&named), "{url}: {:?}", ask.patterns);
        assert!(!ask.must_ask, "{url}");
    }
}

#[tokio::test]
async fn credentials_of_the_machine_need_a_person() {
    let stage = Stage::new();
    stage.host.denied.lock().push("local_network".into());
    for host in ["169.254.169.254", "[fe80::1]", "100.100.100.200"] {
        let url = format!("http://{host}/latest/meta-data/");
        assert_eq!(fetch(&stage, &url, "text").await.unwrap_err(), "rejected");
        assert!(stage.host.asks.lock().pop().unwrap().must_ask, "{url}");
    }
}

#[tokio::test]
async fn a_public_page_may_not_lead_to_a_near_one_unasked() {
    let stage = Stage::new();
    let near = server(|_| answer("200 OK", "", b"secret")).await;
    let target = near.replace("127.0.0.1", "localhost");
    let base =
        server(move |_| answer("302 Found", &format!("location: {target}/x\r\n"), b"")).await;
    fetch(&stage, &base, "text").await.unwrap();
    assert!(asked(&stage, "local_network").contains(&format!("{near}/x")));
}

#[tokio::test]
async fn the_daemons_own_address_is_refused_in_every_spelling() {
    let stage = Stage::new();
    let reached = Arc::new(AtomicUsize::new(0));
    let count = reached.clone();
    let daemon = server(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        answer("200 OK", "", b"keys")
    })
    .await;
    let own: SocketAddr = daemon.trim_start_matches("http://").parse().unwrap();
    let tool = tool(system_lookup(), Some(own));
    let target = daemon.clone();
    let elsewhere = server(move |_| {
        let location = format!("location: {target}/config\r\n");
        answer("307 Temporary Redirect", &location, b"")
    })
    .await;
    let port = own.port();
    let hosts = [
        "127.0.0.1",
        "0",
        "127.1",
        "2130706433",
        "localhost",
        "[::1]",
        "[::]",
        "127.5.5.5",
    ];
    let mut urls: Vec<String> = hosts
        .map(|host| format!("http://{host}:{port}/config"))
        .into();
    urls.push(format!("http://me@[::ffff:127.0.0.1]:{port}/config"));
    urls.push(elsewhere);
    for url in urls {
        let error = fetch_by(&tool, &stage, &url).await.unwrap_err();
        assert!(error.contains("the daemon's own address"), "{url}: {error}");
    }
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_address_leads_nowhere_else() {
    let stage = Stage::new();
    let base = server(|_| answer("200 OK", "", b"secret")).await;
    let near: SocketAddr = base.trim_start_matches("http://").parse().unwrap();
    let looks = Arc::new(AtomicUsize::new(0));
    let count = looks.clone();
    // The first answer is far away and takes no connection; every later one would be this machine.
    let lookup: Lookup = Arc::new(move |_, port| {
        let far = SocketAddr::from(([192, 0, 2, 1], port));
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        Box::pin(std::future::ready(Ok(vec![if first { far } else { near }])))
    });
    let tool = tool(lookup, None);
    let input = json!({"url": format!("http://rebind.test:{}/", near.port()), "timeout": 0.3});
    let error = tool.run(input, stage.cx.clone()).await.unwrap_err();
    assert!(error.to_string().starts_with("Cannot fetch"), "{error}");
    assert_eq!(looks.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_name_is_connected_to_where_it_was_judged() {
    let stage = Stage::new();
    let base = server(|head| {
        assert!(head.contains("host: name.test:"), "{head}");
        answer("200 OK", "", b"there")
    })
    .await;
    let near: SocketAddr = base.trim_start_matches("http://").parse().unwrap();
    let lookup: Lookup = Arc::new(move |_, _| Box::pin(std::future::ready(Ok(vec![near]))));
    let url = format!("http://name.test:{}/", near.port());
    let there = fetch_by(&tool(lookup, None), &stage, &url).await;
    assert_eq!(there.unwrap(), "there");
    let local = asked(&stage, "local_network");
    assert_eq!(local, [url, format!("{base}/")]);
}

#[tokio::test]
async fn a_denied_page_stays_denied_behind_a_redirect() {
    let stage = Stage::new();
    let base = server(|head| match head.split(' ').nth(1).unwrap() {
        "/open" => answer("302 Found", "location: /%73ecret\r\n", b""),
        _ => answer("200 OK", "", b"secret"),
    })
    .await;
    stage.host.rules.lock().push(Rule {
        permission: "webfetch".into(),
        pattern: format!("{base}/secret*").into(),
        action: Action::Deny,
    });
    let error = fetch(&stage, &format!("{base}/open"), "text").await;
    assert!(error.unwrap_err().contains("A rule denies this"));
}

#[tokio::test]
async fn a_page_is_read_in_its_own_encoding() {
    let stage = Stage::new();
    let base = server(|head| match head.split(' ').nth(1).unwrap() {
        "/meta" => answer(
            "200 OK",
            "content-type: text/html\r\n",
            b"<meta charset='iso-8859-1'><p>caf\xE9",
        ),
        "/said" => answer(
            "200 OK",
            "content-type: text/html; charset=utf-8\r\n",
            "<meta charset=latin1><p>caf\u{e9}".as_bytes(),
        ),
        "/mark" => answer(
            "200 OK",
            "content-type: text/html\r\n",
            b"\xFF\xFE<\0p\0>\0c\0a\0f\0\xE9\0",
        ),
        "/none" => answer(
            "200 OK",
            "content-type: text/plain\r\n",
            b"caf\xE9, na\xEFve, d\xE9j\xE0 vu, tr\xE8s bien",
        ),
        "/bare" => answer("200 OK", "", b" <!DOCTYPE html><p>caf&eacute;"),
        _ => answer(
            "200 OK",
            "content-type: text/plain\r\n",
            "caf\u{e9} charset=x".as_bytes(),
        ),
    })
    .await;
    for (path, text) in [
        ("/meta", "café"),
        ("/said", "café"),
        ("/mark", "café"),
        ("/none", "café, naïve, déjà vu, très bien"),
        ("/bare", "café"),
        ("/text", "café charset=x"),
    ] {
        let output = fetch(&stage, &format!("{base}{path}"), "text").await;
        assert_eq!(output.unwrap().output, text, "{path}");
    }
}

#[tokio::test]
async fn what_is_no_text_is_a_file_or_an_error() {
    let stage = Stage::new();
    let base = server(|head| match head.split(' ').nth(1).unwrap() {
        "/pdf" => answer("200 OK", "content-type: application/pdf\r\n", b"%PDF-1.7\0"),
        "/svg" => answer("200 OK", "content-type: image/svg+xml\r\n", b"<svg/>"),
        "/tiff" => answer("200 OK", "content-type: image/tiff\r\n", b"II*"),
        "/song" => answer("200 OK", "content-type: audio/mpeg\r\n", b"ID3"),
        _ => answer(
            "200 OK",
            "content-encoding: br\r\ncontent-type: text/plain\r\n",
            b"\x0b\x02",
        ),
    })
    .await;
    let output = fetch(&stage, &format!("{base}/pdf"), "markdown")
        .await
        .unwrap();
    assert_eq!(output.output, "PDF fetched successfully");
    assert_eq!(output.attachments[0]["mime"], "application/pdf");
    let drawing = fetch(&stage, &format!("{base}/svg"), "text").await.unwrap();
    assert_eq!(drawing.output, "<svg/>");
    for (path, words) in [
        ("/tiff", "binary"),
        ("/song", "binary"),
        ("/packed", "packed as br"),
    ] {
        let error = fetch(&stage, &format!("{base}{path}"), "text")
            .await
            .unwrap_err();
        assert!(error.contains(words), "{path}: {error}");
    }
}

#[tokio::test]
async fn a_name_and_password_in_an_address_are_used_and_not_shown() {
    let stage = Stage::new();
    let base = server(|head| {
        assert!(head.contains("authorization: Basic dTpwdw=="), "{head}");
        answer("200 OK", "content-type: text/plain\r\n", b"in")
    })
    .await;
    let url = base.replace("://", "://u:pw@");
    let output = fetch(&stage, &url, "text").await.unwrap();
    assert_eq!(output.title, format!("{base}/ (text/plain)"));
    let asked = format!("{:?}", stage.host.asks.lock());
    assert!(!asked.contains("pw"), "{asked}");
}

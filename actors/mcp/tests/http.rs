//! Servers at an address: both ways of HTTP, and signing in, against a small server of the test's own on the loopback.

#[allow(dead_code, reason = "each test target uses a part")]
mod support;

use kilo_mcp::config::{Origin, server};
use kilo_mcp::{FolderServers, SignInError, Status};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use support::{World, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use url::Url;

/// A request as the server saw it.
#[derive(Clone, Debug)]
struct Got {
    line: String,
    headers: BTreeMap<String, String>,
    body: String,
}

/// A server that speaks one way.
struct Far {
    url: String,
    got: Arc<Mutex<Vec<Got>>>,
    tokens: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Json,
    Events,
    Old,
    SignIn,
}

async fn read(stream: &mut TcpStream) -> Option<Got> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let line = lines.next()?.to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers
        .get("content-length")
        .map_or(0, |n| n.parse().expect("the loopback works"));
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        stream.read_buf(&mut body).await.ok()?;
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    Some(Got {
        line,
        headers,
        body,
    })
}

fn rpc(body: &str) -> Option<Value> {
    let message: Value = serde_json::from_str(body).ok()?;
    let id = message.get("id")?.clone();
    let result = match message["method"].as_str()? {
        "initialize" => {
            json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "far", "version": "1"}})
        }
        "tools/list" => json!({"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}),
        _ => json!({"content": [{"type": "text", "text": "from afar"}]}),
    };
    Some(json!({"jsonrpc": "2.0", "id": id, "result": result}))
}

impl Far {
    async fn start(way: Way) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("the loopback works");
        let base = format!(
            "http://{}",
            listener.local_addr().expect("the loopback works")
        );
        let far = Self {
            url: format!("{base}/mcp"),
            got: Arc::default(),
            tokens: Arc::default(),
        };
        let (got, tokens) = (Arc::clone(&far.got), Arc::clone(&far.tokens));
        let (events, _) = broadcast::channel::<String>(16);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (got, tokens, events, base) = (
                    Arc::clone(&got),
                    Arc::clone(&tokens),
                    events.clone(),
                    base.clone(),
                );
                tokio::spawn(async move {
                    while let Some(request) = read(&mut stream).await {
                        got.lock().push(request.clone());
                        if request.body.contains("hang for ever") {
                            let _ = stream.read(&mut [0]).await;
                            return;
                        }
                        if way == Way::Old && request.line.starts_with("GET") {
                            let mut messages = events.subscribe();
                            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nevent: endpoint\ndata: /post?s=1\n\n";
                            stream
                                .write_all(head.as_bytes())
                                .await
                                .expect("the loopback works");
                            while let Ok(message) = messages.recv().await {
                                let event = format!("event: message\ndata: {message}\n\n");
                                if stream.write_all(event.as_bytes()).await.is_err() {
                                    return;
                                }
                            }
                            return;
                        }
                        let (status, kind, body) = answer(way, &base, &request, &tokens, &events);
                        let challenge = format!(
                            "www-authenticate: Bearer resource_metadata=\"{base}/.well-known/oauth-protected-resource\"\r\n"
                        );
                        let head = format!(
                            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nmcp-session-id: s1\r\n{}content-length: {}\r\n\r\n",
                            if status.starts_with("401") {
                                challenge.as_str()
                            } else {
                                ""
                            },
                            body.len()
                        );
                        stream
                            .write_all(head.as_bytes())
                            .await
                            .expect("the loopback works");
                        stream
                            .write_all(body.as_bytes())
                            .await
                            .expect("the loopback works");
                    }
                });
            }
        });
        far
    }

    fn lines(&self) -> Vec<String> {
        self.got.lock().iter().map(|got| got.line.clone()).collect()
    }
}

type Answer = (&'static str, &'static str, String);

fn answer(
    way: Way,
    base: &str,
    got: &Got,
    tokens: &Mutex<Vec<String>>,
    events: &broadcast::Sender<String>,
) -> Answer {
    let json = |value: Value| ("200 OK", "application/json", value.to_string());
    let path = got.line.split(' ').nth(1).unwrap_or_default();
    let none = ("404 Not Found", "text/plain", String::new());
    match path.split('?').next().unwrap_or_default() {
        "/mcp" if !got.line.starts_with("POST") => {
            ("405 Method Not Allowed", "text/plain", String::new())
        }
        "/mcp" => match way {
            Way::Old => ("405 Method Not Allowed", "text/plain", String::new()),
            Way::SignIn
                if !tokens.lock().iter().any(|token| {
                    got.headers.get("authorization") == Some(&format!("Bearer {token}"))
                }) =>
            {
                ("401 Unauthorized", "text/plain", String::new())
            }
            _ => match rpc(&got.body) {
                None => ("202 Accepted", "text/plain", String::new()),
                Some(reply) if way == Way::Events => (
                    "200 OK",
                    "text/event-stream",
                    format!(
                        "data: {{\"jsonrpc\":\"2.0\",\"method\":\"x/y\"}}\n\nid: 1\ndata: {reply}\n\n"
                    ),
                ),
                Some(reply) => json(reply),
            },
        },
        "/post" => {
            if let Some(reply) = rpc(&got.body) {
                let _ = events.send(reply.to_string());
            }
            ("202 Accepted", "text/plain", String::new())
        }
        _ if way != Way::SignIn => none,
        "/.well-known/oauth-protected-resource" => json(
            json!({"resource": format!("{base}/mcp"), "authorization_servers": [base], "scopes_supported": ["mcp"]}),
        ),
        "/.well-known/oauth-authorization-server" => json(json!({
            "issuer": base, "authorization_endpoint": format!("{base}/authorize"), "token_endpoint": format!("{base}/token"),
            "registration_endpoint": format!("{base}/register"), "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
        })),
        "/register" => json(json!({"client_id": "client-1"})),
        "/token" => {
            let form: BTreeMap<String, String> = url::form_urlencoded::parse(got.body.as_bytes())
                .into_owned()
                .collect();
            let is_good = form["client_id"] == "client-1"
                && (form.get("code").is_some_and(|code| code == "c0de")
                    && form.contains_key("code_verifier")
                    || form
                        .get("refresh_token")
                        .is_some_and(|token| token == "again"));
            if !is_good {
                return (
                    "400 Bad Request",
                    "application/json",
                    json!({"error": "invalid_grant"}).to_string(),
                );
            }
            let mut tokens = tokens.lock();
            let token = format!("token-{}", tokens.len());
            tokens.push(token.clone());
            json(json!({"access_token": token, "token_type": "Bearer", "refresh_token": "again"}))
        }
        _ => none,
    }
}

async fn connected(world: &World, far: &Far, more: Value) -> Arc<FolderServers> {
    let folder = world.folder("one", &[]);
    let mut entry = json!({"type": "remote", "url": far.url, "headers": {"X-Key": "k"}});
    entry
        .as_object_mut()
        .expect("the loopback works")
        .extend(more.as_object().expect("the loopback works").clone());
    folder
        .add(
            "far",
            server(&entry, Origin::User).expect("the loopback works"),
        )
        .await;
    folder
}

#[tokio::test]
async fn both_ways_of_http_are_spoken() {
    for way in [Way::Json, Way::Events, Way::Old] {
        let (world, far) = (World::new(), Far::start(way).await);
        let folder = connected(&world, &far, json!({})).await;
        assert_eq!(support::status(&folder), Status::Connected);
        assert_eq!(
            world.call(&folder, "far_echo").await,
            Ok("from afar".into())
        );
        let got = far.got.lock().clone();
        assert!(
            got.iter()
                .all(|got| got.headers.get("x-key").is_some_and(|key| key == "k"))
        );
        if way != Way::Old {
            let call = got
                .iter()
                .find(|got| got.body.contains("tools/call"))
                .unwrap();
            assert_eq!(call.headers["mcp-session-id"], "s1");
            assert_eq!(call.headers["mcp-protocol-version"], "2025-06-18");
            // What the server asks is lost before its own stream is there.
            let at = |is_it: &dyn Fn(&Got) -> bool| got.iter().position(is_it).unwrap();
            let listens = at(&|got| got.line.starts_with("GET"));
            assert!(listens < at(&|got| got.body.contains("tools/list")));
            assert!(folder.disconnect("far").await);
            until("it says good-bye", || {
                far.lines().iter().any(|line| line.starts_with("DELETE"))
            })
            .await;
        }
    }
}

#[tokio::test]
async fn calls_that_are_never_answered_take_no_place_from_others() {
    let (world, far) = (World::new(), Far::start(Way::Json).await);
    let folder = connected(&world, &far, json!({"timeout": 200})).await;
    let arguments = |text: &str| json!({"text": text}).as_object().cloned().unwrap();
    // More than there may be at the same time.
    let hanging = (0..70).map(|_| folder.call("far", "echo", arguments("hang for ever")));
    for outcome in futures_util::future::join_all(hanging).await {
        let error = format!("{:?}", outcome.unwrap_err());
        assert!(error.contains("no answer within"), "{error}");
    }
    let said = folder.call("far", "echo", arguments("hi")).await.unwrap();
    assert_eq!(said["content"][0]["text"], "from afar");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_failed() {
    let world = World::new();
    let mut far = Far::start(Way::Json).await;
    far.url = "http://127.0.0.1:1/mcp".into();
    let folder = connected(&world, &far, json!({})).await;
    assert!(matches!(support::status(&folder), Status::Failed(_)));
    let none = folder.sign_in("no").await;
    assert_eq!(none.err(), Some(SignInError::Unknown));
}

#[tokio::test]
async fn somebody_signs_in_and_the_token_is_kept_and_renewed() {
    let kept = tempfile::tempdir().unwrap();
    let path = kept.path().join("auth");
    let world = World::with(|settings| settings.auth = path.clone());
    let far = Far::start(Way::SignIn).await;
    let folder = connected(&world, &far, json!({})).await;
    assert_eq!(support::status(&folder), Status::NeedsAuth);
    let begun = folder.sign_in("far").await.unwrap();
    let url = Url::parse(&begun.url).unwrap();
    let asked: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    assert_eq!(
        (asked["client_id"].as_str(), asked["scope"].as_str()),
        ("client-1", "mcp")
    );
    assert_eq!(
        (asked["code_challenge_method"].as_str(), &asked["state"]),
        ("S256", &begun.state)
    );
    assert_eq!(asked["resource"], far.url);
    // A stranger's code is sent away; the right one signs in.
    for (state, status) in [("other", "404"), (begun.state.as_str(), "200")] {
        let back = Url::parse(&asked["redirect_uri"]).unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", back.port().unwrap()))
            .await
            .unwrap();
        let request = format!(
            "GET {}?code=c0de&state={state} HTTP/1.1\r\nhost: x\r\n\r\n",
            back.path()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{said}");
    }
    until("it is connected", || {
        support::status(&folder) == Status::Connected
    })
    .await;
    assert_eq!(
        world.call(&folder, "far_echo").await,
        Ok("from afar".into())
    );
    use std::os::unix::fs::PermissionsExt;
    let files: Vec<_> = std::fs::read_dir(&path).unwrap().flatten().collect();
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (files.len(), mode(&path), mode(&files[0].path())),
        (1, 0o700, 0o600)
    );
    // The token runs out.
    *far.tokens.lock() = vec!["none".into()];
    assert_eq!(
        world.call(&folder, "far_echo").await,
        Ok("from afar".into())
    );
    folder.sign_out("far").await.unwrap();
    assert_eq!(support::status(&folder), Status::NeedsAuth);
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
}

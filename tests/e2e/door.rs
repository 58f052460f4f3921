//! Who may come in: through the program, over real sockets.

use kilo_tests::{Answer, Api, Daemon, Home, Model, Project, Start, Turn, is_root, run};
use reqwest::Method;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;

/// GET /session with these header fields.
async fn with(api: &Api, fields: &[(&str, &str)]) -> Answer {
    let request = api.request(Method::GET, "/session");
    api.send(fields.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    }))
    .await
}

fn token(home: &Home) -> String {
    std::fs::read_to_string(home.path().join(".local/state/kilo/token"))
        .expect("the token")
        .trim()
        .to_owned()
}

#[tokio::test]
async fn pages_and_foreign_names_stay_outside() {
    let home = Home::new();
    let daemon = Daemon::start(&home);
    let api = daemon.api_in(home.path());
    assert_eq!(
        with(&api, &[]).await.status,
        200,
        "a program of the same user comes in"
    );
    with(&api, &[("host", "evil.example")])
        .await
        .refused(421, "MisdirectedRequest");
    with(&api, &[("origin", "http://evil.example")])
        .await
        .refused(403, "Forbidden");
    with(&api, &[("origin", "null")])
        .await
        .refused(403, "Forbidden");
    let site = with(&api, &[("sec-fetch-site", "cross-site")]).await;
    assert!(matches!(site.status, 401 | 403), "{}", site.text);
    let own = format!("http://127.0.0.1:{}", daemon.port());
    let page = [("origin", own.as_str()), ("sec-fetch-site", "same-origin")];
    assert_eq!(
        with(&api, &page).await.status,
        401,
        "an own page needs the token"
    );
    let bearer = format!("Bearer {}", token(&home));
    assert_eq!(
        with(&api, &[page[0], page[1], ("authorization", &bearer)])
            .await
            .status,
        200
    );
    assert_eq!(
        with(&api, &[page[0], page[1], ("authorization", "Bearer wrong")])
            .await
            .status,
        401
    );
    let mode = std::fs::metadata(home.path().join(".local/state/kilo/token"))
        .expect("the token")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_password_is_asked_of_everybody() {
    let home = Home::new();
    let daemon = Start::new(&home)
        .env("KILO_SERVER_PASSWORD", "open sesame")
        .go()
        .expect("a daemon");
    let api = daemon.api_in(home.path());
    for path in ["/session", "/event", "/global/health", "/doc"] {
        let answer = api.get(path).await;
        assert!(
            answer.status == 401 || path == "/global/health",
            "{path}: {}",
            answer.status
        );
    }
    let basic = |user: &str, password: &str| {
        api.request(Method::GET, "/session")
            .basic_auth(user, Some(password))
    };
    assert_eq!(api.send(basic("kilo", "open sesame")).await.status, 200);
    assert_eq!(api.send(basic("kilo", "open sesam")).await.status, 401);
    assert_eq!(api.send(basic("root", "open sesame")).await.status, 401);
    assert!(
        !daemon.log().contains("sesame"),
        "the password is in the log"
    );
}

#[tokio::test]
async fn without_a_password_only_loopback_is_served() {
    let home = Home::new();
    let refused = Start::new(&home)
        .word("--hostname")
        .word("0.0.0.0")
        .go()
        .err()
        .expect("a refusal");
    assert_eq!(refused.ended.code, Some(1));
    assert!(
        refused.ended.err.contains("without a password"),
        "{}",
        refused.ended.err
    );
    let open = Start::new(&home)
        .word("--hostname")
        .word("0.0.0.0")
        .env("KILO_SERVER_PASSWORD", "p");
    open.go().expect("with a password it may");
}

#[tokio::test]
async fn another_user_of_the_machine_stays_outside() {
    if !is_root() {
        eprintln!("left out: only root can become another user");
        return;
    }
    let home = Home::new();
    let daemon = Daemon::start(&home);
    let url = format!("{}/session", daemon.url);
    let ask = ["-s", "-o", "/dev/null", "-w", "%{http_code}", url.as_str()];
    let as_nobody: Vec<&str> = ["--reuid=65534", "--regid=65534", "--clear-groups", "curl"]
        .into_iter()
        .chain(ask)
        .collect();
    assert_eq!(run("setpriv", &as_nobody, "/".as_ref()).out, "401");
    assert_eq!(run("curl", &ask, "/".as_ref()).out, "200");
    let bearer = format!("authorization: Bearer {}", token(&home));
    let with_token: Vec<&str> = as_nobody.into_iter().chain(["-H", &bearer]).collect();
    assert_eq!(
        run("setpriv", &with_token, "/".as_ref()).out,
        "200",
        "with the token anybody may"
    );
}

#[tokio::test]
async fn what_the_agent_starts_cannot_command_the_daemon() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let curl = format!(
        "curl -s -o /dev/null -w '%{{http_code}}\\n' {}/session",
        daemon.url
    );
    let commands = [
        curl.clone(),
        format!(
            "(setsid nohup sh -c \"{}\" > away.txt 2>&1 &) ; for i in $(seq 100); do test -s away.txt && break; sleep 0.05; done; cat away.txt",
            curl.replace('"', "\\\"")
        ),
        format!(
            "python3 -c \"import urllib.request as u\ntry: print(u.urlopen('{}/session').status)\nexcept Exception as e: print(e.code)\"",
            daemon.url
        ),
        "env | grep -c -e KILO_SERVER -e open.sesame || true".to_owned(),
    ];
    let session = api.session().await;
    for (nth, command) in commands.iter().enumerate() {
        let key = format!("c{nth}");
        let call = Turn::call(
            "bash",
            &json!({"command": command, "description": "call the daemon"}),
        );
        model.script(&key, [call, Turn::text("done")]);
        api.prompt(&session, &format!("go [[{key}]]")).await.ok();
    }
    let outputs: Vec<String> = api
        .tools(&session)
        .await
        .iter()
        .map(|call| call["state"]["output"].to_string())
        .collect();
    for output in &outputs[..3] {
        assert!(output.contains("401"), "{outputs:?}");
    }
    assert!(outputs[3].contains('0'), "{outputs:?}");
}

#[tokio::test]
async fn too_large_a_body_is_refused() {
    let home = Home::new();
    let daemon = Daemon::start(&home);
    let api = daemon.api_in(home.path());
    let body = format!("{{\"title\":\"{}\"}}", "x".repeat(17 << 20));
    // The daemon answers and closes without reading it all; a client may see either.
    let request = api
        .request(Method::POST, "/session")
        .header("content-type", "application/json")
        .body(body);
    if let Some(answer) = api.try_send(request).await {
        answer.refused(413, "PayloadTooLarge");
    }
    assert_eq!(api.get("/session").await.ok(), json!([]));
}

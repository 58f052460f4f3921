//! Bad input of every kind: a clear answer, and nothing is lost by it.

use kilo_tests::{Api, Daemon, Home, Model, Project, Step, Turn, eventually};
use reqwest::Method;
use serde_json::{Value, json};

/// A daemon with one session that has history; whatever happens, that must stay as it is.
struct Scene {
    daemon: Daemon,
    api: Api,
    model: Model,
    project: Project,
    session: String,
    history: Vec<Value>,
    _home: Home,
}

impl Scene {
    async fn new(configuration: Value) -> Self {
        let (home, model) = (Home::new(), Model::start());
        let project = Project::with(&model, &configuration);
        let daemon = Daemon::start(&home);
        let api = daemon.api(&project);
        let session = api.session().await;
        api.prompt(&session, "remember this [[history]]").await.ok();
        let history = api.messages(&session).await;
        assert_eq!(history.len(), 2);
        Self {
            daemon,
            api,
            model,
            project,
            session,
            history,
            _home: home,
        }
    }

    async fn unharmed(self) {
        assert_eq!(self.api.messages(&self.session).await, self.history);
        assert_eq!(self.api.get("/global/health").await.ok()["healthy"], true);
        assert_eq!(self.daemon.stop(), Some(0));
    }

    /// Runs a turn of a fresh session; answers its last message and the session.
    async fn turn(&self, key: &str, turns: Vec<Turn>) -> (Value, String) {
        self.model.script(key, turns);
        let session = self.api.session().await;
        let message = self
            .api
            .prompt(&session, &format!("go [[{key}]]"))
            .await
            .ok();
        (message, session)
    }
}

#[tokio::test]
async fn malformed_bodies() {
    let scene = Scene::new(json!({})).await;
    let api = &scene.api;
    let prompt = format!("/session/{}/message", scene.session);
    let deep = format!("{{\"parts\":{}{}}}", "[".repeat(50_000), "]".repeat(50_000));
    for body in [
        "{",
        "",
        "nul",
        "[1,",
        "{\"parts\":",
        "\u{0}",
        "{\"parts\":[]} extra",
        deep.as_str(),
    ] {
        let shown: String = body.chars().take(20).collect();
        let answer = api.post_raw(&prompt, body).await;
        println!("{shown:?}: {} {}", answer.status, answer.text);
        answer.refused(400, "BadRequest");
    }
    api.post_raw(
        &prompt,
        vec![b'{', b'"', 0xff, 0xfe, b'"', b':', b'1', b'}'],
    )
    .await
    .refused(400, "BadRequest");
    let plain = api
        .request(Method::POST, &prompt)
        .header("content-type", "text/plain")
        .body("{}");
    assert_eq!(api.send(plain).await.status, 415);
    scene.unharmed().await;
}

#[tokio::test]
async fn wrong_types() {
    let scene = Scene::new(json!({})).await;
    let api = &scene.api;
    let prompt = format!("/session/{}/message", scene.session);
    let bodies = [
        json!([]),
        json!({}),
        json!({"parts": 5}),
        json!({"parts": [5]}),
        json!({"parts": [{"type": "text"}]}),
        json!({"parts": [{"type": "text", "text": 5}]}),
        json!({"parts": [{"type": "nonsense"}]}),
        json!({"parts": [{"type": "text", "text": "x"}], "model": "a"}),
        json!({"parts": [{"type": "text", "text": "x"}], "model": {"providerID": 1, "modelID": 2}}),
        json!({"parts": [{"type": "text", "text": "x"}], "messageID": 7}),
        json!({"parts": [{"type": "text", "text": "x"}], "agent": []}),
        json!({"parts": [{"type": "text", "text": "x"}], "noReply": "yes"}),
    ];
    for body in bodies {
        let answer = api.post(&prompt, &body).await;
        println!("{body}: {} {}", answer.status, answer.text);
        answer.refused(400, "BadRequest");
    }
    let created = api.post("/session", &json!({"title": 5})).await;
    assert_eq!(
        (created.status, created.body["_tag"].as_str()),
        (400, Some("BadRequest")),
        "{}",
        created.text
    );
    let session = format!("/session/{}", scene.session);
    let patch = api
        .request(Method::PATCH, &session)
        .header("content-type", "application/json")
        .body("{\"title\":[]}");
    api.send(patch).await.refused(400, "BadRequest");
    api.get("/session?limit=abc")
        .await
        .refused(400, "BadRequest");
    let answer = api
        .post(&format!("{session}/revert"), &json!({"messageID": 5}))
        .await;
    answer.refused(400, "BadRequest");
    scene.unharmed().await;
}

/// A value that a schema lets pass; only as much as it asks for.
fn sample(document: &Value, schema: &Value) -> Value {
    if let Some(target) = schema["$ref"].as_str() {
        return sample(document, document.pointer(&target[1..]).expect("a schema"));
    }
    if let Some(forms) = schema["anyOf"].as_array() {
        return sample(document, &forms[0]);
    }
    if let Some(choices) = schema["enum"].as_array() {
        return choices[0].clone();
    }
    match schema["type"].as_str() {
        Some("string") => {
            let prefix = schema["pattern"].as_str().unwrap_or("^x");
            json!(format!("{}_1", prefix.trim_start_matches('^')))
        }
        Some("array") => json!([]),
        Some("boolean") => json!(true),
        Some("number" | "integer") => json!(1),
        _ => {
            let names = schema["required"].as_array().into_iter().flatten();
            let fields = names.map(|name| {
                let name = name.as_str().expect("a name");
                (
                    name.to_owned(),
                    sample(document, &schema["properties"][name]),
                )
            });
            Value::Object(fields.collect())
        }
    }
}

fn takes_null(schema: &Value) -> bool {
    let mut choices = schema["anyOf"].as_array().into_iter().flatten();
    choices.any(|choice| choice["type"] == "null")
}

/// Bodies that the schema does not let pass: other kinds as a whole, and in each field.
fn wrong_bodies(document: &Value, schema: &Value) -> Vec<Value> {
    let mut bodies = vec![
        json!([]),
        json!(5),
        json!("x"),
        json!(null),
        json!(true),
        json!([{}]),
    ];
    let whole = sample(document, schema);
    let fields = schema["properties"].as_object().into_iter().flatten();
    for (name, field) in fields {
        let right = sample(document, field);
        let others = [
            json!(5),
            json!("x"),
            json!([[]]),
            json!({"x": {}}),
            json!(null),
        ];
        for other in others {
            // Whatever is of the kind of a right value may be right.
            if std::mem::discriminant(&other) == std::mem::discriminant(&right)
                || *field == json!({})
                || (other.is_null() && takes_null(field))
            {
                continue;
            }
            let mut body = whole.clone();
            body[name] = other;
            bodies.push(body);
        }
    }
    bodies
}

#[tokio::test]
async fn every_operation_refuses_what_the_contract_does_not_allow() {
    let scene = Scene::new(json!({})).await;
    let api = &scene.api;
    let document = api.get("/doc").await.ok();
    // A null deletes a key there, and exports have parts that the contract does not name.
    let wider = ["config.update", "global.config.update"];
    let imports = "kilocode.sessionImport.";
    let mut asked = 0;
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let id = operation["operationId"].as_str().expect("an id");
            if schema.is_null() || operation["x-kilo-status"].is_string() {
                continue;
            }
            let path = path.replace("{sessionID}", &scene.session);
            let path = path.replace(['{', '}'], "");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            let mut bodies = wrong_bodies(&document, schema);
            if wider.contains(&id) || id.starts_with(imports) {
                bodies.truncate(5);
            }
            for body in bodies {
                let request = api
                    .request(method.clone(), &path)
                    .header("content-type", "application/json")
                    .body(body.to_string());
                let answer = api.send(request).await;
                assert_eq!(answer.status, 400, "{id} {body}: {}", answer.text);
                asked += 1;
            }
        }
    }
    assert!(asked > 200, "{asked} bodies were refused");
    scene.unharmed().await;
}

#[tokio::test]
async fn a_title_has_a_limit_whoever_sets_it() {
    let scene = Scene::new(json!({})).await;
    let api = &scene.api;
    let session = format!("/session/{}", scene.session);
    for (bytes, status) in [(4_097, 400), (15 << 20, 413)] {
        let body = json!({"title": "x".repeat(bytes)});
        assert_eq!(api.post("/session", &body).await.status, status, "{bytes}");
        let patch = api
            .request(Method::PATCH, &session)
            .header("content-type", "application/json")
            .body(body.to_string());
        assert_eq!(api.send(patch).await.status, status, "{bytes}");
    }
    scene.unharmed().await;
}

#[tokio::test]
async fn unknown_ids() {
    let scene = Scene::new(json!({})).await;
    let api = &scene.api;
    let text = json!({"parts": [{"type": "text", "text": "x"}]});
    for id in [
        "ses_000000000000nosuchsession0",
        "nonsense",
        "%2e%2e%2f",
        "ses_%00",
        "ses_'\";--",
    ] {
        for path in [
            format!("/session/{id}"),
            format!("/session/{id}/message"),
            format!("/session/{id}/todo"),
        ] {
            let answer = api.get(&path).await;
            println!("GET {path}: {} {}", answer.status, answer.text);
            assert!(
                matches!(answer.status, 400 | 404),
                "{path}: {} {}",
                answer.status,
                answer.text
            );
            assert!(answer.body["name"].is_string(), "{}", answer.text);
        }
        let answer = api.post(&format!("/session/{id}/message"), &text).await;
        assert!(
            matches!(answer.status, 400 | 404),
            "{} {}",
            answer.status,
            answer.text
        );
    }
    let session = &scene.session;
    api.get(&format!(
        "/session/{session}/message/msg_000000000000nosuchmessage0"
    ))
    .await
    .refused(404, "NotFoundError");
    let revert = json!({"messageID": "msg_000000000000nosuchmessage0"});
    let answer = api
        .post(&format!("/session/{session}/revert"), &revert)
        .await;
    println!("revert: {} {}", answer.status, answer.text);
    assert!(matches!(answer.status, 400 | 404), "{}", answer.text);
    let answer = api
        .post("/permission/per_nosuch/reply", &json!({"reply": "once"}))
        .await;
    assert_eq!(
        (answer.status, answer.body["_tag"].as_str()),
        (404, Some("PermissionNotFoundError"))
    );
    assert_eq!(
        api.post("/question/que_nosuch/reject", &json!({}))
            .await
            .status,
        404
    );
    assert_eq!(api.get("/no/such/route").await.status, 404);
    let model =
        json!({"parts": text["parts"], "model": {"providerID": "nobody", "modelID": "nothing"}});
    let fresh = api.session().await;
    let answer = api.post(&format!("/session/{fresh}/message"), &model).await;
    println!("unknown model: {} {}", answer.status, answer.text);
    assert!(answer.text.contains("nobody"), "{}", answer.text);
    let agent = json!({"parts": text["parts"], "agent": "nobody-agent"});
    let answer = api.post(&format!("/session/{fresh}/message"), &agent).await;
    println!("unknown agent: {} {}", answer.status, answer.text);
    assert!(answer.text.contains("nobody-agent"), "{}", answer.text);
    scene.unharmed().await;
}

#[tokio::test]
async fn paths_that_lead_away() {
    let scene = Scene::new(json!({})).await;
    let api = &scene.api;
    std::fs::write(scene.project.path().join("a.txt"), "inside\n").expect("a file");
    assert!(
        api.get("/file/content?path=a.txt")
            .await
            .text
            .contains("inside")
    );
    for path in [
        "../../../../etc/passwd",
        "/etc/passwd",
        "a/../../x",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e/x",
    ] {
        for route in ["/file/content", "/file"] {
            let answer = api.get(&format!("{route}?path={path}")).await;
            println!("{route}?path={path}: {} {}", answer.status, answer.text);
            assert!(!answer.text.contains("root:"), "{path} was read");
            assert!(
                (400..500).contains(&answer.status),
                "{route} {path}: {}",
                answer.status
            );
        }
    }
    for path in ["a%00.txt", "%00"] {
        let answer = api.get(&format!("/file/content?path={path}")).await;
        println!("NUL {path}: {} {}", answer.status, answer.text);
        assert!(
            (400..500).contains(&answer.status),
            "{path}: {}",
            answer.status
        );
    }
    let nul = Api::new(&scene.daemon.url, "/tmp/a\0b".into());
    nul.get("/session").await.refused(400, "BadRequest");
    std::os::unix::fs::symlink("/etc/passwd", scene.project.path().join("link")).expect("a link");
    let answer = api.get("/file/content?path=link").await;
    assert!(
        !answer.text.contains("root:"),
        "a link led away: {}",
        answer.text
    );
    scene.unharmed().await;
}

#[tokio::test]
async fn a_directory_that_does_not_exist() {
    let scene = Scene::new(json!({})).await;
    let nowhere = scene.daemon.api_in("/no/such/folder/at all".as_ref());
    let listed = nowhere.get("/session").await;
    assert_eq!(listed.ok(), json!([]));
    assert!(nowhere.get("/config").await.status < 500);
    let made = nowhere.post("/session", &json!({})).await;
    println!("session nowhere: {} {}", made.status, made.text);
    if made.status == 200 {
        let id = made.body["id"].as_str().expect("an id");
        let answer = nowhere.prompt(id, "hello [[nowhere]]").await;
        println!("prompt nowhere: {} {}", answer.status, answer.text);
        assert!(
            answer.status < 500 || answer.body["name"].is_string(),
            "{}",
            answer.text
        );
    }
    assert!(!std::path::Path::new("/no").exists(), "the folder was made");
    scene.unharmed().await;
}

#[tokio::test]
async fn a_model_that_breaks_its_protocol() {
    let scene = Scene::new(json!({})).await;
    let raw = |text: &str| Step::Raw(text.to_owned());
    let (message, _) = scene
        .turn(
            "json",
            vec![Turn::of([
                Step::Text("before ".into()),
                raw("data: {oops\n\n"),
                Step::Text("after".into()),
            ])],
        )
        .await;
    println!("broken JSON: {message}");
    let text = message.to_string();
    assert!(text.contains("before "), "what came before is kept: {text}");
    assert!(message["info"]["time"]["completed"].is_u64());

    let arguments = Step::Call("read".into(), "{\"filePath\": \"a.t".into());
    let (message, session) = scene
        .turn("args", vec![Turn::of([arguments]), Turn::text("I see")])
        .await;
    println!("broken arguments: {message}");
    assert!(
        message.to_string().contains("I see"),
        "the model is told and goes on: {message}"
    );
    let call = &scene.api.tools(&session).await[0];
    assert_eq!(call["state"]["status"], "error", "{call}");

    let (message, session) = scene
        .turn(
            "unknown",
            vec![
                Turn::call("no_such_tool", &json!({"a": 1})),
                Turn::text("I see"),
            ],
        )
        .await;
    assert!(message.to_string().contains("I see"), "{message}");
    let call = &scene.api.tools(&session).await[0];
    println!("unknown tool: {call}");
    assert_eq!(call["state"]["status"], "error", "{call}");

    let wrong = Turn::call("read", &json!({"filePath": 5}));
    let (message, session) = scene.turn("types", vec![wrong, Turn::text("I see")]).await;
    assert!(message.to_string().contains("I see"), "{message}");
    assert_eq!(
        scene.api.tools(&session).await[0]["state"]["status"],
        "error"
    );

    let events = raw("data: 5\n\ndata: []\n\ndata: {\"choices\": 7}\n\n: comment\n\nevent: x\n\n");
    let (message, _) = scene
        .turn(
            "odd",
            vec![Turn::of([events, Step::Text("still here".into())])],
        )
        .await;
    println!("odd events: {message}");
    assert!(message["info"]["time"]["completed"].is_u64(), "{message}");
    scene.unharmed().await;
}

#[tokio::test]
async fn half_a_call_never_runs() {
    let scene = Scene::new(json!({})).await;
    let half = || {
        Step::HalfCall(
            "bash".into(),
            "{\"command\": \"touch ran.mark\", \"descr".into(),
        )
    };
    for (key, end) in [("dropped", Step::Drop), ("ended", Step::End)] {
        let (message, session) = scene
            .turn(key, vec![Turn::of([half(), end]), Turn::text("I see")])
            .await;
        println!("{key}: {message}");
        assert!(message["info"]["time"]["completed"].is_u64(), "{message}");
        for call in scene.api.tools(&session).await {
            assert_eq!(call["state"]["status"], "error", "{key}: {call}");
        }
    }
    assert!(
        !scene.project.path().join("ran.mark").exists(),
        "half a call ran"
    );
    scene.unharmed().await;
}

#[tokio::test]
async fn a_stream_that_stops() {
    let scene = Scene::new(json!({})).await;
    for (key, end) in [("dropped", Step::Drop), ("ended", Step::End)] {
        let cut = Turn::of([Step::Text("half a sen".into()), end]);
        let (message, session) = scene
            .turn(key, vec![cut, Turn::text("a whole sentence")])
            .await;
        println!("{key}: {message}");
        assert!(message["info"]["time"]["completed"].is_u64(), "{message}");
        let answers = scene.api.answers(&session).await;
        assert!(
            answers.contains("half a sen") || answers.contains("a whole sentence"),
            "{key}: {answers}"
        );
        scene.api.idle(&session).await;
    }
    scene.model.script(
        "stalled",
        [Turn::of([Step::Text("begun".into()), Step::Stall])],
    );
    let session = scene.api.session().await;
    scene
        .api
        .prompt_async(&session, "go [[stalled]]")
        .await
        .ok();
    eventually("the beginning", async || {
        (scene.api.answers(&session).await == "begun").then_some(())
    })
    .await;
    scene
        .api
        .post(&format!("/session/{session}/abort"), &json!({}))
        .await
        .ok();
    scene.api.idle(&session).await;
    let last = scene.api.messages(&session).await.pop().expect("an answer");
    assert_eq!(
        last["info"]["error"]["name"], "MessageAbortedError",
        "{last}"
    );
    assert_eq!(scene.api.answers(&session).await, "begun");
    scene.unharmed().await;
}

#[tokio::test]
async fn a_server_with_errors() {
    let scene = Scene::new(json!({})).await;
    let (message, session) = scene
        .turn(
            "once",
            vec![Turn::error(500, "oh no"), Turn::text("better")],
        )
        .await;
    println!("500 then good: {message}");
    assert!(message.to_string().contains("better"), "{message}");
    assert_eq!(scene.model.asked("once").len(), 2);
    assert_eq!(
        scene.api.messages(&session).await.len(),
        2,
        "a repetition is no message of its own"
    );

    let (message, _) = scene
        .turn("refused", vec![Turn::error(400, "no such thing here")])
        .await;
    println!("400: {message}");
    assert!(
        message["info"]["error"]
            .to_string()
            .contains("no such thing here"),
        "{message}"
    );
    assert_eq!(
        scene.model.asked("refused").len(),
        1,
        "it is not sent again"
    );
    scene.unharmed().await;
}

#[tokio::test]
async fn an_unreadable_configuration() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let session = api.session().await;
    api.prompt(&session, "remember [[history]]").await.ok();
    let history = api.messages(&session).await;
    let good = project.read("kilo.json");
    for broken in [
        "{",
        "5",
        "{\"model\": 7, \"permission\": \"maybe\"}",
        "{\"provider\": []}",
        "\u{0}\u{1}",
    ] {
        project.write("kilo.json", broken);
        api.post("/instance/dispose", &json!({})).await.ok();
        let warnings = api.get("/config/warnings").await.ok();
        println!("{broken:?}: {warnings}");
        assert!(
            warnings.to_string().contains("kilo.json"),
            "{broken:?} is not reported: {warnings}"
        );
        let config = api.get("/config").await;
        assert!(config.status < 500, "{}", config.text);
        assert_eq!(
            api.messages(&session).await,
            history,
            "history is readable with {broken:?}"
        );
        let answer = api.prompt_async(&session, "anything").await;
        println!("prompt: {} {}", answer.status, answer.text);
        if answer.status == 204 {
            api.post(&format!("/session/{session}/abort"), &json!({}))
                .await
                .ok();
            api.idle(&session).await;
        }
        let now = api.messages(&session).await;
        assert_eq!(now[..2], history[..], "history is whole");
        if now.len() > 2 {
            let body = json!({"messageID": now[2]["info"]["id"]});
            api.post(&format!("/session/{session}/revert"), &body)
                .await
                .ok();
            for message in &now[2..] {
                let path = format!(
                    "/session/{session}/message/{}",
                    message["info"]["id"].as_str().expect("an id")
                );
                api.send(api.request(Method::DELETE, &path)).await;
            }
        }
    }
    std::fs::remove_file(project.path().join("kilo.json")).expect("gone");
    std::fs::create_dir(project.path().join("kilo.json")).expect("a folder of that name");
    api.post("/instance/dispose", &json!({})).await.ok();
    assert!(api.get("/config").await.status < 500);
    std::fs::remove_dir(project.path().join("kilo.json")).expect("gone");
    project.write("kilo.json", &good);
    api.post("/instance/dispose", &json!({})).await.ok();
    api.prompt(&session, "again [[again]]").await.ok();
    assert!(api.answers(&session).await.contains("echo of again"));
}

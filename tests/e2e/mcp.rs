//! MCP servers as a user has them: `kilo mcp`, one process for many sessions, questions of a server.

#[path = "mcp/far.rs"]
mod far;

use far::Far;
use kilo_tests::{Api, Daemon, Home, Model, Project, Turn, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

const SERVER: &str = env!("CARGO_BIN_EXE_kilo-test-mcp");

fn local(name: &str) -> Value {
    json!({"type": "local", "command": [SERVER, name]})
}

/// What `kilo mcp …` prints; it has to end with `code`.
fn mcp(home: &Home, folder: &Path, code: i32, words: &[&str]) -> String {
    let all: Vec<&str> = ["mcp"].iter().chain(words).copied().collect();
    let ended = home.run(folder, &all);
    assert_eq!(
        ended.code,
        Some(code),
        "{words:?}: {}{}",
        ended.out,
        ended.err
    );
    ended.out + &ended.err
}

async fn asked(api: &Api, session: &str) -> Value {
    eventually("a question", async || {
        let open = api.get("/question").await.ok();
        let open = open.as_array()?;
        open.iter().find(|one| one["sessionID"] == session).cloned()
    })
    .await
}

async fn answer(api: &Api, question: &Value, label: &str) {
    let path = format!(
        "/question/{}/reply",
        question["id"].as_str().expect("an id")
    );
    api.post(&path, &json!({"answers": [[label]]})).await.ok();
}

/// The output of the session's last call.
async fn output(api: &Api, session: &str) -> String {
    let call = api.tools(session).await.pop().expect("a call");
    call["state"]["output"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_are_added_listed_tried_shown_and_removed() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let _daemon = Daemon::start(&home);
    let run = |code, words: &[&str]| mcp(&home, project.path(), code, words);
    assert!(run(0, &["list"]).contains("No MCP servers here"));
    assert!(run(1, &["add", "x"]).contains("say what to add"));
    let added = run(
        0,
        &["add", "notes", "--env", "KEY=hush", "--", SERVER, "notes"],
    );
    assert!(added.contains("Added notes to"), "{added}");
    let listed = run(0, &["list"]);
    for part in ["notes", "connected", "user", SERVER, "budget 24576 B"] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    let got = run(0, &["get", "notes"]);
    assert!(got.contains(SERVER) && !got.contains("hush"), "{got}");
    let tried = run(0, &["debug", "notes"]);
    for line in [
        "notes: connected",
        "tool notes_echo: Gives",
        "resource note://a",
    ] {
        assert!(tried.contains(line), "{line}: {tried}");
    }
    run(0, &["add", "broken", "--", "/nonexistent/server"]);
    assert!(run(1, &["debug", "broken"]).contains("broken: failed"));
    assert!(run(0, &["remove", "notes"]).contains("Removed notes"));
    assert!(run(1, &["get", "notes"]).contains("no MCP server"));
    assert!(run(1, &["remove", "notes"]).contains("no MCP server"));
    assert!(run(1, &["debug", "notes"]).contains("notes"));
    assert!(!run(0, &["list"]).contains("notes"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_for_other_agents_counts_once_it_is_trusted_and_as_long_as_it_stays() {
    let (home, model) = (Home::new(), Model::start());
    // A project cannot trust itself.
    let itself = json!({"experimental": {"mcp_json": true}});
    let project = Project::with(&model, &itself);
    let file = |name: &str| {
        let entry = json!({"command": SERVER, "args": [name]});
        project.write(
            ".mcp.json",
            &json!({"mcpServers": {name: entry}}).to_string(),
        );
    };
    file("theirs");
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let run = |words: &[&str]| mcp(&home, project.path(), 0, words);
    let listed = run(&["list"]);
    assert!(
        listed.contains("is not trusted: its servers (1)"),
        "{listed}"
    );
    assert_eq!(api.get("/mcp").await.ok(), json!({}));
    let trusted = run(&["trust"]);
    assert!(
        trusted.contains(&format!("theirs: {SERVER} theirs")),
        "{trusted}"
    );
    // The configuration is looked at again within milliseconds.
    let connected = json!({"theirs": {"status": "connected"}});
    eventually("the trusted server to be connected", async || {
        (api.get("/mcp").await.ok() == connected).then_some(())
    })
    .await;
    assert!(run(&["list"]).contains(".mcp.json"));
    // Other bytes are another file.
    file("other");
    eventually("the changed file to be left out", async || {
        (api.get("/mcp").await.ok() == json!({})).then_some(())
    })
    .await;
    assert!(run(&["list"]).contains("has changed since you trusted it"));
    run(&["trust"]);
    eventually("the new one to count", async || {
        run(&["list"]).contains("other").then_some(())
    })
    .await;
    run(&["trust", "--forget"]);
    eventually("none to count", async || {
        run(&["list"]).contains("is not trusted").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_sessions_in_ten_worktrees_share_the_processes_of_five_servers() {
    let (home, model) = (Home::new(), Model::start());
    let names = ["a", "b", "c", "d", "e"];
    let servers: serde_json::Map<String, Value> = names
        .iter()
        .map(|name| (name.to_string(), local(name)))
        .collect();
    let project = Project::with(&model, &json!({"mcp": servers}));
    let trees = tempfile::tempdir().expect("a folder");
    let trees = trees.path().canonicalize().expect("a path");
    let daemon = Daemon::start(&home);
    let mut sessions = Vec::new();
    for number in 0..10 {
        let tree = trees.join(number.to_string());
        let path = tree.to_string_lossy().into_owned();
        project.git(&["worktree", "add", "-q", "--detach", &path]);
        for one in 0..2 {
            sessions.push((daemon.api_in(&tree), format!("k{number}-{one}")));
        }
    }
    let turns = sessions.into_iter().map(async |(api, key)| {
        let calls = names.map(|name| Turn::call(&format!("{name}_pid"), &json!({})));
        model.script(&key, calls.into_iter().chain([Turn::text("done")]));
        let session = api.session().await;
        api.prompt(&session, &format!("go [[{key}]]")).await.ok();
        let calls = api.tools(&session).await;
        let pids = calls.iter().map(|call| call["state"]["output"].to_string());
        pids.collect::<Vec<String>>()
    });
    let told = futures_util::future::join_all(turns).await;
    assert!(told.iter().all(|pids| pids.len() == 5), "{told:?}");
    let pids: BTreeSet<String> = told.into_iter().flatten().collect();
    assert_eq!(pids.len(), 5, "{pids:?}");
    let listed = home.run(project.path(), &["ps", "--json"]);
    let running: Vec<Value> = serde_json::from_str(&listed.out).expect("a list");
    assert_eq!(running.len(), 5, "{running:?}");
    for one in &running {
        assert!(
            one["title"]
                .as_str()
                .is_some_and(|title| title.starts_with("mcp ")),
            "{one}"
        );
        assert_eq!(one["users"].as_array().map(Vec::len), Some(10), "{one}");
    }
    let table = home.run(project.path(), &["ps"]).out;
    assert!(table.contains("10 folders: "), "{table}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_asks_the_user_and_with_his_leave_the_model() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::with(&model, &json!({"mcp": {"s": local("s")}}));
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let turn = async |key: &str, tool: &str| {
        let input = json!({"text": "How many legs has a spider?"});
        model.script(key, [Turn::call(tool, &input), Turn::text("done")]);
        let session = api.session().await;
        api.prompt_async(&session, &format!("go [[{key}]]"))
            .await
            .ok();
        session
    };
    let session = turn("elicit", "s_elicit").await;
    let question = asked(&api, &session).await;
    answer(&api, &question, "blue").await;
    api.idle(&session).await;
    let said = output(&api, &session).await;
    assert!(
        said.contains(r#""action":"accept""#) && said.contains("blue"),
        "{said}"
    );

    let session = turn("sample", "s_sample").await;
    let question = asked(&api, &session).await;
    let text = question["questions"][0]["question"].to_string();
    assert!(
        text.contains("wants to ask your model") && text.contains("spider"),
        "{text}"
    );
    answer(&api, &question, "Yes, once").await;
    api.idle(&session).await;
    let said = output(&api, &session).await;
    assert!(
        said.contains(r#""model":"test/small""#) && said.contains("endTurn"),
        "{said}"
    );

    let session = turn("refused", "s_sample").await;
    let question = asked(&api, &session).await;
    answer(&api, &question, "No").await;
    api.idle(&session).await;
    let said = output(&api, &session).await;
    assert!(said.contains("User rejected"), "{said}");

    // A run that nobody watches refuses both without a question.
    let input = json!({"text": "x"});
    model.script(
        "run",
        [
            Turn::call("s_sample", &input),
            Turn::call("s_elicit", &input),
            Turn::text("the end"),
        ],
    );
    let ended = home.run(project.path(), &["run", "--format", "json", "go [[run]]"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.contains("User rejected"), "{}", ended.out);
    assert!(ended.out.contains("decline"), "{}", ended.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_signs_in_and_out_and_the_browser_is_opened_where_there_is_one() {
    let (home, model) = (Home::new(), Model::start());
    let far = Far::start(true).await;
    let project = Project::with(
        &model,
        &json!({"mcp": {"far": {"type": "remote", "url": far.url}}}),
    );
    // A browser that only says where it was sent; the test is the person in front of it.
    let visited = home.path().join("visited");
    let browser = home.path().join("browser");
    let script = format!(
        "#!/bin/sh\necho \"$1\" > {0}.new && mv {0}.new {0}\n",
        visited.display()
    );
    std::fs::write(&browser, script).expect("a file");
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&browser, mode).expect("a mode");
    let daemon = kilo_tests::Start::new(&home)
        .env("DISPLAY", ":77")
        .env("BROWSER", &browser)
        .go()
        .expect("a daemon");
    let api = daemon.api(&project);
    let statuses = api.get("/mcp").await.ok();
    assert_eq!(statuses, json!({"far": {"status": "needs_auth"}}));
    assert!(mcp(&home, project.path(), 0, &["list"]).contains("needs_auth"));
    let mut auth = home.kilo(&["mcp", "auth", "far"]);
    auth.env("DISPLAY", ":77").current_dir(project.path());
    auth.stdout(std::process::Stdio::piped());
    let auth = auth.spawn().expect("kilo");
    let address = eventually("the browser to be opened", async || {
        std::fs::read_to_string(&visited).ok()
    })
    .await;
    let page = reqwest::get(address.trim()).await.expect("an answer");
    assert!(
        page.text()
            .await
            .expect("a page")
            .contains("You are signed in")
    );
    let auth = tokio::task::spawn_blocking(|| auth.wait_with_output()).await;
    let auth = auth.expect("a task").expect("kilo");
    let said = String::from_utf8_lossy(&auth.stdout).into_owned();
    assert!(auth.status.success(), "{said}");
    assert!(
        said.contains(address.trim()),
        "the address is printed in any case: {said}"
    );
    assert!(said.contains("Signed in to far"), "{said}");
    assert_eq!(
        api.get("/mcp").await.ok(),
        json!({"far": {"status": "connected"}})
    );
    assert!(mcp(&home, project.path(), 0, &["debug", "far"]).contains("tool far_echo"));
    mcp(&home, project.path(), 0, &["logout", "far"]);
    assert_eq!(
        api.get("/mcp").await.ok(),
        json!({"far": {"status": "needs_auth"}})
    );
    assert!(mcp(&home, project.path(), 1, &["auth", "nobody"]).contains("nobody"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_clients_by_itself_says_so() {
    let (home, model) = (Home::new(), Model::start());
    let far = Far::start(false).await;
    let project = Project::with(
        &model,
        &json!({"mcp": {"far": {"type": "remote", "url": far.url}}}),
    );
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    assert_eq!(
        api.get("/mcp").await.ok(),
        json!({"far": {"status": "needs_auth"}})
    );
    let said = mcp(&home, project.path(), 1, &["auth", "far"]);
    assert!(said.contains("clientId"), "{said}");
    let status = api.get("/mcp").await.ok()["far"].clone();
    assert_eq!(status["status"], "needs_client_registration", "{status}");
    assert!(mcp(&home, project.path(), 0, &["list"]).contains("needs_client_registration"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cost_is_shown_and_the_budget_can_be_set() {
    let (home, model) = (Home::new(), Model::start());
    let config = json!({"mcp": {"s": local("s")}, "experimental": {"mcp_schema_bytes": 100}});
    let project = Project::with(&model, &config);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let shown = api.get("/x/mcp").await.ok();
    let server = &shown["servers"][0];
    assert_eq!(
        (&server["name"], &server["from"], &server["tools"]),
        (&json!("s"), &json!("project"), &json!(5))
    );
    assert!(
        server["bytes"].as_u64() > Some(100) && server["pid"].as_u64() > Some(1),
        "{server}"
    );
    let cost = &shown["cost"];
    assert_eq!(
        (&cost["budgetBytes"], &cost["search"]),
        (&json!(100), &json!(true))
    );
    assert_eq!(cost["schemaBytes"], server["bytes"]);
    assert_eq!(
        cost["tokens"].as_u64(),
        cost["bytes"].as_u64().map(|bytes| bytes.div_ceil(4))
    );
    model.script("k", [Turn::text("done")]);
    let session = api.session().await;
    api.prompt(&session, "go [[k]]").await.ok();
    let tools = model.asked("k")[0].body["tools"].to_string();
    assert!(
        tools.contains("tool_search")
            && tools.contains("mcp_read_resource")
            && !tools.contains("s_echo"),
        "{tools}"
    );
}

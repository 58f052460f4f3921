//! Language servers through the program: the routes, the tool `lsp` and its permissions, diagnostics behind a command.

use kilo_tests::{Api, Daemon, Home, Model, Project, Turn};
use serde_json::{Value, json};

/// A server that finds BUG in lines, and knows one symbol and its definition.
const SERVER: &str = r#"
import json, sys
read, write = sys.stdin.buffer, sys.stdout.buffer
def send(message):
    body = json.dumps(dict(message, jsonrpc="2.0")).encode()
    write.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
    write.flush()
def place(line): return {"start": {"line": line, "character": 0}, "end": {"line": line, "character": 3}}
known = "file:///"
while True:
    length = 0
    while True:
        line = read.readline()
        if not line: sys.exit()
        if line == b"\r\n": break
        if line.lower().startswith(b"content-length:"): length = int(line.split(b":")[1])
    message = json.loads(read.read(length))
    method, params = message.get("method"), message.get("params")
    if method == "initialize":
        can = {"textDocumentSync": 1, "definitionProvider": True, "workspaceSymbolProvider": True}
        send({"id": message["id"], "result": {"capabilities": can}})
    elif method in ("textDocument/didOpen", "textDocument/didChange"):
        document = params["textDocument"]
        known = document["uri"]
        text = document.get("text") or params["contentChanges"][0]["text"]
        found = [{"range": place(at), "severity": 1, "message": line} for at, line in enumerate(text.split("\n")) if "BUG" in line]
        send({"method": "textDocument/publishDiagnostics", "params": {"uri": known, "version": document["version"], "diagnostics": found}})
    elif method == "textDocument/definition":
        send({"id": message["id"], "result": [{"uri": params["textDocument"]["uri"], "range": place(1)}]})
    elif method == "workspace/symbol":
        send({"id": message["id"], "result": [{"name": params["query"], "kind": 12, "location": {"uri": known, "range": place(0)}}]})
    elif method == "shutdown":
        send({"id": message["id"], "result": None})
    elif method == "exit":
        sys.exit()
"#;

fn project(model: &Model, permission: &Value) -> Project {
    let command = ["/usr/bin/env", "python3", "server.py"];
    let lsp = json!({"fake": {"command": command, "extensions": [".conf"]}});
    let project = Project::with(model, &json!({"lsp": lsp, "permission": permission}));
    project.write("server.py", SERVER);
    project
}

async fn run(api: &Api, model: &Model, session: &str, key: &str, call: Turn) -> Value {
    model.script(key, [call, Turn::text("done")]);
    api.prompt(session, &format!("[[{key}]]")).await.ok();
    let calls = api.tools(session).await;
    calls.last().expect("a call")["state"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_commands_and_routes_know_what_the_server_knows() {
    let (home, model) = (Home::new(), Model::start());
    let project = project(&model, &json!({"*": "allow"}));
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let file = project.path().join("a.conf");
    assert_eq!(api.get("/lsp").await.ok(), json!([]));
    assert_eq!(api.get("/find/symbol?query=thing").await.ok(), json!([]));
    assert_eq!(api.get("/find/symbol").await.status, 400);

    let session = api.session().await;
    let write = Turn::call(
        "write",
        &json!({"filePath": file, "content": "one\nBUG two\n"}),
    );
    let written = run(&api, &model, &session, "w", write).await;
    let output = written["output"].as_str().unwrap_or_default();
    assert!(
        output.contains("New problems in a.conf:\nerror at 2:1: BUG two"),
        "{written}"
    );
    let diagnostics = &written["metadata"]["diagnostics"];
    assert_eq!(
        diagnostics[file.to_str().expect("text")][0]["message"],
        "BUG two"
    );

    let command = json!({"command": "echo 'BUG three' >> a.conf; echo 'BUG four' > b.conf", "description": "add"});
    let ran = run(&api, &model, &session, "b", Turn::call("bash", &command)).await;
    let output = ran["output"].as_str().unwrap_or_default();
    for wanted in [
        "error at 3:1: BUG three",
        "New problems in b.conf:\nerror at 1:1: BUG four",
    ] {
        assert!(output.contains(wanted), "{ran}");
    }

    let running = api.get("/lsp").await.ok();
    let expected = json!([{"id": "fake", "name": "fake", "root": "", "status": "connected"}]);
    assert_eq!(running, expected);
    let found = api.get("/find/symbol?query=thing").await.ok();
    assert_eq!(
        (&found[0]["name"], &found[0]["kind"]),
        (&json!("thing"), &json!(12))
    );
    assert!(
        found[0]["location"]["uri"]
            .as_str()
            .is_some_and(|uri| uri.ends_with(".conf"))
    );

    let ask = json!({"operation": "goToDefinition", "filePath": file, "line": 1, "character": 1});
    let asked = run(&api, &model, &session, "l", Turn::call("lsp", &ask)).await;
    assert_eq!(asked["status"], "completed", "{asked}");
    assert!(
        asked["output"]
            .as_str()
            .is_some_and(|text| text.contains("a.conf:2:1")),
        "{asked}"
    );
    let listed = home.run(project.path(), &["ps"]).out;
    assert!(listed.contains("lsp fake"), "{listed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tool_shows_nothing_of_a_file_that_may_not_be_read() {
    for (permission, file, is_allowed) in [
        (json!({"*": "allow", "lsp": "deny"}), "a.conf", false),
        (
            json!({"*": "allow", "read": {"*": "allow", "secret/*": "deny"}}),
            "secret/a.conf",
            false,
        ),
        (
            json!({"*": "allow", "read": {"*": "allow", "secret/*": "deny"}}),
            "link.conf",
            false,
        ),
        (
            json!({"*": "allow", "external_directory": "deny"}),
            "../outside.conf",
            false,
        ),
        (json!({"*": "allow"}), "a.conf", true),
    ] {
        let (home, model) = (Home::new(), Model::start());
        let project = project(&model, &permission);
        for name in ["a.conf", "secret/a.conf"] {
            project.write(name, "one\ntwo\n");
        }
        std::os::unix::fs::symlink("secret/a.conf", project.path().join("link.conf"))
            .expect("a link");
        let daemon = Daemon::start(&home);
        let api = daemon.api(&project);
        let session = api.session().await;
        let ask =
            json!({"operation": "goToDefinition", "filePath": file, "line": 1, "character": 1});
        let asked = run(&api, &model, &session, "l", Turn::call("lsp", &ask)).await;
        let expected = if is_allowed { "completed" } else { "error" };
        assert_eq!(asked["status"], expected, "{permission} {file}: {asked}");
        let is_started = api.get("/lsp").await.ok() != json!([]);
        assert_eq!(is_started, is_allowed, "{permission} {file}");
    }
}

//! What clients hear of the files that tools change.

use kilo_tests::{Daemon, Home, Model, Project, Seen, Turn};
use serde_json::{Value, json};

fn told(seen: &Seen) -> Option<(String, String)> {
    let text = |field| seen.field(field).as_str().unwrap_or_default().to_owned();
    (seen.name() == "file.watcher.updated").then(|| (text("file"), text("event")))
}

/// A file that comes, changes, moves and goes is told to clients each time, right behind `file.edited`.
#[tokio::test]
async fn clients_hear_how_each_written_file_changed() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::with(&model, &json!({"permission": "allow"}));
    let mut config: Value = serde_json::from_str(&project.read("kilo.json")).expect("JSON");
    // Models of this name get `apply_patch` in place of `write` and `edit`.
    let models = &mut config["provider"]["test"]["models"];
    models["gpt-5"] = models["test-model"].clone();
    project.write("kilo.json", &config.to_string());
    let name = |name: &str| project.path().join(name).display().to_string();
    let write = |content: &str| {
        let arguments = json!({"filePath": name("new.txt"), "content": content});
        Turn::call("write", &arguments)
    };
    let edit = |old: &str, new: &str| {
        let arguments = json!({"filePath": name("made.txt"), "oldString": old, "newString": new});
        Turn::call("edit", &arguments)
    };
    let patch = |body: &str| {
        let text = format!("*** Begin Patch\n{body}\n*** End Patch");
        Turn::call("apply_patch", &json!({"patchText": text}))
    };
    let edits = [
        write("one\n"),
        write("two\n2\n"),
        edit("", "x\n"),
        edit("x", "y"),
    ];
    model.script("edits", edits.into_iter().chain([Turn::text("done")]));
    let patches = [
        patch("*** Update File: new.txt\n*** Move to: moved.txt\n@@\n-two\n+three"),
        patch("*** Delete File: moved.txt"),
    ];
    model.script("patches", patches.into_iter().chain([Turn::text("done")]));

    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let session = api.session().await;
    let mut events = api.events().await;
    for (key, model) in [("edits", "test-model"), ("patches", "gpt-5")] {
        let prompt = json!({
            "model": {"providerID": "test", "modelID": model},
            "parts": [{"type": "text", "text": format!("[[{key}]]")}],
        });
        let path = format!("/session/{session}/message");
        api.post(&path, &prompt).await.ok();
    }
    let calls = api.tools(&session).await;
    for call in &calls {
        assert_eq!(call["state"]["status"], "completed", "{call}");
    }
    assert_eq!(calls.len(), 6);
    let expected = [
        ("new.txt", "add"),
        ("new.txt", "change"),
        ("made.txt", "add"),
        ("made.txt", "change"),
        ("moved.txt", "add"),
        ("new.txt", "unlink"),
        ("moved.txt", "unlink"),
    ];
    let mut heard = Vec::new();
    while heard.len() < expected.len() {
        let edited = events
            .until("an edited file", |seen| seen.name() == "file.edited")
            .await;
        let touched = events
            .until("what happened to it", |seen| told(seen).is_some())
            .await;
        assert_eq!(touched.field("file"), edited.field("file"));
        heard.extend(told(&touched));
    }
    // The two files of a move are told in any order.
    heard[4..6].sort();
    assert_eq!(
        heard,
        expected.map(|(file, event)| (name(file), event.to_owned()))
    );
}

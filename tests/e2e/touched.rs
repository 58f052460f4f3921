//! What clients hear of the files that tools change.

use kilo_tests::{Daemon, Home, Model, Project, Seen, Turn};
use serde_json::json;

fn told(seen: &Seen) -> Option<(String, String)> {
    let text = |field| seen.field(field).as_str().unwrap_or_default().to_owned();
    (seen.name() == "file.watcher.updated").then(|| (text("file"), text("event")))
}

/// A file that comes, changes, moves and goes is told to clients each time, behind `file.edited`.
#[tokio::test]
async fn clients_hear_how_each_written_file_changed() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::with(&model, &json!({"permission": "allow"}));
    let (daemon, name) = (Daemon::start(&home), |name: &str| {
        project.path().join(name).display().to_string()
    });
    let patch = "*** Begin Patch\n*** Update File: new.txt\n*** Move to: moved.txt\n@@\n-two\n+three\n*** End Patch";
    let delete = "*** Begin Patch\n*** Delete File: moved.txt\n*** End Patch";
    model.script(
        "files",
        [
            Turn::call(
                "write",
                &json!({"filePath": name("new.txt"), "content": "one\n"}),
            ),
            Turn::call(
                "write",
                &json!({"filePath": name("new.txt"), "content": "two\n2\n"}),
            ),
            Turn::call(
                "edit",
                &json!({"filePath": name("made.txt"), "oldString": "", "newString": "x\n"}),
            ),
            Turn::call(
                "edit",
                &json!({"filePath": name("made.txt"), "oldString": "x", "newString": "y"}),
            ),
            Turn::call("apply_patch", &json!({"patchText": patch})),
            Turn::call("apply_patch", &json!({"patchText": delete})),
            Turn::text("done"),
        ],
    );
    let api = daemon.api(&project);
    let session = api.session().await;
    let mut events = api.events().await;
    api.prompt(&session, "[[files]]").await.ok();
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

//! Undo in a folder that several hands work in.

use kilo_tests::{Api, Daemon, Home, Model, Project, Turn};
use serde_json::{Value, json};

const LINES: usize = 40;

fn numbered(changed: &[(usize, &str)]) -> String {
    let line = |n: usize| match changed.iter().find(|(at, _)| *at == n) {
        Some((_, text)) => format!("{text}\n"),
        None => format!("line {n}\n"),
    };
    (1..=LINES).map(line).collect()
}

/// Lets a session change one line by the edit tool.
async fn edits(
    api: &Api,
    model: &Model,
    project: &Project,
    session: &str,
    line: usize,
    text: &str,
) {
    let key = format!("edit-{line}");
    let input = json!({
        "filePath": project.path().join("shared.txt"),
        "oldString": format!("line {line}\n"),
        "newString": format!("{text}\n"),
    });
    let look = json!({"filePath": project.path().join("shared.txt")});
    model.script(
        &key,
        [
            Turn::call("read", &look),
            Turn::call("edit", &input),
            Turn::text("done"),
        ],
    );
    api.prompt(session, &format!("change it [[{key}]]"))
        .await
        .ok();
    for call in api.tools(session).await {
        assert_eq!(call["state"]["status"], "completed", "{call}");
    }
}

async fn first_prompt(api: &Api, session: &str) -> Value {
    api.messages(session).await[0]["info"]["id"].clone()
}

#[tokio::test]
async fn undo_of_one_session_keeps_everybody_elses_lines() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    project.write("shared.txt", &numbered(&[]));
    project.commit("shared");
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let (one, other) = (api.session().await, api.session().await);
    edits(&api, &model, &project, &one, 3, "ONE").await;
    let by_hand = project
        .read("shared.txt")
        .replace("line 20\n", "A PERSON\n");
    project.write("shared.txt", &by_hand);
    edits(&api, &model, &project, &other, 35, "OTHER").await;
    let all = numbered(&[(3, "ONE"), (20, "A PERSON"), (35, "OTHER")]);
    assert_eq!(project.read("shared.txt"), all);

    let body = json!({"messageID": first_prompt(&api, &one).await});
    let reverted = api
        .post(&format!("/session/{one}/revert"), &body)
        .await
        .ok();
    assert_eq!(reverted["revert"]["messageID"], body["messageID"]);
    assert_eq!(
        project.read("shared.txt"),
        numbered(&[(20, "A PERSON"), (35, "OTHER")])
    );

    api.post(&format!("/session/{one}/unrevert"), &json!({}))
        .await
        .ok();
    assert_eq!(
        project.read("shared.txt"),
        all,
        "redo brings back that line alone"
    );

    let body = json!({"messageID": first_prompt(&api, &other).await});
    api.post(&format!("/session/{other}/revert"), &body)
        .await
        .ok();
    assert_eq!(
        project.read("shared.txt"),
        numbered(&[(3, "ONE"), (20, "A PERSON")])
    );
}

#[tokio::test]
async fn undo_removes_own_files_only_and_survives_a_restart() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let (one, other) = (api.session().await, api.session().await);
    for (session, name) in [(&one, "one.txt"), (&other, "other.txt")] {
        let input = json!({"filePath": project.path().join(name), "content": format!("{name}\n")});
        model.script(name, [Turn::call("write", &input), Turn::text("done")]);
        api.prompt(session, &format!("write it [[{name}]]"))
            .await
            .ok();
    }
    project.write("mine.txt", "a person's\n");
    daemon.kill();

    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let body = json!({"messageID": first_prompt(&api, &one).await});
    api.post(&format!("/session/{one}/revert"), &body)
        .await
        .ok();
    let files = ["one.txt", "other.txt", "mine.txt"].map(|name| project.read(name));
    assert_eq!(files, ["", "other.txt\n", "a person's\n"]);
    api.post(&format!("/session/{one}/unrevert"), &json!({}))
        .await
        .ok();
    assert_eq!(project.read("one.txt"), "one.txt\n");
}

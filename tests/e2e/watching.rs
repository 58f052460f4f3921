//! What clients hear of changes that no session made, and what a running daemon reads again.

use kilo_tests::{Api, Daemon, Events, Home, Model, Project, Turn, eventually};
use serde_json::{Value, json};
use std::path::Path;

async fn open(api: &Api, path: &str) -> Events {
    let events = Events::open(api, path, None).await;
    events.expect("an event stream")
}

/// The files that are told of up to `last`.
async fn told_up_to(events: &mut Events, last: &Path) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        let seen = events.until("a changed file", |seen| {
            seen.name() == "file.watcher.updated"
        });
        let file = seen
            .await
            .field("file")
            .as_str()
            .unwrap_or_default()
            .to_owned();
        told.push(file.clone());
        if Path::new(&file) == last {
            return told;
        }
    }
}

/// Writes a file again and again until it is told of: the watching of a folder begins a moment after its first use.
async fn watched(events: &mut Events, file: &Path) {
    let mut writing = tokio::time::interval(std::time::Duration::from_millis(200));
    let mut round = 0;
    let heard = events.until("the folder is watched", |seen| {
        seen.name() == "file.watcher.updated" && seen.field("file") == &json!(file)
    });
    tokio::pin!(heard);
    loop {
        tokio::select! {
            _ = &mut heard => return,
            _ = writing.tick() => {
                round += 1;
                std::fs::write(file, format!("{round}")).expect("written");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_all_events_hear_of_the_folders_in_use() {
    let (home, model) = (Home::new(), Model::start());
    let (before, after, unused) = (
        Project::new(&model),
        Project::new(&model),
        Project::new(&model),
    );
    let daemon = Daemon::start(&home);
    daemon.api(&before).get("/config").await.ok();
    let mut events = open(&daemon.api(&unused), "/global/event").await;
    watched(&mut events, &before.path().join("probe")).await;
    // A folder that comes into use later; and a session's turn uses its own.
    let api = daemon.api(&after);
    let session = api.session().await;
    model.script("k", [Turn::text("done")]);
    api.prompt(&session, "[[k]]").await.ok();
    watched(&mut events, &after.path().join("probe")).await;

    unused.write("unheard", "x");
    after.write("b.txt", "x");
    let told = told_up_to(&mut events, &after.path().join("b.txt")).await;
    assert!(
        !told.iter().any(|file| file.ends_with("unheard")),
        "{told:?}"
    );
    before.git(&["switch", "-q", "-c", "work"]);
    let branch = events
        .until("another branch", |seen| seen.name() == "vcs.branch.updated")
        .await;
    assert_eq!(branch.folder.as_deref(), before.path().to_str());
    assert_eq!(branch.field("branch"), "work");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tools_write_is_told_once_and_ignored_files_never() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    project.write(".gitignore", "/made/\n*.tmp\n");
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let session = api.session().await;
    let mut events = open(&api, "/event").await;
    watched(&mut events, &project.path().join("probe")).await;
    let name = |name: &str| project.path().join(name);
    let write = json!({"filePath": name("new.txt"), "content": "one\n"});
    let bash = json!({"command": "echo two > by-command.txt", "description": "write"});
    let calls = [Turn::call("write", &write), Turn::call("bash", &bash)];
    model.script("k", calls.into_iter().chain([Turn::text("done")]));
    api.prompt(&session, "[[k]]").await.ok();
    project.write("made/a.txt", "x");
    project.write("a.tmp", "x");
    // What a tool wrote is passed over as long as that is fresh; by the time that the last one is told it was seen.
    project.write("last.txt", "x");
    let told = told_up_to(&mut events, &name("last.txt")).await;
    let count = |wanted: &str| {
        let named = told.iter().filter(|file| Path::new(file) == name(wanted));
        named.count()
    };
    assert_eq!(count("new.txt"), 1, "{told:?}");
    assert!(count("by-command.txt") >= 1, "{told:?}");
    assert_eq!((count("made/a.txt"), count("a.tmp")), (0, 0), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_running_daemon_is_configured_with_is_read_again() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let named = async |path: &str, name: &str| -> Option<Value> {
        let all = api.get(path).await.ok();
        let mut all = all.as_array().cloned().unwrap_or_default().into_iter();
        all.find(|one| one["name"] == name)
    };
    for path in ["/agent", "/command", "/skill"] {
        assert!(named(path, "helper").await.is_none(), "{path}");
    }
    for (file, path) in [
        (".kilo/agent/helper.md", "/agent"),
        (".kilo/command/helper.md", "/command"),
        (".kilo/skills/helper/SKILL.md", "/skill"),
    ] {
        for (text, is_there) in [("first", true), ("second", true), ("", false)] {
            match is_there {
                true => {
                    let head = format!("---\nname: helper\ndescription: {text}\n---\nDo it.\n");
                    project.write(file, &head);
                }
                false => std::fs::remove_file(project.path().join(file)).expect("removed"),
            }
            eventually(&format!("{file} {text}"), || async {
                let found = named(path, "helper").await;
                match is_there {
                    true => (found?["description"] == text).then_some(()),
                    false => found.is_none().then_some(()),
                }
            })
            .await;
        }
    }
    let own = project.read("kilo.json");
    for username in ["first", "second"] {
        let mut changed: Value = serde_json::from_str(&own).expect("JSON");
        changed["username"] = username.into();
        project.write("kilo.json", &changed.to_string());
        eventually("the changed configuration", || async {
            (api.get("/config").await.ok()["username"] == username).then_some(())
        })
        .await;
    }
    // One that cannot be read is said so, and the next good one counts again.
    project.write("kilo.json", "{ nonsense");
    eventually("a warning", || async {
        let warnings = api.get("/config/warnings").await.ok();
        (warnings != json!([])).then_some(())
    })
    .await;
    project.write("kilo.json", &own);
    eventually("no warning", || async {
        (api.get("/config/warnings").await.ok() == json!([])).then_some(())
    })
    .await;
    let global = home.path().join(".config/kilo/kilo.json");
    std::fs::create_dir_all(global.parent().expect("a folder")).expect("made");
    std::fs::write(&global, r#"{"username": "everywhere"}"#).expect("written");
    eventually("the user's own configuration", || async {
        (api.get("/config").await.ok()["username"] == "everywhere").then_some(())
    })
    .await;
}

/// `cargo nextest run -p kilo-tests --run-ignored only --no-capture figures_of_routes`, with `KILO_BIN` of a release.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures"]
async fn figures_of_routes() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::new(&model);
    for number in 0..10_000 {
        let name = format!(
            "src/part{}/module{}/file{number}.rs",
            number % 20,
            number % 400
        );
        project.write(&name, &format!("fn number_{number}() {{}}\n"));
    }
    project.commit("many");
    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let _events = open(&api, "/event").await;
    for path in [
        "/file?path=",
        "/file?path=src/part3",
        "/file/content?path=a.txt",
        "/find/file?query=file1234",
        "/find/file?query=md7",
        "/find/symbol?query=number",
        "/find?pattern=number_7777",
        "/file/status",
        "/vcs",
    ] {
        let mut times = Vec::new();
        for _ in 0..40 {
            let begun = std::time::Instant::now();
            api.get(path).await.ok();
            times.push(begun.elapsed());
        }
        let first = times[0];
        times.sort();
        println!(
            "{path}: first {first:?}, p50 {:?}, p90 {:?}",
            times[20], times[36]
        );
    }
}

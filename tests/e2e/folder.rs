//! The data folder: a full disk, a second daemon.

use kilo_tests::{Daemon, Home, Model, Project, Start, can_mount};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system of a few MiB; gone with this value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir_all(&path).expect("a folder");
        can_mount(size, &path).then_some(Self(path))
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for SmallDisk {
    #[allow(clippy::disallowed_methods, reason = "unmounting takes the command")]
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

fn start_on(home: &Home, data: &Path) -> Daemon {
    Start::new(home)
        .env("XDG_DATA_HOME", data.as_os_str())
        .go()
        .expect("a daemon")
}

#[tokio::test]
async fn a_full_disk_refuses_prompts_and_loses_none_that_was_accepted() {
    let (home, model) = (Home::new(), Model::start());
    let Some(disk) = SmallDisk::mount(home.path().join("disk"), "24m") else {
        eprintln!("left out: no right to mount a tmpfs");
        return;
    };
    std::fs::write(disk.ballast(), vec![0; 8 << 20]).expect("ballast");
    let project = Project::with(&model, &json!({"snapshot": false}));
    let daemon = start_on(&home, &disk.0);
    let api = daemon.api(&project);
    let session = api.session().await;
    let mut accepted = Vec::new();
    let refusal = loop {
        assert!(accepted.len() < 1_000, "the disk never was full");
        let text = format!("number {} {}", accepted.len(), "x".repeat(100_000));
        let body = json!({"noReply": true, "parts": [{"type": "text", "text": text}]});
        let answer = api
            .post(&format!("/session/{session}/message"), &body)
            .await;
        match answer.status {
            200 => accepted.push(text),
            _ => break answer,
        }
    };
    assert!(
        accepted.len() > 10,
        "only {} prompts were accepted",
        accepted.len()
    );
    refusal.refused(507, "StorageFull");
    let async_refusal = api.prompt_async(&session, &"y".repeat(200_000)).await;
    async_refusal.refused(507, "StorageFull");
    let texts = async |api: &kilo_tests::Api| -> Vec<String> {
        let messages = api.messages(&session).await;
        messages
            .iter()
            .map(|message| {
                message["parts"][0]["text"]
                    .as_str()
                    .expect("a text")
                    .to_owned()
            })
            .collect()
    };
    assert_eq!(
        texts(&api).await,
        accepted,
        "reading works while the disk is full"
    );
    daemon.kill();
    let daemon = start_on(&home, &disk.0);
    assert_eq!(
        texts(&daemon.api(&project)).await,
        accepted,
        "and after a crash with a full disk"
    );
    std::fs::remove_file(disk.ballast()).expect("room");
    let api = daemon.api(&project);
    api.prompt(&session, "there is room again [[room]]")
        .await
        .ok();
    assert!(api.answers(&session).await.contains("echo of room"));
}

#[tokio::test]
async fn a_second_daemon_says_whose_the_folder_is() {
    let home = Home::new();
    let first = Daemon::start(&home);
    let refused = Start::new(&home).go().err().expect("a refusal");
    assert_eq!(refused.ended.code, Some(1));
    let said = &refused.ended.err;
    assert!(
        said.contains(&first.pid().to_string()) && said.contains(&first.url),
        "{said}"
    );
    let answer = first.api_in(home.path()).get("/global/health").await;
    assert_eq!(answer.ok()["healthy"], true, "the first goes on");
    assert_eq!(first.stop(), Some(0));
    Daemon::start(&home);
}

#[tokio::test]
async fn a_killed_daemons_folder_is_free_at_once() {
    let home = Home::new();
    Daemon::start(&home).kill();
    let second = Daemon::start(&home);
    assert!(second.took.as_secs() < 5, "{:?}", second.took);
}

//! `KILO_PARENT_PID`: a daemon ends with the process that it names, seen from outside.

use kilo_tests::{Daemon, Home, Model, Project, Start, Turn, eventually, sleeper};
use serde_json::json;
use std::process::Child;
use std::time::{Duration, Instant};

/// What clients are promised. The reference needs 2.6 s.
const END_MAX: Duration = Duration::from_secs(3);

fn end(mut parent: Child) {
    parent.kill().expect("its end");
    parent.wait().expect("its status");
}

/// Waits for the daemon's end; answers how long it took since `since`.
fn until_ended(daemon: &mut Daemon, since: Instant) -> Duration {
    let ended = daemon.wait(Duration::from_secs(30));
    assert_eq!(ended, Some(Some(0)), "{}", daemon.log());
    since.elapsed()
}

#[test]
fn a_daemon_ends_with_the_process_that_started_it() {
    let home = Home::new();
    let parent = sleeper();
    let mut daemon = Start::new(&home)
        .env("KILO_PARENT_PID", parent.id().to_string())
        .go()
        .expect("a daemon");
    end(parent);
    let took = until_ended(&mut daemon, Instant::now());
    assert!(took <= END_MAX, "{took:?}");
}

/// A parent that nobody collects is over all the same.
#[test]
fn a_parent_that_is_a_zombie_has_ended() {
    let home = Home::new();
    let mut parent = sleeper();
    let mut daemon = Start::new(&home)
        .env("KILO_PARENT_PID", parent.id().to_string())
        .go()
        .expect("a daemon");
    parent.kill().expect("its end");
    let took = until_ended(&mut daemon, Instant::now());
    assert!(took <= END_MAX, "{took:?}");
    parent.wait().expect("its status");
}

#[test]
fn a_daemon_whose_parent_is_gone_at_its_start_ends_at_once() {
    let home = Home::new();
    let parent = sleeper();
    let pid = parent.id().to_string();
    end(parent);
    let since = Instant::now();
    // It may be gone before it could say where it listens.
    let ended = match Start::new(&home).env("KILO_PARENT_PID", pid).go() {
        Ok(mut daemon) => daemon.wait(Duration::from_secs(30)),
        Err(refused) => Some(refused.ended.code),
    };
    assert_eq!(ended, Some(Some(0)));
    let took = since.elapsed();
    assert!(took <= END_MAX, "{took:?}");
}

/// A turn, a command that takes no SIGTERM and a client on the stream do not hold it, and nothing outlives it.
#[tokio::test]
async fn nothing_that_runs_holds_the_end_back() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::with(&model, &json!({"permission": {"bash": "allow"}}));
    let command = json!({"command": "trap '' TERM; echo $$ > pid; while :; do sleep 1; done", "description": "wait"});
    model.script("hold", [Turn::call("bash", &command)]);
    let parent = sleeper();
    let mut daemon = Start::new(&home)
        .env("KILO_PARENT_PID", parent.id().to_string())
        .go()
        .expect("a daemon");
    let api = daemon.api(&project);
    let _open = api.events().await;
    let session = api.session().await;
    api.prompt_async(&session, "[[hold]]").await.ok();
    let pid = eventually("the command", async || {
        let text = std::fs::read_to_string(project.path().join("pid")).ok()?;
        text.trim().parse::<u32>().ok()
    })
    .await;
    end(parent);
    let since = Instant::now();
    let took = tokio::task::spawn_blocking(move || until_ended(&mut daemon, since))
        .await
        .expect("an end");
    assert!(took <= END_MAX, "{took:?}");
    eventually("the command's end", async || {
        let path = format!("/proc/{pid}");
        (!std::path::Path::new(&path).exists()).then_some(())
    })
    .await;
}

#[test]
fn what_names_no_process_ends_nothing() {
    let homes: Vec<_> = ["", "0", "1", "-1", "editor", "99999999999"]
        .map(|pid| (Home::new(), pid))
        .into();
    let mut daemons: Vec<_> = homes
        .iter()
        .map(|(home, pid)| {
            let started = Start::new(home).env("KILO_PARENT_PID", *pid).go();
            (started.expect("a daemon"), *pid)
        })
        .collect();
    // Longer than the pause between two looks for a parent.
    let looked = Instant::now() + Duration::from_millis(1_500);
    for (daemon, pid) in &mut daemons {
        let rest = looked.saturating_duration_since(Instant::now());
        assert_eq!(daemon.wait(rest), None, "{pid:?}: {}", daemon.log());
    }
    for (daemon, pid) in daemons {
        assert_eq!(daemon.stop(), Some(0), "{pid:?}");
    }
}

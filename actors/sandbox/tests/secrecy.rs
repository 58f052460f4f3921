//! What a command can see of the daemon through `/proc`.

#![allow(
    clippy::disallowed_methods,
    reason = "the daemon's part is played by a process of its own, as another user where that is possible"
)]

mod support;

use kilo_ports::sandbox::Sandbox;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::{bash, run, sandbox};

/// Nobody's number on most systems; any that is not root's will do.
const OTHER_USER: u32 = 65_534;

/// Looks at every process from the command up to the daemon, as the command can. What opens is printed with its name.
const LOOK: &str = r#"
    p=$PPID
    while :; do
        tr '\0' '\n' <"/proc/$p/environ" && echo "opened environ"
        tr '\0' '\n' <"/proc/$p/cmdline"
        { exec 9<"/proc/$p/mem"; } 2>/dev/null && echo "opened mem"
        head -c 1 "/proc/$p/maps" >/dev/null && echo "opened maps"
        ls -l "/proc/$p/fd" && echo "opened fd"
        readlink "/proc/$p/cwd" && echo "opened cwd"
        echo "saw $p"
        [ "$p" = "$DAEMON" ] && break
        p=$(awk '/^PPid/ { print $2 }' "/proc/$p/status")
        [ "$p" -gt 1 ] || break
    done 2>/dev/null
"#;

/// Plays the daemon for the tests below.
#[tokio::test]
#[ignore = "it is run as a child by the tests below"]
async fn daemon_process() {
    if std::env::var_os("KILO_TEST_DAEMON").is_none() {
        return;
    }
    let sandbox = sandbox(100);
    kilo_sandbox::conceal_variables(&["SOME_API_KEY".into()]);
    kilo_sandbox::conceal_memory().expect("allowed");
    let mut spec = bash(LOOK);
    spec.env = vec![("DAEMON".into(), std::process::id().to_string())];
    println!("{}", run(&sandbox, spec).await.1);
}

/// Asks as the front door does while one child hides its descriptors: a program that its own user may not read.
#[tokio::test]
#[ignore = "it is run as a child by the tests below"]
async fn door_process() {
    if std::env::var_os("KILO_TEST_DAEMON").is_none() {
        return;
    }
    kilo_sandbox::conceal_memory().expect("allowed");
    let sandbox = sandbox(100);
    let folder = tempfile::tempdir().expect("a folder");
    for (mode, what) in [(0o555, "plain"), (0o111, "hidden")] {
        let program = folder.path().join(what);
        std::fs::copy("/bin/sleep", &program).expect("copied");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(mode)).expect("set");
        let (sender, mut receiver) = tokio::sync::mpsc::channel(4);
        let script = format!("echo up; exec {} 100", program.display());
        let running = tokio::spawn(sandbox.run(bash(&script), sender, Default::default()));
        support::wait_for(&mut receiver, "up").await;
        while support::processes_with(&program.display().to_string()).is_empty() {}
        println!("{what}: {}", sandbox.owned_by_child(1));
        running.abort();
        let _ = running.await;
        support::left_after(&program.display().to_string(), Duration::from_secs(10));
    }
}

fn look_as(user: Option<u32>) -> String {
    play("daemon_process", user)
}

fn play(part: &str, user: Option<u32>) -> String {
    // By way of /proc, since another user may not be let into this program's folder.
    let mut daemon = Command::new("/proc/self/exe");
    daemon
        .args(["--exact", part, "--ignored", "--nocapture"])
        .env("KILO_TEST_DAEMON", "1")
        .env("KILO_SERVER_PASSWORD", "hunter-one")
        .env("KILO_AUTH_CONTENT", "{\"provider\":\"hunter-two\"}")
        .env("KILO_CONFIG_CONTENT", "hunter=three")
        .env("SOME_API_KEY", "hunter-four")
        .env("KEPT_BESIDE_THEM", "plain")
        .current_dir("/tmp")
        .stderr(Stdio::inherit());
    if let Some(user) = user {
        daemon.uid(user).gid(user);
    }
    let output = daemon.output().expect("a daemon");
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn no_ancestor_of_a_command_shows_the_daemons_secrets() {
    let seen = look_as(None);
    assert_eq!(seen.matches("saw ").count(), 2, "init and daemon: {seen}");
    assert!(!seen.contains("hunter"), "{seen}");
    if rustix::process::geteuid().is_root() {
        // Root is let in, and finds the other variables where they were.
        assert!(seen.contains("KEPT_BESIDE_THEM=plain"), "{seen}");
    }
}

#[test]
fn memory_and_descriptors_of_its_ancestors_are_closed_to_a_command() {
    let root = rustix::process::geteuid().is_root();
    let seen = look_as(root.then_some(OTHER_USER));
    assert_eq!(seen.matches("saw ").count(), 2, "init and daemon: {seen}");
    assert!(!seen.contains("opened"), "{seen}");
}

#[test]
fn a_child_that_hides_its_descriptors_may_hold_any_socket() {
    let root = rustix::process::geteuid().is_root();
    let said = play("door_process", root.then_some(OTHER_USER));
    assert!(said.contains("plain: false"), "{said}");
    assert!(said.contains("hidden: true"), "{said}");
}

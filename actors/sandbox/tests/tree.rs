//! Nothing that a run started is left when the run is over, however it ends.

#![allow(
    clippy::disallowed_methods,
    reason = "the owner that is killed must be a process of its own"
)]

mod support;

use kilo_ports::sandbox::{Exit, Sandbox};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::{
    bash, escape_artists, left_after, processes_with, run, sandbox, unique_seconds, wait_for,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_normal_end_takes_everything_along() {
    let seconds = unique_seconds(1);
    let (exit, output) = run(&sandbox(100), bash(&(escape_artists(&seconds) + "exit 0"))).await;
    assert_eq!(
        (exit.expect("an end"), output.trim()),
        (Exit::Code(0), "ready")
    );
    assert_eq!(processes_with(&seconds), [0; 0]);
}

#[tokio::test]
async fn cancel_takes_everything_along() {
    let seconds = unique_seconds(2);
    let (sender, mut receiver) = mpsc::channel(4);
    let cancel = CancellationToken::new();
    let script = escape_artists(&seconds) + "trap '' TERM; wait; wait; sleep 100";
    let running = tokio::spawn(sandbox(100).run(bash(&script), sender, cancel.clone()));
    wait_for(&mut receiver, "ready").await;
    cancel.cancel();
    assert_eq!(
        running.await.expect("no panic").expect("an end"),
        Exit::Cancelled
    );
    assert_eq!(processes_with(&seconds), [0; 0]);
}

#[tokio::test]
async fn a_dropped_run_takes_everything_along() {
    let seconds = unique_seconds(3);
    let (sender, mut receiver) = mpsc::channel(4);
    let sandbox = sandbox(100);
    let running = tokio::spawn(sandbox.run(
        bash(&(escape_artists(&seconds) + "wait")),
        sender,
        CancellationToken::new(),
    ));
    wait_for(&mut receiver, "ready").await;
    running.abort();
    assert!(running.await.is_err_and(|error| error.is_cancelled()));
    assert_eq!(left_after(&seconds, SOON), [0; 0]);
    assert_eq!(sandbox.live(), 0);
}

#[tokio::test]
async fn one_run_does_not_touch_another() {
    let sandbox = sandbox(100);
    let seconds = unique_seconds(4);
    let (sender, mut receiver) = mpsc::channel(4);
    let cancel = CancellationToken::new();
    let other = tokio::spawn(sandbox.run(
        bash(&format!("setsid sleep {seconds} & echo up; wait")),
        sender,
        cancel.clone(),
    ));
    wait_for(&mut receiver, "up").await;
    run(&sandbox, bash("setsid sleep 77 & exit 0"))
        .await
        .0
        .expect("an end");
    assert_eq!(sandbox.live(), 1);
    assert!(!processes_with(&seconds).is_empty());
    cancel.cancel();
    other.await.expect("no panic").expect("an end");
}

#[tokio::test]
async fn kill_all_ends_every_run_at_once() {
    let seconds = unique_seconds(5);
    let sandbox = sandbox(60_000);
    let mut running = Vec::new();
    for _ in 0..3 {
        let (sender, mut receiver) = mpsc::channel(4);
        let script = format!("trap '' TERM; setsid sleep {seconds} & echo up; wait");
        running.push(tokio::spawn(sandbox.run(
            bash(&script),
            sender,
            CancellationToken::new(),
        )));
        wait_for(&mut receiver, "up").await;
    }
    let killer = sandbox.clone();
    tokio::task::spawn_blocking(move || killer.kill_all())
        .await
        .expect("no panic");
    assert_eq!(processes_with(&seconds), [0; 0]);
    for run in running {
        assert_eq!(
            run.await.expect("no panic").expect("an end"),
            Exit::Signal(9)
        );
    }
}

/// Waits until a process with this word is there; how many there are.
async fn left_after_start(word: &str) -> usize {
    loop {
        match processes_with(word).len() {
            0 => tokio::task::yield_now().await,
            count => return count,
        }
    }
}

#[tokio::test]
async fn a_killed_init_takes_everything_along() {
    kilo_sandbox::become_subreaper().expect("allowed");
    let mut beside = Command::new("sleep").arg("100").spawn().expect("a child");
    let seconds = unique_seconds(6);
    let (sender, mut receiver) = mpsc::channel(4);
    let script = format!(
        "setsid sleep {seconds} & env -i /usr/bin/setsid /bin/sleep {seconds} & \
         while [ $(pgrep -c -f '^[^ ]*sleep {seconds}') -lt 2 ]; do :; done; echo $PPID up; wait"
    );
    let sandbox = sandbox(100);
    let detached = unique_seconds(16);
    let outlives = bash(&format!("exec setsid sleep {detached}"));
    sandbox.detach(outlives).await.expect("started");
    assert_eq!(left_after_start(&detached).await, 1);
    let running = tokio::spawn(sandbox.run(bash(&script), sender, CancellationToken::new()));
    let said = wait_for(&mut receiver, "up").await;
    let init: i32 = said
        .split_whitespace()
        .next()
        .and_then(|pid| pid.parse().ok())
        .expect("a pid");
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(init).expect("a pid"),
        rustix::process::Signal::KILL,
    )
    .expect("killed");
    assert_eq!(
        running.await.expect("no panic").expect("an end"),
        Exit::Signal(9)
    );
    assert_eq!(left_after(&seconds, SOON), [0; 0]);
    assert!(
        beside.try_wait().expect("a look").is_none(),
        "a child of the owner itself is no orphan"
    );
    let kept = processes_with(&detached);
    assert_eq!(kept.len(), 1, "what is to outlive the daemon is no orphan");
    for pid in kept {
        let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
    }
    beside.kill().expect("killed");
    beside.wait().expect("gone");
}

/// In a container the leader of the daemon's session may be outside: the session's number is 0 there.
#[test]
fn in_a_process_namespace_it_takes_everything_along_too() {
    let mut inside = Command::new("unshare");
    inside.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    let allowed = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", "true"])
        .stderr(Stdio::null())
        .status();
    if !allowed.is_ok_and(|status| status.success()) {
        eprintln!("not shown here: a namespace of processes is not allowed");
        return;
    }
    let output = inside
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", "a_killed_init_takes_everything_along"])
        .output()
        .expect("a run");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The owner of the next test: starts the escape artists and waits to be killed.
#[tokio::test]
#[ignore = "it is run as a child by the test below"]
async fn owner_process() {
    let Ok(seconds) = std::env::var("KILO_TEST_SECONDS") else {
        return;
    };
    let (sender, mut receiver) = mpsc::channel(4);
    let _running = tokio::spawn(sandbox(100).run(
        bash(&(escape_artists(&seconds) + "wait")),
        sender,
        CancellationToken::new(),
    ));
    wait_for(&mut receiver, "ready").await;
    eprintln!("owner ready");
    std::future::pending::<()>().await;
}

#[test]
fn a_killed_owner_leaves_no_orphan() {
    for (salt, signal) in [
        (7, rustix::process::Signal::KILL),
        (8, rustix::process::Signal::TERM),
    ] {
        let seconds = unique_seconds(salt);
        let mut owner = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "owner_process", "--ignored", "--nocapture"])
            .env("KILO_TEST_SECONDS", &seconds)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("an owner");
        let mut lines = BufReader::new(owner.stderr.take().expect("a pipe")).lines();
        assert!(lines.any(|line| line.is_ok_and(|line| line.contains("owner ready"))));
        assert!(processes_with(&seconds).len() >= 8);
        rustix::process::kill_process(rustix::process::Pid::from_child(&owner), signal)
            .expect("killed");
        owner.wait().expect("gone");
        assert_eq!(left_after(&seconds, SOON), [0; 0]);
    }
}

#[tokio::test]
async fn no_zombie_is_left() {
    let sandbox = sandbox(100);
    for _ in 0..20 {
        run(&sandbox, bash("setsid true & exit 0"))
            .await
            .0
            .expect("an end");
    }
    let own = std::process::id();
    let started = std::time::Instant::now();
    let children = || {
        std::fs::read_dir("/proc/self/task")
            .expect("tasks")
            .flatten()
            .map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default())
            .collect::<String>()
    };
    while !children().trim().is_empty() {
        assert!(started.elapsed() < SOON, "{own}: {}", children());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_socket_of_a_descendant_is_known() {
    let sandbox = sandbox(100);
    let mine = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let own = std::fs::metadata(format!(
        "/proc/self/fd/{}",
        std::os::fd::AsRawFd::as_raw_fd(&mine)
    ))
    .expect("stat")
    .ino();
    assert!(!sandbox.owned_by_child(own));

    let port = mine.local_addr().expect("an address").port();
    let (sender, mut receiver) = mpsc::channel(4);
    let cancel = CancellationToken::new();
    let script = format!(
        "setsid bash -c 'exec 7<>/dev/tcp/127.0.0.1/{port}; stat -L -c up%i /proc/self/fd/7; sleep 100' & wait"
    );
    let running = tokio::spawn(sandbox.run(bash(&script), sender, cancel.clone()));
    let said = wait_for(&mut receiver, "\n").await;
    let inode: u64 = said
        .trim()
        .trim_start_matches("up")
        .parse()
        .expect("an inode");
    assert!(sandbox.owned_by_child(inode));
    assert!(!sandbox.owned_by_child(own));
    cancel.cancel();
    running.await.expect("no panic").expect("an end");
    assert!(!sandbox.owned_by_child(inode));
}

#[test]
fn orphans_are_collected_at_the_second_look_children_of_others_are_not() {
    kilo_sandbox::become_subreaper().expect("allowed");
    let orphans = kilo_sandbox::Orphans::default();
    let mut kept = Command::new("sh")
        .args(["-c", "sleep 0.1 & exit 5"])
        .spawn()
        .expect("a child");
    assert_eq!(orphans.sweep(), 0);
    assert_eq!(kept.wait().expect("its own end").code(), Some(5));
    let started = std::time::Instant::now();
    while orphans.sweep() == 0 {
        assert!(started.elapsed() < SOON);
    }
    assert_eq!(orphans.sweep(), 0);
}

//! One run: output, end, variables, stdin, bounds.

mod support;

use kilo_ports::sandbox::{Exit, Sandbox, SandboxError};
use kilo_sandbox::{ProcessSandbox, RUN_MARK, Settings};
use std::time::{Duration, Instant};
use support::{bash, run, run_with, sandbox, wait_for};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn output_of_both_streams_keeps_its_order() {
    let script = "for i in 1 2 3 4 5; do echo out$i; echo err$i >&2; done";
    let (exit, output) = run(&sandbox(100), bash(script)).await;
    assert_eq!(exit.expect("an end"), Exit::Code(0));
    assert_eq!(
        output,
        "out1\nerr1\nout2\nerr2\nout3\nerr3\nout4\nerr4\nout5\nerr5\n"
    );
}

#[tokio::test]
async fn ends_are_told_apart() {
    let sandbox = sandbox(100);
    assert_eq!(
        run(&sandbox, bash("exit 3")).await.0.expect("an end"),
        Exit::Code(3)
    );
    assert_eq!(
        run(&sandbox, bash("kill -SEGV $$"))
            .await
            .0
            .expect("an end"),
        Exit::Signal(11)
    );
    let mut missing = bash("");
    missing.program = "no-such-program-here".into();
    assert!(matches!(
        run(&sandbox, missing).await.0,
        Err(SandboxError::Spawn { .. })
    ));
    let mut nowhere = bash("true");
    nowhere.directory = "/no/such/folder".into();
    assert!(matches!(
        run(&sandbox, nowhere).await.0,
        Err(SandboxError::Spawn { .. })
    ));
    assert_eq!(sandbox.live(), 0);
}

#[tokio::test]
async fn a_program_is_found_on_the_path_of_the_child() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("my-own-tool");
    std::fs::write(&program, "#!/bin/sh\necho \"mine: $1\"\n").expect("written");
    std::fs::set_permissions(
        &program,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .expect("set");
    let mut spec = bash("");
    spec.program = "my-own-tool".into();
    spec.args = vec!["a b".into()];
    spec.env = vec![(
        "PATH".into(),
        format!("/nowhere:{}", folder.path().display()),
    )];
    assert_eq!(run(&sandbox(100), spec).await.1, "mine: a b\n");
}

#[tokio::test]
async fn secrets_and_denied_names_are_gone_others_stay() {
    let base = [
        ("KILO_SERVER_PASSWORD", "p"),
        ("KILO_SERVER_USERNAME", "u"),
        ("KILO_AUTH_CONTENT", "a"),
        ("KILO_CONFIG_CONTENT", "c"),
        ("SOME_API_KEY", "k"),
        ("OTHER_API_KEY", "kept"),
        ("PATH", "/usr/bin:/bin"),
    ];
    let mut settings = Settings::new(base.map(|(name, value)| (name.into(), value.into())));
    settings.denied_env = vec!["SOME_API_KEY".into()];
    let sandbox = ProcessSandbox::new(settings).expect("a sandbox");
    let mut spec = bash("/usr/bin/env");
    spec.env = vec![
        ("EXTRA".into(), "x".into()),
        ("KILO_AUTH_CONTENT".into(), "again".into()),
    ];
    spec.program = "/usr/bin/env".into();
    spec.args.clear();
    let (_, output) = run(&sandbox, spec).await;
    let (marks, mut rest): (Vec<&str>, Vec<&str>) =
        output.lines().partition(|line| line.starts_with(RUN_MARK));
    rest.sort_unstable();
    assert_eq!(
        rest,
        ["EXTRA=x", "OTHER_API_KEY=kept", "PATH=/usr/bin:/bin"]
    );
    assert_eq!(marks.len(), 1);
}

#[tokio::test]
async fn stdin_is_closed_or_what_was_given() {
    let sandbox = sandbox(100);
    assert_eq!(
        run(&sandbox, bash("wc -c; tty; cat /dev/tty"))
            .await
            .1
            .lines()
            .next(),
        Some("0")
    );
    let mut spec = bash("cat");
    spec.stdin = Some("from here\n".into());
    assert_eq!(run(&sandbox, spec).await.1, "from here\n");
}

#[tokio::test]
async fn a_child_inherits_no_descriptor_and_no_ignored_signal() {
    let leak = std::fs::File::open("/etc/hostname").expect("opened");
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).expect("no close-on-exec");
    let (_, output) = run(
        &sandbox(100),
        bash("ls /proc/$$/fd | tr '\\n' ' '; grep -E 'SigBlk|SigIgn' /proc/self/status"),
    )
    .await;
    assert!(output.starts_with("0 1 2 "), "{output}");
    assert!(!output.starts_with("0 1 2 3 4"), "{output}");
    let mask = |name: &str| {
        let line = output
            .lines()
            .find_map(|line| line.split(name).nth(1))
            .expect("a mask");
        u64::from_str_radix(line.trim(), 16).expect("hexadecimal")
    };
    // Signals 32 and 33 belong to the C library, which lets nobody touch them.
    assert_eq!(
        (mask("SigBlk:"), mask("SigIgn:") & !0x1_8000_0000),
        (0, 0),
        "{output}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_runs_beside_busy_threads_all_end_well() {
    let done = CancellationToken::new();
    let busy: Vec<_> = (0..2)
        .map(|_| {
            std::thread::spawn({
                let done = done.clone();
                move || fail_calls_until(&done)
            })
        })
        .collect();
    let sandbox = sandbox(1_000);
    let mut runs = tokio::task::JoinSet::new();
    for number in 0..400_u32 {
        if runs.len() >= 16 {
            runs.join_next().await.expect("one").expect("no panic");
        }
        let sandbox = sandbox.clone();
        runs.spawn(async move {
            let (exit, output) = run(
                &sandbox,
                bash(&format!(
                    "echo {number}; (setsid sleep 99 &); exit {}",
                    number % 200
                )),
            )
            .await;
            assert_eq!(
                exit.expect("an end"),
                Exit::Code(i32::try_from(number % 200).expect("small"))
            );
            assert_eq!(output, format!("{number}\n"));
        });
    }
    while let Some(run) = runs.join_next().await {
        run.expect("no panic");
    }
    done.cancel();
    for thread in busy {
        thread.join().expect("errno was always right");
    }
}

/// Looks at `errno` again and again: a run's own process must never write to it.
fn fail_calls_until(done: &CancellationToken) {
    while !done.is_cancelled() {
        let error = std::fs::File::open("/no/such/file").expect_err("it is not there");
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        std::hint::black_box(vec![0_u8; 100_000]);
    }
}

#[tokio::test]
async fn a_timeout_ends_the_command_and_keeps_what_it_said() {
    let mut spec = bash("echo begin; sleep 100; echo no");
    spec.timeout_ms = Some(200);
    let (exit, output) = run(&sandbox(100), spec).await;
    assert_eq!(exit.expect("an end"), Exit::TimedOut);
    assert_eq!(output, "begin\n");
}

#[tokio::test]
async fn cancel_gives_time_to_clean_up_then_kills() {
    let sandbox = sandbox(10_000);
    let (sender, mut receiver) = mpsc::channel(4);
    let cancel = CancellationToken::new();
    let script = "trap 'echo cleaned; exit 0' TERM; echo begin; while :; do sleep 0.01; done";
    let running = tokio::spawn(sandbox.run(bash(script), sender, cancel.clone()));
    wait_for(&mut receiver, "begin").await;
    cancel.cancel();
    wait_for(&mut receiver, "cleaned").await;
    assert_eq!(
        running.await.expect("no panic").expect("an end"),
        Exit::Cancelled
    );

    let stubborn = support::sandbox(50);
    let cancel = CancellationToken::new();
    cancel.cancel();
    let (exit, output) = run_with(&stubborn, bash("echo never"), cancel).await;
    assert_eq!(
        (exit.expect("an end"), output.as_str()),
        (Exit::Cancelled, "")
    );
}

#[tokio::test]
async fn a_stubborn_command_is_killed_after_the_grace() {
    let sandbox = sandbox(100);
    let (sender, mut receiver) = mpsc::channel(4);
    let cancel = CancellationToken::new();
    let script = "trap '' TERM; echo begin; while :; do sleep 0.05; done";
    let running = tokio::spawn(sandbox.run(bash(script), sender, cancel.clone()));
    wait_for(&mut receiver, "begin").await;
    let started = Instant::now();
    cancel.cancel();
    assert_eq!(
        running.await.expect("no panic").expect("an end"),
        Exit::Cancelled
    );
    assert!(started.elapsed() >= Duration::from_millis(100));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_slow_reader_slows_the_command_not_the_memory() {
    let sandbox = sandbox(100);
    let (sender, mut receiver) = mpsc::channel(2);
    let running = tokio::spawn(sandbox.run(
        bash("head -c 104857600 /dev/zero"),
        sender,
        CancellationToken::new(),
    ));
    let before = resident_kib();
    let (mut total, mut most) = (0_usize, 0);
    while let Some(bytes) = receiver.recv().await {
        total += bytes.len();
        most = most.max(resident_kib());
    }
    assert_eq!(
        running.await.expect("no panic").expect("an end"),
        Exit::Code(0)
    );
    assert_eq!(total, 104_857_600);
    assert!(most < before + 20 * 1024, "{before} -> {most} KiB");
}

#[tokio::test]
async fn nobody_listening_does_not_block_the_command() {
    let sandbox = sandbox(100);
    let (sender, receiver) = mpsc::channel(2);
    drop(receiver);
    let exit = sandbox
        .run(
            bash("head -c 10000000 /dev/zero; exit 4"),
            sender,
            CancellationToken::new(),
        )
        .await;
    assert_eq!(exit.expect("an end"), Exit::Code(4));
}

#[tokio::test]
async fn a_stranger_that_holds_the_pipe_does_not_hold_the_run() {
    // The stranger is no descendant: it opens the pipe through /proc.
    let sandbox = sandbox(100);
    let (sender, mut receiver) = mpsc::channel(4);
    let running = tokio::spawn(sandbox.run(
        bash("echo $$; sleep 0.3; echo last"),
        sender,
        CancellationToken::new(),
    ));
    let pid = wait_for(&mut receiver, "\n").await;
    let held = std::fs::OpenOptions::new()
        .write(true)
        .open(format!("/proc/{}/fd/1", pid.trim()))
        .expect("opened");
    wait_for(&mut receiver, "last").await;
    let exit = tokio::time::timeout(Duration::from_secs(10), running)
        .await
        .expect("not held");
    assert_eq!(exit.expect("no panic").expect("an end"), Exit::Code(0));
    drop(held);
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .expect("VmRSS");
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .expect("a number")
}

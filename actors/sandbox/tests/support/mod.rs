//! What the tests of this crate share.
#![allow(dead_code)]

use bytes::Bytes;
use kilo_ports::sandbox::{Exit, ProcessSpec, Sandbox, SandboxError};
use kilo_sandbox::{ProcessSandbox, Settings};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub fn sandbox(grace_ms: u64) -> ProcessSandbox {
    let mut settings = Settings::new(std::env::vars_os());
    settings.grace = Duration::from_millis(grace_ms);
    ProcessSandbox::new(settings).expect("a sandbox")
}

pub fn bash(command: &str) -> ProcessSpec {
    ProcessSpec {
        program: "/bin/bash".into(),
        args: vec!["-c".into(), command.into()],
        directory: "/tmp".into(),
        env: Vec::new(),
        timeout_ms: Some(30_000),
        stdin: None,
    }
}

/// Runs to the end; the output as text.
pub async fn run(
    sandbox: &ProcessSandbox,
    spec: ProcessSpec,
) -> (Result<Exit, SandboxError>, String) {
    run_with(sandbox, spec, CancellationToken::new()).await
}

pub async fn run_with(
    sandbox: &ProcessSandbox,
    spec: ProcessSpec,
    cancel: CancellationToken,
) -> (Result<Exit, SandboxError>, String) {
    let (sender, mut receiver) = mpsc::channel::<Bytes>(4);
    let exit = tokio::spawn(sandbox.run(spec, sender, cancel));
    let mut output = Vec::new();
    while let Some(bytes) = receiver.recv().await {
        output.extend_from_slice(&bytes);
    }
    (
        exit.await.expect("no panic"),
        String::from_utf8_lossy(&output).into_owned(),
    )
}

/// Waits until `wanted` has been printed; gives the receiver back.
pub async fn wait_for(receiver: &mut mpsc::Receiver<Bytes>, wanted: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(wanted) {
        let bytes = tokio::time::timeout(Duration::from_secs(20), receiver.recv())
            .await
            .expect("output in time");
        seen.push_str(&String::from_utf8_lossy(&bytes.expect("more output")));
    }
    seen
}

/// Numbers of the living processes whose arguments contain `needle`.
pub fn processes_with(needle: &str) -> Vec<i32> {
    let own = std::process::id();
    let Ok(folder) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    folder
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| u32::try_from(*pid) != Ok(own))
        .filter(|pid| {
            let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&arguments).contains(needle)
        })
        .collect()
}

/// Waits until no process has `needle` in its arguments; the ones that are left after `bound`.
pub fn left_after(needle: &str, bound: Duration) -> Vec<i32> {
    let started = Instant::now();
    loop {
        let left = processes_with(needle);
        if left.is_empty() || started.elapsed() > bound {
            return left;
        }
        std::thread::yield_now();
    }
}

/// A number that no other process has among its arguments: `sleep` takes it as its seconds.
pub fn unique_seconds(salt: u32) -> String {
    format!("{}.{salt:04}", 100_000 + std::process::id())
}

/// A script that starts `sleep SECONDS` in every way that tries to get away, then says `ready`.
pub fn escape_artists(seconds: &str) -> String {
    format!(
        "sleep {seconds} & \
         setsid sleep {seconds} & \
         (setsid sh -c 'setsid sleep {seconds} & exit' &) ; \
         env -i /usr/bin/setsid /bin/sleep {seconds} & \
         (env -i /usr/bin/setsid /bin/sh -c '/bin/sleep {seconds} & exit' &) ; \
         sh -c 'trap \"\" TERM HUP INT; while :; do sleep {seconds}; done' & \
         nohup sleep {seconds} >/dev/null 2>&1 & \
         while [ $(pgrep -c -f 'sleep {seconds}') -lt 8 ]; do :; done; echo ready; "
    )
}

use super::Bash;
use crate::testing::Stage;
use kilo_ports::fakes::FakeHost;
use kilo_ports::tool::{Tool, ToolError, ToolOutput};
use kilo_sandbox::{ProcessSandbox, Settings};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

fn stage() -> Stage {
    let mut stage = Stage::new();
    let mut settings = Settings::new([("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())]);
    settings.grace = Duration::from_millis(100);
    stage.cx.sandbox = Arc::new(ProcessSandbox::new(settings).unwrap());
    stage
}

async fn run(stage: &Stage, input: Value) -> Result<ToolOutput, ToolError> {
    let checked = crate::check::Checker::new(&Bash.spec()).check(input);
    let input = checked.map_err(ToolError::Failed)?;
    Bash.run(input, stage.cx.clone()).await
}

async fn done(stage: &Stage, input: Value) -> ToolOutput {
    run(stage, input).await.unwrap()
}

/// Waits until the host has been shown this output.
async fn shown(host: &FakeHost, wanted: &str) {
    let seen = async {
        while !host
            .progress
            .lock()
            .iter()
            .any(|metadata| metadata["output"] == wanted)
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), seen)
        .await
        .unwrap();
}

#[tokio::test]
async fn output_exit_and_title() {
    let stage = stage();
    let input = json!({"command": "echo out; echo err >&2; exit 3", "description": "say things"});
    let output = done(&stage, input).await;
    assert_eq!(output.title, "say things");
    assert_eq!(
        output.output,
        "out\nerr\n\n[The command ended with exit code 3.]"
    );
    assert_eq!(
        Value::Object(output.metadata),
        json!({"output": "out\nerr\n", "exit": 3, "description": "say things", "truncated": false})
    );
    let output = done(&stage, json!({"command": "true\n# more"})).await;
    assert_eq!(
        (output.title.as_str(), output.output.as_str()),
        ("true", "(no output)")
    );
    assert_eq!(output.metadata["exit"], 0);
}

#[tokio::test]
async fn it_runs_in_the_folder_or_in_workdir() {
    let stage = stage();
    stage.write("src/a.ts", "");
    assert_eq!(
        done(&stage, json!({"command": "pwd"})).await.output.trim(),
        stage.root().to_str().unwrap()
    );
    for workdir in ["src".to_owned(), stage.shown("src")] {
        let output = done(&stage, json!({"command": "pwd", "workdir": workdir})).await;
        assert_eq!(output.output.trim(), stage.shown("src"));
    }
    let error = run(&stage, json!({"command": "pwd", "workdir": "src/a.ts"}))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("is not a folder"));
}

#[tokio::test]
async fn permissions_come_first() {
    let stage = stage();
    stage.write(".env", "SECRET=1");
    *stage.host.denied.lock() = vec!["read".into()];
    let error = run(&stage, json!({"command": "touch made; cat .env"}))
        .await
        .unwrap_err();
    assert_eq!(error, ToolError::Rejected("rejected".into()));
    assert!(!stage.path("made").exists());
    assert_eq!(
        stage.permissions(),
        [("read".to_owned(), vec![".env".to_owned()])]
    );

    *stage.host.denied.lock() = vec!["external_directory".into()];
    let outside = stage.base().canonicalize().unwrap();
    run(
        &stage,
        json!({"command": format!("echo x > {}/f", outside.display())}),
    )
    .await
    .unwrap_err();
    run(&stage, json!({"command": "pwd", "workdir": outside}))
        .await
        .unwrap_err();
    assert!(!outside.join("f").exists());

    // A file that a command writes is part of its own request.
    *stage.host.denied.lock() = vec!["bash".into()];
    run(&stage, json!({"command": "echo x > f"}))
        .await
        .unwrap_err();
    assert!(!stage.path("f").exists());
    let asked = stage.permissions();
    assert_eq!(
        asked.last(),
        Some(&("bash".to_owned(), vec!["echo x > f".to_owned()]))
    );
}

#[tokio::test]
async fn a_search_leaves_secrets_out_and_says_so() {
    let stage = stage();
    stage.write(".env", "KEY=1");
    stage.write("deep/prod.env", "KEY=2");
    stage.write("deep/a.txt", "KEY=3");
    let output = done(&stage, json!({"command": "grep -rn KEY . | sort"})).await;
    assert_eq!(
        output.output,
        "./deep/a.txt:1:KEY=3\n\n[grep left out files with secrets: *.env, *.env.*. Name one to ask for it.]"
    );
    let asked = stage.permissions();
    assert!(asked.iter().all(|(permission, _)| permission == "bash"));
    let output = done(&stage, json!({"command": "grep -n KEY .env"})).await;
    assert_eq!(output.output, "1:KEY=1\n");
    assert_eq!(
        stage
            .permissions()
            .iter()
            .filter(|(permission, _)| permission == "read")
            .count(),
        1
    );
}

#[tokio::test]
async fn output_is_shown_while_it_runs() {
    let stage = stage();
    let command = "echo first; while [ ! -f go ]; do sleep 0.01; done; echo second";
    let input = json!({"command": command, "description": "x"});
    let running = tokio::spawn(Bash.run(input, stage.cx.clone()));
    shown(&stage.host, "first\n").await;
    assert_eq!(stage.host.progress.lock()[0]["description"], "x");
    stage.write("go", "");
    let output = running.await.unwrap().unwrap();
    assert_eq!(output.output, "first\nsecond\n");
    assert!(stage.host.progress.lock().len() <= 3);
}

#[tokio::test]
async fn what_is_shown_while_it_runs_is_in_proportion_to_the_output() {
    let stage = stage();
    let command = "head -c 40000 /dev/zero | tr '\\0' x; \
                   for i in $(seq 100); do echo; sleep 0.02; done";
    let output = done(&stage, json!({"command": command, "description": "x"})).await;
    let shown: Vec<usize> = stage
        .host
        .progress
        .lock()
        .iter()
        .filter_map(|metadata| Some(metadata["output"].as_str()?.len()))
        .collect();
    // Two seconds and more of drops behind 40,000 bytes: ten looks a second would show 30,000 bytes each.
    assert!(shown.len() >= 3, "{shown:?}");
    assert!(shown.iter().sum::<usize>() < 100_000, "{shown:?}");
    assert_eq!(output.metadata["output"].as_str().unwrap().len(), 30_000);
}

/// The log keeps what comes behind the old end: a mark in place of half a character would stand in the way of that.
#[tokio::test]
async fn what_is_shown_while_it_runs_goes_on_with_whole_characters() {
    let stage = stage();
    let command = r"printf 'a\xe2\x82'; while [ ! -f go ]; do sleep 0.01; done; \
                    printf '\xacb\xff\xf0'; while [ ! -f on ]; do sleep 0.01; done";
    let running = tokio::spawn(Bash.run(json!({"command": command}), stage.cx.clone()));
    shown(&stage.host, "a").await;
    stage.write("go", "");
    shown(&stage.host, "a€b\u{fffd}").await;
    stage.write("on", "");
    let output = running.await.unwrap().unwrap();
    assert_eq!(
        output.output, "a€b\u{fffd}\u{fffd}",
        "the end is what it is"
    );
}

#[tokio::test]
async fn a_timeout_is_an_answer() {
    let stage = stage();
    let output = done(
        &stage,
        json!({"command": "echo begin; sleep 100", "timeout": 100}),
    )
    .await;
    assert!(
        output
            .output
            .starts_with("begin\n\n[The command timed out: it was ended after 100 ms"),
        "{}",
        output.output
    );
    assert_eq!(
        (&output.metadata["exit"], &output.metadata["output"]),
        (&Value::Null, &json!("begin\n"))
    );
}

#[tokio::test]
async fn an_abort_keeps_what_was_said() {
    let stage = stage();
    let input = json!({"command": "echo start; sleep 100; touch never", "description": "x"});
    let running = tokio::spawn(Bash.run(input, stage.cx.clone()));
    shown(&stage.host, "start\n").await;
    stage.cx.cancel.cancel();
    let error = running.await.unwrap().unwrap_err();
    let ToolError::Aborted { metadata } = error else {
        panic!("{error}")
    };
    assert_eq!(
        (&metadata["output"], &metadata["aborted"]),
        (&json!("start\n"), &json!(true))
    );
    assert!(!stage.path("never").exists());
}

#[tokio::test]
async fn a_long_output_is_cut_at_its_head_and_kept() {
    let stage = stage();
    let output = done(&stage, json!({"command": "seq 1 20000"})).await;
    let path = output.metadata["outputPath"].as_str().unwrap();
    assert_eq!(output.metadata["truncated"], true);
    assert!(
        output.output.contains("2000 of 20000 lines"),
        "{}",
        &output.output[..300]
    );
    assert!(output.output.contains(path));
    assert!(output.output.ends_with("]\n\n18001\n") || output.output.contains("]\n\n18001\n"));
    assert!(output.output.ends_with("\n20000\n"));
    let whole: String = (1..=20_000).map(|n| format!("{n}\n")).collect();
    assert_eq!(std::fs::read_to_string(path).unwrap(), whole);
    assert_eq!(
        output.metadata["output"].as_str().unwrap().chars().count(),
        30_000
    );
    let name = std::path::Path::new(path)
        .file_name()
        .unwrap()
        .to_str()
        .unwrap();
    assert_eq!((name.len(), &name[..5]), (31, "tool_"));
}

#[tokio::test]
async fn one_endless_line_is_bounded_too() {
    let stage = stage();
    let output = done(
        &stage,
        json!({"command": "head -c 20000000 /dev/zero | tr '\\0' 'x'"}),
    )
    .await;
    assert!(output.output.len() < 52_000);
    assert_eq!(
        std::fs::metadata(output.metadata["outputPath"].as_str().unwrap())
            .unwrap()
            .len(),
        20_000_000
    );
    let kept = output.metadata["output"].as_str().unwrap();
    assert_eq!(kept.len(), 30_000);
}

#[tokio::test]
async fn odd_bytes_and_control_codes_pass() {
    let stage = stage();
    let output = done(
        &stage,
        json!({"command": r"printf 'a\xffb\r\n\033[1mc\303'; sleep 0.05; printf '\251'"}),
    )
    .await;
    assert_eq!(output.output, "a\u{fffd}b\r\n\u{1b}[1mcé");
}

#[tokio::test]
async fn a_disk_that_takes_nothing_is_no_failure() {
    let mut stage = stage();
    stage.write("file", "");
    stage.cx.output_dir = stage.path("file/below");
    let output = done(&stage, json!({"command": "seq 1 20000"})).await;
    assert!(output.output.contains("The whole could not be kept."));
    assert!(!output.metadata.contains_key("outputPath"));
}

#[tokio::test]
async fn too_long_a_command_says_so() {
    let error = run(&stage(), json!({"command": "#".repeat(200_000)}))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("128 KiB"));
}

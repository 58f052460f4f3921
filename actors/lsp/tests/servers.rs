//! What an edit says with servers of every kind, good and bad. Servers are played; the clock is the test's.

mod support;

use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::{Act, Stage, bugs, framed, publish, ready};
use tokio::time::Instant;

/// A good server that publishes.
fn good(method: &str, params: &Value) -> Vec<Act> {
    match method {
        "initialize" => ready(json!({"textDocumentSync": {"change": 1, "save": true}})),
        "textDocument/didOpen" | "textDocument/didChange" => vec![publish(params)],
        "shutdown" => vec![Act::Answer(Value::Null)],
        "exit" => vec![Act::Exit(0)],
        _ => vec![],
    }
}

fn note(report: &kilo_lsp::Report) -> &str {
    report.note.as_deref().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn an_edit_names_the_new_problems_and_one_server_serves_all() {
    let stage = Stage::new(good);
    let first = stage.edit("a.txt", "fine\nBUG one\n").await;
    assert_eq!(
        note(&first),
        "New problems in a.txt:\nerror at 2:1: BUG one [fake]"
    );
    let path = stage.path("a.txt").display().to_string();
    assert_eq!(first.diagnostics[&path][0]["message"], "BUG one");
    let second = stage.edit("a.txt", "above\nfine\nBUG one\nBUG two\n").await;
    assert_eq!(
        note(&second),
        "New problems in a.txt:\nerror at 4:1: BUG two [fake]\nStill in a.txt from before the edit: 1 error.\n\
         error at 3:1: BUG one [fake]"
    );
    assert_eq!(
        stage.edit("a.txt", "fine\n").await,
        kilo_lsp::Report::default()
    );
    assert_eq!(stage.edit("b.md", "BUG").await, kilo_lsp::Report::default());
    assert_eq!(*stage.starts.lock().unwrap(), 1);
    let methods = stage.methods();
    let expected = [
        "initialize",
        "initialized",
        "workspace/didChangeConfiguration",
        "textDocument/didOpen",
        "workspace/didChangeWatchedFiles",
        "textDocument/didSave",
        "textDocument/didChange",
        "workspace/didChangeWatchedFiles",
        "textDocument/didSave",
        "textDocument/didChange",
        "workspace/didChangeWatchedFiles",
        "textDocument/didSave",
    ];
    assert_eq!(methods, expected);
    let status = stage.folder.status();
    assert!(status.len() == 1 && status[0].is_connected && status[0].id == "fake");
    let notices = stage.notices.lock().unwrap().join(" ");
    assert!(
        notices.contains("Updated, 1 running") && notices.contains("a.txt"),
        "{notices}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_look_is_over_when_the_server_has_spoken() {
    let stage = Stage::new(good);
    stage.edit("a.txt", "x").await;
    let begun = Instant::now();
    stage.edit("a.txt", "BUG").await;
    assert!(
        begun.elapsed() <= Duration::from_millis(20),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_idle_server_is_ended_in_good_order() {
    let stage = Stage::new(good);
    stage.edit("a.txt", "x").await;
    tokio::time::sleep(Duration::from_secs(301)).await;
    assert!(stage.folder.status().is_empty());
    assert!(
        stage
            .methods()
            .ends_with(&["shutdown".into(), "exit".into()])
    );
    stage.edit("a.txt", "BUG").await;
    assert_eq!(*stage.starts.lock().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_greets_is_left_after_the_time_of_an_edit() {
    let stage = Stage::new(|_: &str, _: &Value| vec![]);
    let begun = Instant::now();
    let report = stage.edit("a.txt", "BUG").await;
    assert_eq!(
        note(&report),
        "The language server fake was not ready after 10 s."
    );
    assert!(begun.elapsed() < Duration::from_secs(11));
    // Its start fails at last, and it is not tried again with every edit.
    tokio::time::sleep(Duration::from_secs(40)).await;
    let begun = Instant::now();
    stage.edit("a.txt", "BUG 2").await;
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(*stage.starts.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_dies_at_any_point_harms_nothing_and_is_named_once() {
    for point in [
        "initialize",
        "initialized",
        "textDocument/didOpen",
        "textDocument/didSave",
    ] {
        let stage = Stage::new(move |method: &str, params: &Value| {
            if method == point {
                return vec![Act::Exit(3)];
            }
            match method {
                "textDocument/didOpen" => vec![],
                _ => good(method, params),
            }
        });
        let report = stage.edit("a.txt", "BUG").await;
        assert!(
            note(&report).contains("exited with status 3"),
            "{point}: {report:?}"
        );
        assert!(report.diagnostics.is_empty());
        let mut said = 0;
        for number in 0..5 {
            let report = stage.edit("a.txt", &format!("BUG {number}")).await;
            said += usize::from(note(&report).contains("cannot be started"));
        }
        assert!(said <= 1, "{point}: {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_costs_a_bounded_wait_and_is_named_once() {
    let stage = Stage::new(|method: &str, params: &Value| match method {
        "initialize" => good(method, params),
        _ => vec![],
    });
    let begun = Instant::now();
    let first = stage.edit("a.txt", "BUG").await;
    assert_eq!(note(&first), "fake said nothing about the edit in time.");
    // One that was just started may still load the project.
    assert!(
        (9..=10).contains(&begun.elapsed().as_secs()),
        "{:?}",
        begun.elapsed()
    );
    tokio::time::sleep(Duration::from_secs(30)).await;
    let begun = Instant::now();
    assert_eq!(note(&stage.edit("a.txt", "BUG 2").await), "");
    assert_eq!(begun.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_of_the_protocol_is_passed_over() {
    let stage = Stage::new(|method: &str, params: &Value| {
        let mut acts = vec![
            Act::Print(b"debug: hello\n{\"no\": \"head\"}\n".to_vec()),
            Act::Print(b"Content-Length: 7\r\n\r\nnot {it".to_vec()),
            Act::Send(json!([1, "x", null])),
            Act::Send(json!({"jsonrpc": "2.0", "id": 99, "result": {}})),
            Act::Send(json!({"jsonrpc": "2.0", "id": "text", "result": {}})),
            Act::Send(
                json!({"jsonrpc": "2.0", "method": "textDocument/publishDiagnostics", "params": 5}),
            ),
            Act::Send(json!({"jsonrpc": "2.0", "method": "$/progress", "params": [{}]})),
        ];
        acts.extend(good(method, params));
        if method == "initialize" {
            // Once more.
            acts.extend(ready(json!({"diagnosticProvider": true})));
        }
        acts
    });
    let report = stage.edit("a.txt", "BUG one").await;
    assert!(note(&report).contains("BUG one"), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_without_bound_ends_the_server() {
    let stage = Stage::new(|method: &str, params: &Value| match method {
        "textDocument/didOpen" => vec![Act::Print(b"Content-Length: 104857600\r\n\r\n".to_vec())],
        _ => good(method, params),
    });
    let report = stage.edit("a.txt", "BUG").await;
    assert!(
        note(&report).contains("it sent a message of 104857600 bytes"),
        "{report:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_slowed_down_and_the_edit_answered() {
    let stage = Stage::new(|method: &str, params: &Value| match method {
        "textDocument/didOpen" => {
            let mut acts: Vec<Act> = Vec::new();
            for number in 0..4_000 {
                let uri = format!("file:///other/{number}");
                let other = json!({"uri": uri, "diagnostics": bugs(&"BUG\n".repeat(5))});
                acts.push(Act::Send(json!({"jsonrpc": "2.0", "method": "textDocument/publishDiagnostics", "params": other})));
            }
            acts.insert(100, publish(params));
            acts
        }
        _ => good(method, params),
    });
    let begun = Instant::now();
    let report = stage.edit("a.txt", "BUG one").await;
    assert!(begun.elapsed() <= Duration::from_secs(3));
    let text = note(&report);
    assert!(
        text.contains("BUG one") && text.contains("in other files") && text.len() < 3_000,
        "{text}"
    );
    assert!(report.diagnostics.len() <= 6);
    let events = stage.notices.lock().unwrap().len();
    assert!(events < 100, "{events} events");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_is_answered() {
    let stage = Stage::new(|method: &str, params: &Value| {
        let ask = |id: u64, method: &str| {
            Act::Send(
                json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {"items": [{"section": "a.b"}]}}),
            )
        };
        let mut acts = good(method, params);
        if method == "initialized" {
            acts.extend([
                ask(7, "workspace/configuration"),
                ask(8, "window/workDoneProgress/create"),
                ask(9, "made/up"),
            ]);
        }
        acts
    });
    stage.edit("a.txt", "BUG").await;
    let heard = stage.heard.lock().unwrap();
    let answers: Vec<_> = heard
        .iter()
        .filter(|(method, _)| method == "answer")
        .map(|(_, message)| message)
        .collect();
    assert_eq!(answers[0]["result"], json!([1]));
    assert_eq!(
        (&answers[1]["id"], &answers[1]["result"]),
        (&json!(8), &Value::Null)
    );
    assert_eq!(answers[2]["error"]["code"], -32601);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_can_be_asked_is_asked_until_it_is_ready() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let stage = Stage::new(|method: &str, params: &Value| match method {
        "initialize" => ready(
            json!({"diagnosticProvider": {"interFileDependencies": true, "workspaceDiagnostics": false}}),
        ),
        "textDocument/diagnostic" => match ASKED.fetch_add(1, Ordering::SeqCst) {
            0 => vec![Act::Refuse(-32_802)],
            1 => vec![Act::Refuse(-32_801)],
            _ => vec![Act::Answer(
                json!({"kind": "full", "items": bugs("x\nBUG pulled")}),
            )],
        },
        _ if method.starts_with("textDocument") => vec![],
        _ => good(method, params),
    });
    let report = stage.edit("a.txt", "x\nBUG pulled").await;
    assert_eq!(
        note(&report),
        "New problems in a.txt:\nerror at 2:1: BUG pulled [fake]"
    );
    assert_eq!(ASKED.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_late_that_it_can_be_asked_is_asked_and_again_when_its_answer_is_old() {
    let asked = AtomicUsize::new(0);
    let request = |id: u64, method: &str, params: Value| {
        Act::Send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
    };
    let stage = Stage::new(move |method: &str, _: &Value| match method {
        "initialize" => ready(json!({"textDocumentSync": 1})),
        "textDocument/didOpen" => {
            let options = json!({"interFileDependencies": true});
            let one =
                json!({"id": "a", "method": "textDocument/diagnostic", "registerOptions": options});
            let params = json!({"registrations": [one]});
            vec![request(70, "client/registerCapability", params)]
        }
        "textDocument/diagnostic" => {
            // Before it has read the project it finds nothing.
            let first = asked.fetch_add(1, Ordering::SeqCst) == 0;
            let text = if first { "" } else { "BUG" };
            let mut acts = vec![Act::Answer(json!({"kind": "full", "items": bugs(text)}))];
            if first {
                acts.push(request(71, "workspace/diagnostic/refresh", Value::Null));
            }
            acts
        }
        "shutdown" => vec![Act::Answer(Value::Null)],
        _ => vec![],
    });
    let begun = Instant::now();
    let report = stage.edit("a.txt", "BUG").await;
    assert_eq!(
        note(&report),
        "New problems in a.txt:\nerror at 1:1: BUG [fake]"
    );
    assert!(
        begun.elapsed() < Duration::from_millis(200),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_loads_gets_more_time_and_its_early_word_does_not_count() {
    let progress = |value: Value| {
        Act::Send(
            json!({"jsonrpc": "2.0", "method": "$/progress", "params": {"token": 1, "value": value}}),
        )
    };
    let stage = Stage::new(move |method: &str, params: &Value| match method {
        "initialized" => vec![progress(
            json!({"kind": "begin", "title": "Indexing", "percentage": 40}),
        )],
        "textDocument/didOpen" => {
            let early = json!({"uri": params["textDocument"]["uri"], "diagnostics": []});
            vec![Act::Send(
                json!({"jsonrpc": "2.0", "method": "textDocument/publishDiagnostics", "params": early}),
            )]
        }
        "textDocument/didChange" => vec![progress(json!({"kind": "end"})), publish(params)],
        _ => good(method, params),
    });
    let begun = Instant::now();
    let first = stage.edit("a.txt", "BUG").await;
    assert_eq!(
        note(&first),
        "fake is still loading the project (Indexing 40%): problems may be missing."
    );
    assert!(
        (9..=10).contains(&begun.elapsed().as_secs()),
        "{:?}",
        begun.elapsed()
    );
    let second = stage.edit("a.txt", "BUG 2").await;
    assert!(note(&second).contains("BUG 2"), "{second:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_over_its_memory_is_started_anew_once_and_then_left_off() {
    let stage = Stage::new(|method: &str, params: &Value| match method {
        "textDocument/didOpen" => vec![Act::Use(2 << 30), publish(params)],
        _ => good(method, params),
    });
    assert!(note(&stage.edit("a.txt", "BUG 1").await).contains("BUG 1"));
    tokio::time::sleep(Duration::from_secs(11)).await;
    let second = stage.edit("a.txt", "BUG 2").await;
    assert!(note(&second).contains("BUG 2"), "{second:?}");
    tokio::time::sleep(Duration::from_secs(11)).await;
    let third = stage.edit("a.txt", "BUG 3").await;
    assert!(
        note(&third)
            .contains("is off now: it used too much memory (2048 MiB, 1024 MiB are allowed)"),
        "{third:?}"
    );
    assert_eq!(
        stage.edit("a.txt", "BUG 4").await,
        kilo_lsp::Report::default()
    );
    assert_eq!(*stage.starts.lock().unwrap(), 2);
    assert!(!stage.folder.status()[0].is_connected);
}

#[tokio::test(start_paused = true)]
async fn what_changed_behind_the_servers_back_is_told_with_the_next_edit() {
    let stage = Stage::new(good);
    stage.edit("a.txt", "x").await;
    stage.edit("b.txt", "x").await;
    stage.write("a.txt", "BUG by a command");
    let report = stage.edit("b.txt", "y").await;
    assert!(
        note(&report).contains("a.txt: 1 error, the first: error at 1:1: BUG by a command"),
        "{report:?}"
    );
    std::fs::remove_file(stage.path("a.txt")).unwrap();
    stage.edit("b.txt", "z").await;
    assert!(
        stage
            .methods()
            .contains(&"textDocument/didClose".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_command_changed_is_looked_at_by_servers_that_run() {
    let stage = Stage::new(good);
    stage.write("a.txt", "BUG 0");
    let nothing = kilo_lsp::Report::default();
    assert_eq!(stage.after_command(0).await, nothing);
    assert_eq!(*stage.starts.lock().unwrap(), 0);
    stage.edit("a.txt", "fine").await;
    let before = stage.methods().len();
    assert_eq!(stage.after_command(u64::MAX).await, nothing);
    assert_eq!(stage.methods().len(), before);

    stage.write("a.txt", "BUG by a command");
    stage.write("new.txt", "BUG too");
    stage.write("c.md", "BUG of no server");
    let report = stage.after_command(0).await;
    assert_eq!(
        note(&report),
        "New problems in a.txt:\nerror at 1:1: BUG by a command [fake]\n\
         New problems in new.txt:\nerror at 1:1: BUG too [fake]"
    );
    assert_eq!(report.diagnostics.len(), 2);
    for number in 0..20 {
        stage.write(&format!("many-{number}.txt"), "fine");
    }
    let report = stage.after_command(0).await;
    assert!(
        note(&report)
            .ends_with("The command changed 14 more files of fake, which were not looked at."),
        "{report:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn symbols_come_from_servers_that_run() {
    let stage = Stage::new(|method: &str, params: &Value| match method {
        "initialize" => ready(json!({"textDocumentSync": 1, "workspaceSymbolProvider": true})),
        "workspace/symbol" => {
            let place = json!({"uri": "file:///a", "range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 1}}});
            let symbol = |kind: u64| json!({"name": params["query"], "kind": kind, "location": place, "containerName": "c"});
            let mut all: Vec<Value> = (0..30).map(|_| symbol(12)).collect();
            all.insert(0, symbol(15));
            all.insert(0, json!({"name": "no place", "kind": 12}));
            vec![Act::Answer(Value::Array(all))]
        }
        _ => good(method, params),
    });
    assert!(stage.folder.symbols("f").await.is_empty());
    assert_eq!(*stage.starts.lock().unwrap(), 0);
    stage.edit("a.txt", "x").await;
    let found = stage.folder.symbols("f").await;
    assert_eq!(found.len(), 10);
    assert_eq!(
        (&found[0]["name"], &found[0]["kind"]),
        (&json!("f"), &json!(12))
    );
}

#[test]
fn frames_are_as_the_protocol_has_them() {
    assert_eq!(framed(&json!(1)), b"Content-Length: 1\r\n\r\n1");
}

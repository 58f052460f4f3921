//! Keys of the configuration, of the store and of the environment stand in no answer and in no log.

use kilo_tests::{Home, Model, Project, Start, Step, Turn};
use reqwest::Method;
use serde_json::{Value, json};

/// What must not be seen: each place has a key of its own, so that a leak names its place.
const KEYS: [&str; 9] = [
    "canary-api-key",
    "canary-header",
    "canary-model-header",
    "canary-address",
    "canary-mcp-variable",
    "canary-mcp-header",
    "canary-agent",
    "canary-stored",
    "canary-global",
];

fn more(model: &Model) -> Value {
    let address = model
        .url()
        .replace("http://", "http://user:canary-address@");
    json!({
        "provider": {"test": {
            "npm": "@ai-sdk/openai-compatible",
            "options": {"baseURL": format!("{address}/v1"), "apiKey": "canary-api-key", "headers": {"x-own": "canary-header"}},
            "models": {"test-model": {"headers": {"x-more": "canary-model-header"}}, "small": {}},
        }},
        "mcp": {
            "here": {"type": "local", "enabled": false, "command": ["x"], "environment": {"ANY": "canary-mcp-variable"}},
            "there": {"type": "remote", "enabled": false, "url": "https://h", "headers": {"any": "canary-mcp-header"}},
        },
        "agent": {"mine": {"prompt": "p", "options": {"apiKey": "canary-agent"}}},
    })
}

fn assert_clean(text: &str, place: &str) {
    for key in KEYS {
        assert!(!text.contains(key), "{place} shows {key}: {text}");
    }
}

#[tokio::test]
async fn no_answer_and_no_log_holds_a_key() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::with(&model, &more(&model));
    let daemon = Start::new(&home).go().expect("a daemon");
    let api = daemon.api(&project);
    let stored = json!({"type": "api", "key": "canary-stored"});
    api.change(Method::PUT, "/auth/anthropic", &stored)
        .await
        .ok();
    let global = json!({"provider": {"other": {"options": {"apiKey": "canary-global"}, "models": {"m": {}}}}});
    let answer = api.change(Method::PATCH, "/global/config", &global).await;
    assert_clean(&answer.text, "PATCH /global/config");

    let session = api.session().await;
    let echo = json!({"error": {"message": "bad key canary-api-key in x-own: canary-header"}});
    let turns = [
        Turn::of([Step::Raw(format!("data: {echo}\n\n")), Step::End]),
        Turn::error(400, "bad key canary-api-key, canary-model-header"),
    ];
    for turn in turns {
        model.script("k", [turn]);
        let body = json!({"parts": [{"type": "text", "text": "go [[k]]"}]});
        let answer = api
            .post(&format!("/session/{session}/message"), &body)
            .await;
        assert!(answer.text.contains("bad key"), "{}", answer.text);
        assert_clean(&answer.text, "the answer of a failed turn");
    }

    let document = api.get("/doc").await.ok();
    let paths = document["paths"].as_object().expect("paths");
    let mut seen = 0;
    for (path, operations) in paths {
        let waits = path.ends_with("/event") || path.ends_with("/ws") || path.contains("wait");
        if operations.get("get").is_none() || path.contains('{') || waits {
            continue;
        }
        assert_clean(&api.get(path).await.text, path);
        seen += 1;
    }
    assert!(seen > 40, "{seen} routes");
    let messages = api.get(&format!("/session/{session}/message")).await;
    assert_clean(&messages.text, "the messages");
    assert_clean(&daemon.log(), "the log");
}

#[tokio::test]
async fn a_mark_that_is_sent_back_keeps_the_key() {
    let (home, model) = (Home::new(), Model::start());
    let project = Project::with(&model, &more(&model));
    let daemon = Start::new(&home).go().expect("a daemon");
    let api = daemon.api(&project);
    let before: Value = serde_json::from_str(&project.read("kilo.json")).expect("JSON");
    let shown = api.get("/config").await.ok();
    assert_eq!(shown["provider"]["test"]["options"]["apiKey"], "(hidden)");
    let mut patch = json!({"provider": shown["provider"], "mcp": shown["mcp"]});
    patch["provider"]["test"]["name"] = json!("Renamed");
    let echo = api.change(Method::PATCH, "/config", &patch).await.ok();
    assert_eq!(echo["provider"]["test"]["options"]["apiKey"], "(hidden)");
    let mut after: Value = serde_json::from_str(&project.read("kilo.json")).expect("JSON");
    assert_eq!(after["provider"]["test"]["name"], "Renamed");
    after["provider"]["test"]
        .as_object_mut()
        .expect("an object")
        .remove("name");
    assert_eq!(after, before);

    let new = json!({"provider": {"test": {"options": {"apiKey": "another"}}}});
    api.change(Method::PATCH, "/config", &new).await.ok();
    assert!(project.read("kilo.json").contains("another"));
    let moved =
        json!({"provider": {"test": {"options": {"baseURL": "http://user:(hidden)@elsewhere"}}}});
    assert_eq!(
        api.change(Method::PATCH, "/config", &moved).await.status,
        400
    );
}

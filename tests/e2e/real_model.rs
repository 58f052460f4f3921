//! A real, unscripted model behind the provider. Runs when `KILO_REAL_MODEL` names the base URL of an OpenAI-compatible
//! server on this machine (for example `http://127.0.0.1:8089/v1` of llama.cpp's server); says so when it does not.

use kilo_tests::{Daemon, Home, Project};
use serde_json::{Value, json};

/// The server's base URL and its first model; `None`, with a word, when there is none to be used.
async fn real_model() -> Option<(String, String)> {
    #[allow(clippy::disallowed_methods, reason = "the tests' own switch")]
    let url = std::env::var("KILO_REAL_MODEL").ok();
    let Some(url) = url else {
        eprintln!("left out: KILO_REAL_MODEL names no server");
        return None;
    };
    let list = reqwest::get(format!("{url}/models"))
        .await
        .expect("the server answers");
    let list: Value = serde_json::from_str(&list.text().await.expect("a body")).expect("JSON");
    let model = list["data"][0]["id"].as_str().expect("a model").to_string();
    Some((url, model))
}

fn project(url: &str, model: &str) -> Project {
    let project = Project::bare();
    let configuration = json!({
        "model": format!("real/{model}"),
        "provider": {"real": {
            "npm": "@ai-sdk/openai-compatible",
            "options": {"baseURL": url, "apiKey": "none"},
            "models": {model: {"tool_call": false, "limit": {"context": 8_192, "output": 120}}},
        }},
    });
    project.write("kilo.json", &configuration.to_string());
    project
}

#[tokio::test]
async fn a_real_model_answers_a_run_and_streams_to_an_attached_client() {
    let Some((url, model)) = real_model().await else {
        return;
    };
    let (home, project) = (Home::new(), project(&url, &model));
    let run = home.run(project.path(), &["run", "Say hello in one short sentence."]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(!run.out.trim().is_empty(), "{run:?}");

    let daemon = Daemon::start(&home);
    let api = daemon.api(&project);
    let mut events = api.events().await;
    let session = api.session().await;
    let answer = api.prompt(&session, "Name three colours.").await.ok();
    let text = answer["parts"]
        .as_array()
        .expect("parts")
        .iter()
        .filter_map(|part| part["text"].as_str())
        .collect::<String>();
    assert!(!text.trim().is_empty(), "{answer}");
    assert!(
        answer["info"]["tokens"]["output"].as_u64() > Some(0),
        "{answer}"
    );
    let mut streamed = String::new();
    while streamed != text {
        let seen = events.next().await.expect("an open stream");
        let event = &seen.event;
        if event["type"] == "message.part.delta" {
            streamed.push_str(event["properties"]["delta"].as_str().expect("a delta"));
        }
        assert!(
            text.starts_with(&streamed),
            "{streamed:?} is no beginning of {text:?}"
        );
    }
}

//! What can be called, and how clients see it.

mod support;

use kilo_ports::provider::Protocol;
use kilo_provider::local::{LocalModel, LocalServer, Ports, discover};
use kilo_provider::resolve::*;
use kilo_provider::{Catalog, rules};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use support::{Server, answer};

struct World {
    config: Value,
    auth: BTreeMap<String, Value>,
    env: BTreeMap<String, String>,
    catalog: Catalog,
    local: Vec<LocalServer>,
}

impl World {
    fn new(config: Value) -> Self {
        Self {
            config,
            auth: BTreeMap::new(),
            env: BTreeMap::new(),
            catalog: Catalog::builtin(),
            local: Vec::new(),
        }
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    fn sources(&self) -> Sources<'_> {
        Sources {
            config: &self.config,
            auth: &self.auth,
            env: &self.env,
            catalog: &self.catalog,
            local: &self.local,
        }
    }
}

fn fake() -> Value {
    let limit = json!({"context": 100_000, "output": 8_000});
    json!({"provider": {"fake": {
        "npm": "@ai-sdk/openai-compatible", "name": "Fake",
        "options": {"baseURL": "http://127.0.0.1:9/v1/", "apiKey": "fake-key", "chunkTimeout": 5000, "headerTimeout": false, "setCacheKey": true,
                    "headers": {"X-Team": "a"}},
        "models": {
            "fake-model": {"name": "Fake model", "tool_call": true, "temperature": true, "attachment": true,
                "modalities": {"input": ["text", "image"], "output": ["text"]}, "limit": limit, "cost": {"input": 1, "output": 2},
                "interleaved": {"field": "reasoning_content"}, "options": {"a": 1}, "headers": {"x-team": "b"}, "reasoning": true,
                "variants": {"low": {"disabled": true}, "wild": {"temperature": 2}}},
            "small": {"name": "Small", "limit": limit},
            "alias": {"id": "real-name", "limit": limit},
        },
    }}})
}

#[test]
fn a_configured_model_has_everything_that_a_call_needs() {
    let world = World::new(fake());
    let model = resolve_model(&world.sources(), "fake", "fake-model").unwrap();
    let mut expected = blank_model("fake", "fake-model");
    expected.name = "Fake model".into();
    expected.base_url = "http://127.0.0.1:9/v1".into();
    expected.api_key = Some("fake-key".into());
    expected.headers = vec![("x-team".into(), "b".into())];
    (expected.context, expected.output) = (100_000, 8_000);
    (expected.temperature, expected.reasoning, expected.images) = (true, true, true);
    (expected.cost.input, expected.cost.output) = (1.0, 2.0);
    expected.interleaved = Some("reasoning_content".into());
    let variants = json!({"low": {"disabled": true}, "wild": {"temperature": 2}});
    expected.options = json!({"a": 1, rules::VARIANTS_KEY: variants, rules::CACHE_KEY_KEY: true})
        .as_object()
        .unwrap()
        .clone();
    (expected.first_byte_ms, expected.gap_ms) = (3_600_000, 5_000);
    assert_eq!(model, expected);
    let alias = resolve_model(&world.sources(), "fake", "alias").unwrap();
    assert_eq!(
        (alias.api_id.as_str(), alias.name.as_str(), alias.tool_call),
        ("real-name", "alias", true)
    );
}

#[test]
fn a_listed_model_gets_its_key_from_config_store_or_environment() {
    let mut world = World::new(json!({})).env("ANTHROPIC_API_KEY", " from-env ");
    let key = |world: &World| {
        resolve_model(&world.sources(), "anthropic", "claude-sonnet-4-5")
            .unwrap()
            .api_key
    };
    let model = resolve_model(&world.sources(), "anthropic", "claude-sonnet-4-5").unwrap();
    assert_eq!(model.protocol, Some(Protocol::AnthropicMessages));
    assert_eq!(
        (
            model.base_url.as_str(),
            model.context,
            model.cost.cache_write
        ),
        ("https://api.anthropic.com/v1", 200_000, 3.75)
    );
    assert_eq!(key(&world).as_deref(), Some("from-env"));
    world.auth.insert(
        "anthropic".into(),
        json!({"type": "oauth", "access": "stored", "refresh": "r", "expires": 1}),
    );
    assert_eq!(key(&world).as_deref(), Some("stored"));
    world.config = json!({"provider": {"anthropic": {"options": {"apiKey": "configured"}}}});
    assert_eq!(key(&world).as_deref(), Some("configured"));
}

#[test]
fn models_differ_from_their_providers_where_the_list_says_so() {
    let world = World::new(json!({}))
        .env("AZURE_RESOURCE_NAME", "acme")
        .env("AZURE_API_KEY", "k");
    let claude = resolve_model(&world.sources(), "azure", "claude-opus-4-1").unwrap();
    assert_eq!(claude.protocol, Some(Protocol::AnthropicMessages));
    assert_eq!(
        claude.base_url,
        "https://acme.services.ai.azure.com/anthropic/v1"
    );
    assert_eq!(
        claude.api_key.as_deref(),
        Some("k"),
        "not the resource's name"
    );
    let unspoken = World::new(json!({}))
        .catalog
        .provider("amazon-bedrock")
        .unwrap();
    let id = unspoken.models.keys().next().unwrap();
    assert_eq!(
        resolve_model(&world.sources(), "amazon-bedrock", id)
            .unwrap()
            .protocol,
        None
    );
}

#[test]
fn unknown_names_come_with_names_that_are_close() {
    let mut config = fake();
    config["disabled_providers"] = json!(["openai"]);
    let world = World::new(config);
    let error = |provider: &str, model: &str| {
        resolve_model(&world.sources(), provider, model)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error("fake", "fake-modell"),
        "Model not found: fake/fake-modell. Did you mean: fake-model?"
    );
    assert!(
        error("antropic", "x").starts_with("Provider not found: antropic. Did you mean: anthropic")
    );
    assert!(error("anthropic", "claude-sonet-4-5").contains("claude-sonnet-4-5"));
    assert_eq!(
        error("openai", "gpt-5"),
        "the provider openai is switched off in the configuration"
    );
    assert_eq!(error("fake", "zzzzzz"), "Model not found: fake/zzzzzz.");
}

#[test]
fn connected_providers_are_listed_in_the_clients_shape() {
    let world = World::new(fake());
    let list: Value = serde_json::from_slice(&config_providers_json(&world.sources())).unwrap();
    assert_eq!(list["default"], json!({"fake": "fake-model"}));
    let provider = &list["providers"][0];
    let head: Vec<&Value> = ["id", "name", "source", "env"]
        .iter()
        .map(|key| &provider[*key])
        .collect();
    assert_eq!(
        head,
        [&json!("fake"), &json!("Fake"), &json!("config"), &json!([])]
    );
    assert_eq!(provider["options"]["baseURL"], "http://127.0.0.1:9/v1/");
    assert!(!list.to_string().contains("fake-key"), "no keys");
    assert_eq!(
        (&provider["key"], &provider["options"]["apiKey"]),
        (&json!("(hidden)"), &json!("(hidden)")),
        "but a mark that there is one"
    );
    let model = json!({
        "id": "fake-model", "providerID": "fake", "name": "Fake model", "status": "active", "release_date": "",
        "api": {"id": "fake-model", "url": "http://127.0.0.1:9/v1", "npm": "@ai-sdk/openai-compatible"},
        "capabilities": {
            "temperature": true, "reasoning": true, "attachment": true, "toolcall": true,
            "input": {"text": true, "audio": false, "image": true, "video": false, "pdf": false},
            "output": {"text": true, "audio": false, "image": false, "video": false, "pdf": false},
            "interleaved": {"field": "reasoning_content"},
        },
        "cost": {"input": 1.0, "output": 2.0, "cache": {"read": 0.0, "write": 0.0}},
        "limit": {"context": 100_000, "output": 8_000},
        "options": {"a": 1}, "headers": {"x-team": "(hidden)"},
        "variants": {"medium": {"reasoningEffort": "medium"}, "high": {"reasoningEffort": "high"}, "wild": {"temperature": 2}},
    });
    assert_eq!(provider["models"]["fake-model"], model);
}

#[test]
fn the_defaults_begin_with_the_provider_that_is_taken_when_nobody_says() {
    let mut world = World::new(json!({})).env("GROQ_API_KEY", "k");
    for provider in ["anthropic", "deepseek", "openai"] {
        let key = json!({"type": "api", "key": "k"});
        world.auth.insert(provider.into(), key);
    }
    let first = |world: &World| {
        let json = config_providers_json(&world.sources());
        let list: Value = serde_json::from_slice(&json).unwrap();
        let defaults = list["default"].as_object().unwrap();
        let (provider, model) = defaults.iter().next().unwrap();
        (provider.clone(), model.as_str().unwrap().to_owned())
    };
    assert_eq!(Some(first(&world)), default_model(&world.sources()));
    world.auth.remove("anthropic");
    assert_eq!(Some(first(&world)), default_model(&world.sources()));
    assert_eq!(first(&world).0, "openai");
}

#[test]
fn the_whole_list_has_every_provider_and_says_which_are_connected() {
    let mut config = fake();
    config["disabled_providers"] = json!(["openai"]);
    let mut world = World::new(config).env("GROQ_API_KEY", "k");
    world
        .auth
        .insert("anthropic".into(), json!({"type": "api", "key": "k"}));
    world
        .auth
        .insert("openai".into(), json!({"type": "api", "key": "k"}));
    let list: Value = serde_json::from_slice(&provider_list_json(&world.sources())).unwrap();
    let all = list["all"].as_array().unwrap();
    assert!(
        all.len() >= 132 && !all.iter().any(|p| p["id"] == "openai"),
        "{}",
        all.len()
    );
    assert_eq!(list["connected"], json!(["anthropic", "fake", "groq"]));
    assert_eq!(list["failed"], json!([]));
    assert_eq!(list["default"].as_object().unwrap().len(), all.len());
    let source = |id: &str| all.iter().find(|p| p["id"] == id).unwrap()["source"].clone();
    assert_eq!(
        ["anthropic", "fake", "groq", "mistral"].map(source),
        ["api", "config", "env", "custom"]
    );
    let deprecated = all
        .iter()
        .flat_map(|p| p["models"].as_object().unwrap().values())
        .filter(|m| m["status"] == "deprecated");
    assert_eq!(deprecated.count(), 0);
    assert_eq!(
        provider_auth_json(&world.sources())["kilo"][0]["type"],
        "oauth"
    );
}

#[test]
fn white_and_black_lists_and_enabled_providers_choose() {
    let mut config = fake();
    config["enabled_providers"] = json!(["fake", "anthropic"]);
    config["provider"]["fake"]["blacklist"] = json!(["fake-model"]);
    config["provider"]["anthropic"] = json!({"whitelist": ["claude-sonnet-4-5"]});
    let world = World::new(config).env("GROQ_API_KEY", "k");
    let list: Value = serde_json::from_slice(&provider_list_json(&world.sources())).unwrap();
    let models = |n: usize| {
        list["all"][n]["models"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (list["all"].as_array().unwrap().len(), models(0), models(1)),
        (
            2,
            vec!["claude-sonnet-4-5".into()],
            vec!["alias".into(), "small".into()]
        )
    );
}

#[test]
fn a_model_is_picked_when_nobody_says() {
    let pick = |world: &World| {
        default_model(&world.sources()).map(|(provider, model)| format!("{provider}/{model}"))
    };
    assert_eq!(pick(&World::new(json!({}))), None);
    assert_eq!(
        pick(&World::new(json!({"model": "a/b/c"}))).as_deref(),
        Some("a/b/c")
    );
    assert_eq!(
        pick(&World::new(fake())).as_deref(),
        Some("fake/fake-model")
    );
    let keys = World::new(json!({}))
        .env("GITHUB_TOKEN", "t")
        .env("ANTHROPIC_API_KEY", "k");
    assert!(
        pick(&keys)
            .unwrap()
            .starts_with("anthropic/claude-sonnet-4"),
        "{:?}",
        pick(&keys)
    );
    let small = small_model(&keys.sources(), "anthropic").unwrap();
    assert!(small.1.starts_with("claude-haiku-4"), "{small:?}");
    assert_eq!(small_model(&World::new(fake()).sources(), "fake"), None);
    let set = World::new(json!({"small_model": "x/y"}));
    assert_eq!(
        small_model(&set.sources(), "fake"),
        Some(("x".into(), "y".into()))
    );
}

#[test]
fn a_local_server_is_a_provider_without_a_key() {
    let mut world = World::new(json!({}));
    let model = LocalModel {
        id: "qwen3:8b".into(),
        context: Some(4_096),
        tool_call: true,
        images: false,
    };
    world.local = vec![LocalServer {
        provider_id: "ollama".into(),
        name: "Ollama (local)".into(),
        base_url: "http://127.0.0.1:11434/v1".into(),
        models: vec![model],
    }];
    let found = resolve_model(&world.sources(), "ollama", "qwen3:8b").unwrap();
    assert_eq!(
        (found.context, found.api_key, found.base_url.as_str()),
        (4_096, None, "http://127.0.0.1:11434/v1")
    );
    assert_eq!(
        default_model(&world.sources()),
        Some(("ollama".into(), "qwen3:8b".into()))
    );
}

#[tokio::test]
async fn local_servers_are_found_by_their_ports() {
    let tags = json!({"models": [
        {"name": "qwen3:8b", "capabilities": ["completion", "tools"]}, {"name": "gemma:2b", "capabilities": ["completion", "vision"]},
        {"name": "nomic", "capabilities": ["embedding"]},
    ]});
    let ollama = Server::start(vec![answer(200, "", &tags.to_string())]).await;
    let llama = Server::start(vec![
        answer(
            200,
            "",
            r#"{"data":[{"id":"m.gguf","meta":{"n_ctx_train":8192}}]}"#,
        ),
        answer(
            200,
            "",
            r#"{"default_generation_settings":{"n_ctx":2048},"modalities":{"vision":true}}"#,
        ),
    ])
    .await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let port = |server: &Server| server.address.rsplit(':').next().unwrap().parse().unwrap();
    let ports = Ports {
        ollama: port(&ollama),
        llamacpp: port(&llama),
        lmstudio: silent.local_addr().unwrap().port(),
        vllm: free,
        ..Ports::default()
    };
    let found = discover(&ports).await;
    let model = |id: &str, context, tool_call, images| LocalModel {
        id: id.into(),
        context,
        tool_call,
        images,
    };
    let server = |id: &str, name: &str, at: &Server, models| LocalServer {
        provider_id: id.into(),
        name: name.into(),
        base_url: format!("{}/v1", at.address),
        models,
    };
    let expected = [
        server(
            "ollama",
            "Ollama (local)",
            &ollama,
            vec![
                model("qwen3:8b", None, true, false),
                model("gemma:2b", None, false, true),
            ],
        ),
        server(
            "llamacpp",
            "llama.cpp (local)",
            &llama,
            vec![model("m.gguf", Some(2_048), true, true)],
        ),
    ];
    assert_eq!(found, expected);
    assert_eq!(
        discover(&ports).await,
        expected,
        "the finding counts for a while: the scripts are at their ends"
    );
}

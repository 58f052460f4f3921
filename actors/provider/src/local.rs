//! Model servers on this machine, found by asking the ports on which they listen by custom.

use crate::catalog;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Milliseconds for one server to answer.
pub const PROBE_MS: u64 = 150;

/// Milliseconds for which a finding counts.
pub const FOUND_MS: u64 = 30_000;

/// The most bytes of a server's answer.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The most models of one server.
const MODELS_MAX: usize = 500;

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The host, an address or a name.
    pub host: String,
    /// Ollama.
    pub ollama: u16,
    /// LM Studio.
    pub lmstudio: u16,
    /// llama.cpp's server.
    pub llamacpp: u16,
    /// vLLM.
    pub vllm: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            ollama: 11434,
            lmstudio: 1234,
            llamacpp: 8080,
            vllm: 8000,
        }
    }
}

/// A server that answered.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalServer {
    /// `ollama`, `lmstudio`, `llamacpp` or `vllm`.
    pub provider_id: String,
    /// A name for people.
    pub name: String,
    /// Its base URL for chat.
    pub base_url: String,
    /// What it offers, in its own order.
    pub models: Vec<LocalModel>,
}

/// A model of a local server.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalModel {
    /// Its id.
    pub id: String,
    /// Tokens that fit in, if the server says so.
    pub context: Option<u64>,
    /// It calls tools; true unless the server says otherwise.
    pub tool_call: bool,
    /// It takes images, as far as the server says.
    pub images: bool,
}

impl LocalModel {
    /// As a catalogue would describe it.
    pub(crate) fn to_catalog(&self) -> catalog::Model {
        let mut model = catalog::Model {
            id: self.id.clone(),
            name: self.id.clone(),
            tool_call: self.tool_call,
            temperature: Some(true),
            attachment: self.images,
            ..Default::default()
        };
        model.limit.context = self.context.unwrap_or(0);
        model.modalities.input = vec!["text".into()];
        model.modalities.output = vec!["text".into()];
        if self.images {
            model.modalities.input.push("image".into());
        }
        model
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Ollama,
    LmStudio,
    LlamaCpp,
    Vllm,
}

/// The last finding: where, when and what.
static FOUND: Mutex<Option<(Ports, Instant, Vec<LocalServer>)>> = Mutex::new(None);

/// The servers that answer on `ports` within 150 ms, each with at least one model. A finding counts for 30 s.
pub async fn discover(ports: &Ports) -> Vec<LocalServer> {
    if let Some((_, _, servers)) = FOUND
        .lock()
        .as_ref()
        .filter(|(known, at, _)| known == ports && at.elapsed() < Duration::from_millis(FOUND_MS))
    {
        return servers.clone();
    }
    let servers = ask_all(ports).await;
    *FOUND.lock() = Some((ports.clone(), Instant::now(), servers.clone()));
    servers
}

async fn ask_all(ports: &Ports) -> Vec<LocalServer> {
    let http = crate::net::Http::default();
    let Ok(client) = http.for_url("http://") else {
        return Vec::new();
    };
    let probes = [
        (Kind::Ollama, ports.ollama),
        (Kind::LmStudio, ports.lmstudio),
        (Kind::LlamaCpp, ports.llamacpp),
        (Kind::Vllm, ports.vllm),
    ];
    let asked = probes.map(|(kind, port)| {
        let origin = origin(&ports.host, port);
        async move {
            timeout(Duration::from_millis(PROBE_MS), ask(client, kind, &origin))
                .await
                .ok()
                .flatten()
        }
    });
    futures_util::future::join_all(asked)
        .await
        .into_iter()
        .flatten()
        .collect()
}

fn origin(host: &str, port: u16) -> String {
    match host.parse::<std::net::IpAddr>() {
        Ok(address) => format!("http://{}", SocketAddr::new(address, port)),
        Err(_) => format!("http://{host}:{port}"),
    }
}

async fn ask(client: &reqwest::Client, kind: Kind, origin: &str) -> Option<LocalServer> {
    let (provider_id, name) = match kind {
        Kind::Ollama => ("ollama", "Ollama (local)"),
        Kind::LmStudio => ("lmstudio", "LM Studio (local)"),
        Kind::LlamaCpp => ("llamacpp", "llama.cpp (local)"),
        Kind::Vllm => ("vllm", "vLLM (local)"),
    };
    let mut models = match kind {
        Kind::Ollama => ollama(&get(client, origin, "/api/tags").await?)?,
        _ => listed(&get(client, origin, "/v1/models").await?)?,
    };
    if let Kind::LlamaCpp = kind {
        // Other programs like this port too; only llama.cpp knows this address.
        properties(&get(client, origin, "/props").await?, &mut models)?;
    }
    models.truncate(MODELS_MAX);
    (!models.is_empty()).then(|| LocalServer {
        provider_id: provider_id.into(),
        name: name.into(),
        base_url: format!("{origin}/v1"),
        models,
    })
}

async fn get(client: &reqwest::Client, origin: &str, path: &str) -> Option<Value> {
    let mut response = client
        .get(format!("{origin}{path}"))
        .send()
        .await
        .ok()?
        .error_for_status()
        .ok()?;
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.ok()? {
        if body.len() + piece.len() > ANSWER_BYTES_MAX {
            return None;
        }
        body.extend_from_slice(&piece);
    }
    serde_json::from_slice(&body).ok()
}

/// Ollama: `{models: [{name, details: {context_length?}, capabilities?}]}`.
fn ollama(answer: &Value) -> Option<Vec<LocalModel>> {
    let model = |entry: &Value| {
        let can = entry
            .get("capabilities")
            .and_then(|list| Vec::<String>::deserialize(list).ok());
        let has = |what: &str| {
            can.as_ref()
                .map(|can| can.iter().any(|known| known == what))
        };
        let chats = has("completion").unwrap_or(true);
        let id = entry
            .get("name")
            .or_else(|| entry.get("model"))?
            .as_str()?
            .to_owned();
        chats.then(|| LocalModel {
            id,
            context: entry
                .pointer("/details/context_length")
                .and_then(Value::as_u64),
            tool_call: has("tools").unwrap_or(true),
            images: has("vision").unwrap_or(false),
        })
    };
    Some(
        answer
            .get("models")?
            .as_array()?
            .iter()
            .filter_map(model)
            .collect(),
    )
}

/// The rest: `{data: [{id, max_model_len? (vLLM), max_context_length? (LM Studio), meta.n_ctx_train? (llama.cpp)}]}`.
fn listed(answer: &Value) -> Option<Vec<LocalModel>> {
    let model = |entry: &Value| {
        let id = entry.get("id")?.as_str()?.to_owned();
        let context = [
            "/max_model_len",
            "/loaded_context_length",
            "/max_context_length",
            "/meta/n_ctx_train",
        ];
        let embeds =
            entry.get("type").and_then(Value::as_str) == Some("embeddings") || id.contains("embed");
        (!embeds).then(|| LocalModel {
            context: context
                .iter()
                .find_map(|path| entry.pointer(path)?.as_u64()),
            tool_call: true,
            images: entry.get("type").and_then(Value::as_str) == Some("vlm"),
            id,
        })
    };
    Some(
        answer
            .get("data")?
            .as_array()?
            .iter()
            .filter_map(model)
            .collect(),
    )
}

/// llama.cpp: `{default_generation_settings: {n_ctx}, modalities?: {vision}, chat_template_caps?: {supports_tools}}`.
fn properties(answer: &Value, models: &mut [LocalModel]) -> Option<()> {
    let settings = answer.get("default_generation_settings")?;
    let context = settings
        .get("n_ctx")
        .or_else(|| answer.get("n_ctx"))
        .and_then(Value::as_u64)
        .filter(|n| *n > 0);
    let flag = |path: &str| answer.pointer(path).and_then(Value::as_bool);
    for model in models {
        model.context = context.or(model.context);
        model.tool_call = flag("/chat_template_caps/supports_tools").unwrap_or(model.tool_call);
        model.images = flag("/modalities/vision").unwrap_or(model.images);
    }
    Some(())
}

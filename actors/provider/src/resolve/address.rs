//! Where a provider is and what it speaks, by its package.

use super::merged::{MergedModel, MergedProvider};
use super::sources::Sources;
use kilo_ports::provider::Protocol;
use serde_json::Value;

/// The base URLs of packages that bring their own.
const OWN: [(&str, &str); 17] = [
    ("@ai-sdk/openai", "https://api.openai.com/v1"),
    ("@ai-sdk/anthropic", "https://api.anthropic.com/v1"),
    (
        "@ai-sdk/google",
        "https://generativelanguage.googleapis.com/v1beta/openai",
    ),
    ("@ai-sdk/mistral", "https://api.mistral.ai/v1"),
    ("@ai-sdk/groq", "https://api.groq.com/openai/v1"),
    ("@ai-sdk/xai", "https://api.x.ai/v1"),
    ("@ai-sdk/cerebras", "https://api.cerebras.ai/v1"),
    ("@ai-sdk/cohere", "https://api.cohere.ai/compatibility/v1"),
    ("@ai-sdk/deepinfra", "https://api.deepinfra.com/v1/openai"),
    ("@ai-sdk/togetherai", "https://api.together.xyz/v1"),
    ("@ai-sdk/perplexity", "https://api.perplexity.ai"),
    ("@ai-sdk/vercel", "https://api.v0.dev/v1"),
    ("@ai-sdk/gateway", "https://ai-gateway.vercel.sh/v1"),
    (
        "@ai-sdk/azure",
        "https://${AZURE_RESOURCE_NAME}.openai.azure.com/openai/v1",
    ),
    (
        "@openrouter/ai-sdk-provider",
        "https://openrouter.ai/api/v1",
    ),
    ("@aihubmix/ai-sdk-provider", "https://aihubmix.com/v1"),
    ("venice-ai-sdk-provider", "https://api.venice.ai/api/v1"),
];

/// Packages whose protocol or sign-in nobody speaks yet.
const UNSPOKEN: [&str; 6] = [
    "@ai-sdk/amazon-bedrock",
    "@ai-sdk/google-vertex",
    "@ai-sdk/google-vertex/anthropic",
    "@jerome-benoit/sap-ai-provider-v2",
    "ai-gateway-provider",
    "gitlab-ai-provider",
];

/// The base URL without a trailing slash; empty if nobody knows it.
///
/// The configuration's `baseURL` wins, then the model's own, then the provider's, then the package's. `${NAME}` is
/// replaced by the variable, or stays, so that the error shows what is missing.
pub(super) fn base_url(
    sources: &Sources,
    provider: &MergedProvider,
    model: &MergedModel,
) -> String {
    let set = provider
        .options
        .get("baseURL")
        .and_then(Value::as_str)
        .filter(|url| !url.is_empty());
    let known = || {
        OWN.iter()
            .find(|(npm, _)| *npm == model.npm)
            .map(|(_, url)| *url)
    };
    let url = set
        .or(model.api.as_deref())
        .or(provider.api.as_deref())
        .or_else(known)
        .unwrap_or_default();
    fill(sources, url).trim_end_matches('/').to_owned()
}

fn fill(sources: &Sources, url: &str) -> String {
    let mut filled = String::with_capacity(url.len());
    let mut rest = url;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, tail)) = after.split_once('}') else {
            break;
        };
        filled.push_str(before);
        match sources.env.get(name) {
            Some(value) => filled.push_str(value),
            None => filled.extend(["${", name, "}"]),
        }
        rest = tail;
    }
    filled.push_str(rest);
    filled
}

/// The protocol of a package; `None` if nobody speaks it yet.
///
/// A package that we do not know is taken for a compatible one if there is an address to try.
pub(super) fn protocol(npm: &str, api_id: &str, has_address: bool) -> Option<Protocol> {
    match npm {
        "@ai-sdk/anthropic" => Some(Protocol::AnthropicMessages),
        _ if UNSPOKEN.contains(&npm) => None,
        "@ai-sdk/openai" | "@ai-sdk/azure" if only_responses(api_id) => None,
        _ => has_address.then_some(Protocol::OpenaiChat),
    }
}

/// OpenAI serves some of its models through its newer protocol only.
fn only_responses(api_id: &str) -> bool {
    let id = api_id.to_lowercase();
    id.contains("codex")
        || id.contains("deep-research")
        || (id.contains("-pro") && (id.contains("gpt-5") || id.contains("o1") || id.contains("o3")))
}

//! Where a provider's key comes from.

use super::merged::{MergedProvider, Origin};
use super::sources::Sources;
use serde_json::Value;

/// The key with which the gateway gives free models to people who are not signed in.
const KILO_ANONYMOUS: &str = "anonymous";

/// The key and what makes the provider count. The configuration's key wins over a stored one, that over the
/// environment's.
pub(super) fn credentials(
    sources: &Sources,
    provider: &MergedProvider,
    configured: bool,
) -> (Option<String>, Origin) {
    let own = provider
        .options
        .get("apiKey")
        .and_then(Value::as_str)
        .and_then(some_text);
    let stored = sources.auth.get(&provider.id).and_then(auth_key);
    let env = env_key(sources, &provider.env);
    let origin = match () {
        () if configured => Origin::Config,
        () if stored.is_some() => Origin::Api,
        () if env.is_some() => Origin::Env,
        () => Origin::Custom,
    };
    let anonymous = || (provider.id == "kilo").then(|| KILO_ANONYMOUS.to_owned());
    (own.or(stored).or(env).or_else(anonymous), origin)
}

/// The key of an entry of `auth.json`.
pub(super) fn auth_key(entry: &Value) -> Option<String> {
    let field = match entry.get("type")?.as_str()? {
        "api" => "key",
        "oauth" => "access",
        "wellknown" => "token",
        _ => return None,
    };
    some_text(entry.get(field)?.as_str()?)
}

/// The first variable that is set and holds a key. Some providers also name variables for hosts and accounts.
pub(super) fn env_key(sources: &Sources, names: &[String]) -> Option<String> {
    const OTHER: [&str; 8] = [
        "RESOURCE_NAME",
        "ACCOUNT_ID",
        "GATEWAY_ID",
        "REGION",
        "PROJECT",
        "LOCATION",
        "_HOST",
        "ENDPOINT",
    ];
    let holds_key = |name: &&String| !OTHER.iter().any(|part| name.contains(part));
    names
        .iter()
        .filter(holds_key)
        .find_map(|name| some_text(sources.env.get(name)?))
}

fn some_text(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

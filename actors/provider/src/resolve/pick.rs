//! Which model to take when nobody says.

use super::merged::{MergedModel, MergedProvider, Origin};
use super::sources::Sources;
use super::{address, merge};

/// Families in the order in which they are preferred for coding.
const FAMILIES: [&str; 12] = [
    "claude-sonnet",
    "gpt-5",
    "claude-opus",
    "gemini-3-pro",
    "gemini-3.1-pro",
    "gemini-2.5-pro",
    "glm-5",
    "kimi-k2",
    "glm-4",
    "qwen3-coder",
    "deepseek",
    "minimax-m2",
];

/// Words in names of models that are small or made for something else.
const LESSER: [&str; 15] = [
    "mini", "nano", "lite", "flash", "haiku", "small", "tiny", "image", "audio", "embed", "chat",
    "codex", "vision", "fast", "live",
];

/// Models for small work, the best first.
const SMALL: [&str; 11] = [
    "claude-haiku-4",
    "claude-4.5-haiku",
    "claude-3-5-haiku",
    "claude-3.5-haiku",
    "gpt-5-nano",
    "gpt-5-mini",
    "gemini-3-flash",
    "gemini-2.5-flash",
    "gpt-4.1-nano",
    "gpt-4o-mini",
    "mistral-small",
];

/// Providers in the order in which their keys are preferred.
const PROVIDERS: [&str; 6] = [
    "kilo",
    "anthropic",
    "openai",
    "google",
    "openrouter",
    "mistral",
];

/// Keys for something else that also open a small model service: asked last.
const LAST: [&str; 3] = ["github-models", "github-copilot", "gitlab"];

/// The model for sessions that name none: the configuration's `model`, else the best of the first provider that can
/// be used. `None` if there is no such provider.
pub fn default_model(sources: &Sources) -> Option<(String, String)> {
    named(sources, "model").or_else(|| best_of_all(sources))
}

/// The model for titles and summaries beside `provider`'s: the configuration's `small_model`, else a small one of
/// that provider. `None` if it has none; then the main model does that work.
pub fn small_model(sources: &Sources, provider: &str) -> Option<(String, String)> {
    named(sources, "small_model").or_else(|| small_of(sources, provider))
}

fn named(sources: &Sources, key: &str) -> Option<(String, String)> {
    let (provider, model) = sources.config.get(key)?.as_str()?.split_once('/')?;
    Some((provider.to_owned(), model.to_owned()))
}

fn best_of_all(sources: &Sources) -> Option<(String, String)> {
    let mut providers: Vec<MergedProvider> = merge::connected_ids(sources)
        .iter()
        .filter_map(|id| merge::provider(sources, id))
        .filter(|p| p.is_usable())
        .collect();
    providers.sort_by_key(rank);
    let first = |fits: fn(&MergedModel) -> bool| {
        providers.iter().find_map(|provider| {
            let best = best(provider).filter(|model| fits(model))?;
            Some((provider.id.clone(), best.id.clone()))
        })
    };
    // A model that only talks is better than none: a small local one, say.
    first(is_callable).or_else(|| first(is_spoken))
}

/// The configuration's own providers come first, then well-known keys, then others, then what was merely found.
fn rank(provider: &MergedProvider) -> (usize, usize) {
    let known = PROVIDERS
        .iter()
        .position(|id| *id == provider.id)
        .unwrap_or(PROVIDERS.len());
    let group = match provider.origin {
        _ if LAST.contains(&provider.id.as_str()) => 3,
        _ if provider.is_local => 2,
        Origin::Config if !provider.is_listed => 0,
        _ => 1,
    };
    (group, known)
}

fn is_callable(model: &MergedModel) -> bool {
    model.model.tool_call && is_spoken(model)
}

fn is_spoken(model: &MergedModel) -> bool {
    address::protocol(&model.npm, &model.api_id, true).is_some()
}

/// The model that stands for a provider: one that can be called, of a good family, grown up, new.
pub(super) fn best(provider: &MergedProvider) -> Option<&MergedModel> {
    provider
        .shown()
        .min_by(|a, b| order(a).cmp(&order(b)).then_with(|| newest(a, b)))
}

fn order(model: &MergedModel) -> (bool, bool, bool, bool, usize) {
    let id = model.id.to_lowercase();
    let speaks = model.model.modalities.output.is_empty()
        || model
            .model
            .modalities
            .output
            .iter()
            .any(|kind| kind == "text");
    let lesser = id
        .split(['-', '/', '_', ':', '.'])
        .any(|word| LESSER.contains(&word));
    let family = FAMILIES
        .iter()
        .position(|family| id.contains(family))
        .unwrap_or(FAMILIES.len());
    let configured_late = model.place == usize::MAX;
    (
        !is_callable(model),
        !speaks,
        configured_late,
        lesser,
        family,
    )
}

fn newest(a: &MergedModel, b: &MergedModel) -> std::cmp::Ordering {
    let key = |m: &MergedModel| (m.model.release_date.clone(), m.id.contains("latest"));
    key(b)
        .cmp(&key(a))
        .then(a.place.cmp(&b.place))
        .then_with(|| a.id.cmp(&b.id))
}

fn small_of(sources: &Sources, provider: &str) -> Option<(String, String)> {
    let provider = merge::provider(sources, provider)?;
    let callable = || {
        provider
            .shown()
            .filter(|model| address::protocol(&model.npm, &model.api_id, true).is_some())
    };
    let found = SMALL.iter().find_map(|name| {
        callable()
            .filter(|model| model.id.to_lowercase().contains(name))
            .min_by(|a, b| newest(a, b))
    })?;
    Some((provider.id.clone(), found.id.clone()))
}

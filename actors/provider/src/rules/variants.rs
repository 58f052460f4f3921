//! The variants of a model: named settings of how much it reasons.
//!
//! They follow from the package and the model's name; a configuration may add, change and disable them.

use kilo_ports::provider::ModelInfo;
use serde_json::{Map, Value, json};

/// Variants by name, the weakest first, each with options in the configuration's spelling.
pub type Variants = Map<String, Value>;

/// The variants of `model`; empty for models that do not reason.
pub fn of_model(model: &ModelInfo) -> Variants {
    of(&model.npm, &model.api_id, model.reasoning, model.output)
}

/// The variants by package and name. `output` bounds the older thinking budgets.
pub fn of(npm: &str, api_id: &str, reasoning: bool, output: u64) -> Variants {
    let id = api_id.to_lowercase();
    if !reasoning || without_effort(&id) {
        return Map::new();
    }
    match npm {
        "@openrouter/ai-sdk-provider" => {
            efforts(openrouter(&id), |e| json!({"reasoning": {"effort": e}}))
        }
        "@ai-sdk/anthropic" => claude(&id, output),
        "@ai-sdk/groq" => efforts(&["none", "low", "medium", "high"], effort),
        "@ai-sdk/openai" | "@ai-sdk/azure" => efforts(openai(&id), effort),
        "@ai-sdk/xai" if id.contains("grok-3-mini") => efforts(&["low", "high"], effort),
        "@ai-sdk/xai" => Map::new(),
        "@ai-sdk/mistral" => efforts(&["high"], effort),
        "@ai-sdk/google" if id.contains("2.5") => gemini_25(&id),
        "@ai-sdk/google" if id.contains("gemini-3") => efforts(gemini_3(&id), effort),
        "@ai-sdk/google" => Map::new(),
        _ if id.contains("gpt-5") => efforts(openai(&id), effort),
        _ => efforts(&["low", "medium", "high"], effort),
    }
}

fn effort(effort: &str) -> Value {
    json!({"reasoningEffort": effort})
}

fn efforts(names: &[&str], options: impl Fn(&str) -> Value) -> Variants {
    names
        .iter()
        .map(|name| ((*name).to_owned(), options(name)))
        .collect()
}

/// Families that reason but take no effort.
fn without_effort(id: &str) -> bool {
    let deepseek = id.contains("deepseek") && !id.contains("deepseek-v4");
    deepseek
        || ["minimax", "glm", "kimi", "qwen", "k2p"]
            .iter()
            .any(|family| id.contains(family))
}

fn openrouter(id: &str) -> &'static [&'static str] {
    if id.contains("gpt-5") {
        return openai(id);
    }
    &["low", "medium", "high"]
}

/// Efforts by generation: gpt-5 minimal, 5.1 none, 5.2 and later also xhigh.
fn openai(id: &str) -> &'static [&'static str] {
    let Some(after) = id.split("gpt-5").nth(1) else {
        return if id.contains("deep-research") {
            &["medium"]
        } else {
            &["low", "medium", "high"]
        };
    };
    let minor: u32 = after.strip_prefix('.').map_or(0, |rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or(0)
    });
    let (codex, pro, chat) = (
        after.contains("codex"),
        after.contains("-pro"),
        after.contains("chat"),
    );
    match minor {
        _ if chat => &["medium"],
        0 | 1 if pro => &["high"],
        _ if pro => &["medium", "high", "xhigh"],
        0 | 1 if codex => &["low", "medium", "high"],
        _ if codex => &["low", "medium", "high", "xhigh"],
        0 => &["minimal", "low", "medium", "high"],
        1 => &["none", "low", "medium", "high"],
        _ => &["none", "low", "medium", "high", "xhigh"],
    }
}

/// From 4.6 on Claude decides by itself how long it thinks; before, it gets a budget.
fn claude(id: &str, output: u64) -> Variants {
    let version = claude_version(id).unwrap_or((0, 0));
    let adaptive = |e: &str| json!({"thinking": {"type": "adaptive"}, "effort": e});
    let budget = |wanted: u64| json!({"type": "enabled", "budgetTokens": wanted.min((output / 2).max(1_024))});
    if version >= (4, 7) {
        let shown = |e: &str| json!({"thinking": {"type": "adaptive", "display": "summarized"}, "effort": e});
        return efforts(&["low", "medium", "high", "xhigh", "max"], shown);
    }
    if version == (4, 6) {
        return efforts(&["low", "medium", "high", "max"], adaptive);
    }
    if version == (4, 5) && id.contains("opus") {
        return efforts(
            &["low", "medium", "high"],
            |e| json!({"thinking": budget(16_000), "effort": e}),
        );
    }
    let mut variants = Map::new();
    variants.insert("high".into(), json!({"thinking": budget(16_000)}));
    variants.insert("max".into(), json!({"thinking": budget(31_999)}));
    variants
}

/// Major and minor of names such as `claude-opus-4-6`, `claude-sonnet-4.5` and `claude-3-7-sonnet-20250219`.
fn claude_version(id: &str) -> Option<(u32, u32)> {
    let mut numbers = id
        .split("claude")
        .nth(1)?
        .split(['-', '.', '@', ':', '/'])
        .filter_map(|word| {
            // Dates are no versions.
            word.parse::<u32>().ok().filter(|number| *number < 100)
        });
    let major = numbers.next()?;
    Some((major, numbers.next().unwrap_or(0)))
}

fn gemini_25(id: &str) -> Variants {
    let max = if id.contains("pro") { 32_768 } else { 24_576 };
    let budget = |tokens: u64| json!({"extraBody": {"google": {"thinking_config": {"include_thoughts": true, "thinking_budget": tokens}}}});
    let mut variants = Map::new();
    variants.insert("high".into(), budget(16_000));
    variants.insert("max".into(), budget(max));
    variants
}

fn gemini_3(id: &str) -> &'static [&'static str] {
    if id.contains("flash") {
        &["minimal", "low", "medium", "high"]
    } else {
        &["low", "high"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_package_and_generation() {
        let table: [(&str, &str, &[&str]); 17] = [
            (
                "@ai-sdk/openai",
                "gpt-5",
                &["minimal", "low", "medium", "high"],
            ),
            (
                "@ai-sdk/openai",
                "gpt-5.1",
                &["none", "low", "medium", "high"],
            ),
            (
                "@ai-sdk/openai",
                "gpt-5.4",
                &["none", "low", "medium", "high", "xhigh"],
            ),
            ("@ai-sdk/openai", "gpt-5-codex", &["low", "medium", "high"]),
            ("@ai-sdk/openai", "gpt-5-pro", &["high"]),
            ("@ai-sdk/openai", "gpt-5.1-chat-latest", &["medium"]),
            ("@ai-sdk/openai", "o4-mini-deep-research", &["medium"]),
            ("@ai-sdk/openai", "o3", &["low", "medium", "high"]),
            (
                "@ai-sdk/anthropic",
                "claude-opus-4-7",
                &["low", "medium", "high", "xhigh", "max"],
            ),
            (
                "@ai-sdk/anthropic",
                "claude-sonnet-4-6",
                &["low", "medium", "high", "max"],
            ),
            (
                "@ai-sdk/anthropic",
                "claude-opus-4-5-20251101",
                &["low", "medium", "high"],
            ),
            (
                "@ai-sdk/anthropic",
                "claude-3-7-sonnet-20250219",
                &["high", "max"],
            ),
            (
                "@openrouter/ai-sdk-provider",
                "anthropic/claude-sonnet-4.5",
                &["low", "medium", "high"],
            ),
            (
                "@ai-sdk/groq",
                "openai/gpt-oss-120b",
                &["none", "low", "medium", "high"],
            ),
            ("@ai-sdk/xai", "grok-4", &[]),
            ("@ai-sdk/openai-compatible", "deepseek-r1", &[]),
            (
                "@ai-sdk/openai-compatible",
                "gpt-oss-20b",
                &["low", "medium", "high"],
            ),
        ];
        for (npm, id, names) in table {
            let variants = of(npm, id, true, 64_000);
            assert_eq!(variants.keys().collect::<Vec<_>>(), names, "{npm} {id}");
        }
        assert!(of("@ai-sdk/openai", "gpt-4o", false, 16_000).is_empty());
    }

    #[test]
    fn old_budgets_stay_within_half_of_the_output() {
        let variants = of(
            "@ai-sdk/anthropic",
            "claude-3-7-sonnet-20250219",
            true,
            20_000,
        );
        assert_eq!(
            variants["high"],
            json!({"thinking": {"type": "enabled", "budgetTokens": 10_000}})
        );
        assert_eq!(
            variants["max"],
            json!({"thinking": {"type": "enabled", "budgetTokens": 10_000}})
        );
    }
}

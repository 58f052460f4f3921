//! `kilo models`: the models that can be used now.

use crate::connect::{self, Link};
use crate::context::Context;
use crate::exit::Exit;
use crate::options::Remote;
use crate::terminal::{line, note};
use clap::Args;
use kilo_client::ProviderList;
use serde_json::Value;

/// What `kilo models` takes.
#[derive(Args, Clone, Debug)]
pub struct ModelsArgs {
    /// Only this provider.
    pub provider: Option<String>,
    /// Print each model's description too.
    #[arg(long)]
    pub verbose: bool,
    /// Read the catalogue and the configuration anew first.
    #[arg(long)]
    pub refresh: bool,
}

/// Prints `PROVIDER/MODEL` lines, each provider's newest first, and beside them the default; status 1 when there are none.
pub async fn execute(args: &ModelsArgs, cx: &Context) -> anyhow::Result<Exit> {
    let directory = cx.env.cwd.to_string_lossy().into_owned();
    let link = connect::open(cx, &Remote::default(), &directory).await?;
    let result = list(args, &link).await;
    link.close().await;
    result
}

async fn list(args: &ModelsArgs, link: &Link) -> anyhow::Result<Exit> {
    if args.refresh {
        // Fetches a newer list first; a failure says so and what is known is listed.
        if let Err(error) = link.client.refresh_models().await {
            note(&format!("the list of models was not refreshed: {error}"));
        }
    }
    let providers = link.client.providers().await?;
    let lines = lines(&providers, args.provider.as_deref(), args.verbose);
    if lines.is_empty() {
        note(match &args.provider {
            Some(_) => "this provider has no models here; `kilo models` lists all that can be used",
            None => "no model can be used yet; `kilo auth login` stores a provider's key",
        });
        return Ok(Exit::FAILED);
    }
    for text in lines {
        line(&text);
    }
    let config = link.client.config().await?;
    if let Some(model) = default_model(&config, &providers) {
        note(&format!("default: {model}")); // beside the lines, which programs read
    }
    Ok(Exit::OK)
}

/// The model of new sessions: the configured one, else that of the first provider among the defaults.
fn default_model(config: &Value, providers: &ProviderList) -> Option<String> {
    if let Some(model) = config.get("model").and_then(Value::as_str) {
        return Some(model.to_owned());
    }
    let (provider, model) = providers.defaults.iter().next()?;
    Some(format!("{provider}/{}", model.as_str()?))
}

fn lines(providers: &ProviderList, only: Option<&str>, verbose: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for provider in &providers.providers {
        let id = provider
            .get("id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if only.is_some_and(|only| only != id) {
            continue;
        }
        let Some(models) = provider.get("models").and_then(Value::as_object) else {
            continue;
        };
        let mut models: Vec<_> = models.iter().collect();
        models.sort_by(|(a, this), (b, that)| released(that).cmp(released(this)).then(a.cmp(b)));
        for (name, model) in models {
            lines.push(format!("{id}/{name}"));
            if verbose {
                lines.push(serde_json::to_string_pretty(model).unwrap_or_default());
            }
        }
    }
    lines
}

/// The day as `YYYY-MM-DD`, which sorts by itself; empty, and so the oldest, for a model that has none.
fn released(model: &Value) -> &str {
    let day = model.get("release_date").and_then(Value::as_str);
    day.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_providers_newest_models_come_first() {
        let model = |day: &str| json!({"release_date": day});
        let models = json!({
            "old": model("2024-02"), "a": {}, "new": model("2026-01-02"), "b": model(""), "mid": model("2025-11-30"),
        });
        let providers = ProviderList {
            providers: vec![json!({"id": "p", "models": models})],
            ..ProviderList::default()
        };
        assert_eq!(
            lines(&providers, None, false),
            ["p/new", "p/mid", "p/old", "p/a", "p/b"]
        );
    }

    #[test]
    fn the_default_is_the_configured_model_else_the_first_providers() {
        let providers = ProviderList {
            defaults: json!({"z": "m/1", "a": "n"})
                .as_object()
                .cloned()
                .unwrap_or_default(),
            ..ProviderList::default()
        };
        let named = default_model(&json!({"model": "a/x"}), &providers);
        assert_eq!(named.as_deref(), Some("a/x"));
        assert_eq!(
            default_model(&json!({}), &providers).as_deref(),
            Some("z/m/1")
        );
        assert_eq!(default_model(&json!({}), &ProviderList::default()), None);
    }

    #[test]
    fn models_are_listed_with_their_provider_in_order() {
        let providers = ProviderList {
            providers: vec![
                json!({"id": "b", "models": {"z": {}, "a": {"name": "A"}}}),
                json!({"id": "a", "models": {"x/y": {}}}),
            ],
            ..ProviderList::default()
        };
        assert_eq!(lines(&providers, None, false), ["b/a", "b/z", "a/x/y"]);
        assert_eq!(lines(&providers, Some("a"), true), ["a/x/y", "{}"]);
    }
}

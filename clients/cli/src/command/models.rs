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

/// Prints `PROVIDER/MODEL` lines; status 1 when there are none.
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
    Ok(Exit::OK)
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
        models.sort_by_key(|(name, _)| name.as_str());
        for (name, model) in models {
            lines.push(format!("{id}/{name}"));
            if verbose {
                lines.push(serde_json::to_string_pretty(model).unwrap_or_default());
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
